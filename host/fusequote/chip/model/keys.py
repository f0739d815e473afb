"""Keys and reports: EGETKEY, EREPORT, VERIFYREPORT, SLOT_INFO, and the KD1 derivation under them.

Sources: docs/chip.md sections 2 and 4; instruction notes, sections 4 (REPORT keys), 5 (the table of what
enters which key) and 5.2 (KD1, our packing: Intel's own is not public, so no key here is one of Intel's).
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag

from . import layout, signed_entry, simulation_keys
from .crypto import above, cmac
from .layout import EinitToken, KeyRequest, Report, TargetInfo
from .state import PADDING, Enclave, Machine, Tcs
from .status import Refusal, Status, gp_if, refuse_if


class KeyName(IntEnum):
    """KEYREQUEST.KEYNAME."""

    EINITTOKEN = 0
    PROVISION = 1
    PROVISION_SEAL = 2
    REPORT = 3
    SEAL = 4


class KeyPolicy(IntFlag):
    """KEYREQUEST.KEYPOLICY."""

    MRENCLAVE = 1
    MRSIGNER = 2
    NOISVPRODID = 4
    CONFIGID = 8
    ISVFAMILYID = 16
    ISVEXTPRODID = 32


EREPORT, EGETKEY, VERIFYREPORT = 0x27, 0x28, 0x30
REPORTDATA_SIZE = 64
_POLICY_BITS = 0x3F
_POLICY_NEEDS_KSS = 0x3C
_NEVER_MASKED = layout.INIT | layout.DEBUG
_MASK_32 = 0xFFFFFFFF


@dataclass(frozen=True)
class KeyDependencies:
    """KEYDEPENDENCIES: what a key depends on. What a leaf does not name is 0, PADDING included."""

    keyname: KeyName
    cpusvn: bytes
    keypolicy: int = 0
    isvprodid: int = 0
    isvsvn: int = 0
    configsvn: int = 0
    cet_attributes: int = 0
    cet_attributes_mask: int = 0
    miscselect: int = 0
    miscmask: int = 0
    attributes: int = 0
    attributemask: int = 0
    owner_epoch: bytes = field(default=bytes(16), repr=False)
    mrenclave: bytes = bytes(32)
    mrsigner: bytes = bytes(32)
    keyid: bytes = bytes(32)
    configid: bytes = bytes(64)
    isvfamilyid: bytes = bytes(16)
    isvextprodid: bytes = bytes(16)
    seal_fuses: bytes = field(default=bytes(16), repr=False)
    padding: bytes = field(default=bytes(len(PADDING)), repr=False)

    def pack(self) -> bytes:
        """KD1: 656 bytes, every field at a fixed place (notes 5.2 (2))."""
        return b"".join((
            self.keyname.to_bytes(2, "little"),  # 0
            self.keypolicy.to_bytes(2, "little"),  # 2
            self.isvprodid.to_bytes(2, "little"),  # 4
            self.isvsvn.to_bytes(2, "little"),  # 6
            self.configsvn.to_bytes(2, "little"),  # 8
            bytes([self.cet_attributes, self.cet_attributes_mask]),  # 10, 11
            self.miscselect.to_bytes(4, "little"),  # 12
            self.miscmask.to_bytes(4, "little"),  # 16
            bytes(12),  # 20
            self.attributes.to_bytes(16, "little"),  # 32
            self.attributemask.to_bytes(16, "little"),  # 48
            self.owner_epoch,  # 64
            self.cpusvn,  # 80
            self.mrenclave,  # 96
            self.mrsigner,  # 128
            self.keyid,  # 160
            self.configid,  # 192
            self.isvfamilyid,  # 256
            self.isvextprodid,  # 272
            self.seal_fuses,  # 288
            self.padding,  # 304..655
        ))


def derivekey(machine: Machine, dependencies: KeyDependencies) -> bytes:
    """AES-CMAC(K(CPUSVN), KD1), 16 bytes; in the profile linux-sgx-sim what :mod:`.simulation_keys` makes of it."""
    if machine.profile == simulation_keys.SIMULATION:
        return simulation_keys.derivekey(dependencies)
    return cmac(machine.root_key(dependencies.cpusvn), dependencies.pack())


@signed_entry.of_an_entry(EGETKEY, KeyRequest.SIZE)
def egetkey(machine: Machine, secs: Enclave, _tcs: Tcs, given: bytes) -> bytes:
    """EGETKEY: ticket || KEYREQUEST -> key."""
    if machine.profile == simulation_keys.SIMULATION:
        given = simulation_keys.with_cpusvn(given)
    request = KeyRequest(given)
    gp_if(bool(request.keypolicy & ~_POLICY_BITS) or request.reserved_set)
    if not secs.has(layout.KSS):
        gp_if(bool(request.keypolicy & _POLICY_NEEDS_KSS) or request.configsvn != 0)
    match request.keyname:
        case KeyName.EINITTOKEN:
            dependencies = _einittoken(machine, secs, request)
        case KeyName.PROVISION:
            dependencies = _provision(machine, secs, request)
        case KeyName.PROVISION_SEAL:
            dependencies = _provision_seal(machine, secs, request)
        case KeyName.REPORT:
            dependencies = _report(machine, secs, request.keyid)
        case KeyName.SEAL:
            dependencies = _seal(machine, secs, request)
        case _:
            raise Refusal(Status.SGX_INVALID_KEYNAME)
    return derivekey(machine, dependencies)


def _check_svns(machine: Machine, secs: Enclave, request: KeyRequest) -> None:
    if machine.profile == simulation_keys.SIMULATION:
        simulation_keys.check_svns(machine, secs, request)
        return
    refuse_if(above(request.cpusvn, machine.cpusvn), Status.SGX_INVALID_CPUSVN)
    refuse_if(request.isvsvn > secs.isvsvn, Status.SGX_INVALID_ISVSVN)


def _masked(secs: Enclave, request: KeyRequest) -> dict[str, int]:
    """TMP_ATTRIBUTES, TMP_MISCSELECT and TMP_CET_ATTRIBUTES: INIT and DEBUG cannot be masked away."""
    return {
        "attributes": (request.attributemask | _NEVER_MASKED) & secs.attributes,
        "miscselect": request.miscmask & secs.miscselect,
        "cet_attributes": request.cet_attributes_mask & secs.cet_attributes,
    }


def _einittoken(machine: Machine, secs: Enclave, request: KeyRequest) -> KeyDependencies:
    refuse_if(not secs.has(layout.EINITTOKEN_KEY), Status.SGX_INVALID_ATTRIBUTE)
    _check_svns(machine, secs, request)
    return KeyDependencies(
        keyname=KeyName.EINITTOKEN,
        cpusvn=request.cpusvn,
        isvsvn=request.isvsvn,
        isvprodid=secs.isvprodid,
        mrsigner=secs.mrsigner,
        owner_epoch=machine.owner_epoch,
        seal_fuses=machine.seal_fuses,
        keyid=request.keyid,
        padding=secs.padding,
        **_masked(secs, request),
    )


def _provision(machine: Machine, secs: Enclave, request: KeyRequest) -> KeyDependencies:
    """Depends on nothing that the maker of the chip does not know: the provisioning server derives it too."""
    refuse_if(not secs.has(layout.PROVISIONKEY), Status.SGX_INVALID_ATTRIBUTE)
    _check_svns(machine, secs, request)
    return KeyDependencies(
        keyname=KeyName.PROVISION,
        cpusvn=request.cpusvn,
        isvsvn=request.isvsvn,
        isvprodid=secs.isvprodid,
        attributemask=request.attributemask,
        miscmask=~request.miscmask & _MASK_32,
        mrsigner=secs.mrsigner,
        padding=secs.padding,
        **_masked(secs, request),
    )


def _provision_seal(machine: Machine, secs: Enclave, request: KeyRequest) -> KeyDependencies:
    refuse_if(not secs.has(layout.PROVISIONKEY), Status.SGX_INVALID_ATTRIBUTE)
    _check_svns(machine, secs, request)
    refuse_if(request.configsvn > secs.configsvn, Status.SGX_INVALID_ISVSVN)
    return KeyDependencies(
        keyname=KeyName.PROVISION_SEAL,
        cpusvn=request.cpusvn,
        isvsvn=request.isvsvn,
        attributemask=request.attributemask,
        miscmask=~request.miscmask & _MASK_32,
        mrsigner=secs.mrsigner,
        seal_fuses=machine.seal_fuses,
        padding=secs.padding,
        **_by_policy(secs, request),
        **_masked(secs, request),
    )


def _seal(machine: Machine, secs: Enclave, request: KeyRequest) -> KeyDependencies:
    _check_svns(machine, secs, request)
    refuse_if(request.configsvn > secs.configsvn, Status.SGX_INVALID_ISVSVN)
    return KeyDependencies(
        keyname=KeyName.SEAL,
        cpusvn=request.cpusvn,
        isvsvn=request.isvsvn,
        attributemask=request.attributemask,
        miscmask=~request.miscmask & _MASK_32,
        cet_attributes_mask=request.cet_attributes_mask,
        mrenclave=secs.mrenclave if request.keypolicy & KeyPolicy.MRENCLAVE else bytes(32),
        mrsigner=secs.mrsigner if request.keypolicy & KeyPolicy.MRSIGNER else bytes(32),
        owner_epoch=machine.owner_epoch,
        seal_fuses=machine.seal_fuses,
        keyid=request.keyid,
        padding=secs.padding,
        **_by_policy(secs, request),
        **_masked(secs, request),
    )


def _by_policy(secs: Enclave, request: KeyRequest) -> dict[str, int | bytes]:
    """What KEYPOLICY decides in the same way for SEAL and PROVISION_SEAL."""
    policy = request.keypolicy
    chosen: dict[str, int | bytes] = {"keypolicy": policy}
    if not policy & KeyPolicy.NOISVPRODID:
        chosen["isvprodid"] = secs.isvprodid
    if policy & KeyPolicy.CONFIGID:
        chosen |= {"configid": secs.configid, "configsvn": request.configsvn}
    if policy & KeyPolicy.ISVFAMILYID:
        chosen["isvfamilyid"] = secs.isvfamilyid
    if policy & KeyPolicy.ISVEXTPRODID:
        chosen["isvextprodid"] = secs.isvextprodid
    return chosen


def _report(machine: Machine, secs: Enclave, keyid: bytes) -> KeyDependencies:
    """The REPORT key of the enclave that asks, full ATTRIBUTES, the constant for PADDING."""
    return KeyDependencies(
        keyname=KeyName.REPORT,
        cpusvn=machine.cpusvn,
        attributes=secs.attributes,
        mrenclave=secs.mrenclave,
        miscselect=secs.miscselect,
        configid=secs.configid,
        configsvn=secs.configsvn,
        cet_attributes=secs.cet_attributes,
        keyid=keyid,
        owner_epoch=machine.owner_epoch,
        seal_fuses=machine.seal_fuses,
        padding=PADDING,
    )


def einittoken_key(machine: Machine, token: EinitToken) -> bytes:
    """EINIT's own derivation of the key that a token was MACed with (end of notes 5)."""
    return derivekey(
        machine,
        KeyDependencies(
            keyname=KeyName.EINITTOKEN,
            cpusvn=token.cpusvn_le,
            isvsvn=token.isvsvn_le,
            isvprodid=token.isvprodid_le,
            attributes=token.masked_attributes_le,
            miscselect=token.masked_miscselect_le,
            cet_attributes=token.cet_masked_attributes_le,
            mrsigner=machine.lepubkeyhash,
            owner_epoch=machine.owner_epoch,
            seal_fuses=machine.seal_fuses,
            keyid=token.keyid,
            padding=PADDING,
        ),
    )


def report_identity(machine: Machine, secs: Enclave) -> bytes:
    """The first 320 bytes of a REPORT of this enclave (notes 1.6)."""
    return b"".join((
        machine.cpusvn,
        secs.miscselect.to_bytes(4, "little"),
        bytes([secs.cet_attributes]),
        bytes(11),
        secs.isvextprodid,
        secs.attributes.to_bytes(16, "little"),
        secs.mrenclave,
        bytes(32),
        secs.mrsigner,
        bytes(32),
        secs.configid,
        secs.isvprodid.to_bytes(2, "little"),
        secs.isvsvn.to_bytes(2, "little"),
        secs.configsvn.to_bytes(2, "little"),
        bytes(42),
        secs.isvfamilyid,
    ))


@signed_entry.of_an_entry(EREPORT, TargetInfo.SIZE + REPORTDATA_SIZE)
def ereport(machine: Machine, secs: Enclave, _tcs: Tcs, given: bytes) -> bytes:
    """EREPORT: ticket || TARGETINFO || REPORTDATA -> REPORT, MACed with the REPORT key of the target."""
    target = TargetInfo(given[: TargetInfo.SIZE])
    gp_if(target.reserved_set)
    report = report_identity(machine, secs) + given[TargetInfo.SIZE :]
    key = derivekey(
        machine,
        KeyDependencies(
            keyname=KeyName.REPORT,
            cpusvn=machine.cpusvn,
            attributes=target.attributes,
            mrenclave=target.measurement,
            miscselect=target.miscselect,
            configid=target.configid,
            configsvn=target.configsvn,
            cet_attributes=target.cet_attributes,
            keyid=machine.report_keyid,
            owner_epoch=machine.owner_epoch,
            seal_fuses=machine.seal_fuses,
            padding=secs.padding,  # the reporter's, so that only a verified EINIT makes good reports
        ),
    )
    return report + machine.report_keyid + cmac(key, report)


@signed_entry.of_an_entry(VERIFYREPORT, Report.SIZE)
def verifyreport(machine: Machine, secs: Enclave, _tcs: Tcs, given: bytes) -> bytes:
    """VERIFYREPORT (ours): ticket || REPORT -> 1 or 0. The key stays inside; reports of earlier boots are not good."""
    report = Report(given)
    key = derivekey(machine, _report(machine, secs, report.keyid))
    genuine = hmac.compare_digest(cmac(key, report.body), report.mac)
    return bytes([genuine & hmac.compare_digest(report.keyid, machine.report_keyid)])


def slot_info(machine: Machine, body: bytes) -> bytes:
    """SLOT_INFO (ours): handle -> 320 bytes of identity."""
    secs = machine.enclave(body)
    gp_if(not secs.initialised)
    return report_identity(machine, secs)
