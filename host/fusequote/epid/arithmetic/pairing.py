"""The plain optimal ate pairing with its exact final exponent (EPID spec section 1), from its lines.

For a fixed Q each step of the Miller loop is a line with slope s through (x, y) of the twist; at P = (X, Y)
it is, up to a factor that the final exponentiation removes, ``1 - s X/Y w + (s x - y)/Y w^3``. So a prepared
Q is the list of (s, s x - y), and a product of pairings shares one run of squarings and one final
exponentiation. For two fixed Qs the product of their lines of each step is prepared: the Miller loop multiplies by
it once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fusequote.epid.arithmetic.fq12 import Element, Fq2, Fq12Field, Line, RawLine, naf
from fusequote.epid.arithmetic.twist import G2
from fusequote.epid.params import U

#: Digits of 6t - 2 = -(6U + 2), most significant first, without the leading one.
LOOP = naf(-(6 * U + 2))[-2::-1]


class DegeneratePairing(ArithmeticError):
    """A step of the Miller loop met a vertical line: only possible for a point outside the order-p subgroup."""


def raw_lines(g2: G2, point: tuple[Fq2, Fq2]) -> list[RawLine]:
    """The lines of ``point`` in the order in which :func:`miller` uses them; raises DegeneratePairing."""
    t, lines = g2.tower, []

    def step(a, b):
        slope = g2.slope(a, b)
        if slope is None:
            raise DegeneratePairing("the point has too small an order for the pairing")
        lines.append((slope, t.fq2_sub(t.fq2_mul(slope, a[0]), a[1])))
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


def miller(field: Fq12Field, pairs: Sequence[tuple[tuple[Any, Any], list[Line]]]) -> Element:
    """Product over affine points P and lines of points Q, neither the identity; its final exponentiation is e(P, Q)."""
    mul_line = field.mul_line
    points = [field.evaluation(x, y) for (x, y), _ in pairs]
    steps = zip(*(lines for _, lines in pairs), strict=True)

    def absorb(f: Element) -> Element:
        for line, at in zip(next(steps), points, strict=True):
            f = mul_line(f, line, at)
        return f

    return _loop(field, absorb)


def miller_pair(
    field: Fq12Field, first: tuple[Any, Any], second: tuple[Any, Any], lines: Sequence[Line]
) -> Element:
    """:func:`miller` for two affine points and the products of the lines of two points Q."""
    mul_line_pair, at, steps = field.mul_line_pair, field.evaluation_pair(first, second), iter(lines)
    return _loop(field, lambda f: mul_line_pair(f, next(steps), at))


def _loop(field: Fq12Field, absorb: Callable[[Element], Element]) -> Element:
    sqr, f = field.sqr, field.one
    for d in LOOP:
        f = absorb(sqr(f))
        if d:
            f = absorb(f)
    f = field.conj(f)  # the loop count is negative; inverse and conjugate agree after the final exponentiation
    return absorb(absorb(f))
