"""Checks of EGETKEY: which keys are the same, which differ, which are refused."""

from __future__ import annotations

from fusequote.arch import KeyName, KeyPolicy
from fusequote.chip import Status
from fusequote.selftest import material
from fusequote.selftest.bench import Bench, Failed
from fusequote.selftest.registry import Check, check

__all__ = ["CHECKS"]

CHECKS: list[Check] = []
_SEAL, _BY_SIGNER, _BY_ENCLAVE = KeyName.SEAL, KeyPolicy.MRSIGNER, KeyPolicy.MRENCLAVE


@check(CHECKS, "keys.separation")
def _separation(bench: Bench) -> None:
    """The same request gives the same key; another KEYID, policy, version, enclave or signer gives another one."""
    with bench.enclave() as resident, bench.entry(resident) as ticket:
        first = bench.key(ticket, _SEAL, _BY_SIGNER)
        bench.equal("the same key asked for again, as before,", bench.key(ticket, _SEAL, _BY_SIGNER) == first, True)
        by_enclave = bench.key(ticket, _SEAL, _BY_ENCLAVE)
        keys = {
            "the first": first,
            "another KEYID": bench.key(ticket, _SEAL, _BY_SIGNER, keyid=b"\1" * 32),
            "the policy MRENCLAVE": by_enclave,
            "an older ISVSVN": bench.key(ticket, _SEAL, _BY_SIGNER, isvsvn=2),
            "the report key": bench.key(ticket, KeyName.REPORT),
        }
    with bench.enclave(material.image(mark=1)) as resident, bench.entry(resident) as ticket:
        bench.equal("another enclave of the same signer gets the signer's key",
                    bench.key(ticket, _SEAL, _BY_SIGNER) == first, True)
        keys["another enclave"] = bench.key(ticket, _SEAL, _BY_ENCLAVE)
    with bench.enclave(signer=1) as resident, bench.entry(resident) as ticket:
        keys["another signer"] = bench.key(ticket, _SEAL, _BY_SIGNER)
    seen: dict[bytes, str] = {}
    for what, key in keys.items():
        if key in seen:
            raise Failed(f"the key of {what} is that of {seen[key]}")
        if not any(key):
            raise Failed(f"the key of {what} is all zero")
        seen[key] = what


@check(CHECKS, "keys.refusals")
def _refusals(bench: Bench) -> None:
    """Keys of others, of versions above one's own, and of no name are refused."""
    with bench.enclave() as resident, bench.entry(resident) as ticket:
        above = bytearray(bench.identity.cpusvn)
        lowest = min(range(16), key=above.__getitem__)
        above[lowest] = min(255, above[lowest] + 1)
        cases = [
            (Status.SGX_INVALID_ATTRIBUTE, KeyName.PROVISION, {}),
            (Status.SGX_INVALID_ATTRIBUTE, KeyName.PROVISION_SEAL, {}),
            (Status.SGX_INVALID_ATTRIBUTE, KeyName.EINITTOKEN, {}),
            (Status.SGX_INVALID_ISVSVN, KeyName.SEAL, {"isvsvn": 4}),
            (Status.SGX_INVALID_KEYNAME, 5, {}),
            (Status.FAULT_GP, KeyName.SEAL, {"keypolicy": 1 << 15}),
        ]
        if bytes(above) != bench.identity.cpusvn:
            cases.append((Status.SGX_INVALID_CPUSVN, KeyName.SEAL, {"cpusvn": bytes(above)}))
        for status, name, fields in cases:
            policy = fields.pop("keypolicy", 0)
            bench.refused(status, bench.key, ticket, name, policy, **fields)


@check(CHECKS, "keys.survive-reset")
def _survive(bench: Bench) -> None:
    """A sealing key is the same after a RESET, and another one under another OWNEREPOCH, which is set once a boot."""
    bench.need_enclaves()
    bench.need_reset()
    keys = []
    for epoch in (None, None, b"self-test epoch "):
        bench.chip.reset()
        if epoch is not None:
            bench.chip.set_ownerepoch(epoch)
            bench.refused(Status.FAULT_GP, bench.chip.set_ownerepoch, bytes(16))
        with bench.enclave() as resident, bench.entry(resident) as ticket:
            keys.append(bench.key(ticket, _SEAL, _BY_SIGNER))
    bench.chip.reset()
    if keys[0] != keys[1]:
        raise Failed("the sealing key is another one after a RESET")
    if keys[1] == keys[2]:
        raise Failed("OWNEREPOCH does not change the sealing key")
