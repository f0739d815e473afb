"""Transactions under way, in the store: any process that shares it can take a ProvMsg3, and only one gets it."""

from __future__ import annotations

import datetime

from sqlalchemy import delete, select

from fusequote.arch.layout import U8, Bytes, Struct, Sub
from fusequote.arch.provision import PlatformInfo
from fusequote.services.provisioning_tables import ProvisioningSession
from fusequote.services.store import Store

__all__ = ["LIFETIME", "Session", "Sessions"]

#: How long a ProvMsg2 may wait for its ProvMsg3.
LIFETIME = datetime.timedelta(minutes=10)
#: How far apart the clocks of processes that share a store may be.
_SKEW = datetime.timedelta(minutes=5)
#: How many sessions of the past one call clears away at most.
_SWEEP = 100


class Session(Struct, size=129, title="provisioning session"):
    """What was agreed in ProvMsg1 and ProvMsg2."""

    sk = Bytes(0, 16, secret=True)
    ppid = Bytes(16, 16, "of the device, as the store has it")
    gid = Bytes(32, 4, "group to join")
    challenge = Bytes(36, 32)
    claimed = Sub(68, PlatformInfo)
    equivalent = Sub(94, PlatformInfo)
    previous_gid = Bytes(120, 4, "group of the key to prove with, 0 for none")
    sigrl_version = Bytes(124, 4, "of that group's SigRL as it was sent; 0 for none")
    rekey = U8(128)

    @property
    def proves(self) -> bool:
        """Whether an EPID signature with the previous key is wanted."""
        return any(self.previous_gid)


class Sessions:
    """Sessions by XID ‖ nonce, sealed with the store's vault; each is good for one ProvMsg3."""

    def __init__(self, store: Store):
        self._store = store

    def begin(self, name: bytes, session: Session) -> None:
        """Note a session; forgets some of those that are of no use any more. ``name``: 16 bytes, never used before."""
        now = self._store.clock()
        sealed = self._store.vault.seal(session.to_bytes(), b"provisioning_sessions" + name)
        # A clock that was set back must not make old sessions live longer.
        useless = (ProvisioningSession.expires < now) | (ProvisioningSession.expires > now + LIFETIME + _SKEW)
        with self._store.session() as db:
            some = select(ProvisioningSession.id).where(useless).limit(_SWEEP).with_for_update(skip_locked=True)
            old = db.scalars(some).all()
            if old:
                db.execute(delete(ProvisioningSession).where(ProvisioningSession.id.in_(old)))
            db.add(ProvisioningSession(id=name, state_sealed=sealed, expires=now + LIFETIME))

    def find(self, name: bytes) -> Session | None:
        """The session, which stays; None when there is none (any more)."""
        now = self._store.clock()
        with self._store.reading() as db:
            row = db.get(ProvisioningSession, name)
        if row is None or not now <= row.expires <= now + LIFETIME + _SKEW:
            return None
        return Session.from_bytes(self._store.vault.open(row.state_sealed, b"provisioning_sessions" + name))

    def use_up(self, name: bytes) -> bool:
        """Whether it was this caller, among all processes, that used the session up."""
        with self._store.session() as db:
            return db.execute(delete(ProvisioningSession).where(ProvisioningSession.id == name)).rowcount == 1
