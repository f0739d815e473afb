"""The platformInfoBlob of a report: what the platform should do about its TCB (remote attestation notes 3.3).

The group flags speak of the EPID group, the TCB flags of the platform that made the quote: its chip and its enclaves
may be newer than the key that it signed with. So a platform can tell whether a new key is enough, or an update has to
come first.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select

from fusequote.arch import GroupFlags, PlatformInfoBlob, Psvn, QuoteBody, TcbFlags
from fusequote.platform.epidfiles import ecdsa_sign
from fusequote.services.provisioning_tables import RekeyGroup
from fusequote.services.registry import Registry
from fusequote.services.tables import Group, TcbRecord

__all__ = ["platform_info"]


def platform_info(status: str, body: QuoteBody, registry: Registry, key: ec.EllipticCurvePrivateKey) -> str:
    """Upper-case hexadecimal of TLV header and 101 bytes, signed by the PIB signing key.

    ``body`` is that of a quote of a known group, ``status`` the one that its report has.
    """
    gid = body.group_id
    record, latest, rekey = _facts(registry, gid)
    group_flags, tcb_flags = GroupFlags(0), TcbFlags(0)
    if status == "GROUP_REVOKED":
        group_flags |= GroupFlags.QE_REVOKED
    if record.out_of_date:
        group_flags |= GroupFlags.OUT_OF_DATE
    if rekey:
        group_flags |= GroupFlags.REKEY_AVAILABLE
    if any(own < new for own, new in zip(body.report.cpusvn, latest.cpusvn, strict=True)):
        tcb_flags |= TcbFlags.CPUSVN_OUT_OF_DATE
    if body.qe_svn < latest.isvsvn:
        tcb_flags |= TcbFlags.QE_SVN_OUT_OF_DATE
    if body.pce_svn < latest.pce_svn:
        tcb_flags |= TcbFlags.PCE_SVN_OUT_OF_DATE
    if record.configuration_needed:
        tcb_flags |= TcbFlags.CONFIGURATION_NEEDED
    psvn = Psvn(cpusvn=latest.cpusvn, isvsvn=latest.isvsvn)
    blob = PlatformInfoBlob(group_flags=group_flags, tcb_flags=tcb_flags, latest_psvn=psvn, gid=gid)
    signed = blob.replace(signature=ecdsa_sign(key, blob.signed_message()))
    return signed.to_tlv().hex().upper()


def _facts(registry: Registry, gid: bytes) -> tuple[TcbRecord, TcbRecord, bool]:
    """The group's record; that of the latest TCB neither out of date nor revoked; whether a rekey is on offer."""
    with registry.store.reading() as session:
        rows = session.execute(select(TcbRecord, Group.revocation_reason).join(Group, Group.gid == TcbRecord.gid)).all()
        offered = session.execute(
            select(Group.gid)
            .join(RekeyGroup, RekeyGroup.successor == Group.gid)
            .where(RekeyGroup.gid == gid, Group.revocation_reason.is_(None))
        ).first()
    good = [record for record, reason in rows if reason is None and not record.out_of_date]
    records = [record for record, _ in rows]
    latest = max(good or records, key=lambda record: (sum(record.cpusvn), record.isvsvn, record.pce_svn))
    own = next(record for record in records if record.gid == gid)
    return own, latest, offered is not None
