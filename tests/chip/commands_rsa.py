"""RSA-3072 with e = 3 for tests: a few fixed keys (tests/vectors/rsa), signatures with quotients, proofs, forgeries.

Numbers travel little-endian in 384 bytes. Apart from the model: a mistake has to be made twice to pass.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import random
from dataclasses import dataclass, field
from pathlib import Path

SIZE = 384
_R = 1 << 3072
_TOP = b"\x00\x01" + b"\xff" * 330 + b"\x00" + bytes.fromhex("3031300d060960864801650304020105000420")
_VECTORS = Path(__file__).parents[1] / "vectors" / "rsa" / "keys.json"

try:  # several times as fast, and there wherever the EPID kernel's tests run
    from gmpy2 import powmod as _pow
except ImportError:
    _pow = pow


def le(value: int) -> bytes:
    """384 bytes, least significant first."""
    return value.to_bytes(SIZE, "little")


def encoded(message: bytes) -> int:
    """The PKCS#1 v1.5 block of SHA-256(message)."""
    return int.from_bytes(_TOP + hashlib.sha256(message).digest(), "big")


@dataclass(frozen=True)
class Numbers:
    """What a signature with quotients is made of."""

    n: int
    s: int
    q1: int
    q2: int

    def to_bytes(self) -> bytes:
        """MODULUS || SIGNATURE || Q1 || Q2, 1,536 bytes."""
        return le(self.n) + le(self.s) + le(self.q1) + le(self.q2)


def with_quotients(n: int, s: int) -> Numbers:
    """S with the quotients that an honest signer sends."""
    q1, t1 = divmod(s * s, n)
    return Numbers(n, s, q1, t1 * s // n)


@dataclass(frozen=True)
class Key:
    """A private key."""

    p: int = field(repr=False)
    q: int = field(repr=False)
    d: int = field(repr=False)

    @property
    def n(self) -> int:
        return self.p * self.q

    @property
    def modulus(self) -> bytes:
        """As in SIGSTRUCT and in a proof."""
        return le(self.n)

    def sign(self, message: bytes) -> Numbers:
        """An honest signature."""
        return _signed(self, encoded(message))


@functools.lru_cache(maxsize=4096)
def _signed(key: Key, block: int) -> Numbers:
    s_p = int(_pow(block % key.p, key.d % (key.p - 1), key.p))
    s_q = int(_pow(block % key.q, key.d % (key.q - 1), key.q))
    h = (s_p - s_q) * pow(key.q, -1, key.p) % key.p
    return with_quotients(key.n, s_q + h * key.q)


def _load() -> list[Key]:
    keys = json.loads(_VECTORS.read_text())["keys"]
    return [Key(int(key["p"], 16), int(key["q"], 16), int(key["d"], 16)) for key in keys]


_KEYS = _load()
#: 0 and 1 provision, 2 launches, 3 and 4 just sign.
SIGNING_KEYS = _KEYS[:5]
#: Enclaves may name these as entry keys.
ENTRY_KEYS = _KEYS[5:]


def key_of(modulus: bytes) -> Key | None:
    """The key with this modulus, if it is one of ours."""
    return next((key for key in _KEYS if key.modulus == modulus), None)


# -- what must not pass ---------------------------------------------------------------------------------------------


def _wrapping(rng: random.Random, n: int, block: int, positive: bool | None) -> Numbers:
    """Right modulo 2^3072 only, with no private key: S and t1 are picked, Q1 and Q2 solved for."""
    inverse = pow(n, -1, _R)
    while True:
        s, t1 = rng.randrange(2, n), rng.randrange(n)
        found = Numbers(n, s, (s * s - t1) * inverse % _R, (t1 * s - block) * inverse % _R)
        if positive is None or positive == (s * s >= found.q1 * n and t1 * s >= found.q2 * n):
            return found


def _first_wraps(rng: random.Random, n: int, block: int) -> Numbers:
    """The first difference is wrong by a multiple of 2^3072, the second is right."""
    inverse = pow(n, -1, _R)
    while True:
        s = rng.randrange(2, n)
        if math.gcd(s, n) == 1:
            t1 = block * pow(s, -1, n) % n
            return Numbers(n, s, (s * s - t1) * inverse % _R, (t1 * s - block) // n)


def _second_wraps(rng: random.Random, n: int, block: int) -> Numbers:
    s = rng.randrange(2, n)
    q1, t1 = divmod(s * s, n)
    return Numbers(n, s, q1, (t1 * s - block) * pow(n, -1, _R) % _R)


def _t1_above_n(good: Numbers) -> Numbers:
    return Numbers(good.n, good.s, good.q1 - 1, good.q2 + good.s)


def _cube_root(message: bytes) -> Numbers:
    """Lax padding: 00 01 FF 00 and the hash where a parser that skips padding finds it; the rest makes it a cube."""
    prefix = b"\x00\x01" + b"\xff" * 8 + _TOP[-20:] + hashlib.sha256(message).digest()
    wanted = int.from_bytes(prefix.ljust(SIZE, b"\xff"), "big")
    low, high = 0, 1 << 1030
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**3 <= wanted else (low, middle)
    return with_quotients(_R - 1, low)  # any modulus above the cube: nothing is ever reduced


#: By name. Each is bad for one reason.
FORGERIES = (
    "both wrap", "both wrap upwards", "first wraps", "second wraps", "S plus N", "t1 in [N, 2N)", "t2 in [N, 2N)",
    "S is 0", "N is 0", "all 0", "cube root", "another message", "another hash", "S changed", "Q1 changed",
    "Q2 changed", "Q1 one more", "Q2 one more", "another key", "big-endian",
)  # fmt: skip


def forged(name: str, rng: random.Random, key: Key, message: bytes) -> Numbers:
    """A signature of ``message`` under ``key`` that must be refused."""
    n, block, good = key.n, encoded(message), key.sign(message)
    bit = 1 << rng.randrange(3072)
    match name:
        case "both wrap":
            return _wrapping(rng, n, block, None)
        case "both wrap upwards":
            return _wrapping(rng, n, block, True)
        case "first wraps":
            return _first_wraps(rng, n, block)
        case "second wraps":
            return _second_wraps(rng, n, block)
        case "S plus N":  # the same to an engine that reduces; with S = N where there is no room for that
            more = with_quotients(n, good.s + n)
            return more if max(more.s, more.q1, more.q2) < _R else with_quotients(n, n)
        case "t1 in [N, 2N)":
            return _t1_above_n(good) if good.q2 + good.s < _R else Numbers(n, good.s, good.q1 - 1, good.q2)
        case "t2 in [N, 2N)":
            return Numbers(n, good.s, good.q1, good.q2 - 1)
        case "S is 0":
            return Numbers(n, 0, 0, 0)
        case "N is 0":
            return Numbers(0, rng.randrange(1 << 1000), 0, 0)
        case "all 0":
            return Numbers(0, 0, 0, 0)
        case "cube root":
            return _cube_root(message)
        case "another message":
            return key.sign(message[:-1] + bytes([message[-1] ^ 1]))
        case "another hash":  # every byte of the block counts, the low ones too
            return _signed(key, block ^ 1 << rng.randrange(8 * 32))
        case "S changed":
            return Numbers(n, good.s ^ bit, good.q1, good.q2)
        case "Q1 changed":
            return Numbers(n, good.s, good.q1 ^ bit, good.q2)
        case "Q2 changed":
            return Numbers(n, good.s, good.q1, good.q2 ^ bit)
        case "Q1 one more":
            return Numbers(n, good.s, good.q1 + 1, good.q2)
        case "Q2 one more":
            return Numbers(n, good.s, good.q1, good.q2 + 1)
        case "another key":
            other = next(k for k in _KEYS if k is not key).sign(message)
            return Numbers(n, other.s, other.q1, other.q2)
        case "big-endian":
            reverse = (int.from_bytes(le(x), "big") for x in (good.s, good.q1, good.q2))
            return Numbers(n, *reverse)
    raise ValueError(name)


# -- signed entry (docs/link.md 3.4) --------------------------------------------------------------------------------

KEY_MAGIC = b"FQ-EMUL-ENTRYKEY"


def entry_chunk(key: Key) -> bytes:
    """The 256 bytes at the start of a page that name ``key`` as the enclave's entry key."""
    return (KEY_MAGIC + hashlib.sha256(key.modulus).digest()).ljust(256, b"\0")


def proof_message(op: int, eid: bytes, linaddr: bytes, nonce: bytes, mrenclave: bytes, chain: bytes) -> bytes:
    """The 128 bytes that a proof signs."""
    made = b"FQ-EMUL-ENTRY\0\0\0" + bytes([op]) + bytes(7) + eid + linaddr + nonce + mrenclave + chain + bytes(8)
    assert len(made) == 128
    return made


def link(op: int, after_ticket: bytes) -> bytes:
    """The link of a command: ``after_ticket`` is its body after the ticket, ``next`` included."""
    return hashlib.sha256(bytes([op]) + bytes(15) + after_ticket).digest()
