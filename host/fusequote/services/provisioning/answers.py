"""The server's answers as messages, and what all of its handlers work with."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from fusequote.arch import GroupCert
from fusequote.arch.provmsg import (
    NONCE2_SIZE,
    NONCE_SIZE,
    GeneralStatus,
    IssuedText,
    MessageType,
    Protocol,
    ProtocolStatus,
    ProvMsg2,
    ProvMsg2Content,
    ProvMsg4,
    ProvMsg4Content,
    RequestHeader,
    ResponseHeader,
)
from fusequote.platform.epidfiles import sign_group, sign_sigrl
from fusequote.platform.protocol import credential_data, message_key, seal_box, seal_message, wrap_key
from fusequote.services.derivation import ProvisioningIdentity, tcb_keys
from fusequote.services.provisioning.decline import Decline
from fusequote.services.provisioning.keys import ProvisioningKeys
from fusequote.services.provisioning.members import Held, Members
from fusequote.services.provisioning.sessions import Sessions
from fusequote.services.registry import DeviceKeys, Registry

__all__ = ["Parts", "credential_answer", "declined", "rejected", "response_header"]


@dataclass(frozen=True)
class Parts:
    """``pve``, ``pce``: the identities of the enclaves that the server works with; ``isk`` signs groups and lists."""

    registry: Registry
    members: Members
    sessions: Sessions
    keys: ProvisioningKeys
    isk: ec.EllipticCurvePrivateKey
    pve: ProvisioningIdentity
    pce: ProvisioningIdentity

    def group_certificate(self, gid: bytes) -> GroupCert:
        """The signed public key of a group that exists."""
        group = self.registry.group_key(gid)
        if group is None:
            raise Decline(ProtocolStatus.PROVISIONING_ERROR, f"EPID group {gid.hex()} is gone")
        return sign_group(group, self.isk)

    def signed_sigrl(self, gid: bytes) -> tuple[bytes | None, bytes]:
        """The SigRL of a group as it is sent, None when it has no entries, and its version as four bytes."""
        sigrl = self.registry.sigrl(gid)
        return sign_sigrl(sigrl, self.isk) or None, sigrl.version.to_bytes(4, "big")


def response_header(request: RequestHeader) -> ResponseHeader:
    """The header of an answer that says that all is well."""
    endpoint = request.protocol == Protocol.ENDPOINT_SELECTION
    answer = MessageType.PROV_MSG2 if endpoint or request.type == MessageType.PROV_MSG1 else MessageType.PROV_MSG4
    return ResponseHeader(protocol=int(request.protocol), xid=request.xid, type=answer)


def rejected(request: RequestHeader, status: GeneralStatus) -> bytes:
    """An answer without a body: the message as such is no good, or no key of the transaction is known."""
    return response_header(request).replace(gstatus=status).to_bytes()


def declined(request: RequestHeader, sk: bytes, status: ProtocolStatus) -> bytes:
    """A refusal under the transaction's key: empty content in the form of the message that was expected."""
    header = response_header(request).replace(gstatus=GeneralStatus.PROTOCOL_ERROR, pstatus=status)
    nonce = secrets.token_bytes(NONCE_SIZE)
    key = message_key(sk, request.xid, nonce)
    if header.type == MessageType.PROV_MSG2:
        return seal_message(header, ProvMsg2, key, b"", nonce=nonce)
    return seal_message(header, ProvMsg4, key, b"", tail=nonce, nonce=nonce)


def challenge_answer(
    request: RequestHeader, sk: bytes, nonce: bytes, content: ProvMsg2Content, sigrl: bytes | None
) -> bytes:
    """ProvMsg2."""
    bound = b"" if sigrl is None else sigrl[8:12] + sigrl[4:8]
    key = message_key(sk, request.xid, nonce)
    return seal_message(
        response_header(request), ProvMsg2, key, content.to_bytes(), tail=bound, nonce=nonce, sigrl=sigrl
    )


def credential_answer(parts: Parts, request: RequestHeader, sk: bytes, device: DeviceKeys, held: Held) -> bytes:
    """ProvMsg4, to a ProvMsg3 or (backup retrieval) to a ProvMsg1."""
    n2, nonce = secrets.token_bytes(NONCE2_SIZE), secrets.token_bytes(NONCE_SIZE)
    keys = tcb_keys(device.rpk, parts.pve, parts.pce, held.equivalent)
    text = IssuedText(credential=held.credential).to_bytes()
    box, mac = seal_box(wrap_key(keys.pve, n2), text, credential_data(held.gid, held.equivalent))
    content = ProvMsg4Content(
        n2=n2, credential=box, credential_mac=mac, group=parts.group_certificate(held.gid), equivalent=held.equivalent
    )
    header = response_header(request).replace(type=MessageType.PROV_MSG4)
    key = message_key(sk, request.xid, nonce)
    return seal_message(header, ProvMsg4, key, content.to_bytes(), tail=nonce, nonce=nonce)
