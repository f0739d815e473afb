"""Who may join which EPID group, who has, and what is given back: the provisioning server's part of the store."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session as Database

from fusequote.arch.provision import Escrow, IssuedCredential, PlatformInfo
from fusequote.epid import GroupPublicKey, Issuer, IssuingPrivateKey, MembershipCredential
from fusequote.epid.arithmetic import default as default_arithmetic
from fusequote.epid.params import G2_GENERATOR
from fusequote.epid.randomness import random_scalar
from fusequote.errors import UsageError
from fusequote.platform.protocol import covers
from fusequote.services.derivation import ProvisioningIdentity, ppid
from fusequote.services.provisioning_tables import Membership, PceName, RekeyGroup
from fusequote.services.registry import DeviceKeys, Registry
from fusequote.services.store import Conflict
from fusequote.services.tables import CredentialRow, Device, Group, TcbRecord

__all__ = ["DeviceState", "Held", "Level", "Members", "UnknownDevice"]


@dataclass(frozen=True)
class Level:
    """A group, and the TCB that its members have."""

    gid: bytes
    equivalent: PlatformInfo


@dataclass(frozen=True)
class Held:
    """A key that a device was given: credential and escrow as issued, F = [f]h1."""

    gid: bytes
    equivalent: PlatformInfo
    credential: IssuedCredential = field(repr=False)
    join_point: bytes = field(repr=False)
    revoked: bool = False


@dataclass(frozen=True)
class DeviceState:
    """A device that the server knows. ``cpusvn`` is that of its import."""

    device_id: bytes
    cpusvn: bytes
    revoked: bool

    def document(self) -> dict[str, str | bool]:
        """For the admin API and `fusequote service --json`."""
        return {"device_id": self.device_id.hex(), "cpusvn": self.cpusvn.hex(), "revoked": self.revoked}


class UnknownDevice(UsageError):
    """No device has this id."""

    kind = "unknown-device"


class Members:
    """``pce``: the PCE's identity, under which devices are named in ProvMsg1."""

    def __init__(self, registry: Registry, pce: ProvisioningIdentity):
        self.registry, self.pce = registry, pce

    # devices

    def enroll(self, device_id: bytes, rpk: bytes, cpusvn: bytes) -> bytes:
        """Import a device from the maker: the PPID by which its PCE names it. A second time changes nothing.

        Raises :class:`UsageError` when the device id is taken by a device with another root provisioning key.
        """
        own = self.registry.register(device_id, rpk, cpusvn)
        name = ppid(rpk, self.pce)
        try:
            with self.registry.store.session() as db:
                if db.get(PceName, name) is None:
                    db.add(PceName(pce_ppid=name, ppid=own))
        except Conflict:
            pass  # another process has just done it
        return name

    def device(self, pce_ppid: bytes) -> DeviceKeys | None:
        """The device that the PCE names so."""
        with self.registry.store.reading() as db:
            row = db.get(PceName, pce_ppid)
        return None if row is None else self.registry.device(row.ppid)

    def devices(self) -> list[DeviceState]:
        """All devices."""
        return [_device(row) for row in self.registry.devices()]

    def device_state(self, device_id: bytes) -> DeviceState:
        """One device. Raises :class:`UnknownDevice`."""
        return _device(self._row_of(device_id))

    def revoke_device(self, device_id: bytes) -> DeviceState:
        """Provision this device no more. Raises :class:`UnknownDevice`."""
        self.registry.revoke_device(self._row_of(device_id).ppid)
        return self.device_state(device_id)

    def _row_of(self, device_id: bytes) -> Device:
        rows = self.registry.devices(device_id)
        if not rows:
            raise UnknownDevice(f"the provisioning server knows no device {device_id.hex()}")
        return rows[0]

    # levels and groups

    def level_for(self, claimed: PlatformInfo) -> Level | None:
        """The newest group open to a platform that claims this TCB; None when there is none."""
        with self.registry.store.reading() as db:
            rows = db.execute(
                select(TcbRecord, RekeyGroup.successor)
                .join(Group, Group.gid == TcbRecord.gid)
                .outerjoin(RekeyGroup, RekeyGroup.successor == TcbRecord.gid)
                .where(TcbRecord.joins, Group.revocation_reason.is_(None))
            ).all()
        fitting = [(_level(record), successor) for record, successor in rows]
        fitting = [(level, successor) for level, successor in fitting if covers(claimed, level.equivalent)]
        # Component-wise order is partial: of two that neither covers the other, the sum of components decides; of two
        # groups of one TCB, the one that was made for a rekey.
        best = max(fitting, key=lambda pair: (*_rank(pair[0].equivalent), pair[1] is not None), default=None)
        return None if best is None else best[0]

    def open_group(self, cpusvn: bytes, isvsvn: int, pce_svn: int) -> bytes:
        """A new group for platforms of this TCB (CPUSVN 16 bytes, SVNs of Provisioning Enclave and PCE); its gid.

        Raises :class:`UsageError` when a group of this very TCB takes members already.
        """
        wanted = PlatformInfo(cpusvn=cpusvn, pve_svn=isvsvn, pce_svn=pce_svn)
        with self.registry.store.reading() as db:
            same = db.scalars(
                select(TcbRecord.gid)
                .join(Group, Group.gid == TcbRecord.gid)
                .where(TcbRecord.joins, Group.revocation_reason.is_(None), TcbRecord.cpusvn == cpusvn)
                .where(TcbRecord.isvsvn == isvsvn, TcbRecord.pce_svn == pce_svn)
            ).first()
        if same is not None:
            raise UsageError(
                f"EPID group {same.hex()} takes platforms of this TCB already",
                hint="close it first, if another one is wanted: fusequote service tcb GID --no-joins",
            )
        return self.registry.create_group(wanted.psvn, pce_svn)

    def create_rekey_group(self, gid: bytes) -> bytes:
        """A new group for the members of ``gid`` who ask for a performance rekey, and for new ones; its gid.

        It has the same TCB, h1 and h2, so that F = [f]h1 of a member holds in it, and an issuing key of its own. The
        old group takes nobody any more. Raises :class:`UsageError` for an unknown gid, or one with a successor.
        """
        record, old = self.registry.tcb(gid), self.registry.group_key(gid)
        assert old is not None  # its TCB record refers to it
        if self.registry.revocation_reason(gid) is not None:
            raise UsageError(
                f"EPID group {gid.hex()} is revoked: its keys cannot prove themselves for a rekey",
                hint="its platforms join anew, into a group of their TCB that is open",
            )

        def issuer(new: bytes) -> Issuer:
            gamma = random_scalar()
            w = default_arithmetic().g2_sum_secret([(G2_GENERATOR, gamma)])
            return Issuer(GroupPublicKey(new, old.h1, old.h2, w), IssuingPrivateKey(new, gamma))

        def follow(db: Database, new: bytes) -> None:
            self.registry.lock_group(db, gid)
            if db.get(RekeyGroup, gid) is not None:
                raise UsageError(f"EPID group {gid.hex()} has a group for its performance rekey already")
            db.add(RekeyGroup(gid=gid, successor=new))
            db.get_one(TcbRecord, gid).joins = False

        level = _level(record).equivalent
        return self.registry.create_group(level.psvn, level.pce_svn, issuer, follow)

    def successor(self, gid: bytes) -> Level | None:
        """The group for a performance rekey of members of ``gid``, unless it is revoked."""
        with self.registry.store.reading() as db:
            row = db.execute(
                select(TcbRecord)
                .join(RekeyGroup, RekeyGroup.successor == TcbRecord.gid)
                .join(Group, Group.gid == TcbRecord.gid)
                .where(RekeyGroup.gid == gid, Group.revocation_reason.is_(None))
            ).scalar_one_or_none()
        return None if row is None else _level(row)

    # keys

    def held_by(self, device: bytes) -> list[Held]:
        """Every key that the device (its own PPID) was given, newest first."""
        with self.registry.store.reading() as db:
            rows = db.execute(
                select(Membership, CredentialRow, Group.revocation_reason)
                .join(CredentialRow, CredentialRow.id == Membership.credential_id)
                .join(Group, Group.gid == Membership.gid)
                .where(Membership.ppid == device)
                .order_by(CredentialRow.id.desc())
            ).all()
        return [_held(member, credential, reason is not None) for member, credential, reason in rows]

    def issue(self, device: bytes, level: Level, join_point: bytes, escrow: Escrow) -> Held:
        """A credential for F, kept before it is told to anybody.

        A device has one key in a group: when it has got another one meanwhile, that one is the answer.
        """
        issued = self.registry.issuer(level.gid, None).credential(join_point)
        credential = IssuedCredential(x=issued.x.to_bytes(32, "big"), A=issued.A, escrow=escrow)
        try:
            with self.registry.store.session() as db:
                self._keep(db, device, level, issued, escrow, join_point)
        except Conflict:
            found = [held for held in self.held_by(device) if held.gid == level.gid]
            if not found:
                raise
            return found[0]
        return Held(level.gid, level.equivalent, credential, join_point)

    def _keep(
        self, db: Database, device: bytes, level: Level, issued: MembershipCredential, escrow: Escrow, join_point: bytes
    ) -> None:
        row = CredentialRow(
            gid=level.gid,
            ppid=device,
            psvn=level.equivalent.psvn.to_bytes(),
            x=issued.x.to_bytes(32, "big"),
            point=issued.A,
            escrow=escrow.to_bytes(),
            issued=self.registry.store.clock(),
        )
        db.add(row)
        db.flush()
        info = level.equivalent.to_bytes()
        db.add(
            Membership(ppid=device, gid=level.gid, credential_id=row.id, platform_info=info, join_point=join_point)
        )

    def is_on_privrl(self, held: Held) -> bool:
        """Whether the secret of this key is known to the world: an f of the group's PrivRL with F = [f]h1."""
        listed = self.registry.privrl(held.gid).entries
        group = self.registry.group_key(held.gid)
        arithmetic = default_arithmetic()
        return group is not None and any(arithmetic.g1_sum([(group.h1, f)]) == held.join_point for f in listed)


def _level(record: TcbRecord) -> Level:
    info = PlatformInfo(cpusvn=record.cpusvn, pve_svn=record.isvsvn, pce_svn=record.pce_svn)
    return Level(record.gid, info)


def _device(row: Device) -> DeviceState:
    return DeviceState(row.device_id, row.cpusvn, row.revoked)


def _rank(info: PlatformInfo) -> tuple[int, int, int]:
    return sum(info.cpusvn), info.pve_svn, info.pce_svn


def _held(member: Membership, row: CredentialRow, revoked: bool) -> Held:
    credential = IssuedCredential(x=row.x, A=row.point, escrow=row.escrow)
    return Held(member.gid, PlatformInfo.from_bytes(member.platform_info), credential, member.join_point, revoked)
