"""Distinct quotes of one EPID group, made ahead for a load on the attestation service; no chip is needed for them."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fusequote.arch import Psvn, QuoteBody, QuoteSignature, QuoteV2, ReportBody
from fusequote.epid import Member, MemoryNonces
from fusequote.services.services import Services

__all__ = ["make_quotes"]

_OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label=None)


def make_quotes(services: Services, spid: bytes, count: int) -> Iterator[bytes]:
    """``count`` unlinkable quotes for a SPID, of one member of a group that is new in the store."""
    cpusvn = bytes([1]) * 16
    gid = services.registry.create_group(Psvn(cpusvn=cpusvn, isvsvn=1))
    issuer = services.registry.issuer(gid, MemoryNonces())
    nonce = issuer.nonce()
    request, pending = Member.join_request(issuer.group, nonce)
    member = Member(issuer.group, pending.provision(issuer.issue(request, nonce)))
    qsdk = services.keys.qsdk.public_key()
    for _ in range(count):
        report = ReportBody(
            cpusvn=cpusvn,
            mrenclave=secrets.token_bytes(32),
            mrsigner=secrets.token_bytes(32),
            reportdata=secrets.token_bytes(64),
        )
        body = QuoteBody(gid=gid[::-1], qe_svn=1, basename=spid + secrets.token_bytes(16), report=report)
        signature = member.sign(body.to_bytes(), basename=body.basename).to_bytes()
        yield QuoteV2(body=body, signature=_encrypted(signature, qsdk)).to_bytes()


def _encrypted(payload: bytes, qsdk: rsa.RSAPublicKey) -> bytes:
    key, iv = secrets.token_bytes(16), secrets.token_bytes(12)
    return QuoteSignature(
        wrap_key=qsdk.encrypt(key, _OAEP),
        key_hash=hashlib.sha256(key).digest(),
        iv=iv,
        sealed=AESGCM(key).encrypt(iv, payload, None),
    ).to_bytes()
