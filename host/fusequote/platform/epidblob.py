"""The EPID blob: the platform's attestation key, sealed by the Provisioning and read by the Quoting Enclave.

Sealed data (:mod:`fusequote.platform.sealing`) of 2836 bytes: additional text 608 (who may see it: everybody)
and secret 1668 (EPID spec section 15).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fusequote.arch import Psvn
from fusequote.arch.layout import U8, U32, Bytes, Struct, Sub
from fusequote.epid import EpidError, GroupPublicKey, MemberPrecomp, MemberPrivateKey
from fusequote.errors import FormatError
from fusequote.platform.entry import Enclave
from fusequote.platform.sealing import SealedData, seal, unseal
from fusequote.verdict import Reason, refuse

__all__ = ["BLOB_SIZE", "AttestationKey", "BlobText", "open_blob", "public_text", "seal_blob"]

BLOB_SIZE = 2836
BLOB_TYPE, BLOB_VERSION = 0, 3
_KEY_SIZE = 132


class BlobText(Struct, size=608, title="EPID blob, additional text"):
    """What stands in the blob in the clear, but authenticated."""

    blob_type = U8(0, default=BLOB_TYPE)
    version = U8(1, default=BLOB_VERSION)
    psvn = Sub(2, Psvn, "equivalent TCB that the key was issued for")
    group = Bytes(20, 260, "group public key")
    qsdk_isk = Bytes(280, 324, "QSDK exponent 4 and modulus 256, then ISK 64, little-endian")
    xeid = U32(604, "extended EPID group")


@dataclass(frozen=True)
class AttestationKey:
    """What is in the blob. The key and its precomputation are secret."""

    group: GroupPublicKey
    psvn: Psvn
    key: MemberPrivateKey = field(repr=False)
    precomp: MemberPrecomp = field(repr=False)
    #: The operator's QSDK and ISK as they stand in the blob, 324 bytes, and its extended EPID group.
    services: bytes = field(repr=False)
    xeid: int = 0


def seal_blob(enclave: Enclave, content: AttestationKey) -> bytes:
    """The blob, 2836 bytes, for enclaves of this signer on this chip."""
    text = BlobText(
        psvn=content.psvn, group=content.group.to_bytes(), qsdk_isk=content.services, xeid=content.xeid
    )
    secret = content.key.to_bytes() + content.precomp.to_bytes()
    return seal(enclave, secret, text.to_bytes()).to_bytes()


def open_blob(enclave: Enclave, data: bytes) -> tuple[AttestationKey, SealedData]:
    """The blob's content and how it was sealed. Raises :class:`Refused` (quote.blob-unsealable)."""
    if len(data) != BLOB_SIZE:
        raise refuse(Reason.BLOB, f"{len(data)} bytes instead of {BLOB_SIZE}")
    secret, text_bytes, sealed = unseal(enclave, data)
    try:
        text = BlobText.from_bytes(text_bytes)
        if (text.blob_type, text.version) != (BLOB_TYPE, BLOB_VERSION):
            raise refuse(Reason.BLOB, f"type {text.blob_type}, version {text.version}")
        # Of the right order for sure: the Provisioning Enclave checked it before sealing.
        group = GroupPublicKey.from_bytes(text.group, gid_size=4, strict=False)
        key = MemberPrivateKey.from_bytes(secret[:_KEY_SIZE], gid_size=4)
        precomp = MemberPrecomp.from_bytes(secret[_KEY_SIZE:])
        return AttestationKey(group, text.psvn, key, precomp, text.qsdk_isk, text.xeid), sealed
    except (FormatError, EpidError) as error:
        raise refuse(Reason.BLOB, str(error)) from error


def public_text(data: bytes) -> BlobText:
    """What anybody may read in a blob, not authenticated. Raises :class:`Refused` (quote.blob-unsealable)."""
    try:
        sealed = SealedData.from_bytes(data)
        return BlobText.from_bytes(sealed.payload[sealed.text_offset :])
    except FormatError as error:
        raise refuse(Reason.BLOB, str(error)) from error
