"""Tables of the provisioning server: who is a member of which group, sessions under way, groups for a rekey."""

from __future__ import annotations

import datetime

from sqlalchemy import ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from fusequote.services.tables import Base

__all__ = ["Membership", "PceName", "ProvisioningSession", "RekeyGroup"]


class PceName(Base):
    """The PPID that a device's PCE tells, by which ProvMsg1 names it; ``devices.ppid`` is the Provisioning Enclave's.

    Both are derived from the same root, under two signers (instruction notes 6).
    """

    __tablename__ = "pce_names"
    pce_ppid: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    ppid: Mapped[bytes] = mapped_column(ForeignKey("devices.ppid"), unique=True)


class Membership(Base):
    """The one key of a device in a group: its credential, the TCB it belongs to (PLATFORM_INFO), and F = [f]h1."""

    __tablename__ = "memberships"
    ppid: Mapped[bytes] = mapped_column(ForeignKey("devices.ppid"), primary_key=True)
    gid: Mapped[bytes] = mapped_column(ForeignKey("groups.gid"), primary_key=True)
    credential_id: Mapped[int] = mapped_column(ForeignKey("credentials.id"))
    platform_info: Mapped[bytes] = mapped_column(LargeBinary(26))
    join_point: Mapped[bytes] = mapped_column(LargeBinary(64))


class ProvisioningSession(Base):
    """A ProvMsg2 that waits for its ProvMsg3: ``id`` is XID and nonce, ``state_sealed`` what was agreed so far."""

    __tablename__ = "provisioning_sessions"
    id: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    state_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    expires: Mapped[datetime.datetime] = mapped_column(index=True)


class RekeyGroup(Base):
    """The group into which members of another one are taken with the same f (performance rekey)."""

    __tablename__ = "rekey_groups"
    gid: Mapped[bytes] = mapped_column(ForeignKey("groups.gid"), primary_key=True)
    successor: Mapped[bytes] = mapped_column(ForeignKey("groups.gid"), unique=True)
