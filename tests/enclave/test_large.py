"""The largest enclave that a user is likely to bring: 64 MiB of measured pages, streamed from a file of 80 MiB."""

from __future__ import annotations

import hashlib
import tracemalloc
from pathlib import Path

import pytest
from fusequote import arch
from fusequote.chip import open_chip
from fusequote.enclave import mrenclave, open_image, sign_sigstruct, sigstruct_for, write_sgxs
from fusequote.enclave.image import Image, make_secs, whole_page
from fusequote.enclave.load import launch
from fusequote.enclave.signing import generate_signing_key

MIB = 1 << 20
#: What the host may hold while an image of any size streams through: some pages and their frames.
HELD = MIB // 2
CACHE = Path(__file__).parents[2] / "build" / "test-cache"


class Large(Image):
    """Pages that all differ, made as they are read."""

    def __init__(self, mib: int):
        self.name, self.sigstruct, self._pages = "large", None, mib * MIB // 4096
        self.secs = make_secs(mib * MIB, 1, None)

    @property
    def page_count(self) -> int:
        return self._pages

    @property
    def chunk_count(self) -> int:
        return 16 * self.page_count

    def operations(self):
        for number in range(self.page_count):
            content = hashlib.shake_128(number.to_bytes(4, "little")).digest(4096)
            yield from whole_page(4096 * number, arch.PT_REG_FLAGS | 7, content)


@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.parametrize(
    ("url", "mib"),
    [pytest.param("model://", 64), pytest.param(f"sim://?cache={CACHE}", 4, marks=pytest.mark.rtl)],
    ids=["model", "rtl"],
)
def test_a_large_image_streams_through(url, mib, tmp_path):
    """Its measurement is right, the bar ends at its end, and the host never holds more than a few pages of it."""
    image, path = Large(mib), tmp_path / "large.sgxs"
    with path.open("wb") as file:
        write_sgxs(image, file)
    sigstruct = sign_sigstruct(sigstruct_for(image), generate_signing_key())
    path.with_suffix(".sig").write_bytes(sigstruct.to_bytes())
    assert path.stat().st_size > mib * MIB
    begun = 0

    def bar(done: int, total: int) -> None:
        nonlocal begun
        begun += 1
        assert (done, total) == (begun, image.page_count)

    with open_chip(url) as chip:
        chip.fuse_manufacture(
            root_provisioning_key=b"k" * 16,
            device_id=b"d" * 16,
            cpusvn=b"\xff" * 16,
            provisioning_signers=(b"\1" * 32, b"\2" * 32),
            lepubkeyhash=bytes(32),
        )
        chip.fuse_lock()
        chip.reset()
        anonymous = _anonymous()
        tracemalloc.start()
        try:
            with open_image(path) as opened, launch(chip, opened, progress=bar) as enclave:
                assert enclave.identity.mrenclave == sigstruct.enclavehash == mrenclave(image)
            held = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        grown = _anonymous() - anonymous
    print(f"held at most {held:,} bytes; the process grew by {grown:,}")
    assert held < HELD
    assert grown < 16 * HELD
    assert begun == image.page_count


def _anonymous() -> int:
    """Bytes of memory of this process that are not a file's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
