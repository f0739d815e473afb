"""The provisioning server's own keys: made on first use, kept in the home folder, never Intel's.

=======================  ==========  ====================================================================
``provisioning-pek``     RSA-3072    PEK: decrypts what platforms send, signs endpoint selection
``pek-signing``          P-256       PEKSK: signs the PEK; enclaves are built with its public half
``xegd-signing``         P-256       XEGDSK: signs other operators' keys (extended EPID groups)
=======================  ==========  ====================================================================
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from fusequote.arch.provision import SignedPek
from fusequote.home import Home
from fusequote.platform.epidfiles import ecdsa_sign

__all__ = ["ProvisioningKeys", "load_provisioning_keys", "sign_pek"]


@dataclass(frozen=True)
class ProvisioningKeys:
    """Private keys have no bytes in their representation; ``signed_pek`` is public."""

    pek: rsa.RSAPrivateKey
    pek_signing: ec.EllipticCurvePrivateKey
    xegd_signing: ec.EllipticCurvePrivateKey
    signed_pek: SignedPek


def load_provisioning_keys(home: Home) -> ProvisioningKeys:
    """All keys, made on first use. Raises :class:`CorruptFile`."""
    pek, signing = home.rsa_key("provisioning-pek", 3072), home.p256_key("pek-signing")
    return ProvisioningKeys(pek, signing, home.p256_key("xegd-signing"), sign_pek(pek.public_key(), signing))


def sign_pek(pek: rsa.RSAPublicKey, signing: ec.EllipticCurvePrivateKey) -> SignedPek:
    """The PEK as platforms get it."""
    numbers = pek.public_numbers()
    n, e = numbers.n.to_bytes(384, "big"), numbers.e.to_bytes(4, "big")
    signature = ecdsa_sign(signing, n + e)
    return SignedPek(n=n, e=e, sha1_ne=_sha1(n + e), signature=signature, sha1_signature=_sha1(signature))


def _sha1(data: bytes) -> bytes:
    # A checksum of the format, which nobody checks; the signature is what counts.
    return hashlib.sha1(data, usedforsecurity=False).digest()
