"""Whose services an enclave deals with: those that it was built for, or another operator's that those vouch for."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from fusequote.arch.provision import ExtendedGroupBlob, SignedPek
from fusequote.platform.constants import Constants, point_from_bytes
from fusequote.platform.epidfiles import ecdsa_verifies
from fusequote.platform.protocol import pek_of
from fusequote.verdict import Reason, refuse

__all__ = ["Operator", "check_pek", "operator_of"]


@dataclass(frozen=True)
class Operator:
    """Public keys of one extended EPID group; ``qsdk`` is exponent 4 and modulus 256, little-endian."""

    xeid: int
    isk: ec.EllipticCurvePublicKey
    peksk: ec.EllipticCurvePublicKey
    qsdk: bytes


def operator_of(blob: ExtendedGroupBlob, constants: Constants) -> Operator:
    """The keys that ``blob`` names; all zero is the operator whose keys the enclave was built with.

    Raises :class:`Refused` (provision.server-not-authentic) for a blob that the extended groups' key did not sign.
    """
    if blob.is_default:
        return Operator(0, constants.isk, constants.peksk, constants.qsdk_bytes())
    shape = (blob.format_id, blob.data_length) == (ExtendedGroupBlob.FORMAT, ExtendedGroupBlob.LENGTH)
    if not shape or not ecdsa_verifies(constants.xegdsk, blob.signature, blob.signed_message()):
        raise refuse(Reason.SERVER_KEY, "nobody that this enclave knows signed the extended EPID group blob")
    try:
        isk, peksk = point_from_bytes(blob.isk), point_from_bytes(blob.peksk)
    except ValueError as error:
        raise refuse(Reason.SERVER_KEY, f"extended EPID group blob: {error}") from error
    return Operator(blob.xeid, isk, peksk, blob.qsdk_exponent + blob.qsdk_modulus)


def check_pek(pek: SignedPek, operator: Operator) -> rsa.RSAPublicKey:
    """The key in a PEK. Raises :class:`Refused` (provision.server-not-authentic) for one that is not the operator's."""
    if not ecdsa_verifies(operator.peksk, pek.signature, pek.key_bytes):
        raise refuse(Reason.SERVER_KEY, "the provisioning server's key (PEK) is not signed by the PEK signing key")
    try:
        return pek_of(pek.key_bytes)
    except ValueError as error:
        raise refuse(Reason.SERVER_KEY, f"the provisioning server's key (PEK): {error}") from error
