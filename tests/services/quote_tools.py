"""Taking quotes apart and putting them together again, as only one with the QSDK's private key can."""

from __future__ import annotations

import hashlib
import secrets

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fusequote.arch import QuoteBody, QuotePayload, QuoteSignature, QuoteV2
from fusequote.services.attestation_quote import decrypt

OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label=None)


def payload_of(services, quote: bytes) -> QuotePayload:
    """The decrypted signature, as the service sees it."""
    return QuotePayload.from_bytes(decrypt(QuoteV2.from_bytes(quote), services.keys.qsdk))


def seal(services, body: QuoteBody | bytes, payload: bytes) -> bytes:
    """A quote of this body with this signature inside, whatever it is worth."""
    key, iv = secrets.token_bytes(16), secrets.token_bytes(12)
    sealed = QuoteSignature(
        wrap_key=services.keys.qsdk.public_key().encrypt(key, OAEP),
        key_hash=hashlib.sha256(key).digest(),
        iv=iv,
        sealed=AESGCM(key).encrypt(iv, payload, None),
    ).to_bytes()
    return bytes(body) + len(sealed).to_bytes(4, "little") + sealed
