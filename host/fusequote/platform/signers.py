"""Who signs our enclaves: RSA-3072 keys (e = 3) of the home folder, made on first use. None of them is
Intel's.

Quoting and Provisioning Enclave share one signer, as Intel's do: the SEAL key bound to MRSIGNER is how the
EPID key gets from one to the other. The PCE has a signer of its own, and hence another PROVISION key.
"""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.asymmetric import rsa

from fusequote.enclave.entrykey import EntryKey
from fusequote.home import Home

__all__ = ["Signers", "mrsigner_of"]


def mrsigner_of(key: rsa.RSAPrivateKey) -> bytes:
    """MRSIGNER, 32 bytes: SHA-256 of the modulus as it lies in a SIGSTRUCT, little-endian."""
    return hashlib.sha256(key.public_key().public_numbers().n.to_bytes(384, "little")).digest()


class Signers:
    """The signing keys of a home folder; each is made when it is first asked for."""

    def __init__(self, home: Home):
        self._home = home

    @property
    def application(self) -> rsa.RSAPrivateKey:
        """Signs the sample application."""
        return self._home.rsa_key("enclave-application", 3072, exponent=3)

    @property
    def architectural(self) -> rsa.RSAPrivateKey:
        """Signs Quoting and Provisioning Enclave; its MRSIGNER is provisioning signer 0 in the fuses."""
        return self._home.rsa_key("enclave-architectural", 3072, exponent=3)

    @property
    def pce(self) -> rsa.RSAPrivateKey:
        """Signs the PCE; its MRSIGNER is provisioning signer 1 in the fuses."""
        return self._home.rsa_key("enclave-pce", 3072, exponent=3)

    @property
    def launch(self) -> rsa.RSAPrivateKey:
        """Signs the launch enclave; its MRSIGNER is LEPUBKEYHASH of chips with locked launch control."""
        return self._home.rsa_key("enclave-launch", 3072, exponent=3)

    @property
    def entry(self) -> EntryKey:
        """Enters the architectural enclaves; its hash is measured with them."""
        return EntryKey(self._home.rsa_key("enclave-entry", 3072, exponent=3))

    def provisioning_signers(self) -> tuple[bytes, bytes]:
        """The two MRSIGNERs that may have PROVISIONKEY, as they are burnt."""
        return mrsigner_of(self.architectural), mrsigner_of(self.pce)
