"""Provisioning messages: headers, bodies, statuses, and how they travel over HTTP (remote attestation notes 4).

A message is a header and a body of containers. Over HTTP it is text: the header as hexadecimal, the body as base64.
``content`` of a message is AES-GCM over the class of the same name with ``Content``.
"""

from __future__ import annotations

import base64
import binascii
from enum import IntEnum
from typing import TypeVar

from fusequote.arch.epid import GroupCert
from fusequote.arch.layout import U8, U16, U32, Bytes, Struct
from fusequote.arch.provision import (
    BlockCipherText,
    CertifiedReport,
    CipherText,
    EsInformation,
    EsSelector,
    IssuedCredential,
    JoinProof,
    PlatformInfo,
    ProvisioningFlags,
    RsaSignature,
    SignedPek,
)
from fusequote.arch.tlv import Item, TlvMessage, TlvType
from fusequote.errors import FormatError

__all__ = [
    "CHALLENGE_SIZE",
    "EpidSigText",
    "EsMsg1",
    "EsMsg2",
    "GeneralStatus",
    "IssuedText",
    "JoinProofText",
    "MessageType",
    "NONCE_SIZE",
    "PROTOCOL_VERSION",
    "ProtocolStatus",
    "ProvMsg1",
    "ProvMsg1Content",
    "ProvMsg1Key",
    "ProvMsg2",
    "ProvMsg2Content",
    "ProvMsg3",
    "ProvMsg3Content",
    "ProvMsg4",
    "ProvMsg4Content",
    "Protocol",
    "Pwk2Text",
    "RequestHeader",
    "ResponseHeader",
    "from_text",
    "split_message",
    "to_text",
]

PROTOCOL_VERSION = 2
XID_SIZE, NONCE_SIZE, NONCE2_SIZE, CHALLENGE_SIZE, KEY_SIZE, MAC_SIZE = 8, 8, 16, 32, 16, 16


class Protocol(IntEnum):
    """First byte of every message."""

    EPID_PROVISIONING = 0
    ENDPOINT_SELECTION = 2


class MessageType(IntEnum):
    """ProvMsg1 to ProvMsg4; endpoint selection's two messages are 0 and 1."""

    PROV_MSG1 = 0
    PROV_MSG2 = 1
    PROV_MSG3 = 2
    PROV_MSG4 = 3


class GeneralStatus(IntEnum):
    """gstatus: how the server got on with the message as such."""

    OK = 0
    SERVER_BUSY = 1
    INTEGRITY_CHECK_FAIL = 2
    INCORRECT_SYNTAX = 3
    INCOMPATIBLE_VERSION = 4
    TRANSACTION_STATE_LOST = 5
    PROTOCOL_ERROR = 6
    INTERNAL_ERROR = 7


class ProtocolStatus(IntEnum):
    """pstatus: what the server decided. It counts after the MAC of the answer was found good."""

    OK = 0
    PLATFORM_REVOKED = 1
    STATUS_INTEGRITY_FAILED = 2
    PERFORMANCE_REKEY_NOT_SUPPORTED = 3
    PROVISIONING_ERROR = 4
    INVALID_REQUEST = 5
    ATTESTATION_KEY_NOT_FOUND = 6
    INVALID_REPORT = 7
    ATTESTATION_KEY_REVOKED = 8
    TCB_OUT_OF_DATE = 9


class RequestHeader(Struct, size=15, title="provisioning request header"):
    """Platform to server."""

    protocol = U8(0, enum=Protocol)
    version = U8(1, "2", default=PROTOCOL_VERSION)
    xid = Bytes(2, XID_SIZE, "transaction")
    type = U8(10, enum=MessageType)
    size = U32(11, "bytes of the body", big=True)


class ResponseHeader(Struct, size=19, title="provisioning response header"):
    """Server to platform."""

    protocol = U8(0, enum=Protocol)
    version = U8(1, "2", default=PROTOCOL_VERSION)
    xid = Bytes(2, XID_SIZE, "transaction")
    type = U8(10, enum=MessageType)
    gstatus = U16(11, enum=GeneralStatus, big=True)
    pstatus = U16(13, enum=ProtocolStatus, big=True)
    size = U32(15, "bytes of the body", big=True)


class EsMsg1(TlvMessage, title="endpoint selection message 1"):
    """Which server am I to ask?"""

    selector = Item(TlvType.ES_SELECTOR, EsSelector)


class EsMsg2(TlvMessage, title="endpoint selection message 2"):
    """That one, and its key."""

    information = Item(TlvType.ES_INFORMATION, EsInformation)
    signature = Item(TlvType.SIGNATURE, RsaSignature, "by the PEK over XID, TTL, URL")
    pek = Item(TlvType.PEK, SignedPek, version=2)


class ProvMsg1(TlvMessage, title="ProvMsg1"):
    """Who I am. 859 bytes with its header, 879 with FLAGS."""

    key = Item(TlvType.CIPHER_TEXT, CipherText, "ProvMsg1Key to the PEK")
    content = Item(TlvType.BLOCK_CIPHER_TEXT, BlockCipherText, "under EK1, bound to the header")
    mac = Item(TlvType.MAC, MAC_SIZE)


class ProvMsg1Key(TlvMessage, title="ProvMsg1 key"):
    """The transaction's key SK, and for which server it is meant."""

    sk = Item(TlvType.BLOCK_CIPHER_INFO, KEY_SIZE, secret=True)
    psid = Item(TlvType.PS_ID, 32)


class ProvMsg1Content(TlvMessage, title="ProvMsg1 content"):
    """The platform's name and TCB."""

    ppid = Item(TlvType.CIPHER_TEXT, CipherText, "PPID to the PEK, made by the PCE")
    platform_info = Item(TlvType.PLATFORM_INFO, PlatformInfo, "current TCB, or the one whose key is wanted back")
    flags = Item(TlvType.FLAGS, ProvisioningFlags, optional=True)


class ProvMsg2(TlvMessage, title="ProvMsg2"):
    """Prove it."""

    nonce = Item(TlvType.NONCE, NONCE_SIZE)
    content = Item(TlvType.BLOCK_CIPHER_TEXT, BlockCipherText, "under EK2, bound to header and SigRL's version and gid")
    mac = Item(TlvType.MAC, MAC_SIZE)
    sigrl = Item(TlvType.EPID_SIG_RL, None, "of the previous group", optional=True)


class ProvMsg2Content(TlvMessage, title="ProvMsg2 content"):
    """The group, the challenge, the TCB that the keys of this transaction belong to."""

    group = Item(TlvType.EPID_GROUP_CERT, GroupCert)
    psid = Item(TlvType.PS_ID, 32)
    challenge = Item(TlvType.NONCE, CHALLENGE_SIZE)
    previous = Item(TlvType.PLATFORM_INFO, PlatformInfo, "TCB of the key to prove with", optional=True)
    previous_gid = Item(TlvType.EPID_GID, 4, "its group", optional=True)
    equivalent = Item(TlvType.PLATFORM_INFO, PlatformInfo, "equivalent TCB")


class ProvMsg3(TlvMessage, title="ProvMsg3"):
    """Here is the proof. 1158 bytes with its header, without the EPID signature."""

    nonce = Item(TlvType.NONCE, NONCE_SIZE)
    content = Item(TlvType.BLOCK_CIPHER_TEXT, BlockCipherText, "under EK2, bound to the header")
    mac = Item(TlvType.MAC, MAC_SIZE)
    signature = Item(TlvType.BLOCK_CIPHER_TEXT, BlockCipherText, "under PWK2: EPID_SIG", optional=True)
    signature_mac = Item(TlvType.MAC, MAC_SIZE, optional=True)


class ProvMsg3Content(TlvMessage, title="ProvMsg3 content"):
    """Join proof, its key, and the REPORT that vouches for both."""

    join = Item(TlvType.BLOCK_CIPHER_TEXT, BlockCipherText, "under PWK2: EPID_JOIN_PROOF; empty on a rekey")
    join_mac = Item(TlvType.MAC, MAC_SIZE)
    n2 = Item(TlvType.NONCE, NONCE2_SIZE)
    pwk2 = Item(TlvType.CIPHER_TEXT, CipherText, "PWK2 to the PEK")
    report = Item(TlvType.SE_REPORT, CertifiedReport)


class ProvMsg4(TlvMessage, title="ProvMsg4"):
    """The answer: a credential, or no content with the refusal in the header."""

    nonce = Item(TlvType.NONCE, NONCE_SIZE)
    content = Item(TlvType.BLOCK_CIPHER_TEXT, BlockCipherText, "under EK2, bound to header and nonce")
    mac = Item(TlvType.MAC, MAC_SIZE)


class ProvMsg4Content(TlvMessage, title="ProvMsg4 content"):
    """The credential and the group it is for."""

    n2 = Item(TlvType.NONCE, NONCE2_SIZE)
    credential = Item(TlvType.BLOCK_CIPHER_TEXT, BlockCipherText, "under PWK2: EPID_MEMBERSHIP_CREDENTIAL")
    credential_mac = Item(TlvType.MAC, MAC_SIZE)
    group = Item(TlvType.EPID_GROUP_CERT, GroupCert)
    equivalent = Item(TlvType.PLATFORM_INFO, PlatformInfo)


class JoinProofText(TlvMessage, title="join proof"):
    """Clear text of ``ProvMsg3Content.join``, 196 bytes."""

    proof = Item(TlvType.EPID_JOIN_PROOF, JoinProof)


class EpidSigText(TlvMessage, title="EPID signature"):
    """Clear text of ``ProvMsg3.signature``."""

    signature = Item(TlvType.EPID_SIG, None, "360 + 160 n bytes over the challenge, without a basename")


class Pwk2Text(TlvMessage, title="PWK2"):
    """Clear text of ``ProvMsg3Content.pwk2``, 20 bytes."""

    key = Item(TlvType.PWK2, KEY_SIZE, secret=True)


class IssuedText(TlvMessage, title="membership credential"):
    """Clear text of ``ProvMsg4Content.credential``, 164 bytes."""

    credential = Item(TlvType.EPID_MEMBERSHIP_CREDENTIAL, IssuedCredential)


H = TypeVar("H", RequestHeader, ResponseHeader)


def split_message(data: bytes, kind: type[H]) -> tuple[H, bytes]:
    """Header and body of a whole message, whose length the header must announce. Raises :class:`FormatError`."""
    header = kind.unpack_from(data)
    if header.size != len(data) - kind.SIZE:
        raise FormatError(
            f"{kind.TITLE}: {header.size} bytes announced, {len(data) - kind.SIZE} are there", offset=kind.size.offset
        )
    return header, data[kind.SIZE :]


def to_text(message: bytes, kind: type[RequestHeader] | type[ResponseHeader]) -> bytes:
    """A whole message as HTTP carries it: upper-case hexadecimal of the header, base64 of the body, no line ends."""
    return message[: kind.SIZE].hex().upper().encode() + base64.b64encode(message[kind.SIZE :])


def from_text(text: bytes, kind: type[RequestHeader] | type[ResponseHeader]) -> bytes:
    """The whole message in an HTTP body. Raises :class:`FormatError` for anything else."""
    head = text[: 2 * kind.SIZE]
    if len(head) < 2 * kind.SIZE:
        raise FormatError(f"{kind.TITLE}: {2 * kind.SIZE} hexadecimal digits wanted, not {len(head)}", offset=len(head))
    try:
        header = binascii.unhexlify(head)
        return header + base64.b64decode(text[2 * kind.SIZE :], validate=True)
    except binascii.Error as error:
        raise FormatError(f"{kind.TITLE}: not hexadecimal and then base64: {error}") from None
