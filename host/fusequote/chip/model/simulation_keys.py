"""The profile ``linux-sgx-sim``: keys as Intel's SDK derives them in simulation mode.

Sources: instruction notes 5.2 (1); docs/chip.md section 6. Every key here is public; neither fuses nor the CPUSVN
ratchet enter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import UsageError
from .crypto import cmac
from .status import Status, refuse_if

if TYPE_CHECKING:
    from .keys import KeyDependencies
    from .layout import KeyRequest
    from .state import Enclave, Machine

#: Profile by name, as in IDENTIFY (docs/link.md 3.1).
PROFILES = {"kd1": 1, "linux-sgx-sim": 2}
SIMULATION = PROFILES["linux-sgx-sim"]

# KEYNAME
_EINITTOKEN, _PROVISION, _PROVISION_SEAL, _REPORT, _SEAL = range(5)
_BASE_KEYS = {
    _SEAL: bytes(0x11 * i for i in range(16)),
    _REPORT: b"\xff\x00" * 8,
    _EINITTOKEN: b"\xaa\x55" * 8,
    _PROVISION: b"\xbb\xaa\xbb\xee\xff\x00\x00\xdd" * 2,
    _PROVISION_SEAL: b"PROVISIONSEALKEY",
}
_OWNEREPOCH = b"THISISOWNEREPOCH"
_DOWNGRADED = bytes.fromhex("64ea4f3fa0030c36383c322d4f3a8d4f")
_DEFAULT = bytes.fromhex("4820f3376ae6b2f2034d3b7a4b48a778")
_UPGRADED = bytes.fromhex("5339ae8c93ae8f3ce432db924d0f0733")
#: What each current CPUSVN allows a request to name; a current one that is none of these allows all three.
_ALLOWED = {_DOWNGRADED: (_DOWNGRADED,), _DEFAULT: (_DOWNGRADED, _DEFAULT)}
_CPUSVN_AT = 8


def number(profile: str) -> int:
    """The number of a profile. Raises :class:`UsageError` for a name that is none."""
    if profile not in PROFILES:
        raise UsageError(f"there is no profile {profile!r}", hint=f"one of {', '.join(PROFILES)}")
    return PROFILES[profile]


def prepare(machine: Machine) -> None:
    """Put a machine that has just booted into this profile: its REPORT KEYID is a constant."""
    machine.profile = SIMULATION
    machine.report_keyid = _BASE_KEYS[_REPORT] + bytes(16)


def with_cpusvn(keyrequest: bytes) -> bytes:
    """The KEYREQUEST, in which a CPUSVN of zeros is the default one."""
    end = _CPUSVN_AT + 16
    if any(keyrequest[_CPUSVN_AT:end]):
        return keyrequest
    return keyrequest[:_CPUSVN_AT] + _DEFAULT + keyrequest[end:]


def check_svns(machine: Machine, secs: Enclave, request: KeyRequest) -> None:
    """ISVSVN first, then CPUSVN: one of the three, and not above the current one."""
    refuse_if(request.isvsvn > secs.isvsvn, Status.SGX_INVALID_ISVSVN)
    allowed = _ALLOWED.get(machine.cpusvn, (_DOWNGRADED, _DEFAULT, _UPGRADED))
    refuse_if(request.cpusvn not in allowed, Status.SGX_INVALID_CPUSVN)


class _Structure:
    """A C structure of x86-64, whose alignment is 8 where it has ATTRIBUTES."""

    def __init__(self) -> None:
        self.content = b""

    def u16(self, *values: int) -> None:
        self.content += b"".join(value.to_bytes(2, "little") for value in values)

    def u32(self, *values: int) -> None:
        self.align(4)
        self.content += b"".join(value.to_bytes(4, "little") for value in values)

    def attributes(self, *values: int) -> None:
        self.align(8)
        self.content += b"".join(value.to_bytes(16, "little") for value in values)

    def bytes(self, *values: bytes) -> None:
        self.content += b"".join(values)

    def align(self, to: int) -> None:
        self.content += bytes(-len(self.content) % to)


def derivekey(dependencies: KeyDependencies) -> bytes:
    """AES-CMAC(base key of the KEYNAME, structure of the KEYNAME), 16 bytes."""
    d, out = dependencies, _Structure()
    out.u16(d.keyname)
    match d.keyname:
        case 0:  # EINITTOKEN
            out.attributes(d.attributes)
            out.u32(d.miscselect)
            out.bytes(_OWNEREPOCH, d.cpusvn)
            out.u16(d.isvsvn, d.isvprodid)
            out.bytes(d.mrsigner, d.keyid)
        case 1:  # PROVISION
            out.attributes(d.attributes, d.attributemask)
            out.u32(d.miscselect, d.miscmask)
            out.bytes(d.cpusvn)
            out.u16(d.isvsvn, d.isvprodid)
            out.bytes(d.mrsigner)
        case 2:  # PROVISION_SEAL
            out.u16(d.keypolicy)
            out.attributes(d.attributes, d.attributemask)
            out.u32(d.miscselect, d.miscmask)
            out.bytes(d.cpusvn)
            out.u16(d.isvsvn, d.isvprodid, d.configsvn)
            out.bytes(d.configid, d.isvfamilyid, d.isvextprodid, d.mrsigner)
        case 3:  # REPORT
            out.attributes(d.attributes)
            out.u32(d.miscselect)
            out.bytes(_OWNEREPOCH, d.mrenclave, d.cpusvn)
            out.u16(d.configsvn)
            out.bytes(d.configid, d.keyid)
        case _:  # SEAL
            out.u16(d.keypolicy)
            out.attributes(d.attributes, d.attributemask)
            out.u32(d.miscselect, d.miscmask)
            out.bytes(_OWNEREPOCH, d.cpusvn)
            out.u16(d.isvsvn, d.isvprodid, d.configsvn)
            out.bytes(d.configid, d.isvfamilyid, d.isvextprodid, d.mrenclave, d.mrsigner, d.keyid)
    out.align(8)
    return cmac(_BASE_KEYS[d.keyname], out.content)
