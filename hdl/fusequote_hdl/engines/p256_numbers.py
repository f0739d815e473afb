"""The curve P-256 in integers (FIPS 186-4 D.1.2.3), and what the signing engine has in its table."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["CONSTANTS", "GENERATOR", "N", "P", "R", "B", "comb", "table_words"]

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
GENERATOR = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
#: The radix of Montgomery's products.
R = 1 << 256

#: By name, in the order of the table (at most 16).
CONSTANTS = {
    "p": P,
    "n": N,
    "p - 2": P - 2,
    "n - 2": N - 2,
    "one": 1,
    "one mod p": R % P,
    "one mod n": R % N,
    "R R mod n": R * R % N,
    "b": B * R % P,
}

_Point = tuple[int, int] | None


def _add(one: _Point, other: _Point) -> _Point:
    """Affine, None being the neutral element (SEC 1, section 2.2.1)."""
    if one is None or other is None:
        return one or other
    (x1, y1), (x2, y2) = one, other
    if x1 == x2 and (y1 + y2) % P == 0:
        return None
    slope = (3 * x1 * x1 - 3) * pow(2 * y1, -1, P) if one == other else (y2 - y1) * pow(x2 - x1, -1, P)
    x3 = (slope * slope - x1 - x2) % P
    return x3, (slope * (x1 - x3) - y1) % P


def comb() -> Iterator[_Point]:
    """The 16 sums of G, 2^64 G, 2^128 G and 2^192 G: bit j of an entry's number says whether 2^(64 j) G is in it."""
    powers, point = [], GENERATOR
    for _ in range(4):
        powers.append(point)
        for _ in range(64):
            point = _add(point, point)
    for number in range(16):
        entry: _Point = None
        for j, power in enumerate(powers):
            if number >> j & 1:
                entry = _add(entry, power)
        yield entry


def table_words() -> list[int]:
    """1024 words of 16 bits: for each of 16 entries X, Y, Z (times R, modulo p) and a constant, lowest word first."""
    words = []
    constants = [*CONSTANTS.values()] + [0] * (16 - len(CONSTANTS))
    for point, constant in zip(comb(), constants, strict=True):
        x, y, z = (0, 1, 0) if point is None else (*point, 1)
        for number in (x * R % P, y * R % P, z * R % P, constant):
            words += [number >> 16 * k & 0xFFFF for k in range(16)]
    return words
