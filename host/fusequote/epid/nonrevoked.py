"""Non-revoked proofs: the signer shows for one entry of the SigRL that its key did not make it (EPID spec
section 7).
"""

from __future__ import annotations

from fusequote.epid.arithmetic import Arithmetic
from fusequote.epid.arithmetic.interface import Base
from fusequote.epid.hashing import HashAlg, device_challenge, fp_hash
from fusequote.epid.params import G1_GENERATOR, G1_IDENTITY, P_BYTES, P
from fusequote.epid.randomness import Draw, random_scalar
from fusequote.epid.signature import NonRevokedProof

_PREFIX = P_BYTES + G1_GENERATOR


class EntryProver:
    """Makes the proofs of one signature: B, K and the message stay, the entries change."""

    def __init__(self, B: bytes, K: bytes, f: int, message: bytes, hash_alg: HashAlg, arithmetic: Arithmetic):
        self.pair, self.message, self.hash_alg, self.a = B + K, message, hash_alg, arithmetic
        self._f = f
        self._b: Base = B
        self._k: Base = K

    def prepare(self) -> None:
        """Tables for B and K: worth it from a few entries on."""
        self._b, self._k = self.a.g1_prepare(self.pair[:64]), self.a.g1_prepare(self.pair[64:])

    def prove(
        self, entry: tuple[bytes, bytes], draw: Draw, nonce: bytes | None = None
    ) -> NonRevokedProof | None:
        """The proof for one entry (B', K'), or None if this key made it. Three draws: mu, rmu, rnu.

        ``nonce`` is the device's, in the split form.
        """
        B, K = entry
        mu = random_scalar(draw)
        nu = -self._f * mu % P
        rmu, rnu = random_scalar(draw), random_scalar(draw)
        T, R2 = self.a.g1_sums_secret((K, B), ((mu, nu), (rmu, rnu)))
        if T == G1_IDENTITY:
            return None
        R1 = self.a.g1_sum_secret([(self._k, rmu), (self._b, rnu)])
        c = fp_hash(self.hash_alg, _PREFIX + self.pair + B + K + T + R1 + R2 + self.message)
        e = c if nonce is None else device_challenge(self.hash_alg, nonce, c)
        return NonRevokedProof(T, c, (rmu + e * mu) % P, (rnu + e * nu) % P)


class EntryChecker:
    """Checks the proofs of one signature."""

    def __init__(self, B: bytes, K: bytes, message: bytes, hash_alg: HashAlg, arithmetic: Arithmetic):
        self.pair, self.message, self.hash_alg, self.a = B + K, message, hash_alg, arithmetic
        self._b: Base = B
        self._k: Base = K

    def prepare(self) -> None:
        """Tables for B and K: worth it from a few entries on."""
        self._b, self._k = self.a.g1_prepare(self.pair[:64]), self.a.g1_prepare(self.pair[64:])

    def holds(self, entry: tuple[bytes, bytes], proof: NonRevokedProof, nonce: bytes | None = None) -> bool:
        """True if ``proof`` shows that the signer did not make ``entry``; ``nonce`` as for the prover."""
        B, K = entry
        T, c, smu, snu = proof.T, proof.c, proof.smu, proof.snu
        e = c if nonce is None else device_challenge(self.hash_alg, nonce, c)
        R1 = self.a.g1_sum([(self._k, smu), (self._b, snu)])
        R2 = self.a.g1_sum([(K, smu), (B, snu), (T, -e)])
        return c == fp_hash(self.hash_alg, _PREFIX + self.pair + B + K + T + R1 + R2 + self.message)
