"""The services' public keys as the architectural enclaves know them.

Intel compiles them into the enclaves' code (``isk_pub.hh``, ``peksk_pub.hh``, ``qsdk_pub.hh``, ``xegdsk_pub.hh``); here
their bytes are a page of the enclaves' images, so that they are measured: another key makes another MRENCLAVE. The key
of platformInfoBlobs (``pibsk_pub.hh``) is for the software around them, and stands with the others.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from fusequote.errors import FormatError

__all__ = ["Constants", "point_from_bytes", "point_to_bytes"]

POINT_SIZE, QSDK_SIZE = 64, 4 + 256


def point_to_bytes(key: ec.EllipticCurvePublicKey) -> bytes:
    """x ‖ y of a P-256 key, 32 bytes each, little-endian: as enclaves have them."""
    point = key.public_numbers()
    return point.x.to_bytes(32, "little") + point.y.to_bytes(32, "little")


def point_from_bytes(data: bytes) -> ec.EllipticCurvePublicKey:
    """The key in 64 bytes. Raises ``ValueError`` for a point that is not on P-256."""
    x, y = int.from_bytes(data[:32], "little"), int.from_bytes(data[32:], "little")
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


@dataclass(frozen=True)
class Constants:
    """Public parts of the services' keys; XEID 0.

    ``isk`` signs EPID groups and SigRLs, ``qsdk`` decrypts quotes, ``peksk`` signs the provisioning server's PEK,
    ``xegdsk`` the keys of extended groups, ``pibsk`` platformInfoBlobs.
    """

    isk: ec.EllipticCurvePublicKey
    qsdk: rsa.RSAPublicKey
    peksk: ec.EllipticCurvePublicKey
    xegdsk: ec.EllipticCurvePublicKey
    pibsk: ec.EllipticCurvePublicKey

    SIZE = POINT_SIZE + QSDK_SIZE + 3 * POINT_SIZE

    def qsdk_bytes(self) -> bytes:
        """QSDK exponent (4) and modulus (256), little-endian."""
        numbers = self.qsdk.public_numbers()
        return numbers.e.to_bytes(4, "little") + numbers.n.to_bytes(256, "little")

    def to_bytes(self) -> bytes:
        """ISK 64, QSDK 260, PEKSK 64, XEGDSK 64, PIBSK 64: 516 bytes, numbers little-endian."""
        rest = b"".join(point_to_bytes(key) for key in (self.peksk, self.xegdsk, self.pibsk))
        return point_to_bytes(self.isk) + self.qsdk_bytes() + rest

    @classmethod
    def from_bytes(cls, data: bytes) -> Constants:
        """Raises :class:`FormatError` for a wrong length, a point off the curve or no RSA key."""
        if len(data) != cls.SIZE:
            raise FormatError(f"service keys: {cls.SIZE} bytes wanted, not {len(data)}")
        e, n = int.from_bytes(data[64:68], "little"), int.from_bytes(data[68:324], "little")
        try:
            points = [point_from_bytes(data[at : at + POINT_SIZE]) for at in (0, 324, 388, 452)]
            return cls(points[0], rsa.RSAPublicNumbers(e, n).public_key(), *points[1:])
        except ValueError as error:
            raise FormatError(f"service keys: {error}") from error
