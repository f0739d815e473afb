"""One platform with its key, one service provider, for all tests of the exchange."""

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

sys.path.insert(0, str(Path(__file__).parents[1] / "platform"))

from chain_world import SPID, Ready, home, keyed_home, ready, rng  # noqa: E402
from fusequote.exchange import EnclaveSession, ServiceProvider  # noqa: E402
from fusequote.relying import NonceFolder, Policy  # noqa: E402
from fusequote.relying.service import LocalService  # noqa: E402

__all__ = ["home", "keyed_home", "ready", "rng"]


@dataclass
class World:
    """A platform and a service provider that serves its enclave."""

    ready: Ready
    provider: ServiceProvider

    def enclave(self, **options) -> EnclaveSession:
        key = options.pop("provider_key", self.provider.key.public_key())
        return EnclaveSession(self.ready.application, self.ready.platform, key, **options)

    def to_msg3(self):
        """Two sessions that have come as far as msg3."""
        enclave, provider = self.enclave(), self.provider.session()
        return enclave, provider, enclave.msg3(provider.msg2(enclave.msg01()))


@pytest.fixture(scope="module")
def world(ready) -> World:
    services = ready.services
    return World(
        ready,
        ServiceProvider(
            key=ec.generate_private_key(ec.SECP256R1()),
            spid=SPID,
            policy=Policy.for_enclave(ready.application.enclave.identity),
            service=LocalService(services.attestation, lambda gid: services.registry.group_key(gid) is not None),
            root=services.keys.report_root,
            nonces=NonceFolder(ready.platform.home.relying),
        ),
    )
