"""Fq12 in one GMP integer: a product in Fq12 is one product of integers (Kronecker substitution).

Fq12 is Fq[w]/(w^12 - 4 w^6 + 5), for i = w^6 - 2 and i^2 = -1. An element is the integer that its polynomial in w
has at w = 2^544: twelve slots of 544 bits, least significant first. GMP multiplies two such integers in less time
than Python takes for the dozens of single steps of a tower; folding and reducing work on all slots at once. Slots
hold values up to 3 q between operations, never negative ones, and never carry into each other.

It pays for GMP only: Python's own integers multiply long numbers too slowly.
"""

from __future__ import annotations

from typing import Any

from gmpy2 import mpz, pack, unpack

from fusequote.epid.arithmetic.fq12 import W_INDEX, Flat, Fq2, Fq12Field, RawLine
from fusequote.epid.params import XI, Q

#: Bits of a slot. A product has 23 slots of up to 12 (3 q)^2; folded, and with the bias, they stay below 2^540.
SLOT = 544
#: Barrett's reduction: floor(t / q) is about (t >> LOW) MU >> HIGH, for t below 2^540 too small by two at most.
LOW, HIGH = 256, 272
MU = mpz((1 << LOW + HIGH) // Q)


def _slots(value: int, count: int, every: int = 1) -> Any:
    """``value`` in every ``every``-th of ``count`` slots."""
    return mpz(sum(value << SLOT * i for i in range(0, count, every)))


_TWELVE, _SIX = 12 * SLOT, 6 * SLOT
_LOW_SLOTS, _MIDDLE = (mpz(1) << _TWELVE) - 1, (mpz(1) << _SIX) - 1
_HEADS = _slots((1 << SLOT - LOW) - 1, 12)
_QUOTIENTS = _slots((1 << SLOT - HIGH) - 1, 12)
_EVEN = _slots((1 << SLOT) - 1, 12, 2)
_ODD_3Q = _slots(3 * Q, 12, 2) << SLOT
#: A multiple of q above anything that folding may subtract in a slot: 25 * 12 (3 q)^2.
_BIAS = _slots(Q * ((25 * 12 * 9 * Q * Q) // Q + 1), 12)
_Q = mpz(Q)


def _reduced(t: Any) -> Any:
    """Each of twelve slots, below 2^540, brought below 3 q."""
    return t - ((((t >> LOW) & _HEADS) * MU >> HIGH) & _QUOTIENTS) * _Q


def _folded(t: Any) -> Any:
    """A product of 23 slots modulo w^12 = 4 w^6 - 5 (so w^18 = 11 w^6 - 20), not reduced."""
    top = t >> _TWELVE
    last = top >> _SIX << 2  # four times the part of w^18 and above
    return (t & _LOW_SLOTS) + _BIAS - 5 * (top + last) + (((top & _MIDDLE) + last) << _SIX + 2)


class PackedFq12(Fq12Field):
    """Fq12 in packed form, over gmpy2."""

    def __init__(self) -> None:
        super().__init__(mpz)

    def element(self, flat: Flat) -> Any:
        q = self.q
        low = [(flat[j] - 2 * flat[j + 1]) % q for j in W_INDEX]
        return pack(low + [flat[j + 1] for j in W_INDEX], SLOT)

    def flat(self, a: Any) -> Flat:
        q, slots = self.q, unpack(a, SLOT)
        slots += [mpz(0)] * (12 - len(slots))  # unpack leaves leading zeros out
        out = [mpz(0)] * 12
        for k, j in enumerate(W_INDEX):
            out[j], out[j + 1] = (slots[k] + 2 * slots[k + 6]) % q, slots[k + 6] % q
        return tuple(out)

    def mul(self, a: Any, b: Any) -> Any:
        return _reduced(_folded(a * b))

    def sqr(self, a: Any) -> Any:
        return _reduced(_folded(a * a))

    #: GMP's square of the whole is as fast as anything with fewer steps in Fq.
    cyclotomic_sqr = sqr

    def conj(self, a: Any) -> Any:
        even = a & _EVEN
        return even + (_ODD_3Q - (a - even))

    def line(self, slope: Fq2, n: Fq2) -> tuple[Any, Any]:
        """The packed terms in w and in w^3."""
        return self._term(1, slope), self._term(3, n)

    def evaluation(self, x: Any, y: Any) -> tuple[Any, Any]:
        return self.q - x, y

    def mul_line(self, a: Any, line: tuple[Any, Any], at: tuple[Any, Any]) -> Any:
        """Times Y - s X w + n w^3: a factor of Y more, which saves dividing by it."""
        slope, n = line
        minus_x, y = at
        return _reduced(_folded(a * (y + n + _reduced(slope * minus_x))))

    def line_pair(self, first: RawLine, second: RawLine) -> tuple[Any, ...]:
        """The packed terms s w, s' w, s s' w^2, n w^3, n' w^3, s n' w^4, s' n w^4, n n' w^6."""
        mul, (s, n), (t, m) = self.fq2_mul, first, second
        terms = (1, s), (1, t), (2, mul(s, t)), (3, n), (3, m), (4, mul(s, m)), (4, mul(n, t))
        return *(self._term(k, c) for k, c in terms), self._term(0, self.fq2_mul(mul(n, m), XI))

    def _term(self, k: int, c: Fq2) -> Any:
        flat = [self.number(0)] * 12
        flat[W_INDEX[k]], flat[W_INDEX[k] + 1] = c
        return self.element(tuple(flat))

    def evaluation_pair(self, first: tuple[Any, Any], second: tuple[Any, Any]) -> tuple[Any, ...]:
        """The factors of the line pair's terms but the last, and of one: Y Y' takes the place of a division."""
        q, (x, y), (u, v) = self.q, first, second
        return -x * v % q, -u * y % q, x * u % q, v, y, q - x, q - u, y * v % q

    def mul_line_pair(self, a: Any, lines: tuple[Any, ...], at: tuple[Any, ...]) -> Any:
        s, t, st, n, m, sm, nt, nm = lines
        fs, ft, fst, fn, fm, fsm, fnt, one = at
        both = one + s * fs + t * ft + st * fst + n * fn + m * fm + sm * fsm + nt * fnt + nm
        return _reduced(_folded(a * _reduced(both)))


__all__ = ["PackedFq12"]
