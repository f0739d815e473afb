"""Fq12 in straight-line code over Python-like integers: an element is its flat tuple of twelve numbers.

Products are summed unreduced and each coefficient is reduced once: big integers grow by themselves, and a
reduction costs more than a product. Nothing here is constant-time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fusequote.epid.arithmetic.fq12 import Flat, Fq2, Fq12Field, RawLine


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


class Tower(Fq12Field):
    """Fq12 by the tower, unrolled."""

    def __init__(self, number: Callable[[int], Any] = int):
        super().__init__(number)

    def element(self, flat: Flat) -> Flat:
        return flat

    def flat(self, a: Flat) -> Flat:
        return a

    def mul(self, a: Flat, b: Flat) -> Flat:
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

    def sqr(self, a: Flat) -> Flat:
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

    def cyclotomic_sqr(self, a: Flat) -> Flat:
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

    def conj(self, a: Flat) -> Flat:
        q = self.q
        return a[:6] + tuple(q - c if c else c for c in a[6:])

    def line(self, slope: Fq2, n: Fq2) -> tuple[Any, Any, Any, Any]:
        return *slope, *n

    def evaluation(self, x: Any, y: Any) -> tuple[Any, Any]:
        yi = pow(y, -1, self.q)
        return -x * yi % self.q, yi

    def mul_line(self, a: Flat, line: tuple[Any, Any, Any, Any], at: tuple[Any, Any]) -> Flat:
        q = self.q
        s0, s1, n0, n1 = line
        xy, iy = at
        b0, b1, d0, d1 = s0 * xy % q, s1 * xy % q, n0 * iy % q, n1 * iy % q  # 1 + b w + d w^3
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

    def line_pair(self, first: RawLine, second: RawLine) -> tuple[Any, ...]:
        mul, (s, n), (t, m) = self.fq2_mul, first, second
        return (*s, *t, *mul(s, t), *n, *m, *mul(s, m), *mul(n, t), *mul(n, m))

    def evaluation_pair(self, first: tuple[Any, Any], second: tuple[Any, Any]) -> tuple[Any, ...]:
        """The factors of the line pair's terms but the last, and of one: Y Y' takes the place of a division."""
        q, (x, y), (u, v) = self.q, first, second
        return -x * v % q, -u * y % q, x * u % q, v, y, -x % q, -u % q, y * v % q

    def mul_line_pair(self, a: Flat, lines: tuple[Any, ...], at: tuple[Any, ...]) -> Flat:
        """Times ``(Y - s X w + n w^3) (Y' - s' X' w + n' w^3)``: an odd part without v^2."""
        q = self.q
        s0, s1, t0, t1, st0, st1, n0, n1, m0, m1, sm0, sm1, nt0, nt1, nm0, nm1 = lines
        fs, ft, fst, fn, fm, fsm, fnt, one = at
        e0, e1 = (one + nm0 + nm0 - nm1) % q, nm0 + nm1 + nm1
        e2, e3 = fst * st0 % q, fst * st1 % q
        e4, e5 = (fsm * sm0 + fnt * nt0) % q, (fsm * sm1 + fnt * nt1) % q
        o0, o1 = (fs * s0 + ft * t0) % q, (fs * s1 + ft * t1) % q
        o2, o3 = (fn * n0 + fm * m0) % q, (fn * n1 + fm * m1) % q
        a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, aa, ab = a
        l0, l1, l2, l3, l4, l5 = _mul6(a0, a1, a2, a3, a4, a5, e0, e1, e2, e3, e4, e5)
        r, i = aa * o2 - ab * o3, aa * o3 + ab * o2
        v0, w0 = a6 * o0 - a7 * o1, a6 * o1 + a7 * o0
        v1, w1 = a8 * o2 - a9 * o3, a8 * o3 + a9 * o2
        s, t, x, y = a6 + a8, a7 + a9, o0 + o2, o1 + o3
        h0, h1 = v0 + r + r - i, w0 + r + i + i
        h2, h3 = s * x - t * y - v0 - v1, s * y + t * x - w0 - w1
        h4, h5 = v1 + aa * o0 - ab * o1, w1 + aa * o1 + ab * o0
        m0, m1, m2, m3, m4, m5 = _mul6(
            a0 + a6, a1 + a7, a2 + a8, a3 + a9, a4 + aa, a5 + ab, e0 + o0, e1 + o1, e2 + o2, e3 + o3, e4, e5
        )
        return (
            (l0 + h4 + h4 - h5) % q, (l1 + h4 + h5 + h5) % q,
            (l2 + h0) % q, (l3 + h1) % q, (l4 + h2) % q,
            (l5 + h3) % q, (m0 - l0 - h0) % q, (m1 - l1 - h1) % q,
            (m2 - l2 - h2) % q, (m3 - l3 - h3) % q,
            (m4 - l4 - h4) % q, (m5 - l5 - h5) % q,
        )  # fmt: skip


__all__ = ["Tower"]
