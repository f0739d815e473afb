"""The Provisioning Enclave: joins the EPID group for its chip and seals the key.

What the server believes is the PROVISION key: nobody can derive it but this enclave on this chip, and a server that
knows the chip's root provisioning key. Every message around it is made by untrusted software
(:mod:`fusequote.platform.provisioning_agent`); what stands here is what has to be done where that cannot look
(remote attestation notes 4.5 to 4.8).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from fusequote.arch import AttributeFlags, GroupCert, KeyName, KeyRequest, Psvn, Report, TargetInfo
from fusequote.arch.provision import (
    BlockCipherText,
    CipherText,
    Escrow,
    ExtendedGroupBlob,
    JoinProof,
    PlatformInfo,
    SignedPek,
)
from fusequote.arch.provmsg import EpidSigText, IssuedText, JoinProofText, Pwk2Text
from fusequote.epid import EpidError, Member, MemberPrecomp, MembershipCredential, PendingJoin, SignerRevoked
from fusequote.errors import FormatError
from fusequote.platform.constants import Constants, point_to_bytes
from fusequote.platform.entry import Enclave
from fusequote.platform.epidblob import AttestationKey, open_blob, seal_blob
from fusequote.platform.epidfiles import read_group_certificate, read_sigrl, sigrl_signature_holds
from fusequote.platform.operator import Operator, check_pek, operator_of
from fusequote.platform.protocol import (
    OAEP,
    PROVISION_ATTRIBUTES,
    PROVISION_MISC_MASK,
    credential_data,
    join_data,
    key_report_data,
    open_box,
    ppid_of,
    provision_request,
    report_binding,
    seal_box,
    wrap_key,
)
from fusequote.verdict import Reason, refuse

__all__ = ["PROVISION_ATTRIBUTES", "PROVISION_MISC_MASK", "Challenge", "Issued", "Proof", "ProvisioningEnclave"]


@dataclass(frozen=True)
class Challenge:
    """What the server asks (ProvMsg2). ``previous``: TCB and gid of the key to prove with, ``old_blob`` that key.

    ``sigrl`` is the previous group's, as served, None without one; ``rekey``: keep f.
    """

    group: GroupCert
    challenge: bytes
    equivalent: PlatformInfo
    previous: tuple[PlatformInfo, bytes] | None = None
    old_blob: bytes | None = None
    sigrl: bytes | None = None
    rekey: bool = False


@dataclass(frozen=True)
class Proof:
    """What the enclave answers (for ProvMsg3). ``report`` is to the PCE; the boxes are under PWK2."""

    join: BlockCipherText
    join_mac: bytes
    n2: bytes
    pwk2: CipherText
    report: Report
    signature: tuple[BlockCipherText, bytes] | None


@dataclass(frozen=True)
class Issued:
    """What the server gave (ProvMsg4)."""

    group: GroupCert
    equivalent: PlatformInfo
    n2: bytes
    credential: BlockCipherText
    credential_mac: bytes


@dataclass(frozen=True)
class ProvisioningEnclave:
    """The program that plays the Provisioning Enclave. ``constants`` are those that its image measures.

    ``extended``: the operator's keys, all zero for those in ``constants``.
    """

    enclave: Enclave
    constants: Constants
    extended: ExtendedGroupBlob = field(default_factory=ExtendedGroupBlob.default)

    def selector(self) -> int:
        """For endpoint selection: the first byte of this enclave's PPID, which is not the PCE's."""
        with self.enclave.entered() as inside:
            return ppid_of(inside.key(provision_request(Psvn())))[0]

    def vouch_for(self, pek: SignedPek, pce: TargetInfo) -> Report:
        """A REPORT that has the PCE encrypt its PPID to this PEK.

        Raises :class:`Refused` (provision.server-not-authentic) for a PEK of nobody's.
        """
        _check_pce(pce)
        check_pek(pek, self._operator())
        with self.enclave.entered() as inside:
            return inside.report(pce, key_report_data(pek.key_bytes))

    def answer(self, asked: Challenge, pek: SignedPek, pce: TargetInfo) -> Proof:
        """The proof that answers the server's challenge.

        Raises :class:`Refused`: provision.server-not-authentic, provision.group-certificate-invalid,
        provision.malformed; key.* when the server asks for a TCB above this chip's; quote.blob-unsealable when the key
        to prove with is not in ``old_blob``, quote.sigrl-*, and quote.revoked for a key on a genuine SigRL.
        """
        operator = self._operator()
        server_key = check_pek(pek, operator)
        _check_pce(pce)
        group = read_group_certificate(asked.group, operator.isk)
        member = self._previous(asked, operator)
        with self.enclave.entered() as inside:
            provision_key = inside.key(provision_request(asked.equivalent.psvn))
            escrow_key = inside.key(_escrow_request(asked.equivalent.psvn))
        n2 = secrets.token_bytes(16)
        key = wrap_key(provision_key, n2)
        text = b""
        if not asked.rekey:
            request, pending = Member.join_request(group, asked.challenge)
            proof = JoinProof(join_request=request.to_bytes(), escrow=_escrow(escrow_key, pending.f))
            text = JoinProofText(proof=proof).to_bytes()
        join, tag = seal_box(key, text, join_data(group.gid, asked.equivalent, asked.challenge))
        signature = None if member is None else _prove(member, asked, key, operator)
        pwk2 = server_key.encrypt(Pwk2Text(key=key).to_bytes(), OAEP)
        with self.enclave.entered() as inside:
            report = inside.report(pce, report_binding(tag, join.ciphertext, n2, pwk2))
        return Proof(join, tag, n2, CipherText(ciphertext=pwk2), report, signature)

    def accept(self, given: Issued) -> bytes:
        """The sealed EPID blob (2836 bytes) from the server's credential; f comes out of the escrow.

        Raises :class:`Refused`: provision.group-certificate-invalid, key.*, provision.server-not-authentic,
        provision.malformed, provision.escrow-invalid, provision.credential-invalid.
        """
        operator = self._operator()
        group = read_group_certificate(given.group, operator.isk)
        with self.enclave.entered() as inside:
            provision_key = inside.key(provision_request(given.equivalent.psvn))
            escrow_key = inside.key(_escrow_request(given.equivalent.psvn))
        key = wrap_key(provision_key, given.n2)
        text = open_box(key, given.credential, given.credential_mac, credential_data(group.gid, given.equivalent))
        if text is None:
            raise refuse(Reason.SERVER_KEY)
        try:
            issued = IssuedText.from_bytes(text).credential
        except FormatError as error:
            raise refuse(Reason.PROVISION_MALFORMED, str(error)) from error
        f = _open_escrow(escrow_key, issued.escrow)
        try:
            credential = MembershipCredential.from_bytes(group.gid + issued.A + issued.x, gid_size=4)
            member = PendingJoin(group, f).provision(credential)
        except EpidError as error:
            raise refuse(Reason.CREDENTIAL, str(error)) from error
        services = operator.qsdk + point_to_bytes(operator.isk)
        precomp = MemberPrecomp.compute(group, member.A)
        content = AttestationKey(group, given.equivalent.psvn, member, precomp, services, operator.xeid)
        return seal_blob(self.enclave, content)

    def _operator(self) -> Operator:
        return operator_of(self.extended, self.constants)

    def _previous(self, asked: Challenge, operator: Operator) -> AttestationKey | None:
        """The key to prove with, when it is the one that the server means."""
        if asked.previous is None:
            if asked.sigrl is not None:
                raise refuse(Reason.PROVISION_MALFORMED, "a SigRL, but no key to prove with")
            return None
        level, gid = asked.previous
        if asked.old_blob is None:
            raise refuse(Reason.BLOB, "there is none")
        content, _ = open_blob(self.enclave, asked.old_blob)
        if (content.psvn, content.group.gid, content.xeid) != (level.psvn, gid, operator.xeid):
            raise refuse(Reason.BLOB, f"it is of group {content.group.gid.hex()}, the server means {gid.hex()}")
        return content


def _prove(content: AttestationKey, asked: Challenge, key: bytes, operator: Operator) -> tuple[BlockCipherText, bytes]:
    """The EPID signature of the challenge with the old key, under PWK2: that this chip's last key is not revoked."""
    listed = None if asked.sigrl is None else read_sigrl(asked.sigrl, content.group.gid)
    member, revoked = Member(content.group, content.key, precomp=content.precomp), False
    try:
        signature = member.sign(asked.challenge, sigrl=listed)
    except SignerRevoked as error:
        signature, revoked = error.signature, True
    # The list's signature comes before the news: a forged list must not tell whose keys it met.
    if asked.sigrl is not None and not sigrl_signature_holds(asked.sigrl, operator.isk):
        raise refuse(Reason.SIGRL_SIGNATURE)
    if revoked:
        raise refuse(Reason.SELF_REVOKED)
    return seal_box(key, EpidSigText(signature=signature.to_bytes()).to_bytes(), b"")


def _check_pce(pce: TargetInfo) -> None:
    if not pce.attributes.flags & AttributeFlags.PROVISIONKEY or pce.attributes.debug:
        raise refuse(Reason.PROVISION_MALFORMED, "a PCE has PROVISIONKEY and not DEBUG")


def _escrow_request(psvn: Psvn) -> KeyRequest:
    return KeyRequest(
        keyname=KeyName.PROVISION_SEAL,
        isvsvn=psvn.isvsvn,
        cpusvn=psvn.cpusvn,
        attributemask=PROVISION_ATTRIBUTES,
    )


def _escrow(key: bytes, f: int) -> Escrow:
    """f under the PROVISION_SEAL key: the server keeps it and cannot read it."""
    box, tag = seal_box(key, f.to_bytes(32, "big"), b"")
    return Escrow(iv=box.iv, ciphertext=box.ciphertext, tag=tag)


def _open_escrow(key: bytes, escrow: Escrow) -> int:
    if escrow.version:
        raise refuse(Reason.ESCROW, f"version {escrow.version}")
    box = BlockCipherText(iv=escrow.iv, ciphertext=escrow.ciphertext)
    f = open_box(key, box, escrow.tag, b"")
    if f is None:
        raise refuse(Reason.ESCROW)
    return int.from_bytes(f, "big")
