"""The arithmetic over Python's own integers, or over GMP's.

The same code serves both; only the representation of Fq12 differs (``tower.py`` and ``packed.py``). It is **not**
constant-time: whoever can measure the time of a signature learns about its exponents.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

from fusequote.epid.arithmetic import pairing
from fusequote.epid.arithmetic.curve import G1, G1Point, G1Table
from fusequote.epid.arithmetic.fq12 import FINAL_MULTIPLE, Element, Fq12Field, Line, Powers, RawLine
from fusequote.epid.arithmetic.interface import Arithmetic, Base, Job, NotAnElement, Term
from fusequote.epid.arithmetic.split import GT_LATTICE
from fusequote.epid.arithmetic.tower import Tower
from fusequote.epid.arithmetic.twist import G2, G2Point
from fusequote.epid.params import G1_IDENTITY, G1_SIZE, G2_IDENTITY, G2_SIZE, GT_SIZE, P, Q

_DIVISOR = pow(FINAL_MULTIPLE, -1, P)


def canonical(data: bytes, size: int) -> list[int]:
    """The field elements in ``data``; raises NotAnElement for a wrong length or one that is not below q."""
    if len(data) != size:
        raise NotAnElement(f"{len(data)} bytes where {size} are needed")
    out = [int.from_bytes(data[i : i + 32], "big") for i in range(0, size, 32)]
    if any(c >= Q for c in out):
        raise NotAnElement("a coordinate is not below the field's modulus")
    return out


class IntegerArithmetic(Arithmetic):
    """Back end over the numbers of ``field`` (default: ``int``)."""

    constant_time = False
    #: Window and lanes of the tables for an element of GT that is raised once, and for one that is prepared.
    POWERS_ONCE, POWERS_PREPARED = (4, 1), (7, 2)

    def __init__(self, field: Fq12Field | None = None, name: str = "int"):
        self.name = name
        self._field = field or Tower()
        self._number = self._field.number
        self._g1 = G1(self._field)
        self._g2 = G2(self._field)
        # Second arguments of pairings are few: the generator, and the w of each group.
        self._lines = lru_cache(maxsize=32)(self._make_lines)
        self._line_pairs = lru_cache(maxsize=32)(self._make_line_pairs)

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

    def _g1_encode(self, point: G1Point) -> bytes:
        return G1_IDENTITY if point is None else self._encode(point)

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
        return self._g1.prepare(decoded)

    def g1_sum(self, terms: Sequence[Term]) -> bytes:
        return self.g1_batch([([base for base, _ in terms], [[k for _, k in terms]])], False)[0][0]

    def g1_sum_secret(self, terms: Sequence[Term]) -> bytes:
        return self.g1_sum(terms)

    def g1_batch(self, jobs: Sequence[Job], secret: bool) -> list[list[bytes]]:
        sums = map(self._g1_encode, self._g1.sums([self._decoded(job) for job in jobs]))
        return [list(islice(sums, len(rows))) for _, rows in jobs]

    def _decoded(self, job: Job) -> tuple[list[G1Point | G1Table], Sequence[Sequence[int]]]:
        bases, rows = job
        if any(len(row) != len(bases) for row in rows):
            raise ValueError("every row needs an exponent for each base")
        return [b if isinstance(b, G1Table) else self._g1_decode(b) for b in bases], rows

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

    def g2_prepare(self, point: bytes) -> list[Line]:
        return self._lines(bytes(point))

    def _make_lines(self, point: bytes) -> list[Line]:
        return [self._field.line(*raw) for raw in self._raw_lines(point)]

    def _raw_lines(self, point: bytes) -> list[RawLine]:
        decoded = self._g2_decode(point)
        if decoded is None:
            raise NotAnElement("the identity has no lines")
        try:
            return pairing.raw_lines(self._g2, decoded)
        except pairing.DegeneratePairing as error:
            raise NotAnElement(str(error)) from None

    # GT

    def _gt_decode(self, data: bytes) -> Element:
        return self._field.element(tuple(map(self._number, canonical(data, GT_SIZE))))

    def _gt_encode(self, element: Element) -> bytes:
        return self._encode(self._field.flat(element))

    def gt_is_element(self, data: bytes) -> bool:
        try:
            return self._field.in_gt(self._gt_decode(data))
        except NotAnElement:
            return False

    def gt_prepare(self, element: bytes) -> Powers:
        return Powers(self._field, self._gt_decode(element), *self.POWERS_PREPARED)

    def gt_product(self, terms: Sequence[Term]) -> bytes:
        tables = []
        for base, k in terms:
            once = None if isinstance(base, Powers) else self._gt_decode(base)
            powers = base if once is None else Powers(self._field, once, *self.POWERS_ONCE)
            tables.append((powers, GT_LATTICE.split(k)))
        return self._gt_encode(self._field.multi_exp(tables))

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
        f = self._field
        return self._gt_encode(f.final_exponentiation(pairing.miller(f, decoded)) if decoded else f.one)

    def pairing_prepare(self, points: Sequence[bytes]) -> tuple[list[list[Line]], list[Line]]:
        """The lines of each point, and if there are two also the products of their lines."""
        return self._line_pairs(tuple(map(bytes, points)))

    def _make_line_pairs(self, points: tuple[bytes, ...]) -> tuple[list[list[Line]], list[Line]]:
        raw = [self._raw_lines(point) for point in points]
        pairs = [self._field.line_pair(*both) for both in zip(*raw, strict=True)] if len(raw) == 2 else []
        return [[self._field.line(*line) for line in lines] for lines in raw], pairs

    def pairing_of_sums(
        self, job: Job, second: tuple[list[list[Line]], list[Line]], others: Sequence[Job]
    ) -> tuple[bytes, list[list[bytes]]]:
        """With a cheaper final exponentiation: the power too many that it raises to is divided out of the exponents."""
        f, (lines, line_pairs), (bases, rows) = self._field, second, self._decoded(job)
        divided = [[k * _DIVISOR % P for k in row] for row in rows]
        sums = self._g1.sums([(bases, divided), *map(self._decoded, others)])
        points, encoded = sums[: len(rows)], map(self._g1_encode, sums[len(rows) :])
        pairs = [(p, q) for p, q in zip(points, lines, strict=True) if p is not None]
        answer = f.one
        if pairs:
            both = line_pairs and len(pairs) == 2
            product = pairing.miller_pair(f, *points, line_pairs) if both else pairing.miller(f, pairs)
            answer = f.multiple_of_final_exponentiation(product)
        return self._gt_encode(answer), [list(islice(encoded, len(rows))) for _, rows in others]
