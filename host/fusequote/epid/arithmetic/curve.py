"""Sums in G1 over Python-like integers.

Jacobian coordinates; interleaved width-w NAF over the two halves of each exponent; all tables of a call, and all its
sums, share one inversion each. ``None`` is the identity. Nothing here is constant-time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fusequote.epid.arithmetic.fq12 import Fq12Field, wnaf
from fusequote.epid.arithmetic.split import G1_LATTICE
from fusequote.epid.params import CURVE_B, U

G1Point = tuple[Any, Any] | None
Jacobian = tuple[Any, Any, Any]


#: Positions of the digits of half an exponent, with the carry of the recoding, and of a lane when there are two.
DIGITS, STRIDE = 130, 65


class G1Table:
    """Odd multiples P, 3P, 5P .. of a point, affine, and the same under the endomorphism.

    ``lanes`` of them: the second are the multiples of [2^STRIDE]P. With two, the upper digits of an exponent are added
    beside its lower ones, and a sum takes half as many doublings.
    """

    __slots__ = ("width", "lanes")

    def __init__(self, width: int, lanes: list[tuple[list[Any], list[Any]]]):
        self.width, self.lanes = width, lanes


class G1:
    """The group G1: y^2 = x^3 + 3 over Fq."""

    #: Windows for a point met once, for one that several exponents share, and for one that is prepared.
    WIDTH, WIDTH_SHARED, WIDTH_PREPARED = 5, 6, 8

    def __init__(self, field: Fq12Field):
        self.q, self.number = field.q, field.number
        #: Cube root of one with (BETA x, y) = [LAMBDA](x, y).
        self.beta = field.number((18 * U**3 + 18 * U**2 + 9 * U + 1) % int(field.q))

    def on_curve(self, x: Any, y: Any) -> bool:
        return (y * y - x * x * x - CURVE_B) % self.q == 0

    def lift_x(self, x: Any) -> Any | None:
        """The root y = (x^3 + 3)^((q+1)/4), or None when there is no point with this x."""
        a = (x * x * x + CURVE_B) % self.q
        y = pow(a, (self.q + 1) // 4, self.q)
        return y if y * y % self.q == a else None

    def prepare(self, point: tuple[Any, Any]) -> G1Table:
        """A table for a point that will be multiplied often."""
        return self._tables([(point, self.WIDTH_PREPARED, 1 << (self.WIDTH_PREPARED - 2), 2)])[0]

    def sums(self, jobs: Sequence[tuple[Sequence[G1Point | G1Table], Sequence[Sequence[int]]]]) -> list[G1Point]:
        """For each job's bases (points, or tables of them) and each row of exponents the sum of [k]P, in order."""
        bare: list[tuple[tuple[Any, Any], int, int, int]] = []
        recoded = []
        for bases, rows in jobs:
            stride = self._stride(bases, rows)
            columns = []
            for j, base in enumerate(bases):
                if base is None:
                    continue
                shared = self.WIDTH_SHARED if len(rows) > 1 and stride == DIGITS else self.WIDTH
                width = base.width if isinstance(base, G1Table) else shared
                digits = [[wnaf(part, width) for part in G1_LATTICE.split(row[j])] for row in rows]
                if not isinstance(base, G1Table):
                    # only as many multiples as the digits name: an exponent of one needs none
                    used = [place for halves in digits for half in halves for place in half]
                    largest = max((abs(d) for _, d in used), default=0)
                    highest = max((position for position, _ in used), default=0)
                    bare.append((base, width, (largest >> 1) + 1, highest // stride + 1))
                    base = None
                columns.append((base, digits))
            recoded.append((columns, len(rows), stride))
        made = iter(self._tables(bare))
        totals = []
        for columns, rows, stride in recoded:
            tables = [(table or next(made), digits) for table, digits in columns]
            totals += [self._horner([(table, digits[i]) for table, digits in tables], stride) for i in range(rows)]
        return self._normalise(totals)

    @staticmethod
    def _stride(bases: Sequence[G1Point | G1Table], rows: Sequence[Sequence[int]]) -> int:
        """Digits to a lane: a second one costs a bare point STRIDE doublings, and saves as many in each row."""
        points = sum(
            base is not None and not isinstance(base, G1Table) and any(abs(row[j]) >> STRIDE for row in rows)
            for j, base in enumerate(bases)
        )
        return STRIDE if points < len(rows) else DIGITS

    def _tables(self, points: Sequence[tuple[tuple[Any, Any], int, int, int]]) -> list[G1Table]:
        """Tables of (point, width, number of multiples, lanes) with one inversion between them.

        The order of a point is P, so none of them meets zero.
        """
        q, one = self.q, self.number(1)
        jacobian = []
        for (x, y), _, size, lanes in points:
            z = one
            for lane in range(lanes):
                # On the isomorphic curve (X, Y) -> (X s^2, Y s^3), s being a point's z, that point is affine.
                if lane:
                    x, y, s = self._double(x, y, one, STRIDE)
                    z = z * s % q
                jacobian.append((x, y, z))
                if size == 1:
                    continue
                x2, y2, s = self._double(x, y, one)
                ss, zs = s * s % q, z * s % q
                multiple = (x * ss % q, y * ss * s % q, one)
                for _ in range(size - 1):
                    multiple = self._add_affine(*multiple, x2, y2)
                    jacobian.append((multiple[0], multiple[1], multiple[2] * zs % q))
        affine, at, out = self._normalise(jacobian), 0, []
        for _, width, size, lanes in points:
            rows: list[list[Any]] = [affine[at + size * i : at + size * (i + 1)] for i in range(lanes)]
            at += size * lanes
            out.append(G1Table(width, [(row, [(self.beta * x % q, y) for x, y in row]) for row in rows]))
        return out

    def _horner(self, terms: Sequence[tuple[G1Table, Sequence[list[tuple[int, int]]]]], stride: int) -> Jacobian:
        """The sum of the multiples that the digits name; digits of both halves of each exponent.

        A lane has ``stride`` of them.
        """
        q, one = self.q, self.number(1)
        schedule: list[list[tuple[Any, Any]]] = [[] for _ in range(stride)]
        for table, halves in terms:
            for half, digits in enumerate(halves):
                row = table.lanes[0][half]
                for position, d in digits:
                    if position >= stride:
                        position, row = position - stride, table.lanes[1][half]
                    if d > 0:
                        schedule[position].append(row[d >> 1])
                    else:
                        px, py = row[-d >> 1]
                        schedule[position].append((px, q - py))
        x, y, z = one, one, self.number(0)
        for points in reversed(schedule):
            if z:  # as _double, but without the call: half of all the work is here
                xx, yy = x * x % q, y * y % q
                d, e = 4 * x * yy % q, 3 * xx
                x = (e * e - d - d) % q
                z = 2 * y * z % q
                y = (e * (d - x) - 8 * yy * yy) % q
            for px, py in points:
                if not z:
                    x, y, z = px, py, one
                    continue
                zz = z * z % q
                h, r = (px * zz - x) % q, (py * (z * zz % q) - y) % q
                if not h:
                    x, y, z = self._add_affine(x, y, z, px, py)
                    continue
                hh = h * h % q
                hhh, v = h * hh % q, x * hh % q
                x = (r * r - hhh - v - v) % q
                y = (r * (v - x) - y * hhh) % q
                z = z * h % q
        return x, y, z

    def _double(self, x: Any, y: Any, z: Any, times: int = 1) -> Jacobian:
        q = self.q
        for _ in range(times):
            xx, yy = x * x % q, y * y % q
            d, e = 4 * x * yy % q, 3 * xx
            x = (e * e - d - d) % q
            z = 2 * y * z % q
            y = (e * (d - x) - 8 * yy * yy) % q
        return x, y, z

    def _add_affine(self, x: Any, y: Any, z: Any, px: Any, py: Any) -> Jacobian:
        """Sum of a point other than the identity and an affine one, which may be equal or opposite."""
        q = self.q
        zz = z * z % q
        h, r = (px * zz - x) % q, (py * (z * zz % q) - y) % q
        if not h:
            return self._double(x, y, z) if not r else (self.number(1), self.number(1), self.number(0))
        hh = h * h % q
        hhh, v = h * hh % q, x * hh % q
        f = (r * r - hhh - v - v) % q
        return f, (r * (v - f) - y * hhh) % q, z * h % q

    def _normalise(self, points: Sequence[Jacobian]) -> list[G1Point]:
        """Affine coordinates by one inversion (Montgomery's trick); None where z = 0."""
        q = self.q
        running, prefix = self.number(1), []
        for _, _, z in points:
            prefix.append(running)
            if z:
                running = running * z % q
        inverse = pow(running, -1, q)
        out: list[G1Point] = [None] * len(points)
        for i in range(len(points) - 1, -1, -1):
            x, y, z = points[i]
            if z:
                zi = inverse * prefix[i] % q
                inverse = inverse * z % q
                zz = zi * zi % q
                out[i] = (x * zz % q, y * (zz * zi % q) % q)
        return out


__all__ = ["G1", "G1Point", "G1Table"]
