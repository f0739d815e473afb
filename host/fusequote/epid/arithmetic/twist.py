"""Points of the twist, over Python-like integers.

Plain affine steps: the same slopes are the lines of the pairing, and only a group's set-up multiplies here.
``None`` is the identity. Nothing here is constant-time.
"""

from __future__ import annotations

from fusequote.epid.arithmetic.fq12 import Fq2, Fq12Field, naf
from fusequote.epid.params import TWIST_B, U

G2Point = tuple[Fq2, Fq2] | None


class G2:
    """The curve y^2 = x^3 + 3/XI over Fq2; G2 is its subgroup of order P."""

    def __init__(self, tower: Fq12Field):
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
        for d in reversed(naf(k)):
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


__all__ = ["G2", "G2Point"]
