"""The simulated chips' entropy: where a chip without a noise source takes its 32 bytes per boot from.

Both simulations (``sim://`` and ``model://``) draw the same bytes in the same way, so that a seed makes their
runs comparable byte for byte. Source: docs/link.md section 4. A seeded chip is for experiments only; the chip
says so itself (bit 1 of IDENTIFY's capabilities stays 0 with this source, seeded or not).
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Protocol

__all__ = ["BLOCK_SIZE", "EntropySource", "SimulatedEntropy"]

#: Bytes that a chip takes at each boot.
BLOCK_SIZE = 32

_LABEL = b"fusequote simulated entropy"
_U64 = 1 << 64


class EntropySource(Protocol):
    """What a simulated chip asks of its source of entropy."""

    def block(self, j: int) -> bytes:
        """The 32 bytes for the j-th boot since power-on, j from 0."""
        ...


class SimulatedEntropy:
    """Entropy of one power-on.

    ``seed``: text, or None for 32 bytes from the operating system. ``boot_counter``: the counter of the
    fuse file after this power-on has added one to it (1 for a chip that was never on before, and for one
    without a file).

    Raises ValueError when the counter does not fit 64 bits.
    """

    def __init__(self, seed: str | None, boot_counter: int):
        if not 0 <= boot_counter < _U64:
            raise ValueError(f"boot counter must fit 64 bits, not {boot_counter}")
        seed32 = secrets.token_bytes(32) if seed is None else hashlib.sha256(seed.encode()).digest()
        self._s = hashlib.sha256(_LABEL + seed32 + boot_counter.to_bytes(8, "little")).digest()

    def block(self, j: int) -> bytes:
        """E_j = S[0:24] || ((u64(S[24:32]) + j) mod 2^64), 32 bytes."""
        if j < 0:
            raise ValueError(f"boots are counted from 0, not {j}")
        tail = (int.from_bytes(self._s[24:], "little") + j) % _U64
        return self._s[:24] + tail.to_bytes(8, "little")

    def __repr__(self) -> str:
        return "SimulatedEntropy(...)"  # a seed decides every key: not for logs
