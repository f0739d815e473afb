"""ProvMsg3: the proof is checked, the credential issued, kept, and given (remote attestation notes 4.7, 4.8)."""

from __future__ import annotations

import hmac

from fusequote.arch.provision import Escrow
from fusequote.arch.provmsg import (
    EpidSigText,
    GeneralStatus,
    JoinProofText,
    ProtocolStatus,
    ProvMsg3,
    ProvMsg3Content,
    Pwk2Text,
    RequestHeader,
)
from fusequote.epid import EpidError, JoinRequest
from fusequote.errors import FormatError
from fusequote.platform.protocol import join_data, message_key, open_box, open_content, wrap_key
from fusequote.services.derivation import tcb_keys
from fusequote.services.provisioning.admission import decrypt
from fusequote.services.provisioning.answers import Parts, credential_answer, declined
from fusequote.services.provisioning.decline import Decline, Reject
from fusequote.services.provisioning.evidence import check_previous_key, check_report
from fusequote.services.provisioning.members import Level
from fusequote.services.provisioning.sessions import Session

__all__ = ["answer_prov_msg3"]


def answer_prov_msg3(parts: Parts, request: RequestHeader, body: bytes) -> tuple[bytes, Decline | None]:
    """ProvMsg4, and the refusal when it is one. Raises :class:`Reject`.

    The session is used up by the attempt, once the message is known to come from its owner.
    """
    try:
        message = ProvMsg3.from_bytes(body)
    except FormatError as error:
        raise Reject(GeneralStatus.INCORRECT_SYNTAX, str(error)) from error
    name = request.xid + message.nonce
    session = parts.sessions.find(name)
    if session is None:
        raise Reject(GeneralStatus.TRANSACTION_STATE_LOST, "no such session (any more)")
    text = open_content(request, message, message_key(session.sk, request.xid, message.nonce))
    if text is None:
        raise Reject(GeneralStatus.INTEGRITY_CHECK_FAIL, "the content does not open under EK2")
    if not parts.sessions.use_up(name):
        raise Reject(GeneralStatus.TRANSACTION_STATE_LOST, "the session was used before")
    try:
        return _issue(parts, request, session, message, text), None
    except Decline as refusal:
        return declined(request, session.sk, refusal.pstatus), refusal


def _issue(parts: Parts, request: RequestHeader, session: Session, message: ProvMsg3, text: bytes) -> bytes:
    try:
        content = ProvMsg3Content.from_bytes(text)
    except FormatError as error:
        raise Decline(ProtocolStatus.INVALID_REQUEST, str(error)) from error
    device = parts.registry.device(session.ppid)
    if device is None or device.revoked:
        raise Decline(ProtocolStatus.PLATFORM_REVOKED, "the device was revoked meanwhile")
    if parts.registry.revocation_reason(session.gid) is not None:
        raise Reject(GeneralStatus.TRANSACTION_STATE_LOST, "the group was revoked meanwhile")
    keys = tcb_keys(device.rpk, parts.pve, parts.pce, session.equivalent)
    check_report(content, session, keys.pce, parts.pve)
    key = _wrap_key(parts, content, keys.pve)
    bound = join_data(session.gid, session.equivalent, session.challenge)
    proof = open_box(key, content.join, content.join_mac, bound)
    if proof is None:
        raise Decline(ProtocolStatus.STATUS_INTEGRITY_FAILED, "the join proof does not open under PWK2")
    _check_previous(parts, session, message, key)
    join_point, escrow = _kept_f(parts, session, proof) if session.rekey else _joined_f(parts, session, proof)
    held = parts.members.issue(device.ppid, Level(session.gid, session.equivalent), join_point, escrow)
    return credential_answer(parts, request, session.sk, device, held)


def _wrap_key(parts: Parts, content: ProvMsg3Content, provision_key: bytes) -> bytes:
    """PWK2 as derived here, which must be the one that the platform sent."""
    key = wrap_key(provision_key, content.n2)
    sent = decrypt(parts, content.pwk2)
    try:
        same = sent is not None and hmac.compare_digest(Pwk2Text.from_bytes(sent).key, key)
    except FormatError:
        same = False
    if not same:
        raise Decline(ProtocolStatus.STATUS_INTEGRITY_FAILED, "PWK2 is not the one of this device and TCB")
    return key


def _check_previous(parts: Parts, session: Session, message: ProvMsg3, key: bytes) -> None:
    if (message.signature is not None) != session.proves:
        raise Decline(ProtocolStatus.INVALID_REQUEST, "an EPID signature that was not asked for, or none that was")
    if message.signature is None:
        return
    text = open_box(key, message.signature, message.signature_mac, b"")
    if text is None:
        raise Decline(ProtocolStatus.STATUS_INTEGRITY_FAILED, "the EPID signature does not open under PWK2")
    try:
        signature = EpidSigText.from_bytes(text).signature
    except FormatError as error:
        raise Decline(ProtocolStatus.INVALID_REQUEST, str(error)) from error
    check_previous_key(parts.registry, session, signature)


def _joined_f(parts: Parts, session: Session, text: bytes) -> tuple[bytes, Escrow]:
    """F of a join request that proves knowledge of f, and the escrow beside it."""
    group = parts.registry.group_key(session.gid)
    try:
        proof = JoinProofText.from_bytes(text).proof
        request = JoinRequest.from_bytes(proof.join_request)
    except (FormatError, EpidError) as error:
        raise Decline(ProtocolStatus.INVALID_REQUEST, str(error)) from error
    if group is None or not request.proves(group, session.challenge):
        raise Decline(ProtocolStatus.PROVISIONING_ERROR, "the join request does not prove knowledge of f")
    return request.F, proof.escrow


def _kept_f(parts: Parts, session: Session, text: bytes) -> tuple[bytes, Escrow]:
    """F and escrow of the key that is exchanged for another with the same f."""
    if text:
        raise Decline(ProtocolStatus.INVALID_REQUEST, "a join proof in a performance rekey")
    for held in parts.members.held_by(session.ppid):
        if held.gid == session.previous_gid:
            return held.join_point, held.credential.escrow
    raise Decline(ProtocolStatus.PROVISIONING_ERROR, "the key to exchange is gone")
