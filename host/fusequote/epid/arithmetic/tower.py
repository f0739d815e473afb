"""The tower Fq - Fq2 - Fq6 - Fq12 over Python-like integers (EPID spec section 1).

An element of Fq2 is a pair of numbers; an element of Fq12 is a flat tuple of twelve, in the order of the
wire: for z0 + z1 w, z0 then z1; each of Fq6 as the coefficients of 1, v, v^2; each of Fq2 as a0, a1. ``w^2 =
v``, ``v^3 = XI = 2 + i``.

Products are summed unreduced and each coefficient is reduced once: big integers grow by themselves, and a
reduction costs more than a product. Nothing here is constant-time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fusequote.epid.params import XI, P, Q, U

Fq2 = tuple[Any, Any]
Fq12 = tuple[Any, ...]

#: Position of the coefficient of w^k in the flat tuple: even powers are in z0, odd ones in z1.
W_INDEX = (0, 6, 2, 8, 4, 10)


def naf(k: int) -> list[int]:
    """Digits -1, 0, 1 of ``k`` >= 0 in non-adjacent form, least significant first."""
    digits = []
    while k:
        d = 2 - (k & 3) if k & 1 else 0
        digits.append(d)
        k = (k - d) >> 1
    return digits


T_NAF = naf(-U)


def _mul6(a0, a1, a2, a3, a4, a5, b0, b1, b2, b3, b4, b5):
    """Unreduced product in Fq6, Karatsuba over the three Fq2 coefficients."""
    v0, w0 = a0 * b0 - a1 * b1, a0 * b1 + a1 * b0
    v1, w1 = a2 * b2 - a3 * b3, a2 * b3 + a3 * b2
    v2, w2 = a4 * b4 - a5 * b5, a4 * b5 + a5 * b4
    s, t, x, y = a2 + a4, a3 + a5, b2 + b4, b3 + b5
    r, i = s * x - t * y - v1 - v2, s * y + t * x - w1 - w2
    c0, c1 = v0 + r + r - i, w0 + r + i + i
    s, t, x, y = a0 + a2, a1 + a3, b0 + b2, b1 + b3
    c2 = s * x - t * y - v0 - v1 + v2 + v2 - w2
    c3 = s * y + t * x - w0 - w1 + v2 + w2 + w2
    s, t, x, y = a0 + a4, a1 + a5, b0 + b4, b1 + b5
    return c0, c1, c2, c3, s * x - t * y - v0 - v2 + v1, s * y + t * x - w0 - w2 + w1


class Tower:
    """Field operations with every number made by ``number`` (``int``, or ``gmpy2.mpz``)."""

    def __init__(self, number: Callable[[int], Any] = int):
        self.number = number
        self.q = number(Q)
        self.one: Fq12 = (number(1),) + (number(0),) * 11
        #: frobenius[k][i] = XI^(i (q^k - 1) / 6), the factor of w^i under the k-th Frobenius.
        self.frobenius_factors = [
            [self.fq2_pow((number(XI[0]), number(XI[1])), i * (Q**k - 1) // 6) for i in range(6)]
            for k in range(4)
        ]

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

    # Fq12

    def mul(self, a: Fq12, b: Fq12) -> Fq12:
        q = self.q
        a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, aa, ab = a
        b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, ba, bb = b
        l0, l1, l2, l3, l4, l5 = _mul6(a0, a1, a2, a3, a4, a5, b0, b1, b2, b3, b4, b5)
        h0, h1, h2, h3, h4, h5 = _mul6(a6, a7, a8, a9, aa, ab, b6, b7, b8, b9, ba, bb)
        m0, m1, m2, m3, m4, m5 = _mul6(
            a0 + a6, a1 + a7, a2 + a8, a3 + a9, a4 + aa, a5 + ab,
            b0 + b6, b1 + b7, b2 + b8, b3 + b9, b4 + ba, b5 + bb,
        )  # fmt: skip
        return (
            (l0 + h4 + h4 - h5) % q, (l1 + h4 + h5 + h5) % q,
            (l2 + h0) % q, (l3 + h1) % q, (l4 + h2) % q,
            (l5 + h3) % q, (m0 - l0 - h0) % q, (m1 - l1 - h1) % q,
            (m2 - l2 - h2) % q, (m3 - l3 - h3) % q,
            (m4 - l4 - h4) % q, (m5 - l5 - h5) % q,
        )  # fmt: skip

    def sqr(self, a: Fq12) -> Fq12:
        q = self.q
        a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, aa, ab = a
        m0, m1, m2, m3, m4, m5 = _mul6(a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, aa, ab)
        # (lo + hi)(lo + v hi) = lo^2 + v hi^2 + (1 + v) lo hi
        s0, s1, s2, s3, s4, s5 = _mul6(
            a0 + a6, a1 + a7, a2 + a8, a3 + a9, a4 + aa, a5 + ab,
            a0 + aa + aa - ab, a1 + aa + ab + ab, a2 + a6, a3 + a7, a4 + a8, a5 + a9,
        )  # fmt: skip
        return (
            (s0 - m0 - m4 - m4 + m5) % q, (s1 - m1 - m4 - m5 - m5) % q,
            (s2 - m2 - m0) % q, (s3 - m3 - m1) % q, (s4 - m4 - m2) % q,
            (s5 - m5 - m3) % q, (m0 + m0) % q, (m1 + m1) % q,
            (m2 + m2) % q, (m3 + m3) % q, (m4 + m4) % q, (m5 + m5) % q,
        )  # fmt: skip

    def mul_line(self, a: Fq12, b0, b1, d0, d1) -> Fq12:
        """``a * (1 + b w + d w^3)``, the shape of every line of the pairing."""
        q = self.q
        a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, aa, ab = a
        r, i = aa * d0 - ab * d1, aa * d1 + ab * d0
        g0 = a6 * b0 - a7 * b1 + r + r - i
        g1 = a6 * b1 + a7 * b0 + r + i + i
        g2 = a6 * d0 - a7 * d1 + a8 * b0 - a9 * b1
        g3 = a6 * d1 + a7 * d0 + a8 * b1 + a9 * b0
        g4 = a8 * d0 - a9 * d1 + aa * b0 - ab * b1
        g5 = a8 * d1 + a9 * d0 + aa * b1 + ab * b0
        r, i = a4 * d0 - a5 * d1, a4 * d1 + a5 * d0
        return (
            (a0 + g4 + g4 - g5) % q, (a1 + g4 + g5 + g5) % q, (a2 + g0) % q, (a3 + g1) % q,
            (a4 + g2) % q, (a5 + g3) % q,
            (a6 + a0 * b0 - a1 * b1 + r + r - i) % q, (a7 + a0 * b1 + a1 * b0 + r + i + i) % q,
            (a8 + a0 * d0 - a1 * d1 + a2 * b0 - a3 * b1) % q,
            (a9 + a0 * d1 + a1 * d0 + a2 * b1 + a3 * b0) % q,
            (aa + a2 * d0 - a3 * d1 + a4 * b0 - a5 * b1) % q,
            (ab + a2 * d1 + a3 * d0 + a4 * b1 + a5 * b0) % q,
        )  # fmt: skip

    def conj(self, a: Fq12) -> Fq12:
        """The q^6 Frobenius; the inverse of an element whose order divides q^6 + 1."""
        q = self.q
        return a[:6] + tuple(q - c if c else c for c in a[6:])

    def frobenius(self, a: Fq12, k: int) -> Fq12:
        """``a^(q^k)`` for k = 1, 2, 3."""
        out: list[Any] = [0] * 12
        for i, j in enumerate(W_INDEX):
            x = (a[j], -a[j + 1]) if k & 1 else (a[j], a[j + 1])
            out[j], out[j + 1] = self.fq2_mul(x, self.frobenius_factors[k][i])
        return tuple(out)

    def inv(self, a: Fq12) -> Fq12:
        """Inverse through the norms to Fq6 and Fq2; raises ValueError or ZeroDivisionError for zero."""
        q = self.q
        # a * conj(a) has only even powers of w: an element x + y v + z v^2 of Fq6.
        n = self.mul(a, self.conj(a))
        x, y, z = n[0:2], n[2:4], n[4:6]
        mul, sub, xi = self.fq2_mul, self.fq2_sub, XI
        c0 = sub(mul(x, x), mul(mul(y, z), xi))
        c1 = sub(mul(mul(z, z), xi), mul(x, y))
        c2 = sub(mul(y, y), mul(x, z))
        t0, t1, t2 = mul(x, c0), mul(mul(z, c1), xi), mul(mul(y, c2), xi)
        d = self.fq2_inv(((t0[0] + t1[0] + t2[0]) % q, (t0[1] + t1[1] + t2[1]) % q))
        return self.mul(self.conj(a), (*mul(c0, d), *mul(c1, d), *mul(c2, d)) + self.one[1:7])

    # The cyclotomic subgroup: elements whose order divides q^4 - q^2 + 1. The final exponent's easy part
    # leads there.

    def cyclotomic_sqr(self, a: Fq12) -> Fq12:
        """Square by Granger and Scott's formula: three squarings in Fq4 = Fq2[s]/(s^2 - XI), s = w^3."""
        q = self.q
        a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, aa, ab = a
        # pairs (1, s): (a0 a1, a8 a9), (a6 a7, a4 a5) w, (a2 a3, aa ab) w^2
        r, i = a8 * a8 - a9 * a9, 2 * a8 * a9
        x0, y0 = a0 * a0 - a1 * a1 + r + r - i, 2 * a0 * a1 + r + i + i
        x1, y1 = a0 * a8 - a1 * a9, a0 * a9 + a1 * a8
        r, i = a4 * a4 - a5 * a5, 2 * a4 * a5
        x2, y2 = a6 * a6 - a7 * a7 + r + r - i, 2 * a6 * a7 + r + i + i
        x3, y3 = a6 * a4 - a7 * a5, a6 * a5 + a7 * a4
        r, i = aa * aa - ab * ab, 2 * aa * ab
        x4, y4 = a2 * a2 - a3 * a3 + r + r - i, 2 * a2 * a3 + r + i + i
        x5, y5 = a2 * aa - a3 * ab, a2 * ab + a3 * aa
        return (
            (3 * x0 - a0 - a0) % q, (3 * y0 - a1 - a1) % q,
            (3 * x2 - a2 - a2) % q, (3 * y2 - a3 - a3) % q,
            (3 * x4 - a4 - a4) % q, (3 * y4 - a5 - a5) % q,
            (6 * (x5 + x5 - y5) + a6 + a6) % q, (6 * (x5 + y5 + y5) + a7 + a7) % q,
            (6 * x1 + a8 + a8) % q, (6 * y1 + a9 + a9) % q,
            (6 * x3 + aa + aa) % q, (6 * y3 + ab + ab) % q,
        )  # fmt: skip

    def cyclotomic_pow_u(self, a: Fq12) -> Fq12:
        """``a^U`` of a cyclotomic element, whose inverse is its conjugate."""
        inverse = self.conj(a)
        r = inverse  # U is negative: build a^-t from its most significant digit
        for d in reversed(T_NAF[:-1]):
            r = self.cyclotomic_sqr(r)
            if d:
                r = self.mul(r, inverse if d > 0 else a)
        return r

    def final_exponentiation(self, f: Fq12) -> Fq12:
        """``f^((q^12 - 1) / p)``, exactly that exponent, by the chain of Scott and others (2009)."""
        mul, conj, sqr, frob = self.mul, self.conj, self.cyclotomic_sqr, self.frobenius
        f = mul(conj(f), self.inv(f))
        f = mul(frob(f, 2), f)
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

    def in_gt(self, a: Fq12) -> bool:
        """True if ``a`` has order dividing p: cyclotomic, and a^q = a^(6 U^2) (which is a^p = 1 there).

        On the cyclotomic subgroup x^(q^4 - q^2 + 1) = 1; with x^q = x^(6U^2), and 6U^2 = q - p, x^p = 1.
        """
        if not any(a):
            return False
        if self.mul(self.frobenius(self.frobenius(a, 2), 2), a) != self.frobenius(a, 2):
            return False
        b = self.cyclotomic_pow_u(self.cyclotomic_pow_u(a))
        b2 = self.cyclotomic_sqr(b)
        return self.mul(self.cyclotomic_sqr(b2), b2) == self.frobenius(a, 1)


__all__ = ["Fq12", "Fq2", "P", "Q", "Tower", "naf"]
