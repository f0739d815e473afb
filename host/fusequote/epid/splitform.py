"""Split (TPM) signatures: their bytes, and the group as a split member sees it (EPID spec section 12).

f lives in a device that signs for itself: it uses the generator h1s = G1hash(h1) and changes the challenge
with a nonce of its own. With h1s in place of h1 everything else of the group stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from fusequote.epid.arithmetic import Arithmetic, default
from fusequote.epid.codec import G1_POINT, NONCE, SCALAR, U32, Record
from fusequote.epid.errors import EpidFormatError, EpidStatus
from fusequote.epid.hashing import HashAlg, g1_hash_counted
from fusequote.epid.keys import GroupPublicKey
from fusequote.epid.signature import BasicSignature
from fusequote.epid.wire import BASIC_SIZE, SPLIT_PROOF_SIZE, SPLIT_SIZE, Envelope


@lru_cache(maxsize=64)
def _h1s(h1: bytes, hash_alg: HashAlg, arithmetic: Arithmetic) -> tuple[bytes, int]:
    return g1_hash_counted(hash_alg, h1, arithmetic)


def split_generator(
    group: GroupPublicKey, hash_alg: HashAlg | None = None, arithmetic: Arithmetic | None = None
) -> tuple[bytes, int]:
    """h1s (64 bytes) and the counter of the hash that gave it."""
    return _h1s(group.h1, group.hash_alg if hash_alg is None else hash_alg, arithmetic or default())


def split_group(
    group: GroupPublicKey, hash_alg: HashAlg | None = None, arithmetic: Arithmetic | None = None
) -> GroupPublicKey:
    """The group with h1s for h1: what split members join, sign and are verified with."""
    return replace(group, h1=split_generator(group, hash_alg, arithmetic)[0])


@dataclass(frozen=True)
class SplitProof(Record):
    """A non-revoked proof with the device's nonce: T, c, smu, snu, nonce; 192 bytes."""

    WHAT = "split non-revoked proof"
    STATUS = EpidStatus.kEpidBadNrProofErr
    LAYOUT = (("T", G1_POINT), ("c", SCALAR), ("smu", SCALAR), ("snu", SCALAR), ("nonce", NONCE))

    T: bytes
    c: int
    smu: int
    snu: int
    nonce: bytes


@dataclass(frozen=True)
class SplitSignature:
    """Basic part, the device's nonce, version of the SigRL (0 without), proofs; 392 + 192 n bytes."""

    basic: BasicSignature
    nonce: bytes
    rl_ver: int = 0
    proofs: tuple[SplitProof, ...] = ()

    def __post_init__(self) -> None:
        complaint = U32.complaint(self.rl_ver) or NONCE.complaint(self.nonce)
        if complaint:
            raise EpidFormatError(
                f"split signature: rl_ver or nonce {complaint}", status=EpidStatus.kEpidBadSignatureErr
            )

    @classmethod
    def from_bytes(cls, data: bytes) -> SplitSignature:
        """Reads a split signature and checks every field of it; raises EpidFormatError."""
        data = bytes(data)
        envelope = Envelope.of(data)
        if envelope.nonce is None:
            raise EpidFormatError(
                "signature: this is a plain one, not a split one", status=EpidStatus.kEpidBadSignatureErr
            )
        starts = range(SPLIT_SIZE, len(data), SPLIT_PROOF_SIZE)
        proofs = tuple(SplitProof.from_bytes(data[at : at + SPLIT_PROOF_SIZE]) for at in starts)
        return cls(BasicSignature.from_bytes(data[:BASIC_SIZE]), envelope.nonce, envelope.rl_ver, proofs)

    def to_bytes(self) -> bytes:
        """The wire form."""
        counts = self.rl_ver.to_bytes(4, "big") + len(self.proofs).to_bytes(4, "big")
        proofs = b"".join(proof.to_bytes() for proof in self.proofs)
        return self.basic.to_bytes() + self.nonce + counts + proofs
