"""What a platform makes of a platformInfoBlob: update first, or get another key (remote attestation notes 3.3).

The rules are those of ``sgx_report_attestation_status``: a platform whose group is out of date asks for another key
when nothing of its own TCB is behind or it was updated since, and for a performance rekey when one is on offer to a
group that is not out of date. Ours beside them: a platform of a revoked group asks for another key, too.
"""

from __future__ import annotations

from dataclasses import dataclass

from fusequote.arch import GroupFlags, PlatformInfoBlob, Psvn, TcbFlags
from fusequote.errors import FormatError
from fusequote.platform.constants import Constants
from fusequote.platform.epidfiles import ecdsa_verifies

__all__ = ["Advice", "PlatformInfoError", "advice_of", "is_newer"]

_BEHIND = TcbFlags.CPUSVN_OUT_OF_DATE | TcbFlags.QE_SVN_OUT_OF_DATE | TcbFlags.PCE_SVN_OUT_OF_DATE


class PlatformInfoError(FormatError):
    """A platformInfoBlob that is none, not the services', or about another platform's group."""

    kind = "platform-info"


@dataclass(frozen=True)
class Advice:
    """What to do. ``provision``: ask for a key of the current TCB; ``rekey``: for another group, with the same f.

    ``microcode``, ``software``: CPUSVN, or the architectural enclaves, have to be updated first; ``configuration``: a
    setting of the platform.
    """

    provision: bool = False
    rekey: bool = False
    microcode: bool = False
    software: bool = False
    configuration: bool = False


def is_newer(now: Psvn, key: Psvn) -> bool:
    """Whether a TCB is above another one: no component below, and one above."""
    pairs = [*zip(now.cpusvn, key.cpusvn, strict=True), (now.isvsvn, key.isvsvn)]
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def advice_of(text: str, gid: bytes, constants: Constants, xeid: int = 0, *, updated: bool = False) -> Advice:
    """The advice in a report's platformInfoBlob (hexadecimal, with or without its TLV header).

    ``gid`` (4 bytes) and ``xeid`` are those of the platform's own key; ``updated``: the platform's TCB is above the one
    that the key is for, as after an update that an older blob asked for. Raises :class:`PlatformInfoError`.
    """
    try:
        data = bytes.fromhex(text)
        whole = len(data) == PlatformInfoBlob.SIZE
        blob = PlatformInfoBlob.from_bytes(data) if whole else PlatformInfoBlob.from_tlv(data)
    except ValueError as error:
        raise PlatformInfoError(f"platform info: {error}") from error
    if not ecdsa_verifies(constants.pibsk, blob.signature, blob.signed_message()):
        raise PlatformInfoError("platform info: not signed by the services that this platform knows")
    if (blob.xeid, blob.gid) != (xeid, gid):
        raise PlatformInfoError(f"platform info: about group {blob.gid.hex()}, this platform is of {gid.hex()}")
    group, tcb = blob.group_flags, blob.tcb_flags
    behind = bool(tcb & (_BEHIND | TcbFlags.CONFIGURATION_NEEDED))
    old = bool(group & (GroupFlags.OUT_OF_DATE | GroupFlags.QE_REVOKED))
    return Advice(
        provision=old and (updated or not behind),
        rekey=not old and bool(group & GroupFlags.REKEY_AVAILABLE),
        microcode=bool(tcb & TcbFlags.CPUSVN_OUT_OF_DATE),
        software=bool(tcb & (TcbFlags.QE_SVN_OUT_OF_DATE | TcbFlags.PCE_SVN_OUT_OF_DATE)),
        configuration=bool(tcb & TcbFlags.CONFIGURATION_NEEDED),
    )
