"""RSA-3072 signatures with e = 3 and quotients, as a SIGSTRUCT carries them: plain integers, nothing clever.

Sources: instruction notes 3.2 (Q1, Q2, and why the identity has to hold over the integers); docs/chip.md section 4.
"""

from __future__ import annotations

import hashlib

from .state import PADDING

#: Bytes of MODULUS, SIGNATURE, Q1 and Q2, each little-endian.
SIZE = 384


def verified_padding(modulus: bytes, signature: bytes, q1: bytes, q2: bytes, message: bytes) -> bytes | None:
    """The 352 bytes above the hash in the recovered block, or None when this is no signature of ``message``.

    What EINIT keeps as SECS.PADDING comes from here: from the block, not from the constant.
    """
    n, s, quotient1, quotient2 = (int.from_bytes(raw, "little") for raw in (modulus, signature, q1, q2))
    t1 = s * s - quotient1 * n
    t2 = t1 * s - quotient2 * n
    if not (s < n and 0 <= t1 < n and 0 <= t2 < n):
        return None
    block = t2.to_bytes(SIZE, "big")
    if block != PADDING + hashlib.sha256(message).digest():
        return None
    return block[: len(PADDING)]
