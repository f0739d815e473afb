"""Both ends of the provisioning protocol with the wire between them in the test's hands."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from chain_world import Ready, make_ready
from fusequote.arch import Psvn
from fusequote.arch.provision import PlatformInfo
from fusequote.platform.endpoint import select_endpoint
from fusequote.platform.epidblob import open_blob
from fusequote.platform.images import pce_image, provisioning_image
from fusequote.platform.operator import operator_of
from fusequote.platform.pce import PceProgram
from fusequote.platform.protocol import ppid_of, provision_request
from fusequote.platform.provisioning import ProvisioningEnclave
from fusequote.platform.provisioning_agent import ProvisioningAgent
from fusequote.platform.signers import Signers
from fusequote.services.provisioning import ProvisioningServer

Change = Callable[[bytes], bytes]


@dataclass
class Wire:
    """Carries messages to the server; notes them, and alters those that ``change`` names (0 is the first)."""

    server: ProvisioningServer
    requests: list[bytes] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)
    change_request: dict[int, Change] = field(default_factory=dict)
    change_answer: dict[int, Change] = field(default_factory=dict)

    def __call__(self, message: bytes) -> bytes:
        number = len(self.requests)
        self.requests.append(message)
        answer = self.server.handle(self.change_request.get(number, bytes)(message))
        self.answers.append(answer)
        return self.change_answer.get(number, bytes)(answer)


@dataclass
class Ends:
    """The two enclaves of a platform, launched, and the server; ``agent()`` is honest software between them."""

    made: Ready
    pve: ProvisioningEnclave
    pce: PceProgram

    @property
    def server(self) -> ProvisioningServer:
        return self.made.services.provisioning

    def wire(self, **changes: dict[int, Change]) -> Wire:
        return Wire(self.server, **changes)

    def agent(self, wire: Wire | None = None, kind: type[ProvisioningAgent] = ProvisioningAgent) -> ProvisioningAgent:
        operator = operator_of(self.pve.extended, self.pve.constants)
        endpoint = select_endpoint(self.pve.selector(), operator, self.server.handle)
        return kind(self.pve, self.pce, endpoint, wire or self.wire())

    def forget(self) -> None:
        """Make the server forget what this platform's chip was given: the next one is a join."""
        from fusequote.services.provisioning_tables import Membership
        from sqlalchemy import delete

        with self.made.services.store.session() as session:
            session.execute(delete(Membership))

    def own_level(self) -> PlatformInfo:
        return self.agent().platform_info()


def open_ends(made: Ready) -> Iterator[Ends]:
    """For a fixture."""
    constants, signers = made.services.constants, Signers(made.platform.home)
    pve = made.platform._launch(provisioning_image(constants, signers))
    pce = made.platform._launch(pce_image(signers))
    yield Ends(made, ProvisioningEnclave(pve, constants), PceProgram(pce))
    made.platform.remove(pve)
    made.platform.remove(pce)


def raised(level: PlatformInfo, by: int = 1) -> PlatformInfo:
    """One security version further, in every component of CPUSVN."""
    return level.replace(cpusvn=bytes(b + by for b in level.cpusvn))


def claiming(level: PlatformInfo) -> type[ProvisioningAgent]:
    """Software that claims ``level`` and is honest in all else."""

    class Claimant(ProvisioningAgent):
        def platform_info(self) -> PlatformInfo:
            return level

    return Claimant


def lying_about(level: PlatformInfo) -> type[ProvisioningAgent]:
    """Software that claims ``level`` and has the enclaves prove the TCB that the chip really has."""

    class Liar(ProvisioningAgent):
        def platform_info(self) -> PlatformInfo:
            return level

        def _join(self, tx, asked, content, nonce):
            own = super().platform_info()
            asked = dataclasses.replace(asked, equivalent=own)
            return super()._join(tx, asked, content.replace(equivalent=own), nonce)

    return Liar


@pytest.fixture
def made(home):
    """A platform of its own: these tests change the store."""
    ready = make_ready(home)
    yield ready
    ready.platform.close()


@pytest.fixture
def ends(made):
    """Its two provisioning enclaves, launched in the place of the Quoting Enclave, and the server."""
    made.platform.remove(made.platform.quoting_enclave.enclave)
    del made.platform.quoting_enclave
    yield from open_ends(made)


@pytest.fixture
def fresh(ends: Ends) -> Ends:
    """A chip that the server has given no key yet."""
    ends.forget()
    return ends


def secret_of(ends: Ends, blob: bytes):
    return open_blob(ends.pve.enclave, blob)[0]


def ppid_of_pce(ends: Ends) -> bytes:
    with ends.pce.enclave.entered() as inside:
        return ppid_of(inside.key(provision_request(Psvn())))
