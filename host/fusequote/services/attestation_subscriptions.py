"""Subscriptions: which service provider a subscription key stands for, and the keys of the admin API.

Keys are 128 random bits in 32 hexadecimal digits; the store has their SHA-256 only. They need no salt and no slow
hash: nobody can guess one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from fusequote.errors import UsageError
from fusequote.services.attestation_tables import AdminKey, Subscription, SubscriptionKey
from fusequote.services.store import Store

__all__ = ["KeySlot", "Subscriber", "Subscriptions", "UnknownSubscription", "is_key"]

_KEY = re.compile(r"[0-9A-Fa-f]{32}", re.ASCII)
_BY_KEY = (
    select(Subscription.spid, Subscription.name, Subscription.linkable, SubscriptionKey.key_hash)
    .join(SubscriptionKey, SubscriptionKey.spid == Subscription.spid)
    .where(SubscriptionKey.key_hash == bindparam("key_hash"), Subscription.active)
)


class UnknownSubscription(UsageError):
    """No subscription has this SPID."""

    kind = "unknown-subscription"


class KeySlot(StrEnum):
    """Each subscription has two keys, so that one can be changed while the other is in use."""

    PRIMARY = "primary"
    SECONDARY = "secondary"


@dataclass(frozen=True)
class Subscriber:
    """A service provider: SPID (16 bytes), and whether its quotes are linkable."""

    spid: bytes
    name: str
    linkable: bool
    active: bool = True

    @property
    def kind(self) -> str:
        """``linkable`` or ``unlinkable``."""
        return "linkable" if self.linkable else "unlinkable"


def is_key(text: str) -> bool:
    """Whether this has the form of a subscription key."""
    return _KEY.fullmatch(text) is not None


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.lower().encode("ascii")).digest()


class Subscriptions:
    """The subscriptions of a store."""

    def __init__(self, store: Store):
        self._store = store

    def of_key(self, key: str) -> Subscriber | None:
        """Who asks with this subscription key; None for a wrong one, or a subscription that was ended."""
        if not is_key(key):
            return None
        wanted = _hash(key)
        with self._store.reading() as session:
            row = session.execute(_BY_KEY, {"key_hash": wanted}).one_or_none()
        if row is None or not hmac.compare_digest(row.key_hash, wanted):
            return None
        return Subscriber(row.spid, row.name, row.linkable)

    def create(self, name: str, *, linkable: bool, spid: bytes | None = None) -> tuple[Subscriber, str, str]:
        """A new subscription, with its primary and secondary key: they are told this once.

        ``spid`` is 16 bytes, by default random ones. Raises :class:`UsageError` for a name or SPID that cannot be,
        or a SPID that is taken.
        """
        _check_name(name)
        spid = secrets.token_bytes(16) if spid is None else spid
        if len(spid) != 16:
            raise UsageError(f"a SPID is 16 bytes, not {len(spid)}")
        keys = secrets.token_hex(16), secrets.token_hex(16)
        now = self._store.clock()
        with self._store.session() as session:
            if session.get(Subscription, spid) is not None:
                raise UsageError(f"the SPID {spid.hex()} is taken")
            session.add(Subscription(spid=spid, name=name, linkable=linkable, active=True, created=now))
            session.flush()
            for slot, key in zip(KeySlot, keys, strict=True):
                session.add(SubscriptionKey(spid=spid, slot=slot.value, key_hash=_hash(key), created=now))
        return Subscriber(spid, name, linkable), *keys

    def renew_key(self, spid: bytes, slot: KeySlot) -> str:
        """A new key in place of the one in ``slot``, which is void at once. Raises :class:`UsageError`."""
        key = secrets.token_hex(16)
        with self._store.session() as session:
            _subscription(session, spid)
            row = session.get_one(SubscriptionKey, (spid, slot.value))
            row.key_hash, row.created = _hash(key), self._store.clock()
        return key

    def set_active(self, spid: bytes, active: bool) -> Subscriber:
        """End a subscription (its keys are void), or take it up again. Raises :class:`UsageError`."""
        with self._store.session() as session:
            row = _subscription(session, spid)
            row.active = active
            return Subscriber(row.spid, row.name, row.linkable, row.active)

    def all(self) -> list[Subscriber]:
        """Every subscription, oldest first."""
        with self._store.reading() as session:
            rows = session.scalars(select(Subscription).order_by(Subscription.created, Subscription.spid)).all()
        return [Subscriber(row.spid, row.name, row.linkable, row.active) for row in rows]

    # the admin API

    def new_admin_key(self, name: str) -> str:
        """A key of the admin API under a name; the name's old key is void at once."""
        _check_name(name)
        key = secrets.token_hex(16)
        with self._store.session() as session:
            session.merge(AdminKey(name=name, key_hash=_hash(key), created=self._store.clock()))
        return key

    def remove_admin_key(self, name: str) -> None:
        """Make a key of the admin API void. Raises :class:`UsageError` for a name that has none."""
        with self._store.session() as session:
            row = session.get(AdminKey, name)
            if row is None:
                raise UsageError(f"there is no admin key {name!r}")
            session.delete(row)

    def admin_of_key(self, key: str) -> str | None:
        """The name of the admin whose key this is, None for a wrong one."""
        if not is_key(key):
            return None
        wanted = _hash(key)
        with self._store.reading() as session:
            row = session.scalar(select(AdminKey).where(AdminKey.key_hash == wanted))
        return row.name if row is not None and hmac.compare_digest(row.key_hash, wanted) else None

    def admins(self) -> list[str]:
        """Names that have a key of the admin API."""
        with self._store.reading() as session:
            return list(session.scalars(select(AdminKey.name).order_by(AdminKey.name)))


def _check_name(name: str) -> None:
    if not 0 < len(name) <= 100 or not name.isprintable():
        raise UsageError("a name is 1 to 100 printable characters")


def _subscription(session: Session, spid: bytes) -> Subscription:
    row = session.get(Subscription, spid)
    if row is None:
        raise UnknownSubscription(f"no subscription has the SPID {spid.hex()}")
    return row
