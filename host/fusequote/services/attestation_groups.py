"""What the store says of an EPID group now, and verifiers kept ready between quotes.

Each report reads the facts of its group anew, in one statement: what an operator decides holds for the next
report of every process. Lists are read only when their versions have moved.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import and_, bindparam, select
from sqlalchemy.orm import Session, aliased

from fusequote.epid import GroupPublicKey, PrivRl, SigRl, Verifier, VerifierRl
from fusequote.errors import FusequoteError, UsageError
from fusequote.services.attestation_tables import TcbEvaluation, VerifierList
from fusequote.services.database import StoreDamaged
from fusequote.services.tables import Group, RevocationList, TcbRecord

__all__ = ["GroupReader", "GroupView", "UnknownGroup"]

#: Groups whose verifiers one process keeps; a list of 10,000 entries is some megabytes.
KEPT = 64

_SIG, _PRIV = aliased(RevocationList), aliased(RevocationList)
_FACTS = (
    select(
        Group.revocation_reason,
        TcbRecord.out_of_date,
        TcbRecord.configuration_needed,
        TcbRecord.sw_hardening_needed,
        TcbRecord.advisory_ids,
        _SIG.version,
        _PRIV.version,
        VerifierList.version,
        TcbEvaluation.number,
    )
    .join(TcbRecord, TcbRecord.gid == Group.gid)
    .outerjoin(_SIG, and_(_SIG.gid == Group.gid, _SIG.kind == "sig"))
    .outerjoin(_PRIV, and_(_PRIV.gid == Group.gid, _PRIV.kind == "priv"))
    .outerjoin(VerifierList, and_(VerifierList.gid == Group.gid, VerifierList.spid == bindparam("spid")))
    .outerjoin(TcbEvaluation, TcbEvaluation.id == 1)
    .where(Group.gid == bindparam("gid"))
)


_SIG_VERSION = (
    select(Group.gid, _SIG.version)
    .outerjoin(_SIG, and_(_SIG.gid == Group.gid, _SIG.kind == "sig"))
    .where(Group.gid == bindparam("gid"))
)


class UnknownGroup(UsageError):
    """No EPID group has this gid."""

    kind = "unknown-group"


@dataclass(frozen=True, slots=True)
class GroupView:
    """A group at one moment: its TCB record, a verifier with its lists set, and the asking provider's own list.

    ``evaluation`` is the number of the TCB evaluation data.
    """

    gid: bytes
    revocation_reason: int | None
    out_of_date: bool
    configuration_needed: bool
    sw_hardening_needed: bool
    advisory_ids: tuple[str, ...]
    evaluation: int
    verifier: Verifier
    verifier_list: VerifierRl | None


@dataclass(frozen=True, slots=True)
class _Ready:
    verifier: Verifier
    sig: int
    priv: int


class GroupReader:
    """The groups of a store. Threads may share one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ready: OrderedDict[bytes, _Ready] = OrderedDict()
        self._lists: OrderedDict[tuple[bytes, bytes], VerifierRl] = OrderedDict()
        self._served: OrderedDict[bytes, tuple[int, bytes]] = OrderedDict()

    def view(self, session: Session, gid: bytes, spid: bytes) -> GroupView | None:
        """A group (4-byte gid) as it is in this transaction, None for an unknown one."""
        row = session.execute(_FACTS, {"gid": gid, "spid": spid}).one_or_none()
        if row is None:
            return None
        reason, old, configuration, hardening, advisories, sig, priv, own, evaluation = row
        return GroupView(
            gid=gid,
            revocation_reason=reason,
            out_of_date=old,
            configuration_needed=configuration,
            sw_hardening_needed=hardening,
            advisory_ids=tuple(advisories),
            evaluation=evaluation or 1,
            verifier=self._verifier(session, gid, sig or 0, priv or 0),
            verifier_list=self._verifier_list(session, gid, spid, own) if own else None,
        )

    def signed_sigrl(self, session: Session, gid: bytes, sign: Callable[[SigRl], bytes]) -> bytes:
        """What ``sign`` makes of the group's current SigRL; called once for each version. Raises UnknownGroup."""
        row = session.execute(_SIG_VERSION, {"gid": gid}).one_or_none()
        if row is None:
            raise UnknownGroup(f"no EPID group {gid.hex()}")
        version = row[1] or 0
        kept = _keep(self._lock, self._served, gid)
        if kept is None or kept[0] != version:
            payload = session.get_one(RevocationList, (gid, "sig")).payload if version else SigRl(gid).to_bytes()
            kept = _keep(self._lock, self._served, gid, (version, sign(_read(SigRl, payload))))
        return kept[1]

    def _verifier(self, session: Session, gid: bytes, sig: int, priv: int) -> Verifier:
        kept = _keep(self._lock, self._ready, gid)
        if kept is None or (kept.sig, kept.priv) != (sig, priv):
            kept = _Ready(_make(session, gid), sig, priv)
            _keep(self._lock, self._ready, gid, kept)
        return kept.verifier

    def _verifier_list(self, session: Session, gid: bytes, spid: bytes, version: int) -> VerifierRl:
        kept = _keep(self._lock, self._lists, (gid, spid))
        if kept is None or kept.version != version:
            kept = _read(VerifierRl, session.get_one(VerifierList, (gid, spid)).payload)
            _keep(self._lock, self._lists, (gid, spid), kept)
        return kept


def _keep(lock: threading.Lock, kept: OrderedDict, key, new=None):
    """The value kept under ``key``, or ``new`` when it is given; the one that was used last stays longest."""
    with lock:
        if new is not None:
            kept[key] = new
        if key in kept:
            kept.move_to_end(key)
        while len(kept) > KEPT:
            kept.popitem(last=False)
        return kept.get(key)


def _make(session: Session, gid: bytes) -> Verifier:
    key = _read(GroupPublicKey, session.get_one(Group, gid).public_key)
    lists = {row.kind: row.payload for row in session.scalars(select(RevocationList).filter_by(gid=gid))}
    sig = _read(SigRl, lists["sig"]) if "sig" in lists else SigRl(gid)
    priv = _read(PrivRl, lists["priv"]) if "priv" in lists else PrivRl(gid)
    # A list is always set: without one, a verifier knows of no revocation. An empty one is served as none, so quotes
    # answer it with version 0.
    return Verifier(key, sig_rl=sig if sig.entries else SigRl(gid), priv_rl=priv)


def _read(kind, payload: bytes):
    try:
        return kind.from_bytes(payload, gid_size=4)
    except FusequoteError as error:
        raise StoreDamaged(
            f"the services' store is damaged: {error}", hint="restore it from a backup, or remove it to start afresh"
        ) from error
