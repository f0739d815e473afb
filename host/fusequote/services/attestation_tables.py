"""Tables of the attestation service: subscriptions, verifiers' lists, and facts that are of no EPID group."""

from __future__ import annotations

import datetime

from sqlalchemy import ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from fusequote.services.tables import Base

__all__ = ["AdminKey", "PseRecord", "Subscription", "SubscriptionKey", "TcbEvaluation", "VerifierList"]


class Subscription(Base):
    """A service provider (SPID, 16 bytes), and which kind of quotes it agreed on."""

    __tablename__ = "subscriptions"
    spid: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    linkable: Mapped[bool]
    active: Mapped[bool] = mapped_column(default=True)
    created: Mapped[datetime.datetime]


class SubscriptionKey(Base):
    """A subscription key, of which only the SHA-256 is kept; ``slot`` is ``primary`` or ``secondary``."""

    __tablename__ = "subscription_keys"
    spid: Mapped[bytes] = mapped_column(ForeignKey("subscriptions.spid"), primary_key=True)
    slot: Mapped[str] = mapped_column(String(9), primary_key=True)
    key_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    created: Mapped[datetime.datetime]


class AdminKey(Base):
    """A key of the admin API, of which only the SHA-256 is kept."""

    __tablename__ = "admin_keys"
    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    key_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    created: Mapped[datetime.datetime]


class VerifierList(Base):
    """A service provider's own list within a group (VerifierRL): good for its linkable quotes only."""

    __tablename__ = "verifier_lists"
    gid: Mapped[bytes] = mapped_column(ForeignKey("groups.gid"), primary_key=True)
    spid: Mapped[bytes] = mapped_column(ForeignKey("subscriptions.spid"), primary_key=True)
    version: Mapped[int]
    payload: Mapped[bytes] = mapped_column(LargeBinary)


class TcbEvaluation(Base):
    """The number of the current TCB evaluation data, one row; every change of a TCB status is a new number."""

    __tablename__ = "tcb_evaluation"
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int]


class PseRecord(Base):
    """What is to be said of a PSE manifest, known by its SHA-256."""

    __tablename__ = "pse_records"
    manifest_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    status: Mapped[str] = mapped_column(String(20))
