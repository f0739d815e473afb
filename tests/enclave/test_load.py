"""Launching images on the reference model, entering them, and leaving nothing behind when it fails."""

from __future__ import annotations

import tracemalloc

import pytest
from fusequote import arch
from fusequote.chip import BlockError, Chip, ChipFault, LinkError, Op, SgxError, open_chip
from fusequote.enclave.errors import ImageError, ImageUnsupported
from fusequote.enclave.image import ZERO_PAGE, AddPage, ExtendChunks, MemoryImage, make_secs, whole_page
from fusequote.enclave.load import BASE_32, BASE_64, launch
from fusequote.enclave.measure import mrenclave
from fusequote.enclave.signing import generate_signing_key, sign_image, sign_sigstruct
from fusequote.errors import ExitCode, UsageError

RW = arch.PT_REG_FLAGS | 3
TCS = arch.Tcs(ossa=0x4000, nssa=2, oentry=0x123, fslimit=0xFFFFFFFF, gslimit=0xFFFFFFFF, flags=1)


@pytest.fixture(scope="module")
def key():
    return generate_signing_key()


@pytest.fixture
def chip():
    with open_chip("model://?seed=load") as chip:
        chip.fuse_manufacture(
            root_provisioning_key=b"k" * 16,
            device_id=b"d" * 16,
            cpusvn=bytes(16),
            provisioning_signers=(b"\1" * 32, b"\2" * 32),
            lepubkeyhash=bytes(32),
        )
        chip.fuse_lock()
        chip.reset()
        yield chip


def image(
    key=None, *, threads: int = 2, size: int = 0x10000, extra=(), debug: bool = False
) -> MemoryImage:
    operations = []
    for number in range(threads):
        operations += whole_page(4096 * number, arch.PT_TCS_FLAGS, bytes(TCS))
    operations += whole_page(0x8000, RW, b"code" * 1024)
    operations.append(AddPage(0x9000, RW))
    # Chunks in any order, and one twice.
    operations += [ExtendChunks(0x9F00, 1, b"z" * 256), ExtendChunks(0x9000, 2, b"a" * 512)] * 2
    operations += extra
    made = MemoryImage("sample", make_secs(size, 1, None, debug=debug), operations)
    return made if key is None else made.signed(sign_image(made, key, isvsvn=3, isvprodid=5))


def slots_are_free(chip: Chip) -> bool:
    """Whether every slot can be taken, by taking them."""
    secs = make_secs(0x2000, 1, None)
    handles = [chip.ecreate(secs) for _ in range(chip.identity.slots)]
    for handle in handles:
        chip.eremove(handle)
    return True


def test_launch_and_enter(chip, key):
    sample = image(key)
    steps = []
    with launch(chip, sample, progress=lambda done, total: steps.append((done, total))) as enclave:
        assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
        assert enclave.base == BASE_64
        assert enclave.tcs == (BASE_64, BASE_64 + 0x1000)
        assert enclave.identity.mrenclave == mrenclave(sample) == sample.sigstruct.enclavehash
        assert enclave.identity.mrsigner == sample.sigstruct.mrsigner
        assert (enclave.identity.isvsvn, enclave.identity.isvprodid) == (3, 5)
        with enclave.enter() as first, enclave.enter(1) as second:
            assert (first.cssa, first.address) == (0, BASE_64 + 0x123)
            report = first.ereport(enclave.identity.target(), b"d" * 64)
            assert report.body == enclave.identity.replace(reportdata=b"d" * 64)
            assert second.verifyreport(report)
            assert not second.verifyreport(report.replace(mac=bytes(16)))
            request = arch.KeyRequest(keyname=arch.KeyName.SEAL, keypolicy=1)
            assert first.egetkey(request) == second.egetkey(request)
        for use in (first.ereport, first.egetkey, first.verifyreport):
            with pytest.raises(UsageError, match="was left"):
                use(bytes(512))
        with pytest.raises(UsageError, match="2 TCS"), enclave.enter(2):
            pass
    assert slots_are_free(chip)


def test_the_given_sigstruct_counts(chip, key):
    bare = image()
    with pytest.raises(UsageError, match="no SIGSTRUCT"):
        launch(chip, bare)
    launch(chip, bare, sign_image(bare, key)).remove()


def test_32_bit_enclaves_have_their_own_base(chip, key):
    made = image()
    secs = made.secs.replace(attributes=arch.Attributes(flags=0, xfrm=3))
    made = MemoryImage("32 bit", secs, list(made.operations()))
    with launch(chip, made, sign_image(made, key)) as enclave:
        assert enclave.base == BASE_32
        assert enclave.identity.attributes.flags == 0x1


def test_left_whatever_happens(chip, key):
    """EEXIT happens on errors too; when the entry is dead already, the block's own error comes through."""
    with launch(chip, image(key)) as enclave:
        with pytest.raises(ZeroDivisionError), enclave.enter():
            raise ZeroDivisionError
        with pytest.raises(ZeroDivisionError), enclave.enter():
            chip.aex(enclave.handle, enclave.tcs[0])
            raise ZeroDivisionError
        chip.eexit(chip.eresume(enclave.handle, enclave.tcs[0]).ticket)
        with pytest.raises(ChipFault, match="EEXIT: #GP"), enclave.enter():
            chip.aex(enclave.handle, enclave.tcs[0])
        chip.eexit(chip.eresume(enclave.handle, enclave.tcs[0]).ticket)
        with pytest.raises(ChipFault, match="EGETKEY: #GP"), enclave.enter() as session:
            session.egetkey(b"\xff" * 512)
        with enclave.enter(), pytest.raises(SgxError, match="SGX_ENCLAVE_ACT"):
            enclave.remove()
    assert slots_are_free(chip)


def test_session_shows_no_ticket(chip, key):
    with launch(chip, image(key)) as enclave, enclave.enter() as session:
        assert session._ticket.to_bytes().hex() not in repr(session)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"enclavehash": b"\1" * 32}, "SGX_INVALID_MEASUREMENT"),
        ({"attributes": arch.Attributes(flags=0x84, xfrm=3)}, "SGX_INVALID_ATTRIBUTE"),
        ({"exponent": 5}, "SGX_INVALID_SIG_STRUCT"),
        ({"signature": b"\1" * 384}, "SGX_INVALID_SIGNATURE"),
    ],
)
def test_einit_refuses_and_the_slot_is_free(chip, key, change, name):
    sample = image(key)
    with pytest.raises(SgxError, match=f"EINIT: {name}") as caught:
        launch(chip, sample, sign_sigstruct(sample.sigstruct.replace(**change), key).replace(**change))
    assert caught.value.exit_code == ExitCode.DEVICE
    assert caught.value.hint
    assert slots_are_free(chip)


def test_one_byte_of_the_image(chip, key):
    sample = image(key)
    operations = list(sample.operations())
    at = next(
        i for i, op in enumerate(operations) if isinstance(op, ExtendChunks) and op.offset == 0x8000
    )
    operations[at] = ExtendChunks(0x8000, 16, b"Code" + operations[at].data[4:])
    with pytest.raises(SgxError, match="SGX_INVALID_MEASUREMENT"):
        launch(chip, MemoryImage("tampered", sample.secs, operations, sample.sigstruct))


def test_a_failure_in_the_middle_frees_the_slot(chip, key):
    """The chip refuses a TCS with reserved bytes set; and an image may break while it is read."""
    bad = AddPage(0xA000, arch.PT_TCS_FLAGS, bytes(TCS)[:-1] + b"\1")
    with pytest.raises(ChipFault, match=r"EADD \(0x10000000a000\): #GP"):
        launch(chip, image(key, extra=[bad]))
    assert slots_are_free(chip)

    class Breaks(MemoryImage):
        readings = 0

        def operations(self):
            yield from list(super().operations())[:3]
            self.readings += 1
            if self.readings > 1:
                raise ImageError("the file was cut short under our hands")

    sample = image(key)
    with pytest.raises(ImageError, match="cut short"):
        launch(chip, Breaks("breaks", sample.secs, list(sample.operations()), sample.sigstruct))
    assert slots_are_free(chip)


@pytest.mark.parametrize(
    ("extra", "kind"),
    [
        ([AddPage(0xA000 + 4096 * i, arch.PT_TCS_FLAGS, bytes(TCS)) for i in range(3)], ImageUnsupported),
        ([AddPage(0xA000, RW), ExtendChunks(0x8000, 1, bytes(256))], ImageUnsupported),
        ([AddPage(0x10000, RW)], ImageError),
    ],
    ids=["threads", "page long closed", "outside"],
)
def test_what_the_block_has_not_is_refused_before_anything_is_sent(chip, key, extra, kind):
    signed = image(key)
    sent = chip.stats.bytes_out
    with pytest.raises(kind):
        launch(chip, image(extra=extra), signed.sigstruct)
    assert chip.stats.bytes_out == sent


def test_launch_control(chip, key):
    """Without SET_LEPUBKEYHASH a signer that the fuses do not name is refused; with it he is not."""
    sample = image(key)
    with pytest.raises(SgxError, match="SGX_INVALID_EINITTOKEN"):
        launch(chip, sample, set_lepubkeyhash=False)
    launch(chip, sample).remove()
    launch(chip, sample, set_lepubkeyhash=False, token=arch.EinitToken()).remove()
    chip.reset()
    with pytest.raises(SgxError, match="SGX_INVALID_EINITTOKEN"):
        launch(
            chip, sample, token=arch.EinitToken(valid=1)
        )  # a valid token goes without, and this one is forged
    assert slots_are_free(chip)


def test_locked_launch_control(key):
    with open_chip("model://?seed=locked") as chip:
        chip.fuse_manufacture(
            root_provisioning_key=b"k" * 16,
            device_id=b"d" * 16,
            cpusvn=bytes(16),
            provisioning_signers=(bytes(32), bytes(32)),
            lepubkeyhash=b"\7" * 32,
            lock_lepubkeyhash=True,
        )
        with pytest.raises(BlockError, match="BLOCK_LIFE_CYCLE"):
            launch(chip, image(key))
        chip.fuse_lock()
        assert chip.reset().lepubkeyhash_locked
        with pytest.raises(SgxError, match="SGX_INVALID_EINITTOKEN"):
            launch(chip, image(key))


def test_every_slot_taken(chip, key):
    enclaves = [launch(chip, image(key)) for _ in range(chip.identity.slots)]
    with pytest.raises(BlockError, match="BLOCK_NO_SLOT"):
        launch(chip, image(key))
    for enclave in enclaves:
        enclave.remove()
    with pytest.raises(ChipFault, match="#PF"):
        enclaves[0].remove()


class Big(MemoryImage):
    """Many pages out of one."""

    pages = 1024

    def operations(self):
        yield from whole_page(0, arch.PT_TCS_FLAGS, bytes(TCS))
        for number in range(1, self.pages):
            yield from whole_page(4096 * number, RW, ZERO_PAGE)

    @property
    def page_count(self) -> int:
        return self.pages


def test_a_big_image_is_streamed(chip, key):
    """4 MiB of pages pass through; less than 1 MiB is ever held."""
    big = Big("big", make_secs(0x1000000, 1, None), [])
    signed = sign_image(big, key)
    tracemalloc.start()
    try:
        enclave = launch(chip, big, signed)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20
    assert enclave.identity.mrenclave == signed.enclavehash
    assert chip.stats.bytes_out > 4 << 20


def test_a_chip_that_goes_away(chip, key, monkeypatch):
    """The error is that of the command that failed, not that of the clearing up."""
    sample = image(key)
    real = chip._wire._port.write

    def broken(data: bytes) -> int:
        raise OSError(5, "Input/output error")

    def until_einit(data: bytes) -> int:
        if data.lstrip(b"\x7e")[0] == Op.EINIT:
            chip._wire._port.write = broken
            return broken(data)
        return real(data)

    monkeypatch.setattr(chip._wire._port, "write", until_einit)
    with pytest.raises(LinkError, match="EINIT: cannot write to the port"):
        launch(chip, sample)
