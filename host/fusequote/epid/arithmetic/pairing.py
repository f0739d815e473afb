"""The plain optimal ate pairing with its exact final exponent (EPID spec section 1), from its lines.

For a fixed Q each step of the Miller loop is a line with slope s through (x, y) of the twist; at P = (X, Y)
it is, up to a factor that the final exponentiation removes, ``1 - s X/Y w + (s x - y)/Y w^3``. So a prepared
Q is the list of (s, s x - y), and a product of pairings shares one run of squarings and one final
exponentiation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fusequote.epid.arithmetic.fq12 import Element, Fq2, Fq12Field, Line, naf
from fusequote.epid.arithmetic.twist import G2
from fusequote.epid.params import U

#: Digits of 6t - 2 = -(6U + 2), most significant first, without the leading one.
LOOP = naf(-(6 * U + 2))[-2::-1]


class DegeneratePairing(ArithmeticError):
    """A step of the Miller loop met a vertical line: only possible for a point outside the order-p subgroup."""


def prepare(g2: G2, point: tuple[Fq2, Fq2]) -> list[Line]:
    """The lines of ``point`` in the order in which :func:`product` uses them; raises DegeneratePairing."""
    t, lines = g2.tower, []

    def step(a, b):
        slope = g2.slope(a, b)
        if slope is None:
            raise DegeneratePairing("the point has too small an order for the pairing")
        lines.append(t.line(slope, t.fq2_sub(t.fq2_mul(slope, a[0]), a[1])))
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


def product(field: Fq12Field, pairs: Sequence[tuple[tuple[Any, Any], list[Line]]]) -> Element:
    """Product of e(P, Q) over affine points P and prepared points Q, neither the identity."""
    sqr, mul_line = field.sqr, field.mul_line
    points = [field.evaluation(x, y) for (x, y), _ in pairs]
    f, steps = field.one, zip(*(lines for _, lines in pairs), strict=True)

    def absorb(f: Element) -> Element:
        for line, at in zip(next(steps), points, strict=True):
            f = mul_line(f, line, at)
        return f

    for d in LOOP:
        f = absorb(sqr(f))
        if d:
            f = absorb(f)
    f = field.conj(f)  # the loop count is negative; inverse and conjugate agree after the final exponentiation
    return field.final_exponentiation(absorb(absorb(f)))
