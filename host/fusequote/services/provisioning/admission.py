"""ProvMsg1: who asks, at which TCB; a key given back, a challenge, or no.

A platform gets back the key that its TCB was given before. Otherwise it joins the newest group that its TCB covers, and
if it has a key in another group that is not revoked, it must prove that that key is not revoked either.
"""

from __future__ import annotations

import secrets

from fusequote.arch.provision import CipherText, KeyId, PlatformInfo, RekeyFlag
from fusequote.arch.provmsg import (
    CHALLENGE_SIZE,
    KEY_SIZE,
    NONCE_SIZE,
    GeneralStatus,
    ProtocolStatus,
    ProvMsg1,
    ProvMsg1Content,
    ProvMsg1Key,
    ProvMsg2Content,
    RequestHeader,
)
from fusequote.errors import FormatError
from fusequote.platform.protocol import OAEP, covers, message_key, open_content
from fusequote.services.provisioning.answers import Parts, challenge_answer, credential_answer, declined
from fusequote.services.provisioning.decline import Decline, Reject
from fusequote.services.provisioning.members import Held, Level
from fusequote.services.provisioning.sessions import Session
from fusequote.services.registry import DeviceKeys

__all__ = ["answer_prov_msg1", "decrypt"]


def answer_prov_msg1(parts: Parts, request: RequestHeader, body: bytes) -> tuple[bytes, Decline | None]:
    """ProvMsg2 or ProvMsg4, and the refusal when it is one. Raises :class:`Reject`."""
    try:
        message = ProvMsg1.from_bytes(body)
    except FormatError as error:
        raise Reject(GeneralStatus.INCORRECT_SYNTAX, str(error)) from error
    sk, psid = _transaction_key(parts, message)
    text = open_content(request, message, message_key(sk, request.xid))
    if text is None:
        raise Reject(GeneralStatus.INTEGRITY_CHECK_FAIL, "the content does not open under EK1")
    try:
        if psid != parts.keys.signed_pek.psid:
            raise Decline(ProtocolStatus.INVALID_REQUEST, "it is meant for another provisioning server")
        return _decide(parts, request, sk, text), None
    except Decline as refusal:
        return declined(request, sk, refusal.pstatus), refusal


def decrypt(parts: Parts, box: CipherText) -> bytes | None:
    """What a platform encrypted to the PEK; None when it did not."""
    if box.key_id != KeyId.PEK_3072_PUB:
        return None
    try:
        return parts.keys.pek.decrypt(box.ciphertext, OAEP)
    except ValueError:
        return None


def _transaction_key(parts: Parts, message: ProvMsg1) -> tuple[bytes, bytes]:
    # One answer for every way in which this can fail: which one it was would help to decrypt foreign messages. A key
    # that nobody has takes the place of one that is not there, so that the same work is done for both.
    text = decrypt(parts, message.key)
    try:
        content = ProvMsg1Key.from_bytes(b"" if text is None else text)
    except FormatError:
        return secrets.token_bytes(KEY_SIZE), b""
    return content.sk, content.psid


def _decide(parts: Parts, request: RequestHeader, sk: bytes, text: bytes) -> bytes:
    try:
        content = ProvMsg1Content.from_bytes(text)
        if content.flags is not None:
            content.flags.check_reserved()
    except FormatError as error:
        raise Decline(ProtocolStatus.INVALID_REQUEST, str(error)) from error
    device = _device(parts, content.ppid)
    claimed = content.platform_info
    if claimed.pce_id:
        raise Decline(ProtocolStatus.INVALID_REQUEST, f"there is no PCE {claimed.pce_id}")
    rekey = content.flags is not None and bool(content.flags.flags & RekeyFlag.PERFORMANCE_REKEY)
    keys = parts.members.held_by(device.ppid)
    target = _rekeyed(parts, keys, claimed) if rekey else _wanted(parts, keys, claimed)
    if isinstance(target, Held):
        if parts.members.is_on_privrl(target):
            raise Decline(ProtocolStatus.ATTESTATION_KEY_REVOKED, "the key to give back is on the PrivRL")
        return credential_answer(parts, request, sk, device, target)
    previous = next((held for held in keys if not held.revoked), None)
    return _challenge(parts, request, sk, device, claimed, target, previous, rekey)


def _device(parts: Parts, box: CipherText) -> DeviceKeys:
    ppid = decrypt(parts, box)
    if ppid is None:
        raise Decline(ProtocolStatus.INVALID_REQUEST, "the PPID is not encrypted to the PEK")
    device = parts.members.device(ppid)
    if device is None:
        raise Decline(ProtocolStatus.ATTESTATION_KEY_NOT_FOUND, "no device has this PPID")
    if device.revoked:
        raise Decline(ProtocolStatus.PLATFORM_REVOKED, "the device is revoked")
    return device


def _wanted(parts: Parts, keys: list[Held], claimed: PlatformInfo) -> Held | Level:
    """The key that is given back, or the group to join."""
    good = [held for held in keys if not held.revoked]
    # This very TCB was provisioned before: its key is what is wanted, be the group open or not. So an old TCB's key can
    # be fetched, for the proof that it is not revoked.
    for held in good:
        if held.equivalent == claimed:
            return held
    level = parts.members.level_for(claimed)
    if level is None:
        raise Decline(ProtocolStatus.TCB_OUT_OF_DATE, f"no group is open to CPUSVN {claimed.cpusvn.hex()}")
    for held in good:
        if held.equivalent == level.equivalent:
            return held
    return level


def _rekeyed(parts: Parts, keys: list[Held], claimed: PlatformInfo) -> Held | Level:
    """As :func:`_wanted`, into the group that was made for a performance rekey of the newest key's group."""
    newest = next((held for held in keys if not held.revoked), None)
    level = None if newest is None else parts.members.successor(newest.gid)
    if level is None:
        raise Decline(ProtocolStatus.PERFORMANCE_REKEY_NOT_SUPPORTED, "no group for a rekey")
    if not covers(claimed, level.equivalent):
        raise Decline(ProtocolStatus.TCB_OUT_OF_DATE, "the TCB that is claimed is below the group's")
    return level


def _challenge(
    parts: Parts, request: RequestHeader, sk: bytes, device: DeviceKeys, claimed: PlatformInfo, level: Level,
    previous: Held | None, rekey: bool,
) -> bytes:  # fmt: skip
    challenge, nonce = secrets.token_bytes(CHALLENGE_SIZE), secrets.token_bytes(NONCE_SIZE)
    sigrl, version = (None, bytes(4)) if previous is None else parts.signed_sigrl(previous.gid)
    content = ProvMsg2Content(
        group=parts.group_certificate(level.gid),
        psid=parts.keys.signed_pek.psid,
        challenge=challenge,
        previous=None if previous is None else previous.equivalent,
        previous_gid=None if previous is None else previous.gid,
        equivalent=level.equivalent,
    )
    session = Session(
        sk=sk,
        ppid=device.ppid,
        gid=level.gid,
        challenge=challenge,
        claimed=claimed,
        equivalent=level.equivalent,
        previous_gid=bytes(4) if previous is None else previous.gid,
        sigrl_version=version,
        rekey=rekey,
    )
    parts.sessions.begin(request.xid + nonce, session)
    return challenge_answer(request, sk, nonce, content, sigrl)
