"""Non-revoked proofs: the signer's key did not make this entry of the SigRL (EPID spec section 7)."""

from __future__ import annotations

from collections.abc import Sequence

from fusequote.epid.arithmetic import Arithmetic
from fusequote.epid.arithmetic.interface import Base, Job
from fusequote.epid.hashing import HashAlg, device_challenge, fp_hash
from fusequote.epid.params import G1_GENERATOR, G1_IDENTITY, P_BYTES, P
from fusequote.epid.randomness import Draw, random_scalar
from fusequote.epid.signature import NonRevokedProof

_PREFIX = P_BYTES + G1_GENERATOR
#: B', K' of the SigRL.
Entry = tuple[bytes, bytes]


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
        self, entries: Sequence[Entry], draw: Draw, nonces: Sequence[bytes | None] | None = None
    ) -> list[NonRevokedProof | None]:
        """The proof for each entry (B', K'), or None where this key made it.

        Three draws for each: mu, rmu, rnu. ``nonces`` are the device's, in the split form.
        """
        drawn = [[random_scalar(draw) for _ in range(3)] for _ in entries]
        jobs: list[Job] = []
        for (B, K), (mu, rmu, rnu) in zip(entries, drawn, strict=True):
            jobs.append(((K, B), ((mu, -self._f * mu), (rmu, rnu))))
            jobs.append(((self._k, self._b), ((rmu, rnu),)))
        sums = iter(self.a.g1_batch(jobs, True))
        proofs: list[NonRevokedProof | None] = []
        for i, ((B, K), (mu, rmu, rnu)) in enumerate(zip(entries, drawn, strict=True)):
            (T, R2), (R1,) = next(sums), next(sums)
            if T == G1_IDENTITY:
                proofs.append(None)
                continue
            c = fp_hash(self.hash_alg, _PREFIX + self.pair + B + K + T + R1 + R2 + self.message)
            e = c if nonces is None else device_challenge(self.hash_alg, nonces[i], c)
            proofs.append(NonRevokedProof(T, c, (rmu + e * mu) % P, (rnu - e * self._f * mu) % P))
        return proofs


class EntryChecker:
    """Checks the proofs of one signature."""

    def __init__(self, B: bytes, K: bytes, message: bytes, hash_alg: HashAlg, arithmetic: Arithmetic):
        self.pair, self.message, self.hash_alg, self.a = B + K, message, hash_alg, arithmetic
        self._b: Base = B
        self._k: Base = K

    def prepare(self) -> None:
        """Tables for B and K: worth it from a few entries on."""
        self._b, self._k = self.a.g1_prepare(self.pair[:64]), self.a.g1_prepare(self.pair[64:])

    def hold(
        self, entries: Sequence[Entry], proofs: Sequence[NonRevokedProof], nonces: Sequence[bytes | None]
    ) -> list[bool]:
        """For each entry whether its proof shows that the signer did not make it; ``nonces`` as for the prover."""
        jobs: list[Job] = []
        for (B, K), proof, nonce in zip(entries, proofs, nonces, strict=True):
            e = proof.c if nonce is None else device_challenge(self.hash_alg, nonce, proof.c)
            jobs.append(((self._k, self._b), ((proof.smu, proof.snu),)))
            jobs.append(((K, B, proof.T), ((proof.smu, proof.snu, -e),)))
        sums = iter(self.a.g1_batch(jobs, False))
        answers = []
        for (B, K), proof in zip(entries, proofs, strict=True):
            (R1,), (R2,) = next(sums), next(sums)
            hashed = _PREFIX + self.pair + B + K + proof.T + R1 + R2 + self.message
            answers.append(proof.c == fp_hash(self.hash_alg, hashed))
        return answers
