"""Devices, EPID groups, TCB records and revocation lists: what the operator of the services decides."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from fusequote.arch import Psvn
from fusequote.epid import GroupPublicKey, Issuer, MemberPrivateKey, PrivRl, SigRl
from fusequote.errors import UsageError
from fusequote.services.derivation import ProvisioningIdentity, ppid
from fusequote.services.store import Store
from fusequote.services.tables import Device, Group, RevocationList, TcbRecord

__all__ = ["DeviceKeys", "Registry"]


@dataclass(frozen=True)
class DeviceKeys:
    """A device found by its PPID. ``rpk`` is its root provisioning key."""

    ppid: bytes
    device_id: bytes
    rpk: bytes
    revoked: bool

    def __repr__(self) -> str:
        return f"DeviceKeys(device {self.device_id.hex()})"


class Registry:
    """Everything that needs the store and no protocol. ``identity`` is the Provisioning Enclave's."""

    def __init__(self, store: Store, identity: ProvisioningIdentity):
        self.store = store
        self.identity = identity

    # devices

    def register(self, device_id: bytes, rpk: bytes, cpusvn: bytes) -> bytes:
        """Import a device from the maker; its PPID. A second time with the same values changes nothing.

        Raises :class:`UsageError` when the device id is taken by a device with another root provisioning key.
        """
        name = ppid(rpk, self.identity)
        with self.store.session() as session:
            row = session.scalar(select(Device).where(Device.device_id == device_id))
            if row is None:
                sealed = self.store.vault.seal(rpk, b"devices.rpk" + name)
                session.add(Device(ppid=name, device_id=device_id, rpk_sealed=sealed, cpusvn=cpusvn))
            elif row.ppid != name:
                raise UsageError(f"device {device_id.hex()} is registered with another root provisioning key")
        return name

    def device(self, name: bytes) -> DeviceKeys | None:
        """The device with this PPID."""
        with self.store.reading() as session:
            row = session.get(Device, name)
            if row is None:
                return None
            rpk = self.store.vault.open(row.rpk_sealed, b"devices.rpk" + name)
            return DeviceKeys(row.ppid, row.device_id, rpk, row.revoked)

    def devices(self, device_id: bytes | None = None) -> list[Device]:
        """All devices in the order of their ids, or the one with this id, if there is one."""
        wanted = select(Device).order_by(Device.device_id)
        if device_id is not None:
            wanted = wanted.where(Device.device_id == device_id)
        with self.store.reading() as session:
            return list(session.scalars(wanted))

    def revoke_device(self, name: bytes) -> None:
        """Provision this device no more. Raises :class:`UsageError` for an unknown PPID."""
        with self.store.session() as session:
            row = session.get(Device, name)
            if row is None:
                raise UsageError(f"no device has the PPID {name.hex()}")
            row.revoked = True

    # groups and TCB

    def create_group(
        self,
        psvn: Psvn,
        pce_svn: int = 0,
        make: Callable[[bytes], Issuer] = Issuer.create,
        also: Callable[[Session, bytes], None] = lambda session, gid: None,
    ) -> bytes:
        """A new EPID group for platforms of this TCB; its 4-byte gid. ``make`` gives the issuer for a gid, ``also`` is
        done in the same transaction.
        """
        while True:
            gid = secrets.token_bytes(4)
            with self.store.session() as session:
                if not any(gid) or session.get(Group, gid) is not None:
                    continue
                issuer = make(gid)
                sealed = self.store.vault.seal(issuer.export(), b"groups.issuer" + gid)
                session.add(Group(gid=gid, public_key=issuer.group.to_bytes(), issuer_sealed=sealed))
                session.flush()
                session.add(TcbRecord(gid=gid, cpusvn=psvn.cpusvn, isvsvn=psvn.isvsvn, pce_svn=pce_svn))
                session.flush()
                also(session, gid)
                return gid

    def levels(self) -> list[Psvn]:
        """Every TCB that any group was made for."""
        with self.store.reading() as session:
            rows = session.scalars(select(TcbRecord)).all()
        return [Psvn(cpusvn=row.cpusvn, isvsvn=row.isvsvn) for row in rows]

    def issuer(self, gid: bytes, nonces: object) -> Issuer:
        """The issuer of a group, with its own store of nonces. Raises :class:`UsageError` for an unknown gid."""
        with self.store.reading() as session:
            exported = self.store.vault.open(self._group(session, gid).issuer_sealed, b"groups.issuer" + gid)
        return Issuer.load(exported, nonces=nonces)

    def group_key(self, gid: bytes) -> GroupPublicKey | None:
        """The public key of a group, None for an unknown gid."""
        with self.store.reading() as session:
            row = session.get(Group, gid)
        return None if row is None else GroupPublicKey.from_bytes(row.public_key, gid_size=4, strict=False)

    def tcb(self, gid: bytes) -> TcbRecord:
        """The TCB record of a group. Raises :class:`UsageError` for an unknown gid."""
        with self.store.reading() as session:
            row = session.get(TcbRecord, gid)
        if row is None:
            raise UsageError(f"no EPID group {gid.hex()}")
        return row

    def update_tcb(self, gid: bytes, /, **values: object) -> None:
        """Set fields of a TCB record (``out_of_date``, ``joins``, ``advisory_ids``, ..)."""
        with self.store.session() as session:
            row = session.get(TcbRecord, gid)
            if row is None:
                raise UsageError(f"no EPID group {gid.hex()}")
            for name, value in values.items():
                if name not in TcbRecord.__table__.columns or name == "gid":
                    raise UsageError(f"a TCB record has no {name!r} that could be set")
                setattr(row, name, value)

    # revocation

    def revoke_group(self, gid: bytes, reason: int = 0) -> None:
        """Revoke a whole group; ``reason`` is an RFC 5280 CRLReason. Raises :class:`UsageError`."""
        if reason not in (0, 1, 2, 3, 4, 5, 6, 8, 9, 10):
            raise UsageError(f"{reason} is no CRLReason of RFC 5280")
        with self.store.session() as session:
            self._group(session, gid).revocation_reason = reason

    def revocation_reason(self, gid: bytes) -> int | None:
        """Why the group is revoked, None when it is not."""
        with self.store.reading() as session:
            return self._group(session, gid).revocation_reason

    def revoke_signature(self, gid: bytes, signature: bytes, message: bytes, basename: bytes) -> SigRl:
        """Put the maker of a signature on the SigRL; only a good signature revokes (EpidError otherwise)."""
        issuer = self.issuer(gid, None)
        return self._next(gid, SigRl, lambda now: issuer.revoke_signature(now, signature, message, basename))

    def revoke_key(self, key: MemberPrivateKey) -> PrivRl:
        """Put a leaked key on the PrivRL; it must be one of its group (EpidError otherwise)."""
        issuer = self.issuer(key.gid, None)
        return self._next(key.gid, PrivRl, lambda now: issuer.revoke_key(now, key))

    def sigrl(self, gid: bytes) -> SigRl:
        """The current SigRL; version 0 and no entries when nothing was ever revoked."""
        return self._current(gid, SigRl)

    def privrl(self, gid: bytes) -> PrivRl:
        """The current PrivRL."""
        return self._current(gid, PrivRl)

    def _current(self, gid: bytes, kind):
        with self.store.reading() as session:
            row = session.get(RevocationList, (gid, _KINDS[kind]))
        return kind(gid) if row is None else kind.from_bytes(row.payload, gid_size=4)

    def lock_group(self, session: Session, gid: bytes) -> None:
        """Until this transaction ends, no other one that asks for it changes the group's lists or members.

        The lock is the group's row (in SQLite every transaction that writes is one). Raises :class:`UsageError` for an
        unknown gid.
        """
        if session.execute(select(Group.gid).where(Group.gid == gid).with_for_update()).one_or_none() is None:
            raise UsageError(f"no EPID group {gid.hex()}")

    def _next(self, gid: bytes, kind, change):
        with self.store.session() as session:
            self.lock_group(session, gid)
            row = session.get(RevocationList, (gid, _KINDS[kind]))
            new = change(kind(gid) if row is None else kind.from_bytes(row.payload, gid_size=4))
            if row is None:
                row = RevocationList(gid=gid, kind=_KINDS[kind], version=0, payload=b"")
                session.add(row)
            row.version, row.payload = new.version, new.to_bytes()
            return new

    @staticmethod
    def _group(session: Session, gid: bytes) -> Group:
        row = session.get(Group, gid)
        if row is None:
            raise UsageError(f"no EPID group {gid.hex()}")
        return row


_KINDS = {SigRl: "sig", PrivRl: "priv"}
