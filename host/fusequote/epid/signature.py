"""The bytes of a signature (EPID spec section 8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

from fusequote.epid.codec import G1_POINT, SCALAR, U32, Record
from fusequote.epid.errors import EpidFormatError, EpidStatus
from fusequote.epid.params import G1_IDENTITY
from fusequote.epid.wire import BASIC_SIZE, PLAIN_SIZE, PROOF_SIZE, Envelope


@dataclass(frozen=True)
class BasicSignature(Record):
    """B, K, T of G1 and c, sx, sf, sa, sb below p; 352 bytes."""

    WHAT = "basic signature"
    STATUS = EpidStatus.kEpidBadSignatureErr
    LAYOUT = (
        ("B", G1_POINT), ("K", G1_POINT), ("T", G1_POINT),
        ("c", SCALAR), ("sx", SCALAR), ("sf", SCALAR), ("sa", SCALAR), ("sb", SCALAR),
    )  # fmt: skip

    B: bytes
    K: bytes
    T: bytes
    c: int
    sx: int
    sf: int
    sa: int
    sb: int


@dataclass(frozen=True)
class NonRevokedProof(Record):
    """Proof that the signer did not make one entry of the SigRL:

    T of G1 and c, smu, snu below p; 160 bytes.
    """

    WHAT = "non-revoked proof"
    STATUS = EpidStatus.kEpidBadNrProofErr
    LAYOUT = (("T", G1_POINT), ("c", SCALAR), ("smu", SCALAR), ("snu", SCALAR))

    T: bytes
    c: int
    smu: int
    snu: int

    @classmethod
    def blank(cls) -> Self:
        """160 zero bytes: what stands where a revoked signer cannot make a proof. No verifier accepts it."""
        proof = object.__new__(cls)
        for name, value in (("T", G1_IDENTITY), ("c", 0), ("smu", 0), ("snu", 0)):
            object.__setattr__(proof, name, value)
        return proof


class HasBytes(Protocol):
    """A signature of either form."""

    def to_bytes(self) -> bytes:
        """Its wire form."""


@dataclass(frozen=True)
class Signature:
    """A whole signature, 360 + 160 n bytes: basic part, version of the SigRL (0 without), n proofs."""

    basic: BasicSignature
    rl_ver: int = 0
    proofs: tuple[NonRevokedProof, ...] = ()

    def __post_init__(self) -> None:
        complaint = U32.complaint(self.rl_ver) or U32.complaint(len(self.proofs))
        if complaint:
            raise EpidFormatError(
                f"signature: rl_ver or n2 {complaint}", status=EpidStatus.kEpidBadSignatureErr
            )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Reads a plain signature and checks every field of it; raises EpidFormatError. (There is no gid in it.)"""
        data = bytes(data)
        envelope = Envelope.of(data)
        if envelope.nonce is not None:
            raise EpidFormatError(
                "signature: this is a split one, not a plain one", status=EpidStatus.kEpidBadSignatureErr
            )
        basic = BasicSignature.from_bytes(data[:BASIC_SIZE])
        proofs = []
        for i in range(envelope.count):
            try:
                proofs.append(NonRevokedProof.from_bytes(envelope.proof(i)[0]))
            except EpidFormatError as error:
                start = PLAIN_SIZE + i * PROOF_SIZE
                raise EpidFormatError(
                    f"signature: proof {i}: {error}", offset=start + (error.offset or 0), status=error.status
                ) from None
        return cls(basic, envelope.rl_ver, tuple(proofs))

    def to_bytes(self) -> bytes:
        """The wire form."""
        return (
            self.basic.to_bytes()
            + self.rl_ver.to_bytes(4, "big")
            + len(self.proofs).to_bytes(4, "big")
            + b"".join(proof.to_bytes() for proof in self.proofs)
        )


def are_linked(one: HasBytes | bytes, other: HasBytes | bytes) -> bool:
    """True if two signatures have the same B and K: same basename, same member's f.

    Says something only about valid signatures, so verify first. Raises EpidFormatError for bytes that are
    none.
    """
    pairs = []
    for signature in (one, other):
        data = signature.to_bytes() if hasattr(signature, "to_bytes") else bytes(signature)
        Envelope.of(data)
        pairs.append(data[:128])
    return pairs[0] == pairs[1]
