"""Tables of the services' store (SQLAlchemy 2): a SQLite file by default, PostgreSQL by URL.

What stands here is what :mod:`fusequote.services.migrations` makes: a change to one is a new version of the other.
"""

from __future__ import annotations

import datetime

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = ["Base", "CredentialRow", "Device", "Group", "Meta", "Nonce", "RevocationList", "TcbRecord"]


class Base(DeclarativeBase):
    """Declarative base; times are UTC, without a zone."""


class Meta(Base):
    """``version``: for older versions of fusequote, that Alembic has it; ``checked``: written to see that it can be."""

    __tablename__ = "meta"
    key: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[str] = mapped_column(String(64))


class Device(Base):
    """A manufactured chip as the provisioning server knows it."""

    __tablename__ = "devices"
    ppid: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    device_id: Mapped[bytes] = mapped_column(LargeBinary(16), unique=True)
    rpk_sealed: Mapped[bytes] = mapped_column(LargeBinary(64))
    cpusvn: Mapped[bytes] = mapped_column(LargeBinary(16))
    revoked: Mapped[bool] = mapped_column(default=False)


class Group(Base):
    """An EPID group: its public key, and its issuer (sealed)."""

    __tablename__ = "groups"
    gid: Mapped[bytes] = mapped_column(LargeBinary(4), primary_key=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary(260))
    issuer_sealed: Mapped[bytes] = mapped_column(LargeBinary(512))
    revocation_reason: Mapped[int | None] = mapped_column(default=None)


class TcbRecord(Base):
    """What TCB the members of a group have, and what is to be said about it."""

    __tablename__ = "tcb_records"
    gid: Mapped[bytes] = mapped_column(ForeignKey("groups.gid"), primary_key=True)
    cpusvn: Mapped[bytes] = mapped_column(LargeBinary(16))
    isvsvn: Mapped[int]
    pce_svn: Mapped[int] = mapped_column(default=0)
    joins: Mapped[bool] = mapped_column(default=True)
    out_of_date: Mapped[bool] = mapped_column(default=False)
    configuration_needed: Mapped[bool] = mapped_column(default=False)
    sw_hardening_needed: Mapped[bool] = mapped_column(default=False)
    advisory_ids: Mapped[list[str]] = mapped_column(JSON, default=list)


class CredentialRow(Base):
    """A membership credential that was issued, with the escrow that only the platform can open."""

    __tablename__ = "credentials"
    __table_args__ = (UniqueConstraint("gid", "x"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    gid: Mapped[bytes] = mapped_column(ForeignKey("groups.gid"))
    ppid: Mapped[bytes] = mapped_column(ForeignKey("devices.ppid"))
    psvn: Mapped[bytes] = mapped_column(LargeBinary(18))
    x: Mapped[bytes] = mapped_column(LargeBinary(32))
    point: Mapped[bytes] = mapped_column(LargeBinary(64))
    escrow: Mapped[bytes] = mapped_column(LargeBinary(64))
    issued: Mapped[datetime.datetime]


class RevocationList(Base):
    """The current version of a group's list: ``kind`` is ``priv`` or ``sig``, ``payload`` the EPID list."""

    __tablename__ = "revocation_lists"
    gid: Mapped[bytes] = mapped_column(ForeignKey("groups.gid"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(4), primary_key=True)
    version: Mapped[int]
    payload: Mapped[bytes] = mapped_column(LargeBinary)


class Nonce(Base):
    """Something good for one use: ``purpose`` says for what, ``context`` what it stands for."""

    __tablename__ = "nonces"
    __table_args__ = (Index("nonces_by_expiry", "purpose", "expires"),)
    purpose: Mapped[str] = mapped_column(String(16), primary_key=True)
    value: Mapped[bytes] = mapped_column(LargeBinary(64), primary_key=True)
    context: Mapped[bytes] = mapped_column(LargeBinary)
    expires: Mapped[datetime.datetime]
    used: Mapped[bool] = mapped_column(default=False)
