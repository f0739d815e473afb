"""The plain optimal ate pairing with its exact final exponent (EPID spec section 1), from its lines.

For a fixed Q each step of the Miller loop is a line with slope s through (x, y) of the twist; at P = (X, Y)
it is, up to a factor that the final exponentiation removes, ``1 - s X/Y w + (s x - y)/Y w^3``. So a prepared
Q is the list of (s, s x - y), and a product of pairings shares one run of squarings and one final
exponentiation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fusequote.epid.arithmetic.curve import G2
from fusequote.epid.arithmetic.tower import Fq2, Fq12, Tower, naf
from fusequote.epid.params import U

#: Digits of 6t - 2 = -(6U + 2), most significant first, without the leading one.
LOOP = naf(-(6 * U + 2))[-2::-1]

Line = tuple[Any, Any, Any, Any]


class DegeneratePairing(ArithmeticError):
    """A step of the Miller loop met a vertical line: only possible for a point outside the order-p subgroup."""


def prepare(g2: G2, point: tuple[Fq2, Fq2]) -> list[Line]:
    """The lines of ``point`` in the order in which :func:`product` uses them; raises DegeneratePairing."""
    t, lines = g2.tower, []

    def step(a, b):
        slope = g2.slope(a, b)
        if slope is None:
            raise DegeneratePairing("the point has too small an order for the pairing")
        lines.append((*slope, *t.fq2_sub(t.fq2_mul(slope, a[0]), a[1])))
        return g2.third(a, b, slope)

    minus, r = g2.negate(point), point
    for d in LOOP:
        r = step(r, r)
        if d:
            r = step(r, point if d > 0 else minus)
    # 6U + 2 is negative: the loop ran over its absolute value.
    r = g2.negate(r)
    image = g2.frobenius(point)
    r = step(r, image)
    step(r, g2.negate(g2.frobenius(image)))
    return lines


def product(tower: Tower, pairs: Sequence[tuple[tuple[Any, Any], list[Line]]]) -> Fq12:
    """Product of e(P, Q) over affine points P and prepared points Q, neither the identity."""
    q, sqr, mul_line = tower.q, tower.sqr, tower.mul_line
    evaluated = []
    for (x, y), lines in pairs:
        yi = pow(y, -1, q)
        xy = -x * yi % q
        evaluated.append([(s0 * xy % q, s1 * xy % q, n0 * yi % q, n1 * yi % q) for s0, s1, n0, n1 in lines])
    f, steps = tower.one, zip(*evaluated, strict=True)

    def absorb(f):
        for line in next(steps):
            f = mul_line(f, *line)
        return f

    for d in LOOP:
        f = absorb(sqr(f))
        if d:
            f = absorb(f)
    f = tower.conj(f)  # the loop count is negative; inverse and conjugate agree after the final exponentiation
    return tower.final_exponentiation(absorb(absorb(f)))
