"""The arithmetic over Python's own integers, or over any number type that behaves like them.

Correct and clear before fast; the same code serves plain ``int`` and ``gmpy2.mpz``. It is **not**
constant-time: whoever can measure the time of a signature learns about its exponents.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from fusequote.epid.arithmetic import pairing
from fusequote.epid.arithmetic.curve import G1, G2, G1Point, G1Table, G2Point, wnaf
from fusequote.epid.arithmetic.interface import Arithmetic, Base, NotAnElement, Term
from fusequote.epid.arithmetic.split import GT_LATTICE
from fusequote.epid.arithmetic.tower import Fq12, Tower
from fusequote.epid.params import G1_IDENTITY, G1_SIZE, G2_IDENTITY, G2_SIZE, GT_SIZE, P, Q


def canonical(data: bytes, size: int) -> list[int]:
    """The field elements in ``data``; raises NotAnElement for a wrong length or one that is not below q."""
    if len(data) != size:
        raise NotAnElement(f"{len(data)} bytes where {size} are needed")
    out = [int.from_bytes(data[i : i + 32], "big") for i in range(0, size, 32)]
    if any(c >= Q for c in out):
        raise NotAnElement("a coordinate is not below the field's modulus")
    return out


class GtTable:
    """Odd powers of an element and of its three Frobenius images, with their conjugates."""

    __slots__ = ("rows",)
    WIDTH = 5

    def __init__(self, tower: Tower, element: Fq12):
        powers, square = [element], tower.cyclotomic_sqr(element)
        for _ in range((1 << (self.WIDTH - 2)) - 1):
            powers.append(tower.mul(powers[-1], square))
        images = [powers] + [[tower.frobenius(a, k) for a in powers] for k in (1, 2, 3)]
        self.rows = [(row, [tower.conj(a) for a in row]) for row in images]


class IntegerArithmetic(Arithmetic):
    """Back end over ``number`` (default: ``int``)."""

    constant_time = False

    def __init__(self, number: Callable[[int], Any] = int, name: str = "int"):
        self.name = name
        self._number = number
        self._tower = Tower(number)
        self._g1 = G1(self._tower)
        self._g2 = G2(self._tower)
        # Second arguments of pairings are few: the generator, and the w of each group.
        self._lines = lru_cache(maxsize=32)(self._make_lines)

    # encodings

    def _g1_decode(self, data: bytes) -> G1Point:
        x, y = map(self._number, canonical(data, G1_SIZE))
        if self._g1.on_curve(x, y):
            return x, y
        if data == G1_IDENTITY:
            return None
        raise NotAnElement("not a point of G1")

    def _g2_decode(self, data: bytes) -> G2Point:
        x0, x1, y0, y1 = map(self._number, canonical(data, G2_SIZE))
        point = (x0, x1), (y0, y1)
        if self._g2.on_curve(point):
            return point
        if data == G2_IDENTITY:
            return None
        raise NotAnElement("not a point of the twist")

    @staticmethod
    def _encode(numbers: Sequence[Any]) -> bytes:
        return b"".join(int(c).to_bytes(32, "big") for c in numbers)

    def _g2_encode(self, point: G2Point) -> bytes:
        return G2_IDENTITY if point is None else self._encode((*point[0], *point[1]))

    # G1

    def g1_is_point(self, data: bytes) -> bool:
        try:
            return self._g1_decode(data) is not None
        except NotAnElement:
            return False

    def g1_from_x(self, x: int) -> bytes | None:
        y = self._g1.lift_x(self._number(x))
        return None if y is None else self._encode((x, y))

    def g1_prepare(self, point: bytes) -> G1Table:
        decoded = self._g1_decode(point)
        if decoded is None:
            raise NotAnElement("the identity needs no tables")
        return self._g1.tables([decoded], self._g1.WIDTH_PREPARED)[0]

    def g1_sum(self, terms: Sequence[Term]) -> bytes:
        bases = [(b if isinstance(b, G1Table) else self._g1_decode(b), k) for b, k in terms]
        point = self._g1.multi_exp([(b, k) for b, k in bases if b is not None])
        return G1_IDENTITY if point is None else self._encode(point)

    def g1_sum_secret(self, terms: Sequence[Term]) -> bytes:
        return self.g1_sum(terms)

    # G2

    def g2_is_point(self, data: bytes) -> bool:
        try:
            return self._g2_decode(data) is not None
        except NotAnElement:
            return False

    def g2_in_subgroup(self, data: bytes) -> bool:
        try:
            point = self._g2_decode(data)
        except NotAnElement:
            return False
        return point is not None and self._g2.in_subgroup(point)

    def g2_sum(self, terms: Sequence[tuple[bytes, int]]) -> bytes:
        total = None
        for data, k in terms:
            total = self._g2.add(total, self._g2.multiply(self._g2_decode(data), k % P))
        return self._g2_encode(total)

    def g2_sum_secret(self, terms: Sequence[tuple[bytes, int]]) -> bytes:
        return self.g2_sum(terms)

    def g2_prepare(self, point: bytes) -> list[pairing.Line]:
        return self._lines(bytes(point))

    def _make_lines(self, point: bytes) -> list[pairing.Line]:
        decoded = self._g2_decode(point)
        if decoded is None:
            raise NotAnElement("the identity has no lines")
        try:
            return pairing.prepare(self._g2, decoded)
        except pairing.DegeneratePairing as error:
            raise NotAnElement(str(error)) from None

    # GT

    def _gt_decode(self, data: bytes) -> Fq12:
        return tuple(map(self._number, canonical(data, GT_SIZE)))

    def gt_is_element(self, data: bytes) -> bool:
        try:
            return self._tower.in_gt(self._gt_decode(data))
        except NotAnElement:
            return False

    def gt_prepare(self, element: bytes) -> GtTable:
        return GtTable(self._tower, self._gt_decode(element))

    def gt_product(self, terms: Sequence[Term]) -> bytes:
        schedule: dict[int, list[Fq12]] = {}
        for base, k in terms:
            table = base if isinstance(base, GtTable) else self.gt_prepare(base)
            for (powers, inverses), part in zip(table.rows, GT_LATTICE.split(k), strict=True):
                for position, d in enumerate(wnaf(part, GtTable.WIDTH)):
                    if d:
                        factor = powers[d >> 1] if d > 0 else inverses[-d >> 1]
                        schedule.setdefault(position, []).append(factor)
        r, sqr, mul = self._tower.one, self._tower.cyclotomic_sqr, self._tower.mul
        for position in range(max(schedule, default=-1), -1, -1):
            r = sqr(r)
            for factor in schedule.get(position, ()):
                r = mul(r, factor)
        return self._encode(r)

    def gt_product_secret(self, terms: Sequence[Term]) -> bytes:
        return self.gt_product(terms)

    # pairing

    def pairing_product(self, pairs: Sequence[tuple[bytes, Base]]) -> bytes:
        decoded = []
        for point, lines in pairs:
            p = self._g1_decode(point)
            if isinstance(lines, bytes):
                lines = self.g2_prepare(lines)
            if p is not None:
                decoded.append((p, lines))
        return self._encode(pairing.product(self._tower, decoded) if decoded else self._tower.one)
