"""The platformInfoBlob of a report: what the platform should do about its TCB (remote attestation spec 3.3)."""

from __future__ import annotations

from collections.abc import Iterable

from cryptography.hazmat.primitives.asymmetric import ec

from fusequote.arch import GroupFlags, PlatformInfoBlob, Psvn, TcbFlags
from fusequote.platform.epidfiles import ecdsa_sign
from fusequote.services.tables import TcbRecord

__all__ = ["platform_info"]


def platform_info(status: str, tcb: TcbRecord, levels: Iterable[Psvn], key: ec.EllipticCurvePrivateKey) -> str:
    """Upper-case hexadecimal of TLV header and 101 bytes, signed by the PIB signing key.

    ``levels`` are all TCBs that groups exist for; the latest of them is what the blob names.
    """
    latest = max(levels, key=lambda level: (sum(level.cpusvn), level.isvsvn))
    group_flags, tcb_flags = GroupFlags(0), TcbFlags(0)
    if status == "GROUP_REVOKED":
        group_flags |= GroupFlags.QE_REVOKED
    if status == "GROUP_OUT_OF_DATE":
        group_flags |= GroupFlags.OUT_OF_DATE
        if any(own < new for own, new in zip(tcb.cpusvn, latest.cpusvn, strict=True)):
            tcb_flags |= TcbFlags.CPUSVN_OUT_OF_DATE
        if tcb.isvsvn < latest.isvsvn:
            tcb_flags |= TcbFlags.QE_SVN_OUT_OF_DATE
    if tcb.configuration_needed:
        tcb_flags |= TcbFlags.CONFIGURATION_NEEDED
    blob = PlatformInfoBlob(group_flags=group_flags, tcb_flags=tcb_flags, latest_psvn=latest, gid=tcb.gid)
    signed = blob.replace(signature=ecdsa_sign(key, blob.signed_message()))
    return signed.to_tlv().hex().upper()
