"""Sealing to disk in the layout of ``sgx_seal_data``, under the SEAL key bound to MRSIGNER.

Sealed data: KEYREQUEST 512 ‖ offset of the additional text 4 ‖ 12 zero ‖ payload size 4 ‖ 12 zero ‖ tag 16 ‖
ciphertext ‖ additional text. The KEYREQUEST says which key (KEYID fresh for each blob, CPUSVN and ISVSVN of
the sealer), so that a newer platform can still open it; AES-128-GCM with a zero IV, for the key is used once.
"""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fusequote.arch import Attributes, KeyName, KeyPolicy, KeyRequest
from fusequote.arch.layout import U32, Bytes, Reserved, Struct, Sub, Tail
from fusequote.errors import FormatError, Refused
from fusequote.platform.entry import Enclave
from fusequote.verdict import Reason, refuse

__all__ = ["SEAL_ATTRIBUTES", "SEAL_MISC_MASK", "SealedData", "seal", "unseal"]

#: The SDK's defaults: INIT, DEBUG and the bits that nobody has, so that enclaves of one signer share the key
#: whatever other attributes they have.
SEAL_ATTRIBUTES = Attributes(flags=0xFF0000000000000B)
SEAL_MISC_MASK = 0xF0000000
_IV, _TAG = bytes(12), 16


class SealedData(Struct, size=560, title="sealed data"):
    """``sgx_sealed_data_t``."""

    key_request = Sub(0, KeyRequest)
    text_offset = U32(512, "bytes of ciphertext; the additional text follows")
    reserved1 = Reserved(516, 12)
    payload_size = U32(528, "bytes of ciphertext and additional text")
    reserved2 = Reserved(532, 12)
    tag = Bytes(544, _TAG, "AES-GCM over both")
    payload = Tail(560, length_field="payload_size")


def seal(enclave: Enclave, secret: bytes, text: bytes) -> SealedData:
    """``secret`` encrypted, ``text`` in the clear, both authenticated, for the enclaves of this signer here."""
    request = KeyRequest(
        keyname=KeyName.SEAL,
        keypolicy=KeyPolicy.MRSIGNER,
        isvsvn=enclave.identity.isvsvn,
        cpusvn=enclave.identity.cpusvn,
        attributemask=SEAL_ATTRIBUTES,
        miscmask=SEAL_MISC_MASK,
        keyid=secrets.token_bytes(32),
    )
    with enclave.entered() as inside:
        key = inside.key(request)
    sealed = AESGCM(key).encrypt(_IV, secret, text)
    return SealedData(key_request=request, text_offset=len(secret), tag=sealed[-_TAG:], payload=sealed[:-_TAG] + text)


def unseal(enclave: Enclave, data: bytes) -> tuple[bytes, bytes, SealedData]:
    """(secret, additional text, what it was sealed as). Raises :class:`Refused` (quote.blob-unsealable)."""
    try:
        sealed = SealedData.from_bytes(data, check_reserved=True)
    except FormatError as error:
        raise refuse(Reason.BLOB, str(error)) from error
    request, split = sealed.key_request, sealed.text_offset
    if request.keyname != KeyName.SEAL or request.keypolicy != KeyPolicy.MRSIGNER or split > sealed.payload_size:
        raise refuse(Reason.BLOB, "its header asks for another key than it was sealed with")
    ciphertext, text = sealed.payload[:split], sealed.payload[split:]
    try:
        with enclave.entered() as inside:
            key = inside.key(request)
    except Refused as error:
        raise refuse(Reason.BLOB, f"the chip gives no such key: {error}") from error
    try:
        return AESGCM(key).decrypt(_IV, ciphertext + sealed.tag, text), text, sealed
    except InvalidTag:
        raise refuse(Reason.BLOB) from None
