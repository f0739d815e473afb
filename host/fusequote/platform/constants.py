"""The services' public keys as the architectural enclaves know them.

Intel compiles them into the enclaves' code (``isk_pub.hh``, ``qsdk_pub.hh``); here their bytes are a page of
the enclaves' images, so that they are measured: another key makes another MRENCLAVE.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from fusequote.errors import FormatError

__all__ = ["Constants"]


@dataclass(frozen=True)
class Constants:
    """EPID signing key (ISK) and attestation service key (QSDK), public parts; XEID 0."""

    isk: ec.EllipticCurvePublicKey
    qsdk: rsa.RSAPublicKey

    SIZE = 64 + 4 + 256

    def to_bytes(self) -> bytes:
        """ISK x ‖ y (64, little-endian each), QSDK exponent (4) and modulus (256), little-endian: 324 bytes."""
        point, numbers = self.isk.public_numbers(), self.qsdk.public_numbers()
        return b"".join(
            (
                point.x.to_bytes(32, "little"),
                point.y.to_bytes(32, "little"),
                numbers.e.to_bytes(4, "little"),
                numbers.n.to_bytes(256, "little"),
            )
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Constants:
        """Raises :class:`FormatError` for a wrong length, a point off the curve or no RSA key."""
        if len(data) != cls.SIZE:
            raise FormatError(f"service keys: {cls.SIZE} bytes wanted, not {len(data)}")
        x, y, e, n = (int.from_bytes(data[a:b], "little") for a, b in ((0, 32), (32, 64), (64, 68), (68, 324)))
        try:
            isk = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
            return cls(isk, rsa.RSAPublicNumbers(e, n).public_key())
        except ValueError as error:
            raise FormatError(f"service keys: {error}") from error
