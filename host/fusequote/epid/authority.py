"""An EPID certificate authority of our own: signs group keys and revocation lists (EPID spec section 11).

ECDSA on P-256 with SHA-256; signatures are r || s, 32 bytes each, big endian. The certificate is Intel's
"cacert.bin" form, self-signed. Nothing here is Intel's: keys are made by :meth:`CertificateAuthority.create`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from fusequote.epid.codec import need_size
from fusequote.epid.errors import EpidError, EpidFormatError, EpidStatus

SIGNATURE_SIZE = 64
#: The constants of P-256 that a CA certificate repeats: p, a, b, Gx, Gy, n.
P256_CONSTANTS = bytes.fromhex(
    "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff"
    "ffffffff00000001000000000000000000000000fffffffffffffffffffffffc"
    "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b"
    "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"
)


class BadFileSignature(EpidError):
    """A signed file whose ECDSA signature is not the authority's."""

    kind = "epid-file-signature"
    status = EpidStatus.kEpidSigInvalid


def _to_der(raw: bytes) -> bytes:
    return encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))


@dataclass(frozen=True)
class CaCertificate:
    """The authority's public key in Intel's "issuing CA public key" file, 324 bytes."""

    HEADER: ClassVar[bytes] = bytes.fromhex("02000011")
    SIZE: ClassVar[int] = 4 + 64 + len(P256_CONSTANTS) + SIGNATURE_SIZE

    public_numbers: bytes  #: Qx || Qy, 64 bytes
    signature: bytes  #: over everything before it

    @classmethod
    def from_bytes(cls, data: bytes, strict: bool = True) -> Self:
        """Reads a certificate; raises EpidFormatError.

        With ``strict`` it must be self-signed: BadFileSignature. Intel's SDK never looks at that signature.
        """
        data = bytes(data)
        what, status = "CA certificate", EpidStatus.kEpidBadArgErr
        need_size(data, cls.SIZE, what, status)
        if data[:4] != cls.HEADER:
            raise EpidFormatError(f"{what}: its header is {data[:4].hex()}, not {cls.HEADER.hex()}", offset=0)
        if data[68:260] != P256_CONSTANTS:
            raise EpidFormatError(f"{what}: its constants are not those of P-256", offset=68)
        certificate = cls(data[4:68], data[260:])
        try:
            certificate.public_key()
        except ValueError:
            raise EpidFormatError(f"{what}: its key is not a point of P-256", offset=4) from None
        if strict:
            certificate.verify(data[:260], certificate.signature, what)
        return certificate

    def to_bytes(self) -> bytes:
        """The file, 324 bytes."""
        return self._signed_part() + self.signature

    def _signed_part(self) -> bytes:
        return self.HEADER + self.public_numbers + P256_CONSTANTS

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The key as :mod:`cryptography` has it; raises ValueError if it is not on the curve."""
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\4" + self.public_numbers)

    def verify(self, data: bytes, signature: bytes, what: str) -> None:
        """Raises BadFileSignature unless ``signature`` (64 bytes) is this authority's over ``data``."""
        try:
            self.public_key().verify(_to_der(signature), data, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise BadFileSignature(
                f"{what}: the signature is not this CA's",
                hint="take the CA certificate that belongs to the file",
            ) from None


class CertificateAuthority:
    """The private side. Keep :meth:`to_pem`'s bytes secret."""

    def __init__(self, key: ec.EllipticCurvePrivateKey):
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise EpidError("an EPID CA has a P-256 key")
        self._key = key

    def __repr__(self) -> str:
        return "<EPID CertificateAuthority>"

    @classmethod
    def create(cls) -> Self:
        """A new authority with a fresh key."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_pem(cls, pem: bytes, password: bytes | None = None) -> Self:
        """From PKCS #8; raises EpidFormatError for anything that is not a P-256 key, or a wrong password."""
        try:
            key = serialization.load_pem_private_key(pem, password)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise EpidFormatError(f"EPID CA key: {error}") from None
        return cls(key)

    def to_pem(self, password: bytes | None = None) -> bytes:
        """PKCS #8, encrypted if there is a password."""
        encryption = (
            serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        )
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
        )

    def sign(self, data: bytes) -> bytes:
        """r || s over ``data``, 64 bytes."""
        r, s = decode_dss_signature(self._key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    @property
    def certificate(self) -> CaCertificate:
        """The self-signed certificate of this authority (a new signature each time)."""
        point = self._key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        unsigned = CaCertificate(point[1:], bytes(SIGNATURE_SIZE))
        return CaCertificate(point[1:], self.sign(unsigned._signed_part()))
