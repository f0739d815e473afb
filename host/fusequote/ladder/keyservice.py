"""The service of the fourth rung: checks a CPU by the key that it shares with its maker, and certifies its key."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass

from cryptography import x509

from fusequote.arch import Psvn
from fusequote.exchange.keys import read_point
from fusequote.ladder.certificates import Authority, der
from fusequote.ladder.quoting import KeyRequestToService, possession_proof
from fusequote.ladder.rung import NotAccepted
from fusequote.maker.records import DeviceRecord
from fusequote.platform.protocol import cmac
from fusequote.services.derivation import ProvisioningIdentity, provision_key

__all__ = ["Issued", "KeyService"]


@dataclass(frozen=True)
class Issued:
    """A row of the service's database: which CPU got which certificate."""

    ppid: bytes
    device_id: bytes
    certificate: bytes


class KeyService:
    """``identity``: the Quoting Enclave's; ``lowest``: the TCB by which CPUs are named; ``least``: what is asked."""

    def __init__(self, identity: ProvisioningIdentity, lowest: Psvn, least: Psvn):
        self._identity, self.lowest, self.least = identity, lowest, least
        self._authority = Authority("fusequote emulated key service")
        self._devices: dict[bytes, DeviceRecord] = {}
        self._nonces: dict[bytes, bytes] = {}
        #: All that the service ever wrote down about the certificates that it gave.
        self.database: list[Issued] = []

    @property
    def root(self) -> x509.Certificate:
        """What relying parties trust."""
        return self._authority.root

    def enroll(self, record: DeviceRecord) -> None:
        """Take over a device from the maker."""
        self._devices[self._name(record)] = record

    def challenge(self, ppid: bytes) -> bytes:
        """A nonce for the CPU of this name. Raises :class:`NotAccepted` for one that the maker did not make."""
        if ppid not in self._devices:
            raise NotAccepted(f"the maker knows no CPU {ppid[:4].hex()}..")
        self._nonces[ppid] = secrets.token_bytes(16)
        return self._nonces[ppid]

    def issue(self, asked: KeyRequestToService) -> bytes:
        """The certificate (DER), kept in the database with the CPU that it is for. Raises :class:`NotAccepted`."""
        record, nonce = self._devices.get(asked.ppid), self._nonces.pop(asked.ppid, None)
        if record is None or nonce is None:
            raise NotAccepted("no challenge is open for this CPU")
        key = provision_key(record.root_provisioning_key, self._identity, asked.psvn)
        if not hmac.compare_digest(possession_proof(key, nonce, asked.public_key), asked.proof):
            raise NotAccepted("the proof was not made by the Quoting Enclave on this CPU at this TCB")
        if any(has < least for has, least in zip(asked.psvn.cpusvn, self.least.cpusvn, strict=True)):
            raise NotAccepted(f"CPUSVN {asked.psvn.cpusvn[:2].hex()}.. is out of date")
        if asked.psvn.isvsvn < self.least.isvsvn:
            raise NotAccepted("the Quoting Enclave is out of date")
        # The name in it is random: relying parties are not told which CPU it is. The database knows.
        made = der(
            self._authority.certify(f"emulated quoting key {secrets.token_hex(8)}", read_point(asked.public_key))
        )
        self.database.append(Issued(asked.ppid, record.device_id, made))
        return made

    def _name(self, record: DeviceRecord) -> bytes:
        return cmac(provision_key(record.root_provisioning_key, self._identity, self.lowest), bytes(16))
