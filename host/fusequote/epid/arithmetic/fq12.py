"""What the representations of Fq12 have in common: Fq2, Frobenius, inversion, the final exponentiation.

The tower is Fq - Fq2 - Fq6 - Fq12 (EPID spec section 1). An element of Fq2 is a pair of numbers. An element of
Fq12 is whatever the representation makes it; flat, it is a tuple of twelve in the order of the wire: for z0 + z1 w,
z0 then z1; each of Fq6 as the coefficients of 1, v, v^2; each of Fq2 as a0, a1. ``w^2 = v``, ``v^3 = XI = 2 + i``.
Nothing here is constant-time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from fusequote.epid.params import XI, P, Q, U

Fq2 = tuple[Any, Any]
Flat = tuple[Any, ...]
#: An element of Fq12 in a representation; only its own field knows what it is.
Element = Any
#: A line of the pairing, or a point of G1, as a representation wants it.
Line = Any
Evaluation = Any
#: A slope s, and n = s x - y.
RawLine = tuple[Fq2, Fq2]

#: Position of the coefficient of w^k in the flat tuple: even powers are in z0, odd ones in z1.
W_INDEX = (0, 6, 2, 8, 4, 10)


def wnaf(k: int, width: int) -> list[tuple[int, int]]:
    """``k``, any sign, as (position, digit): odd signed digits below 2^(width-1), ``width`` places apart or more.

    Least significant first; nothing for zero.
    """
    sign, k = (-1, -k) if k < 0 else (1, k)
    full, half = 1 << width, 1 << (width - 1)
    mask, at, places = full - 1, 0, []
    while k:
        zeros = (k & -k).bit_length() - 1
        k >>= zeros
        at += zeros
        d = k & mask
        if d >= half:
            d -= full
        places.append((at, sign * d))
        k = (k - d) >> width
        at += width
    return places


def naf(k: int) -> list[int]:
    """All digits -1, 0, 1 of ``k`` >= 0 in non-adjacent form, least significant first."""
    places = dict(wnaf(k, 2))
    return [places.get(i, 0) for i in range(max(places, default=-1) + 1)]


#: -U as digits times powers of two, most significant first: twelve products, where its non-adjacent form takes
#: seventeen (found by search over all pairs of digits below 64).
U_CHAIN = (
    (61, 3), (59, 1), (55, 1), (48, 3), (40, -11), (38, 3), (28, 3), (20, 11), (12, 11), (11, -1), (0, 1),
)  # fmt: skip
#: See :meth:`Fq12Field.multiple_of_final_exponentiation`; prime to P.
FINAL_MULTIPLE = 2 * U * (6 * U**2 + 3 * U + 1)


class Fq12Field(ABC):
    """Fq2 and Fq12 with every number made by ``number``."""

    def __init__(self, number: Callable[[int], Any]):
        self.number = number
        self.q = number(Q)
        #: frobenius_factors[k][i] = XI^(i (q^k - 1) / 6), the factor of w^i under the k-th Frobenius.
        self.frobenius_factors = [
            [self.fq2_pow((number(XI[0]), number(XI[1])), i * (Q**k - 1) // 6) for i in range(6)]
            for k in range(4)
        ]
        self.one = self.element((number(1),) + (number(0),) * 11)

    # Fq2

    def fq2_mul(self, a: Fq2, b: Fq2) -> Fq2:
        q = self.q
        return (a[0] * b[0] - a[1] * b[1]) % q, (a[0] * b[1] + a[1] * b[0]) % q

    def fq2_sub(self, a: Fq2, b: Fq2) -> Fq2:
        return (a[0] - b[0]) % self.q, (a[1] - b[1]) % self.q

    def fq2_inv(self, a: Fq2) -> Fq2:
        """Inverse; raises ValueError or ZeroDivisionError for zero."""
        d = pow(a[0] * a[0] + a[1] * a[1], -1, self.q)
        return a[0] * d % self.q, -a[1] * d % self.q

    def fq2_pow(self, a: Fq2, e: int) -> Fq2:
        r = (self.number(1), self.number(0))
        for bit in bin(e)[2:]:
            r = self.fq2_mul(r, r)
            if bit == "1":
                r = self.fq2_mul(r, a)
        return r

    # Fq12: what a representation has to bring

    @abstractmethod
    def element(self, flat: Flat) -> Element:
        """The element with these coefficients, each below q."""

    @abstractmethod
    def flat(self, a: Element) -> Flat:
        """The coefficients of ``a``, each below q."""

    @abstractmethod
    def mul(self, a: Element, b: Element) -> Element:
        """The product."""

    @abstractmethod
    def sqr(self, a: Element) -> Element:
        """The square."""

    @abstractmethod
    def cyclotomic_sqr(self, a: Element) -> Element:
        """The square of a cyclotomic element: its order divides q^4 - q^2 + 1, as after the easy part below."""

    @abstractmethod
    def conj(self, a: Element) -> Element:
        """The q^6 Frobenius; the inverse of an element whose order divides q^6 + 1."""

    @abstractmethod
    def line(self, slope: Fq2, n: Fq2) -> Line:
        """A line of the pairing: its slope s and n = s x - y for a point (x, y) on it."""

    @abstractmethod
    def evaluation(self, x: Any, y: Any) -> Evaluation:
        """A point of G1 as :meth:`mul_line` takes it."""

    @abstractmethod
    def mul_line(self, a: Element, line: Line, at: Evaluation) -> Element:
        """``a (1 - s X/Y w + n/Y w^3)`` for the point (X, Y), or that times a factor in Fq."""

    @abstractmethod
    def line_pair(self, first: RawLine, second: RawLine) -> Line:
        """Two lines (each its slope and n, as :meth:`line` takes them) multiplied out but for their points."""

    @abstractmethod
    def evaluation_pair(self, first: tuple[Any, Any], second: tuple[Any, Any]) -> Evaluation:
        """Two points of G1 as :meth:`mul_line_pair` takes them."""

    @abstractmethod
    def mul_line_pair(self, a: Element, lines: Line, at: Evaluation) -> Element:
        """:meth:`mul_line` by both lines of a pair, each at its own point."""

    # Fq12: what follows

    def equal(self, a: Element, b: Element) -> bool:
        """True if they are the same element."""
        return self.flat(a) == self.flat(b)

    def frobenius(self, a: Element, k: int) -> Element:
        """``a^(q^k)`` for k = 1, 2, 3."""
        flat = self.flat(a)
        out: list[Any] = [0] * 12
        for i, j in enumerate(W_INDEX):
            x = (flat[j], -flat[j + 1]) if k & 1 else (flat[j], flat[j + 1])
            out[j], out[j + 1] = self.fq2_mul(x, self.frobenius_factors[k][i])
        return self.element(tuple(out))

    def inv(self, a: Element) -> Element:
        """Inverse through the norms to Fq6 and Fq2; raises ValueError or ZeroDivisionError for zero."""
        q, conjugate = self.q, self.conj(a)
        # a * conj(a) has only even powers of w: an element x + y v + z v^2 of Fq6.
        n = self.flat(self.mul(a, conjugate))
        x, y, z = n[0:2], n[2:4], n[4:6]
        mul, sub, xi = self.fq2_mul, self.fq2_sub, XI
        c0 = sub(mul(x, x), mul(mul(y, z), xi))
        c1 = sub(mul(mul(z, z), xi), mul(x, y))
        c2 = sub(mul(y, y), mul(x, z))
        t0, t1, t2 = mul(x, c0), mul(mul(z, c1), xi), mul(mul(y, c2), xi)
        d = self.fq2_inv(((t0[0] + t1[0] + t2[0]) % q, (t0[1] + t1[1] + t2[1]) % q))
        zeros = (self.number(0),) * 6
        return self.mul(conjugate, self.element((*mul(c0, d), *mul(c1, d), *mul(c2, d), *zeros)))

    def cyclotomic_pow_u(self, a: Element) -> Element:
        """``a^U`` of a cyclotomic element, whose inverse is its conjugate."""
        mul, sqr, conj = self.mul, self.cyclotomic_sqr, self.conj
        a2 = sqr(a)
        a3 = mul(a2, a)
        powers = {1: a, 3: a3, 11: mul(sqr(sqr(a2)), a3)}
        (before, digit), *rest = U_CHAIN
        r = powers[digit]
        for at, digit in rest:
            for _ in range(before - at):
                r = sqr(r)
            r, before = mul(r, powers[digit] if digit > 0 else conj(powers[-digit])), at
        return conj(r)  # U is negative

    def _easy_part(self, f: Element) -> Element:
        """``f^((q^6 - 1) (q^2 + 1))``: a cyclotomic element."""
        f = self.mul(self.conj(f), self.inv(f))
        return self.mul(self.frobenius(f, 2), f)

    def multiple_of_final_exponentiation(self, f: Element) -> Element:
        """:meth:`final_exponentiation` to the power :data:`FINAL_MULTIPLE`, for less.

        The chain of Fuentes-Castaneda, Knapp and Rodriguez-Henriquez (2011).
        """
        mul, conj, sqr, frob = self.mul, self.conj, self.cyclotomic_sqr, self.frobenius
        f = self._easy_part(f)
        f2u = sqr(self.cyclotomic_pow_u(f))
        f6u = mul(sqr(f2u), f2u)
        f6u2 = self.cyclotomic_pow_u(f6u)
        f12u3 = self.cyclotomic_pow_u(sqr(f6u2))
        a = mul(mul(f12u3, f6u2), f6u)
        b = mul(a, conj(f2u))
        r = mul(mul(mul(a, f6u2), f), frob(b, 1))
        return mul(mul(r, frob(a, 2)), frob(mul(b, conj(f)), 3))

    def final_exponentiation(self, f: Element) -> Element:
        """``f^((q^12 - 1) / p)``, exactly that exponent, by the chain of Scott and others (2009)."""
        mul, conj, sqr, frob = self.mul, self.conj, self.cyclotomic_sqr, self.frobenius
        f = self._easy_part(f)
        fu = self.cyclotomic_pow_u(f)
        fu2 = self.cyclotomic_pow_u(fu)
        fu3 = self.cyclotomic_pow_u(fu2)
        y0 = mul(mul(frob(f, 1), frob(f, 2)), frob(f, 3))
        y1 = conj(f)
        y2 = frob(fu2, 2)
        y3 = conj(frob(fu, 1))
        y4 = conj(mul(fu, frob(fu2, 1)))
        y5 = conj(fu2)
        y6 = conj(mul(fu3, frob(fu3, 1)))
        # y0 y1^2 y2^6 y3^12 y4^18 y5^30 y6^36
        t0 = mul(mul(sqr(y6), y4), y5)
        t1 = mul(mul(y3, y5), t0)
        t0 = mul(t0, y2)
        t1 = sqr(mul(sqr(t1), t0))
        t0 = mul(t1, y1)
        t1 = mul(t1, y0)
        return mul(sqr(t0), t1)

    def in_gt(self, a: Element) -> bool:
        """True if ``a`` has order dividing p: cyclotomic, and a^q = a^(6 U^2) (which is a^p = 1 there).

        On the cyclotomic subgroup x^(q^4 - q^2 + 1) = 1; with x^q = x^(6U^2), and 6U^2 = q - p, x^p = 1.
        """
        if not any(self.flat(a)):
            return False
        if not self.equal(self.mul(self.frobenius(self.frobenius(a, 2), 2), a), self.frobenius(a, 2)):
            return False
        b = self.cyclotomic_pow_u(self.cyclotomic_pow_u(a))
        b2 = self.cyclotomic_sqr(b)
        return self.equal(self.mul(self.cyclotomic_sqr(b2), b2), self.frobenius(a, 1))

    def multi_exp(self, terms: Sequence[tuple[Powers, Sequence[int]]]) -> Element:
        """Product of g^k over tables of g and the parts of k (see :data:`GT_LATTICE` in split.py)."""
        schedule: list[list[Element]] = [[] for _ in range(max((t.stride for t, _ in terms), default=0))]
        for table, parts in terms:
            table.place(parts, schedule)
        r, sqr, mul = self.one, self.cyclotomic_sqr, self.mul
        started = False
        for factors in reversed(schedule):
            if started:
                r = sqr(r)
            for factor in factors:
                r = mul(r, factor) if started else factor
                started = True
        return r


class Powers:
    """Odd powers of an element of GT and of its three Frobenius images: tables for :meth:`Fq12Field.multi_exp`.

    ``lanes`` of them, each for a run of the exponent's digits, all runs raised side by side: that many times fewer
    squarings.
    """

    #: Digits of a part of an exponent, with the carry of the recoding.
    DIGITS = 70

    __slots__ = ("_field", "width", "stride", "_lanes")

    def __init__(self, field: Fq12Field, element: Element, width: int, lanes: int):
        self._field, self.width, self.stride = field, width, -(-self.DIGITS // lanes)
        self._lanes = []
        for lane in range(lanes):
            for _ in range(self.stride if lane else 0):
                element = field.cyclotomic_sqr(element)
            powers, square = [element], field.cyclotomic_sqr(element)
            for _ in range((1 << (width - 2)) - 1):
                powers.append(field.mul(powers[-1], square))
            self._lanes.append([powers] + [[field.frobenius(a, k) for a in powers] for k in (1, 2, 3)])

    def place(self, parts: Sequence[int], schedule: list[list[Element]]) -> None:
        """Puts the factors of one exponent into the schedule, by the number of squarings that come after them."""
        conj = self._field.conj
        for h, part in enumerate(parts):
            for position, d in wnaf(part, self.width):
                lane, position = divmod(position, self.stride)
                factor = self._lanes[lane][h][abs(d) >> 1]
                schedule[position].append(factor if d > 0 else conj(factor))


__all__ = [
    "FINAL_MULTIPLE", "U_CHAIN", "W_INDEX", "Element", "Fq2", "Fq12Field", "Line", "P", "Powers", "RawLine", "naf",
    "wnaf",
]  # fmt: skip
