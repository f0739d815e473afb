"""All services of a home folder in one process: provisioning server and attestation service over one store."""

from __future__ import annotations

from typing import Self

from fusequote.arch import Psvn
from fusequote.home import Home
from fusequote.maker.records import DeviceRecord
from fusequote.platform.constants import Constants
from fusequote.platform.images import AE_ISVPRODID, AE_ISVSVN
from fusequote.platform.pce import PCE_ISVPRODID, PCE_ISVSVN
from fusequote.platform.signers import Signers, mrsigner_of
from fusequote.services.attestation import AttestationService
from fusequote.services.clock import SystemClock
from fusequote.services.derivation import ProvisioningIdentity
from fusequote.services.provisioning import ProvisioningServer, load_provisioning_keys
from fusequote.services.registry import Registry
from fusequote.services.roots import load_service_keys
from fusequote.services.store import Clock, Store

__all__ = ["Services"]


class Services:
    """``store_url`` is an SQLAlchemy URL; None is ``services.db`` of the home folder. ``clock`` gives UTC, the
    machine's by default. Close it in the end.
    """

    def __init__(self, home: Home, store_url: str | None = None, clock: Clock | None = None):
        self.keys = load_service_keys(home)
        self.store = Store.of(home, store_url, SystemClock() if clock is None else clock)
        signers = Signers(home)
        pve = ProvisioningIdentity(mrsigner_of(signers.architectural), AE_ISVPRODID)
        pce = ProvisioningIdentity(mrsigner_of(signers.pce), PCE_ISVPRODID)
        self.registry = Registry(self.store, pve)
        self.provisioning_keys = load_provisioning_keys(home)
        self.provisioning = ProvisioningServer(self.registry, self.keys, self.provisioning_keys, pve, pce)
        self.attestation = AttestationService(self.registry, self.keys, self.store.clock)

    @property
    def constants(self) -> Constants:
        """The public keys that platforms build into their architectural enclaves."""
        return Constants(
            isk=self.keys.epid_signing.public_key(),
            qsdk=self.keys.qsdk.public_key(),
            peksk=self.provisioning_keys.pek_signing.public_key(),
            xegdsk=self.provisioning_keys.xegd_signing.public_key(),
            pibsk=self.keys.pib_signing.public_key(),
        )

    def import_device(self, record: DeviceRecord) -> bytes:
        """Take over a device from the maker: the PPID that its PCE tells. Opens an EPID group for its TCB when there
        is none.
        """
        psvn = Psvn(cpusvn=record.cpusvn, isvsvn=AE_ISVSVN)
        if psvn not in self.registry.levels():
            self.registry.create_group(psvn, PCE_ISVSVN)
        return self.provisioning.members.enroll(record.device_id, record.root_provisioning_key, record.cpusvn)

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
