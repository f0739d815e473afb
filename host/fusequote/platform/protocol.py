"""What platform and provisioning server say to each other, in reduced messages of fixed length.

The cryptographic design is that of EPID provisioning (remote attestation spec section 4): the server's fresh
challenge, a wrap key derived from the PROVISION key of the claimed TCB, AES-GCM with group, device id and
challenge as associated data around the join proof, and the credential under a second wrap key of the same
origin. Left out against Intel's ProvMsg1 to ProvMsg4 are the outer layer that hides the PPID from whoever
reads the network, and the PCE. Integers are big-endian, as in the messages that these stand for.

==============  =====  ==================================================================================
hello           34     PPID 16, PSVN 18 (the TCB that the platform claims)
challenge       386    session 8, group certificate 328, challenge 32, equivalent PSVN 18
proof           244    session 8, N2 16, IV 12, AES-GCM(PWK2(N2), join proof 128, escrow 64), tag 16
credential      204    N2' 16, IV 12, AES-GCM(PWK2(N2'), x 32, A 64, escrow 64), tag 16
==============  =====  ==================================================================================
"""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from fusequote.arch import Psvn
from fusequote.arch.layout import Bytes, Struct, Sub

__all__ = [
    "Challenge",
    "Credential",
    "ESCROW_SIZE",
    "Hello",
    "JOIN_SIZE",
    "Proof",
    "associated_data",
    "cmac",
    "covers",
    "open_box",
    "seal_box",
    "wrap_key",
]

#: Join request 128, then escrow 64.
JOIN_SIZE = 192
#: Version 4, IV 12, f encrypted 32, tag 16.
ESCROW_SIZE = 64
IV_SIZE, TAG_SIZE = 12, 16


class Hello(Struct, size=34, title="provisioning hello"):
    """Platform to server: who I am, and the TCB that I claim."""

    ppid = Bytes(0, 16)
    psvn = Sub(16, Psvn, "the TCB that the platform claims")


class Challenge(Struct, size=386, title="provisioning challenge"):
    """Server to platform: prove it for this TCB (which may be older than the one claimed), join this group."""

    session = Bytes(0, 8, "good for one proof")
    group_certificate = Bytes(8, 328)
    challenge = Bytes(336, 32, "the issuer's nonce")
    psvn = Sub(368, Psvn, "the equivalent TCB, to which all keys of this session belong")


class Proof(Struct, size=244, title="provisioning proof"):
    """Platform to server: join request and escrow, readable by who can derive the wrap key."""

    session = Bytes(0, 8)
    n2 = Bytes(8, 16)
    iv = Bytes(24, IV_SIZE)
    ciphertext = Bytes(36, JOIN_SIZE)
    tag = Bytes(228, TAG_SIZE)


class Credential(Struct, size=204, title="provisioning credential"):
    """Server to platform: membership credential (x before A) and the escrow back."""

    n2 = Bytes(0, 16)
    iv = Bytes(16, IV_SIZE)
    ciphertext = Bytes(28, 96 + ESCROW_SIZE)
    tag = Bytes(188, TAG_SIZE)


def covers(platform: Psvn, level: Psvn) -> bool:
    """Whether a platform at PSVN ``platform`` can derive the keys of ``level``: no component of that is
    above.
    """
    components = zip(level.cpusvn, platform.cpusvn, strict=True)
    return level.isvsvn <= platform.isvsvn and all(a <= b for a, b in components)


def cmac(key: bytes, data: bytes) -> bytes:
    """AES-128-CMAC (RFC 4493), 16 bytes."""
    mac = CMAC(AES(key))
    mac.update(data)
    return mac.finalize()


def wrap_key(provision_key: bytes, n2: bytes) -> bytes:
    """PWK2, 16 bytes: CMAC(PROVISION key, 01, "PROV_WRAP_2", 00 00, N2 (16), 00 80)."""
    return cmac(provision_key, b"\x01PROV_WRAP_2\x00\x00" + n2 + b"\x00\x80")


def associated_data(gid: bytes, psvn: Psvn, challenge: bytes) -> bytes:
    """gid 4, device id 38 (PPID as 16 zero bytes, PSVN, FMSP 4), challenge 32: 74 bytes."""
    return gid + bytes(16) + psvn.to_bytes() + bytes(4) + challenge


def seal_box(key: bytes, plaintext: bytes, data: bytes) -> tuple[bytes, bytes, bytes]:
    """AES-128-GCM under a fresh IV: (IV 12, ciphertext, tag 16)."""
    iv = secrets.token_bytes(IV_SIZE)
    sealed = AESGCM(key).encrypt(iv, plaintext, data)
    return iv, sealed[:-TAG_SIZE], sealed[-TAG_SIZE:]


def open_box(key: bytes, iv: bytes, ciphertext: bytes, tag: bytes, data: bytes) -> bytes | None:
    """The plaintext, or None when key, IV, data or ciphertext are not those that it was sealed with."""
    try:
        return AESGCM(key).decrypt(iv, ciphertext + tag, data)
    except InvalidTag:
        return None
