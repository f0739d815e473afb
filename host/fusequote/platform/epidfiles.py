"""Group certificates and SigRLs as SGX has them: 4-byte gid, header 00 02, ECDSA by the EPID signing key.

Group certificate: ``00 02 00 0C`` ‖ group public key 260 ‖ r ‖ s: 328 bytes. SigRL: ``00 02 00 0E`` ‖ list ‖
r ‖ s. All big-endian (EPID spec section 15, remote attestation spec 1.5 and 4.2). The SDK's own files turn
the first two bytes round.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from fusequote.arch import GroupCert, SgxSigRl
from fusequote.arch.epid import ECDSA_SIZE, GROUP_CERT_HEADER, SIGRL_HEADER
from fusequote.epid import EpidError, GroupPublicKey, SigRl
from fusequote.errors import FormatError
from fusequote.verdict import Reason, refuse

__all__ = [
    "ecdsa_sign",
    "ecdsa_verifies",
    "read_group_certificate",
    "read_sigrl",
    "sigrl_signature_holds",
    "sign_group",
    "sign_sigrl",
]


def ecdsa_sign(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """r ‖ s, 32 bytes each, big-endian; P-256 with SHA-256."""
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def ecdsa_verifies(key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes) -> bool:
    """Whether ``signature`` (as :func:`ecdsa_sign` makes it) is the key's over ``message``."""
    if len(signature) != ECDSA_SIZE:
        return False
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        key.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def sign_group(group: GroupPublicKey, key: ec.EllipticCurvePrivateKey) -> GroupCert:
    """The group certificate."""
    cert = GroupCert.from_bytes(GROUP_CERT_HEADER + group.to_bytes() + bytes(ECDSA_SIZE))
    return cert.replace(signature=ecdsa_sign(key, cert.signed_message()))


def read_group_certificate(cert: GroupCert, signer: ec.EllipticCurvePublicKey) -> GroupPublicKey:
    """The group key in a certificate. Raises :class:`Refused` (provision.group-certificate-invalid)."""
    if cert.header != GROUP_CERT_HEADER or not ecdsa_verifies(signer, cert.signature, cert.signed_message()):
        raise refuse(Reason.GROUP_CERTIFICATE)
    try:
        return GroupPublicKey.from_bytes(cert.public_key, gid_size=4)
    except EpidError as error:
        raise refuse(Reason.GROUP_CERTIFICATE, str(error)) from error


def sign_sigrl(sigrl: SigRl, key: ec.EllipticCurvePrivateKey) -> bytes:
    """The list as served, ``80 + 128 n`` bytes; b"" for an empty list, for which SGX passes none."""
    if not sigrl.entries:
        return b""
    body = SIGRL_HEADER + sigrl.to_bytes()
    return body + ecdsa_sign(key, body)


def read_sigrl(data: bytes, gid: bytes) -> SigRl:
    """Size, header and group of a SigRL, **not** its signature: the Quoting Enclave checks that last.

    Raises :class:`Refused` with quote.sigrl-malformed (a list without entries too, as the QE has it) or
    quote.sigrl-other-group.
    """
    try:
        wrapped = SgxSigRl.from_bytes(data)
    except FormatError as error:
        raise refuse(Reason.SIGRL_FORMAT, str(error)) from error
    if wrapped.header != SIGRL_HEADER or wrapped.n2 == 0:
        raise refuse(Reason.SIGRL_FORMAT, "wrong header, or no entries")
    if wrapped.gid != gid:
        raise refuse(Reason.SIGRL_GROUP, f"group {wrapped.gid.hex()}, not {gid.hex()}")
    try:
        return SigRl.from_bytes(data[len(SIGRL_HEADER) : -ECDSA_SIZE], gid_size=4)
    except EpidError as error:
        raise refuse(Reason.SIGRL_FORMAT, str(error)) from error


def sigrl_signature_holds(data: bytes, signer: ec.EllipticCurvePublicKey) -> bool:
    """Whether the EPID signing key signed this list."""
    return ecdsa_verifies(signer, data[-ECDSA_SIZE:], data[:-ECDSA_SIZE])
