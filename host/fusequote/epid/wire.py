"""The form of a signature's bytes before its contents: plain or split, which list, how many proofs.

EPID spec section 9: with length L, if 392 + 192 u32(388) = L it is split, else if 360 + 160 u32(356) = L it
is plain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from fusequote.epid.errors import EpidFormatError, EpidStatus

BASIC_SIZE = 352
PROOF_SIZE = 160
NONCE_SIZE = 32
#: Bytes before the proofs.
PLAIN_SIZE = BASIC_SIZE + 8
SPLIT_SIZE = BASIC_SIZE + NONCE_SIZE + 8
SPLIT_PROOF_SIZE = PROOF_SIZE + NONCE_SIZE


@dataclass(frozen=True)
class Envelope:
    """A signature's bytes and where its parts are."""

    data: bytes
    #: The device's nonce of a split signature, None in a plain one.
    nonce: bytes | None
    rl_ver: int
    count: int

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Tells the form from the length; raises EpidFormatError if there is none that fits."""
        for size, proof_size in ((SPLIT_SIZE, SPLIT_PROOF_SIZE), (PLAIN_SIZE, PROOF_SIZE)):
            if len(data) < size:
                continue
            count = int.from_bytes(data[size - 4 : size], "big")
            if size + proof_size * count == len(data):
                nonce = data[BASIC_SIZE : size - 8] if size == SPLIT_SIZE else None
                return cls(data, nonce, int.from_bytes(data[size - 8 : size - 4], "big"), count)
        if len(data) < PLAIN_SIZE:
            complaint = f"{len(data)} bytes are fewer than {PLAIN_SIZE}, and 160 for each proof"
        else:
            announced = int.from_bytes(data[PLAIN_SIZE - 4 : PLAIN_SIZE], "big")
            complaint = f"{len(data)} bytes do not hold the {announced} proofs that it announces"
        raise EpidFormatError(
            f"signature: {complaint}",
            offset=min(len(data), PLAIN_SIZE - 4),
            status=EpidStatus.kEpidBadSignatureErr,
        )

    def proof(self, i: int) -> tuple[bytes, bytes | None]:
        """The i-th proof's 160 bytes and, in a split signature, its nonce."""
        if self.nonce is None:
            start = PLAIN_SIZE + i * PROOF_SIZE
            return self.data[start : start + PROOF_SIZE], None
        start = SPLIT_SIZE + i * SPLIT_PROOF_SIZE
        end = start + PROOF_SIZE
        return self.data[start:end], self.data[end : end + NONCE_SIZE]
