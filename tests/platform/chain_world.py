"""A world to attack: home folders with keys, platforms on model chips, and helpers that flip and expect."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fusequote.chain import Platform, ReportedEnclave, simulated_chip_url
from fusequote.errors import Refused
from fusequote.home import Home
from fusequote.maker import RecordBook, manufacture
from fusequote.platform.application import ApplicationEnclave
from fusequote.platform.signers import Signers, mrsigner_of
from fusequote.services.services import Services
from fusequote.verdict import Reason

SPID = b"emulated SPID 16"
#: Which simulated chip the world stands on: "model", or "sim" for the RTL (tests/rtl/test_tampering_rtl.py).
SCHEME = os.environ.get("FUSEQUOTE_TEST_CHIP", "model")
BUILDS = Path(__file__).parents[2] / "build" / "test-cache"
DATA = b"what the application says"


@pytest.fixture(scope="session")
def keyed_home(tmp_path_factory) -> Home:
    """A home folder with every key made: RSA takes its time, and no test needs keys of its own."""
    home = Home(tmp_path_factory.mktemp("keyed") / "home")
    signers = Signers(home)
    signers.provisioning_signers()
    _ = signers.application, signers.entry
    Services(home).close()
    home.services_db.unlink()
    home.secret("spid", 16)
    return home


def copy_home(keyed: Home, folder: Path) -> Home:
    """A home folder with the same keys and nothing else in common."""
    (folder / "home").mkdir(parents=True)
    shutil.copytree(keyed.keys, folder / "home" / "keys")
    return Home(folder / "home")


@pytest.fixture
def home(keyed_home: Home, tmp_path: Path) -> Home:
    return copy_home(keyed_home, tmp_path)


@dataclass
class Ready:
    """A platform that has its EPID key, an application on it, a good REPORT and a good quote."""

    platform: Platform
    application: ApplicationEnclave
    reported: ReportedEnclave
    quote: bytes

    @property
    def services(self) -> Services:
        return self.platform.services

    def new_quote(self, **options) -> bytes:
        return self.platform.quote_report(self.reported, spid=SPID, **options).quote


def chip_url(home: Home, name: str) -> str:
    """The chip ``name`` of a home folder; RTL is built once for all tests."""
    url = simulated_chip_url(home, SCHEME, name)
    return f"{url}&cache={BUILDS}" if SCHEME == "sim" else url


def make_ready(home: Home, chip: str = "default", *, lock_launch: bool = False) -> Ready:
    platform = Platform.manufacture(chip_url(home, chip), home=home, lock_launch=lock_launch)
    application = platform.launch()
    reported = platform.report(application, DATA)
    platform.provision()
    return Ready(platform, application, reported, platform.quote_report(reported, spid=SPID).quote)


def unknown_chip(home: Home, name: str) -> Platform:
    """A chip of our maker's whose record the provisioning server was never given."""
    platform = Platform(chip_url(home, name), home=home)
    signers = Signers(home)
    manufacture(
        platform.chip,
        RecordBook(home),
        provisioning_signers=signers.provisioning_signers(),
        lepubkeyhash=mrsigner_of(signers.application),
    )
    return platform


@pytest.fixture(scope="module")
def ready(keyed_home: Home, tmp_path_factory) -> Iterator[Ready]:
    """Shared by a module's tests, which must leave the store as it is."""
    made = make_ready(copy_home(keyed_home, tmp_path_factory.mktemp("ready")))
    yield made
    made.platform.close()


@pytest.fixture
def rng() -> random.Random:
    """Random positions; the seed is printed, and FUSEQUOTE_TEST_SEED repeats it."""
    seed = int(os.environ.get("FUSEQUOTE_TEST_SEED") or random.SystemRandom().getrandbits(32))
    print(f"FUSEQUOTE_TEST_SEED={seed}")
    return random.Random(seed)


def flip(data: bytes, bit: int) -> bytes:
    """``data`` with one bit turned, counted from bit 0 of byte 0."""
    out = bytearray(data)
    out[bit // 8] ^= 1 << bit % 8
    return bytes(out)


def some_bits(rng: random.Random, start: int, end: int, count: int) -> list[int]:
    """``count`` bit positions within bytes ``start`` to ``end`` - 1, the first and the last among them."""
    inner = [rng.randrange(8 * start, 8 * end) for _ in range(max(0, count - 2))]
    return [8 * start, *inner, 8 * end - 1]


@contextlib.contextmanager
def refused(*reasons: Reason) -> Iterator[None]:
    """What happens within must be refused for one of these reasons."""
    with pytest.raises(Refused) as caught:
        yield
    assert Reason(caught.value.reason) in reasons, str(caught.value)
