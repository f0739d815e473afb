"""Points of G1 and of the twist over Python-like integers.

G1 is where the time goes: Jacobian coordinates, interleaved width-w NAF over the two halves of each exponent.
On the twist plain affine steps do: the same slopes are the lines of the pairing, and only a group's set-up
multiplies there. ``None`` is the identity. Nothing here is constant-time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fusequote.epid.arithmetic.split import G1_LATTICE
from fusequote.epid.arithmetic.tower import Fq2, Tower
from fusequote.epid.params import CURVE_B, TWIST_B, P, U

G1Point = tuple[Any, Any] | None
G2Point = tuple[Fq2, Fq2] | None


def wnaf(k: int, width: int) -> list[int]:
    """Signed odd digits below 2^(width-1) of ``k``, any sign, least significant first."""
    sign, k = (-1, -k) if k < 0 else (1, k)
    full, half = 1 << width, 1 << (width - 1)
    digits = []
    while k:
        if k & 1:
            d = k & (full - 1)
            if d >= half:
                d -= full
            k -= d
            digits.append(sign * d)
        else:
            digits.append(0)
        k >>= 1
    return digits


class G1Table:
    """Odd multiples P, 3P, 5P .. of a point and of its image under the endomorphism, affine."""

    __slots__ = ("width", "halves")

    def __init__(self, width: int, halves: tuple[list[tuple[Any, Any]], list[tuple[Any, Any]]]):
        self.width = width
        self.halves = halves


class G1:
    """The group G1: y^2 = x^3 + 3 over Fq."""

    #: Window for a point met once, and for one that is prepared and used often.
    WIDTH, WIDTH_PREPARED = 5, 8

    def __init__(self, tower: Tower):
        self.q, self.number = tower.q, tower.number
        #: Cube root of one with (BETA x, y) = [LAMBDA](x, y).
        self.beta = tower.number((18 * U**3 + 18 * U**2 + 9 * U + 1) % int(tower.q))

    def on_curve(self, x: Any, y: Any) -> bool:
        return (y * y - x * x * x - CURVE_B) % self.q == 0

    def lift_x(self, x: int) -> int | None:
        """The root y = (x^3 + 3)^((q+1)/4), or None when there is no point with this x."""
        a = (x * x * x + CURVE_B) % self.q
        y = pow(a, (self.q + 1) // 4, self.q)
        return y if y * y % self.q == a else None

    def tables(self, points: Sequence[tuple[Any, Any]], width: int) -> list[G1Table]:
        """Tables for all ``points`` with one inversion between them; the order of a point is P, so none meets zero."""
        q, size = self.q, 1 << (width - 2)
        jacobian = []
        for x, y in points:
            one = self.number(1)
            twice = self._double(x, y, one)
            multiple = (x, y, one)
            jacobian.append(multiple)
            for _ in range(size - 1):
                multiple = self._add(*multiple, *twice)
                jacobian.append(multiple)
        affine = self._normalise(jacobian)
        out = []
        for i in range(0, len(affine), size):
            row = affine[i : i + size]
            out.append(G1Table(width, (row, [(self.beta * x % q, y) for x, y in row])))
        return out

    def multi_exp(self, terms: Sequence[tuple[tuple[Any, Any] | G1Table, int]]) -> G1Point:
        """Sum of [k]P over points or prepared tables."""
        bare = [base for base, _ in terms if not isinstance(base, G1Table)]
        made = iter(self.tables(bare, self.WIDTH)) if bare else iter(())
        schedule: dict[int, list[tuple[Any, Any]]] = {}
        q = self.q
        for base, k in terms:
            table = base if isinstance(base, G1Table) else next(made)
            for row, part in zip(table.halves, G1_LATTICE.split(k), strict=True):
                for position, d in enumerate(wnaf(part, table.width)):
                    if d:
                        x, y = row[abs(d) >> 1]
                        schedule.setdefault(position, []).append((x, y if d > 0 else q - y))
        if not schedule:
            return None
        r = (self.number(1), self.number(1), self.number(0))
        double, add_affine = self._double, self._add_affine
        for position in range(max(schedule), -1, -1):
            r = double(*r)
            for x, y in schedule.get(position, ()):
                r = add_affine(*r, x, y)
        return self._normalise([r])[0]

    def _double(self, x, y, z):
        q = self.q
        a = x * x % q
        b = y * y % q
        d = 4 * x * b % q
        e = 3 * a
        f = (e * e - 2 * d) % q
        return f, (e * (d - f) - 8 * b * b) % q, 2 * y * z % q

    def _add_affine(self, x1, y1, z1, x2, y2):
        if not z1:
            return x2, y2, self.number(1)
        q = self.q
        zz = z1 * z1 % q
        h = (x2 * zz - x1) % q
        r = (y2 * z1 * zz - y1) % q
        if not h:
            return self._double(x1, y1, z1) if not r else (self.number(1), self.number(1), self.number(0))
        hh = h * h % q
        hhh = h * hh % q
        v = x1 * hh % q
        x3 = (r * r - hhh - 2 * v) % q
        return x3, (r * (v - x3) - y1 * hhh) % q, z1 * h % q

    def _add(self, x1, y1, z1, x2, y2, z2):
        """Sum of two different points, neither the identity nor each other's opposite."""
        q = self.q
        zz1, zz2 = z1 * z1 % q, z2 * z2 % q
        u1, s1 = x1 * zz2 % q, y1 * z2 * zz2 % q
        h, r = (x2 * zz1 - u1) % q, (y2 * z1 * zz1 - s1) % q
        hh = h * h % q
        hhh = h * hh % q
        v = u1 * hh % q
        x3 = (r * r - hhh - 2 * v) % q
        return x3, (r * (v - x3) - s1 * hhh) % q, z1 * z2 * h % q

    def _normalise(self, points: Sequence[tuple[Any, Any, Any]]) -> list[Any]:
        """Affine coordinates by one inversion (Montgomery's trick); None where z = 0."""
        q = self.q
        running, prefix = self.number(1), []
        for _, _, z in points:
            prefix.append(running)
            if z:
                running = running * z % q
        inverse = pow(running, -1, q)
        out: list[Any] = [None] * len(points)
        for i in range(len(points) - 1, -1, -1):
            x, y, z = points[i]
            if z:
                zi = inverse * prefix[i] % q
                inverse = inverse * z % q
                zz = zi * zi % q
                out[i] = (x * zz % q, y * zz * zi % q)
        return out


class G2:
    """The curve y^2 = x^3 + 3/XI over Fq2; G2 is its subgroup of order P."""

    def __init__(self, tower: Tower):
        self.tower = tower
        self.b = (tower.number(TWIST_B[0]), tower.number(TWIST_B[1]))

    def on_curve(self, point: tuple[Fq2, Fq2]) -> bool:
        mul, q = self.tower.fq2_mul, self.tower.q
        x, y = point
        left, right = mul(y, y), mul(mul(x, x), x)
        return all((left[i] - right[i] - self.b[i]) % q == 0 for i in (0, 1))

    def slope(self, a: tuple[Fq2, Fq2], b: tuple[Fq2, Fq2]) -> Fq2 | None:
        """Slope of the line through two points (the tangent when they are equal), None when it is vertical."""
        t = self.tower
        if a[0] != b[0]:
            return t.fq2_mul(t.fq2_sub(b[1], a[1]), t.fq2_inv(t.fq2_sub(b[0], a[0])))
        if a[1] != b[1] or not any(a[1]):
            return None
        xx = t.fq2_mul(a[0], a[0])
        return t.fq2_mul((3 * xx[0], 3 * xx[1]), t.fq2_inv((2 * a[1][0], 2 * a[1][1])))

    def third(self, a: tuple[Fq2, Fq2], b: tuple[Fq2, Fq2], slope: Fq2) -> tuple[Fq2, Fq2]:
        """The sum of two points from the slope of their line."""
        t = self.tower
        x = t.fq2_sub(t.fq2_sub(t.fq2_mul(slope, slope), a[0]), b[0])
        return x, t.fq2_sub(t.fq2_mul(slope, t.fq2_sub(a[0], x)), a[1])

    def add(self, a: G2Point, b: G2Point) -> G2Point:
        if a is None or b is None:
            return b if a is None else a
        slope = self.slope(a, b)
        return None if slope is None else self.third(a, b, slope)

    def negate(self, a: G2Point) -> G2Point:
        q = self.tower.q
        return None if a is None else (a[0], (-a[1][0] % q, -a[1][1] % q))

    def multiply(self, a: G2Point, k: int) -> G2Point:
        """[k]a for any point of the twist and any k >= 0 (k is not reduced: the order may not be P)."""
        table, r = (None, a, self.negate(a)), None
        for d in reversed(wnaf(k, 2)):
            r = self.add(r, r)
            if d:
                r = self.add(r, table[d])
        return r

    def frobenius(self, a: tuple[Fq2, Fq2]) -> tuple[Fq2, Fq2]:
        """The q-power Frobenius carried to the twist."""
        t = self.tower
        (x0, x1), (y0, y1) = a
        factors = t.frobenius_factors[1]
        return t.fq2_mul((x0, -x1), factors[2]), t.fq2_mul((y0, -y1), factors[3])

    def in_subgroup(self, a: tuple[Fq2, Fq2]) -> bool:
        """True if ``a`` has order P.

        The Frobenius f satisfies f^2 - t f + q = 0 on the twist; with f(a) = [t-1]a that is [q + 1 - t]a =
        [P]a = 0.
        """
        return self.multiply(a, 6 * U * U) == self.frobenius(a)


__all__ = ["G1", "G2", "G1Point", "G1Table", "G2Point", "P", "wnaf"]
