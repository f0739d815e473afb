"""The pytest plugin: fixtures ``attested_platform``, ``quote_factory`` and ``attestation_service``.

pytest loads this module wherever fusequote is installed, so it imports the rest when a fixture is asked for.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fusequote.testing.quotes import QuoteFactory
    from fusequote.testing.service import AttestationWorld, AttestedPlatform, EmulatedService

SEED = "fusequote"
_MARKER = "attestation(seed=TEXT, now=DATETIME): seed and time of the emulated attestation in this test (fusequote)"


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--attestation-seed``, and the same in the configuration."""
    text = f"seed of the emulated attestation's keys, ids and signatures (default: {SEED})"
    parser.getgroup("fusequote").addoption("--attestation-seed", metavar="TEXT", help=text)
    parser.addini("attestation_seed", text, default=SEED)


def pytest_configure(config: pytest.Config) -> None:
    """The marker."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture(scope="session")
def _attestation_homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Home folders with every key made, by seed: RSA keys take their time."""
    return {}


@pytest.fixture
def _attestation_world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, _attestation_homes: dict[str, Any]
) -> Iterator[AttestationWorld]:
    asked = _asked(request)  # before what takes time

    # The noise of the chip: pyserial loads it by the URL, and what is loaded while randomness is seeded would miss it.
    import fusequote.chip.entropy  # noqa: F401
    from fusequote.home import Home
    from fusequote.platform.signers import Signers
    from fusequote.services.services import Services
    from fusequote.testing.seeding import Seeding
    from fusequote.testing.service import MOMENT, AttestationWorld

    config = request.config
    seed = str(asked.get("seed") or config.getoption("attestation_seed") or config.getini("attestation_seed"))
    if seed not in _attestation_homes:
        home = Home(tmp_path_factory.mktemp("attestation-keys") / "home")
        with Seeding(request, seed).operation("keys"):
            Services(home).close()
            signers = Signers(home)
            _ = signers.application, signers.entry
        _attestation_homes[seed] = home
    root = tmp_path_factory.mktemp("attestation") / "home"
    shutil.copytree(_attestation_homes[seed].root, root)
    world = AttestationWorld(Home(root), Seeding(request, seed), asked.get("now") or MOMENT)
    yield world
    world.close()


def _asked(request: pytest.FixtureRequest) -> dict[str, Any]:
    marker = request.node.get_closest_marker("attestation")
    if marker is None:
        return {}
    unknown = set(marker.kwargs) - {"seed", "now"}
    if marker.args or unknown:
        raise pytest.UsageError(f"the marker is {_MARKER}, not one with {', '.join(unknown) or 'positional arguments'}")
    return marker.kwargs


@pytest.fixture
def quote_factory(_attestation_world: AttestationWorld) -> QuoteFactory:
    """Emulated quotes of every case: ``quote_factory(Case.KEY_REVOKED, debug=True)``."""
    return _attestation_world.quotes


@pytest.fixture
def attestation_service(_attestation_world: AttestationWorld) -> EmulatedService:
    """The emulated attestation service: reports on quotes, their root, the operator's switches, a REST client."""
    return _attestation_world.service


@pytest.fixture
def attested_platform(_attestation_world: AttestationWorld) -> Iterator[AttestedPlatform]:
    """A platform on an emulated chip, with an EPID key and an application to quote."""
    from fusequote.testing.service import AttestedPlatform

    made = AttestedPlatform(_attestation_world)
    yield made
    made.close()
