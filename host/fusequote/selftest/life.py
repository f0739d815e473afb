"""Checks that burn fuses: the whole life of a chip, from blank to scrapped, with keys that are published.

Afterwards the chip is scrapped for good: one whose root key everybody knows must never attest anything.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from fusequote.arch import AttributeFlags, KeyName, Psvn
from fusequote.chip import LifeCycle, Op, Status
from fusequote.selftest import material
from fusequote.selftest.bench import Bench, Skipped
from fusequote.selftest.registry import Check, check
from fusequote.services.derivation import ATTRIBUTE_MASK, ProvisioningIdentity, provision_key

__all__ = ["BIRTH", "DEATH"]

#: Before and after what is checked on every chip.
BIRTH: list[Check] = []
DEATH: list[Check] = []


@check(BIRTH, "life.manufacture-and-lock")
def _manufacture(bench: Bench) -> None:
    """A blank chip takes its fuses once, and runs enclaves from the reset after its lock on."""
    bench.need_blank()
    chip, owner = bench.chip, material.owner()
    chip.fuse_manufacture(
        root_provisioning_key=material.RPK, device_id=material.DEVICE_ID, cpusvn=material.CPUSVN,
        provisioning_signers=(owner, bytes(32)), lepubkeyhash=owner,
    )  # fmt: skip
    bench.burnt = True
    status = chip.fuse_status()
    bench.equal("the life cycle", status.life_cycle, LifeCycle.MANUFACTURED)
    bench.equal("device id and CPUSVN", status.device_id + status.cpusvn, material.DEVICE_ID + material.CPUSVN)
    bench.equal("the provisioning signers", status.provisioning_signers, (owner, bytes(32)))
    bench.equal("LEPUBKEYHASH", status.lepubkeyhash, owner)
    bench.equal("status of ECREATE before the lock", chip.raw(Op.ECREATE, bytes(4160))[0], Status.BLOCK_LIFE_CYCLE)
    chip.fuse_lock()
    bench.equal("status of ECREATE before the reset", chip.raw(Op.ECREATE, bytes(4160))[0], Status.BLOCK_LIFE_CYCLE)
    bench.identity = chip.reset()
    bench.equal("locked after the reset", bench.identity.booted_locked, True)


@check(DEATH, "life.provision-key")
def _provision(bench: Bench) -> None:
    """The PROVISION key is the one that the provisioning server derives from the root key."""
    _need_burnt(bench)
    image = material.image(AttributeFlags.MODE64BIT | AttributeFlags.PROVISIONKEY)
    with bench.enclave(image) as resident, bench.entry(resident) as ticket:
        key = bench.key(ticket, KeyName.PROVISION, isvsvn=3, attributemask=ATTRIBUTE_MASK,
                        miscmask=0xFFFFFFFF)
    psvn = Psvn(cpusvn=material.CPUSVN, isvsvn=3)
    wanted = provision_key(material.RPK, ProvisioningIdentity(material.owner(), 7), psvn)
    bench.equal("the PROVISION key", key, wanted)
    bench.equal("the server's own derivation", wanted, material.PROVISION_KEY)


@check(DEATH, "life.raise-svn")
def _raise(bench: Bench) -> None:
    """With the maker's MAC the CPUSVN goes up, from the next reset on; then keys of the old one are still to be had."""
    _need_burnt(bench)
    with bench.enclave() as resident, bench.entry(resident) as ticket:
        before = bench.key(ticket, KeyName.SEAL, 2)
    mac = _maker(b"FQ-RAISE-SVN" + bytes(4) + material.DEVICE_ID + material.NEXT_CPUSVN)
    bench.chip.fuse_raise_svn(material.NEXT_CPUSVN, mac)
    bench.equal("the CPUSVN that is burnt", bench.chip.fuse_status().cpusvn, material.NEXT_CPUSVN)
    bench.identity = bench.chip.reset()
    bench.refused(Status.SGX_INVALID_CPUSVN, bench.chip.fuse_raise_svn, material.NEXT_CPUSVN, mac)
    with bench.enclave() as resident, bench.entry(resident) as ticket:
        bench.equal("the CPUSVN in a REPORT", resident.identity.cpusvn, material.NEXT_CPUSVN)
        bench.equal("the key of the old CPUSVN as before,",
                    bench.key(ticket, KeyName.SEAL, 2, cpusvn=material.CPUSVN) == before, True)
        bench.equal("the key of the new one like that of the old", bench.key(ticket, KeyName.SEAL, 2) == before, False)


@check(DEATH, "life.scrap")
def _scrap(bench: Bench) -> None:
    """Without the maker's MAC it is not scrapped, with it it is, and runs nothing any more."""
    _need_burnt(bench)
    bench.equal("status of FUSE_SCRAP", bench.chip.raw(Op.FUSE_SCRAP, bytes(16))[0], Status.SGX_INVALID_SIGNATURE)
    bench.chip.fuse_scrap(_maker(b"FQ-SCRAP" + bytes(8) + material.DEVICE_ID))
    bench.equal("the life cycle", bench.chip.identify().life_cycle, LifeCycle.SCRAPPED)
    bench.equal("status of ECREATE", bench.chip.raw(Op.ECREATE, bytes(4160))[0], Status.BLOCK_LIFE_CYCLE)


def _need_burnt(bench: Bench) -> None:
    if not bench.burnt:
        raise Skipped("needs a chip whose root key is known: a blank one, with --burn")


def _maker(message: bytes) -> bytes:
    """The maker's MAC (docs/link.md, 3.5)."""
    return _cmac(_cmac(material.RPK, b"FQ-MAKER" + bytes(8)), message)


def _cmac(key: bytes, message: bytes) -> bytes:
    mac = CMAC(AES(key))
    mac.update(message)
    return mac.finalize()
