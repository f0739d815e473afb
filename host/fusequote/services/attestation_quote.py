"""Quotes as the attestation service receives them: their form, and the decryption of their signature."""

from __future__ import annotations

import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fusequote.arch import QuoteBody, QuoteSignature, QuoteV2, SignType
from fusequote.arch.quote import NR_PROOF_SIZE, QUOTE_VERSION, signature_size
from fusequote.errors import FormatError
from fusequote.verdict import Reason, refuse

__all__ = ["decrypt", "read_quote"]

_OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label=None)
#: (start, end, name) of the body's reserved bytes, looked up once: walking the whole structure costs as much as
#: an EPID verification.
_RESERVED = tuple((v.offset, v.offset + v.size, v.name) for v in QuoteBody().leaves() if v.reserved)
_SIGN_TYPES = frozenset(SignType)


def read_quote(data: bytes) -> QuoteV2:
    """A version 2 QUOTE of XEID 0 (remote attestation notes 1.2). Raises :class:`Refused` (quote.malformed)."""
    try:
        quote = QuoteV2.from_bytes(data)
    except FormatError as error:
        raise refuse(Reason.QUOTE_FORMAT, str(error)) from error
    body = quote.body
    for start, end, name in _RESERVED:
        if any(data[start:end]):
            raise refuse(Reason.QUOTE_FORMAT, f"reserved bytes ({name}, from {start}) are not 0")
    if body.version != QUOTE_VERSION or body.sign_type not in _SIGN_TYPES:
        raise refuse(Reason.QUOTE_FORMAT, f"version {body.version}, signature type {int(body.sign_type)}")
    if body.sign_type == SignType.LINKABLE and any(body.basename[16:]):
        raise refuse(Reason.QUOTE_FORMAT, "a linkable quote's basename is the SPID and 16 zero bytes")
    if body.xeid:
        raise refuse(Reason.QUOTE_FORMAT, f"extended EPID group {body.xeid} is not served here")
    rest = len(quote.signature) - signature_size(0)
    if rest < 0 or rest % NR_PROOF_SIZE:
        raise refuse(Reason.QUOTE_FORMAT, f"a signature of {len(quote.signature)} bytes, not 680 + 160 n")
    return quote


def decrypt(quote: QuoteV2, qsdk: rsa.RSAPrivateKey) -> bytes:
    """The EPID signature in a quote, 360 + 160 n bytes as its maker put it there (remote attestation notes 1.3).

    Raises :class:`Refused`: quote.malformed, quote.undecryptable. The latter is one answer for every way in
    which decryption can fail: which one it was would help to decrypt foreign quotes.
    """
    try:
        sealed = QuoteSignature.from_bytes(quote.signature)
    except FormatError as error:
        raise refuse(Reason.QUOTE_FORMAT, str(error)) from error
    try:
        key = qsdk.decrypt(sealed.wrap_key, _OAEP)
        if not hmac.compare_digest(hashlib.sha256(key).digest(), sealed.key_hash):
            raise refuse(Reason.QUOTE_DECRYPTION)
        return AESGCM(key).decrypt(sealed.iv, sealed.sealed, None)
    except (ValueError, InvalidTag) as error:
        raise refuse(Reason.QUOTE_DECRYPTION) from error
