"""The cryptography of EPID provisioning, on both sides the same (remote attestation notes 4.3 to 4.8).

======  ========================================================================================================
SK      16 random bytes of the platform, to the server under the PEK
EK1     CMAC(SK, XID): ProvMsg1
EK2     CMAC(SK, XID ‖ nonce): ProvMsg2 to ProvMsg4; what hides the PPID and who joins what from the network
PWK2    CMAC(PROVISION key of a TCB, N2): join proof, credential, EPID signature; only this chip and the server have it
PCK     P-256 key out of the PCE's PROVISION key of a TCB: signs the REPORT that vouches for the join proof
======  ========================================================================================================
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from fusequote.arch import AttributeFlags, Attributes, KeyName, KeyRequest, Psvn
from fusequote.arch.provision import IV_SIZE, TAG_SIZE, BlockCipherText, DeviceId, PlatformInfo
from fusequote.arch.provmsg import RequestHeader, ResponseHeader
from fusequote.arch.tlv import TlvMessage

__all__ = [
    "CRYPTO_SUITE_RSA_OAEP_3072",
    "OAEP",
    "PROVISION_ATTRIBUTES",
    "PROVISION_MISC_MASK",
    "certification_key",
    "cmac",
    "covers",
    "credential_data",
    "join_data",
    "key_report_data",
    "message_key",
    "open_box",
    "open_content",
    "pek_of",
    "ppid_of",
    "provision_request",
    "report_binding",
    "seal_box",
    "seal_message",
    "wrap_key",
]

#: The PCE's name for RSA-3072-OAEP with SHA-256, the one way that it encrypts a PPID.
CRYPTO_SUITE_RSA_OAEP_3072 = 1
OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label=None)
#: Masks of provisioning keys: all flags but MODE64BIT, no XFRM bit (instruction notes 6).
PROVISION_ATTRIBUTES = Attributes(flags=~AttributeFlags.MODE64BIT.value & (1 << 64) - 1)
PROVISION_MISC_MASK = 0xFFFFFFFF
#: Order of P-256 (FIPS 186-4, D.1.2.3).
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

H = TypeVar("H", RequestHeader, ResponseHeader)


def cmac(key: bytes, data: bytes) -> bytes:
    """AES-128-CMAC (RFC 4493), 16 bytes."""
    mac = CMAC(AES(key))
    mac.update(data)
    return mac.finalize()


def provision_request(psvn: Psvn) -> KeyRequest:
    """What Provisioning Enclave and PCE ask EGETKEY for: the PROVISION key of a TCB."""
    return KeyRequest(
        keyname=KeyName.PROVISION,
        isvsvn=psvn.isvsvn,
        cpusvn=psvn.cpusvn,
        attributemask=PROVISION_ATTRIBUTES,
        miscmask=PROVISION_MISC_MASK,
    )


def message_key(sk: bytes, xid: bytes, nonce: bytes = b"") -> bytes:
    """EK1, or EK2 with the 8-byte ``nonce``; 16 bytes."""
    return cmac(sk, xid + nonce)


def wrap_key(provision_key: bytes, n2: bytes) -> bytes:
    """PWK2, 16 bytes: CMAC(PROVISION key, 01, "PROV_WRAP_2", 00 00, N2 (16), 00 80)."""
    return cmac(provision_key, b"\x01PROV_WRAP_2\x00\x00" + n2 + b"\x00\x80")


def ppid_of(provision_key: bytes) -> bytes:
    """PPID, 16 bytes, from the PROVISION key of PSVN zero: CMAC of 16 zero bytes."""
    return cmac(provision_key, bytes(16))


def certification_key(provision_key: bytes) -> ec.EllipticCurvePrivateKey:
    """PCK from the PCE's PROVISION key: the first 40 bytes of three CMACs, modulo n - 1, plus 1."""
    blocks = (cmac(provision_key, bytes((i,)) + b"PAK_KEY_DER\x00\x00\x01\x40") for i in (1, 2, 3))
    seed = int.from_bytes(b"".join(blocks)[:40], "big")
    return ec.derive_private_key(seed % (_P256_ORDER - 1) + 1, ec.SECP256R1())


def covers(platform: PlatformInfo, level: PlatformInfo) -> bool:
    """Whether a platform of TCB ``platform`` can derive the keys of ``level``: no component of that is above."""
    svns = (level.pve_svn <= platform.pve_svn, level.pce_svn <= platform.pce_svn)
    return all(svns) and all(a <= b for a, b in zip(level.cpusvn, platform.cpusvn, strict=True))


def pek_of(data: bytes) -> rsa.RSAPublicKey:
    """The provisioning server's key from n 384 ‖ e 4, big-endian. Raises ``ValueError`` for no RSA-3072 key."""
    n, e = int.from_bytes(data[:384], "big"), int.from_bytes(data[384:], "big")
    if len(data) != 388 or n.bit_length() != 3072:
        raise ValueError("an RSA-3072 key is n and e in 388 bytes")
    return rsa.RSAPublicNumbers(e, n).public_key()


# What is bound to what


def join_data(gid: bytes, equivalent: PlatformInfo, challenge: bytes) -> bytes:
    """Associated data of the join proof, 74 bytes: gid 4, device id 38, challenge 32."""
    return credential_data(gid, equivalent) + challenge


def credential_data(gid: bytes, equivalent: PlatformInfo) -> bytes:
    """Associated data of the credential, 42 bytes: gid 4, device id 38."""
    return gid + DeviceId(psvn=equivalent.psvn, fmsp=equivalent.fmsp).to_bytes()


def key_report_data(pek: bytes) -> bytes:
    """REPORTDATA with which the Provisioning Enclave vouches for a PEK (n, e: 388 bytes) to the PCE."""
    return hashlib.sha256(bytes((CRYPTO_SUITE_RSA_OAEP_3072,)) + pek).digest() + bytes(32)


def report_binding(tag: bytes, ciphertext: bytes, n2: bytes, pwk2: bytes) -> bytes:
    """REPORTDATA of ProvMsg3's REPORT: over the join proof's tag and ciphertext, N2, and the encrypted PWK2."""
    return hashlib.sha256(tag + ciphertext + n2 + pwk2).digest() + bytes(32)


# Boxes


def seal_box(key: bytes, plaintext: bytes, data: bytes) -> tuple[BlockCipherText, bytes]:
    """AES-128-GCM under a fresh IV: (IV and ciphertext, tag 16)."""
    iv = secrets.token_bytes(IV_SIZE)
    sealed = AESGCM(key).encrypt(iv, plaintext, data)
    return BlockCipherText(iv=iv, ciphertext=sealed[:-TAG_SIZE]), sealed[-TAG_SIZE:]


def open_box(key: bytes, box: BlockCipherText, tag: bytes, data: bytes) -> bytes | None:
    """The plaintext, or None when key, IV, data or ciphertext are not those that it was sealed with."""
    try:
        return AESGCM(key).decrypt(box.iv, box.ciphertext + tag, data)
    except InvalidTag:
        return None


def seal_message(
    header: H, kind: type[TlvMessage], ek: bytes, content: bytes, /, *, tail: bytes = b"", **others: object
) -> bytes:
    """A whole message: ``content`` under ``ek``, bound to the header (with its size) and ``tail``; ``others`` beside.

    ``kind`` is one of the messages with ``content`` and ``mac``.
    """
    shape = kind(content=bytes(IV_SIZE + len(content)), mac=bytes(TAG_SIZE), **others)
    head = header.replace(size=len(shape)).to_bytes()
    box, tag = seal_box(ek, content, head + tail)
    return head + shape.replace(content=box, mac=tag).to_bytes()


def open_content(header: H, message: TlvMessage, key: bytes, *, tail: bytes = b"") -> bytes | None:
    """What :func:`seal_message` was given; None when anything was altered."""
    return open_box(key, message.content, message.mac, header.to_bytes() + tail)
