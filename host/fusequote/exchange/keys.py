"""Keys of an exchange: P-256 as SGX writes it, and the derivation of SMK, SK, MK and VK (remote attestation notes 2).

A coordinate, r and s are each 32 bytes little-endian; a point is x then y, a signature r then s.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from fusequote.exchange.errors import ExchangeError, Fault

__all__ = [
    "POINT_SIZE",
    "SessionKeys",
    "cmac",
    "new_ephemeral",
    "read_point",
    "sign",
    "verify",
    "write_point",
]

POINT_SIZE = 64
_HALF = 32


def cmac(key: bytes, data: bytes) -> bytes:
    """AES-128-CMAC (RFC 4493), 16 bytes."""
    mac = CMAC(AES(key))
    mac.update(data)
    return mac.finalize()


def new_ephemeral() -> ec.EllipticCurvePrivateKey:
    """A fresh P-256 key, for one session."""
    return ec.generate_private_key(ec.SECP256R1())


def write_point(key: ec.EllipticCurvePublicKey) -> bytes:
    """A public key as it travels: x ‖ y, 64 bytes."""
    numbers = key.public_numbers()
    return numbers.x.to_bytes(_HALF, "little") + numbers.y.to_bytes(_HALF, "little")


def read_point(data: bytes) -> ec.EllipticCurvePublicKey:
    """The public key in 64 bytes. Raises :class:`ExchangeError` (bad-point) for what is no point of the curve."""
    if len(data) != POINT_SIZE:
        raise ExchangeError(Fault.MALFORMED, f"a point is {POINT_SIZE} bytes, not {len(data)}")
    x, y = int.from_bytes(data[:_HALF], "little"), int.from_bytes(data[_HALF:], "little")
    try:
        return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    except ValueError as error:
        raise ExchangeError(Fault.POINT) from error


def sign(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """ECDSA P-256 with SHA-256, 64 bytes."""
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(_HALF, "little") + s.to_bytes(_HALF, "little")


def verify(key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes) -> bool:
    """Whether these 64 bytes are ``key``'s signature over ``message``."""
    r, s = int.from_bytes(signature[:_HALF], "little"), int.from_bytes(signature[_HALF:], "little")
    try:
        key.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


@dataclass(frozen=True)
class SessionKeys:
    """What both sides hold after msg2: four AES-128 keys. Secret.

    ``smk`` authenticates msg2 and msg3, ``sk`` and ``mk`` are the session's keys for what follows, ``vk`` goes into
    REPORTDATA.
    """

    smk: bytes = field(repr=False)
    sk: bytes = field(repr=False)
    mk: bytes = field(repr=False)
    vk: bytes = field(repr=False)

    @classmethod
    def agree(cls, own: ec.EllipticCurvePrivateKey, peer: ec.EllipticCurvePublicKey) -> Self:
        """From one's own ephemeral key and the other side's: ECDH, then :meth:`derive`."""
        return cls.derive(own.exchange(ec.ECDH(), peer)[::-1])

    @classmethod
    def derive(cls, shared_x: bytes) -> Self:
        """From the shared point's x coordinate, 32 bytes little-endian.

        KDK = CMAC(0, x); a key is CMAC(KDK, 01 ‖ label ‖ 00 ‖ 80 00).
        """
        kdk = cmac(bytes(16), shared_x)
        smk, sk, mk, vk = (cmac(kdk, b"\x01" + label + b"\x00\x80\x00") for label in (b"SMK", b"SK", b"MK", b"VK"))
        return cls(smk, sk, mk, vk)

    def report_data(self, g_a: bytes, g_b: bytes) -> bytes:
        """REPORTDATA, 64 bytes: SHA-256(g_a ‖ g_b ‖ VK), then zeros."""
        return hashlib.sha256(g_a + g_b + self.vk).digest() + bytes(32)
