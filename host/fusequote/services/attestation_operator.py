"""What the operator of the attestation service decides: TCB statuses, revocations, verifiers' lists, PSE records.

The command line and the admin API are two faces of this. Whatever is decided holds for the next report of every
process that shares the store.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import and_, func, select
from sqlalchemy.orm import aliased

from fusequote.arch import QuoteBody, SignType
from fusequote.epid import EpidError, GroupPublicKey, GroupRl, HashAlg, Verifier, VerifierRl, g1_hash
from fusequote.epid.arithmetic import default
from fusequote.epid.authority import CertificateAuthority
from fusequote.epid.files import Form, read_member_key, sign_list
from fusequote.epid.keyfile import open_key
from fusequote.errors import UsageError
from fusequote.services.attestation_groups import UnknownGroup
from fusequote.services.attestation_quote import decrypt, read_quote
from fusequote.services.attestation_status import PseStatus
from fusequote.services.attestation_subscriptions import UnknownSubscription
from fusequote.services.attestation_tables import PseRecord, Subscription, TcbEvaluation, VerifierList
from fusequote.services.registry import Registry
from fusequote.services.roots import ServiceKeys
from fusequote.services.tables import Group, RevocationList, TcbRecord

__all__ = ["GroupState", "ListKind", "ListState", "Operator"]

#: Advisory ids of one record, and characters of each: they travel in headers.
ADVISORIES = 50
ADVISORY_LENGTH = 40
_SIG, _PRIV = aliased(RevocationList), aliased(RevocationList)


class ListKind(StrEnum):
    """Lists that are published, signed by the EPID signing key."""

    SIGNATURES = "sigrl"
    KEYS = "privrl"
    GROUPS = "grouprl"


@dataclass(frozen=True)
class GroupState:
    """An EPID group (4-byte gid) with its TCB record; ``*_version`` are those of its lists, 0 without one."""

    gid: bytes
    cpusvn: bytes
    isvsvn: int
    pce_svn: int
    joins: bool
    out_of_date: bool
    configuration_needed: bool
    sw_hardening_needed: bool
    advisory_ids: tuple[str, ...]
    revocation_reason: int | None
    sigrl_version: int
    privrl_version: int


@dataclass(frozen=True)
class ListState:
    """A list after a change. ``spid`` is set for a verifier's own list."""

    gid: bytes
    version: int
    entries: int
    spid: bytes | None = None


class Operator:
    """Everything the operator can do to the groups of a store."""

    def __init__(self, registry: Registry, keys: ServiceKeys):
        self._registry, self._keys, self._store = registry, keys, registry.store

    def groups(self) -> list[GroupState]:
        """All groups."""
        return self._groups()

    def group(self, gid: bytes) -> GroupState:
        """One group. Raises :class:`UsageError` for an unknown gid."""
        found = self._groups(gid)
        if not found:
            raise UnknownGroup(f"no EPID group {gid.hex()}")
        return found[0]

    def _groups(self, gid: bytes | None = None) -> list[GroupState]:
        wanted = (
            select(Group, TcbRecord, _SIG.version, _PRIV.version)
            .join(TcbRecord, TcbRecord.gid == Group.gid)
            .outerjoin(_SIG, and_(_SIG.gid == Group.gid, _SIG.kind == "sig"))
            .outerjoin(_PRIV, and_(_PRIV.gid == Group.gid, _PRIV.kind == "priv"))
            .order_by(Group.gid)
        )
        if gid is not None:
            wanted = wanted.where(Group.gid == gid)
        with self._store.reading() as session:
            rows = session.execute(wanted).all()
        return [
            GroupState(
                gid=group.gid,
                cpusvn=tcb.cpusvn,
                isvsvn=tcb.isvsvn,
                pce_svn=tcb.pce_svn,
                joins=tcb.joins,
                out_of_date=tcb.out_of_date,
                configuration_needed=tcb.configuration_needed,
                sw_hardening_needed=tcb.sw_hardening_needed,
                advisory_ids=tuple(tcb.advisory_ids),
                revocation_reason=group.revocation_reason,
                sigrl_version=sig or 0,
                privrl_version=priv or 0,
            )
            for group, tcb, sig, priv in rows
        ]

    def set_tcb(
        self,
        gid: bytes,
        *,
        out_of_date: bool | None = None,
        configuration_needed: bool | None = None,
        sw_hardening_needed: bool | None = None,
        joins: bool | None = None,
        advisory_ids: list[str] | None = None,
    ) -> GroupState:
        """Change a group's TCB record; what is None stays. The TCB evaluation data gets its next number.

        Raises :class:`UsageError` for an unknown gid, and for advisory ids that cannot travel in a header.
        """
        values: dict[str, object] = {
            "out_of_date": out_of_date,
            "configuration_needed": configuration_needed,
            "sw_hardening_needed": sw_hardening_needed,
            "joins": joins,
            "advisory_ids": None if advisory_ids is None else _advisories(advisory_ids),
        }
        with self._store.session() as session:
            record = session.get(TcbRecord, gid)
            if record is None:
                raise UnknownGroup(f"no EPID group {gid.hex()}")
            for name, value in values.items():
                if value is not None:
                    setattr(record, name, value)
            # The row of the number is the lock of those who count it up.
            number = session.get(TcbEvaluation, 1, with_for_update=True)
            if number is None:
                session.add(TcbEvaluation(id=1, number=2))
            else:
                number.number += 1
        return self.group(gid)

    # revocation

    def revoke_group(self, gid: bytes, reason: int = 0) -> GroupState:
        """Revoke a group with a CRLReason of RFC 5280. Raises :class:`UsageError`."""
        self._registry.revoke_group(gid, reason)
        return self.group(gid)

    def revoke_key(self, data: bytes) -> ListState:
        """Put a member's leaked private key on its group's PrivRL: 132 or 144 bytes, or compressed, 68 or 80.

        Raises :class:`UsageError` for an unknown group, EpidError for what is no key of it.
        """
        read_member_key(data)  # refuses what has no key's size
        gid = data[12:16] if len(data) in (144, 80) else data[:4]
        key = dataclasses.replace(open_key(data, self._key_of(gid, len(data) in (144, 80))), gid=gid)
        current = self._registry.privrl(gid)
        new = current if key.f in current.entries else self._registry.revoke_key(key)
        return ListState(gid, new.version, len(new))

    def revoke_signature(self, quote: bytes) -> ListState:
        """Put the maker of a quote on its group's SigRL; only a good signature revokes.

        A signature that is there already changes nothing. Raises :class:`Refused` for what is no quote,
        :class:`UsageError` for an unknown group, EpidError for a bad signature.
        """
        body, payload = self._open(quote)
        gid = body.group_id
        self._key_of(gid)
        current = self._registry.sigrl(gid)
        known = (payload[:64], payload[64:128]) in current.entries
        new = current if known else self._registry.revoke_signature(gid, payload, body.to_bytes(), body.basename)
        return ListState(gid, new.version, len(new))

    def shut_out(self, quote: bytes) -> ListState:
        """Put the maker of a linkable quote on the list of the service provider that it was made for.

        Raises as :meth:`revoke_signature`, and :class:`UsageError` for an unlinkable quote: its name is used once.
        """
        body, payload = self._open(quote)
        if body.sign_type != SignType.LINKABLE:
            raise UsageError("a verifier's list is for linkable quotes: an unlinkable one has a name for itself alone")
        group = self._key_of(body.group_id)
        # As the issuer does it for the SigRL: the proofs in the quote may be of an older list.
        if not Verifier(group, basename=body.basename).verify_basic(payload, body.to_bytes()):
            raise EpidError("the signature is not one of this group over this message: it shuts nobody out")
        return self._next_verifier_list(body.group_id, body.spid, payload[64:128])

    def shut_out_pseudonym(self, gid: bytes, spid: bytes, pseudonym: bytes) -> ListState:
        """The same for an epidPseudonym of a report: B and K, 128 bytes.

        Raises :class:`UsageError` for an unknown group, or a pseudonym that is not one for this SPID.
        """
        self._key_of(gid)
        if len(pseudonym) != 128 or pseudonym[:64] != _basename_point(spid):
            raise UsageError("this is no pseudonym of linkable quotes for this SPID: 128 bytes, the SPID's point first")
        return self._next_verifier_list(gid, spid, pseudonym[64:])

    def verifier_lists(self) -> list[ListState]:
        """All verifiers' lists."""
        with self._store.reading() as session:
            rows = session.execute(
                select(
                    VerifierList.gid, VerifierList.spid, VerifierList.version, func.length(VerifierList.payload)
                ).order_by(VerifierList.spid, VerifierList.gid)
            ).all()
        empty = 4 + 64 + 8
        return [ListState(gid, version, (size - empty) // 64, spid) for gid, spid, version, size in rows]

    def _next_verifier_list(self, gid: bytes, spid: bytes, K: bytes) -> ListState:
        with self._store.session() as session:
            # The row of the subscription is the lock: no version is lost or doubled.
            if session.get(Subscription, spid, with_for_update=True) is None:
                raise UnknownSubscription(f"no subscription has the SPID {spid.hex()}")
            row = session.get(VerifierList, (gid, spid))
            current = VerifierRl(gid, _basename_point(spid))
            if row is not None:
                current = VerifierRl.from_bytes(row.payload, gid_size=4)
            if K not in current.entries:
                current = current.adding(K)
                new = VerifierList(gid=gid, spid=spid, version=current.version, payload=current.to_bytes())
                session.merge(new)
        return ListState(gid, current.version, len(current), spid)

    def publish(self, kind: ListKind, gid: bytes | None = None) -> bytes:
        """The current list as a file in SGX's form (4-byte gids), signed by the EPID signing key.

        The GroupRL is one for all groups, of as many entries as its version says; the others need a ``gid``.
        Raises :class:`UsageError`.
        """
        authority = CertificateAuthority(self._keys.epid_signing)
        if kind is ListKind.GROUPS:
            if gid is not None:
                raise UsageError("there is one GroupRL for all groups: name no group")
            revoked = tuple(state.gid for state in self.groups() if state.revocation_reason is not None)
            # Groups stay revoked, so the number of them never goes back.
            return sign_list(GroupRl(version=len(revoked), entries=revoked), authority, Form.SGX)
        if gid is None:
            raise UsageError(f"a {kind.value} is of one group: name it")
        self._key_of(gid)
        current = self._registry.sigrl(gid) if kind is ListKind.SIGNATURES else self._registry.privrl(gid)
        return sign_list(current, authority, Form.SGX)

    # platform services

    def set_pse(self, manifest_hash: bytes, status: PseStatus) -> None:
        """What reports say of the PSE manifest with this SHA-256, from now on. Raises :class:`UsageError`."""
        if len(manifest_hash) != 32:
            raise UsageError(f"a SHA-256 is 32 bytes, not {len(manifest_hash)}")
        with self._store.session() as session:
            session.merge(PseRecord(manifest_hash=manifest_hash, status=status.value))

    def _open(self, quote: bytes) -> tuple[QuoteBody, bytes]:
        parsed = read_quote(quote)
        return parsed.body, decrypt(parsed, self._keys.qsdk)

    def _key_of(self, gid: bytes, long: bool = False) -> GroupPublicKey:
        group = self._registry.group_key(gid)
        if group is None:
            raise UnknownGroup(f"no EPID group {gid.hex()}")
        return group.with_gid(bytes(12) + gid) if long else group


def _basename_point(spid: bytes) -> bytes:
    if len(spid) != 16:
        raise UsageError(f"a SPID is 16 bytes, not {len(spid)}")
    return g1_hash(HashAlg.SHA256, spid.ljust(32, b"\0"), default())


def _advisories(ids: list[str]) -> list[str]:
    for text in ids:
        if not (0 < len(text) <= ADVISORY_LENGTH and text.isascii() and text.isprintable()) or set(text) & {",", " "}:
            raise UsageError(f"{text[:80]!r} is no advisory id: printable ASCII without blanks and commas is wanted")
    if len(ids) > ADVISORIES:
        raise UsageError(f"a TCB record has at most {ADVISORIES} advisory ids")
    return list(dict.fromkeys(ids))
