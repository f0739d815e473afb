"""Exponents split over the endomorphisms: half the doublings in G1, a quarter of the squarings in GT.

A lattice holds the short vectors ``v`` with ``v . (1, m, m^2, ...) = 0 mod p`` for an endomorphism that
multiplies by ``m``; an exponent minus its nearest lattice vector (Babai's rounding) is short and means the
same.
"""

from __future__ import annotations

from collections.abc import Sequence

from fusequote.epid.params import P, U


def _determinant(rows: Sequence[Sequence[int]]) -> int:
    if len(rows) == 1:
        return rows[0][0]
    minors = ([row[:j] + row[j + 1 :] for row in rows[1:]] for j in range(len(rows)))
    return sum((-1) ** j * rows[0][j] * _determinant(list(minor)) for j, minor in enumerate(minors))


class Lattice:
    """Basis rows of a lattice of determinant +-p; :meth:`split` writes k as a short combination of powers of m."""

    def __init__(self, basis: Sequence[Sequence[int]]):
        self.basis = [list(row) for row in basis]
        n = len(self.basis)
        self.determinant = _determinant(self.basis)
        # First row of the inverse times the determinant: the cofactors of the first column.
        self.cofactors = [
            (-1) ** i * _determinant([row[1:] for j, row in enumerate(self.basis) if j != i]) for i in range(n)
        ]

    def split(self, k: int) -> list[int]:
        """Short integers e with sum(e[i] * m**i) = k mod p; k is any integer."""
        k, d = k % P, self.determinant
        out = [k] + [0] * (len(self.basis) - 1)
        for cofactor, row in zip(self.cofactors, self.basis, strict=True):
            n = (2 * k * cofactor + d) // (2 * d)
            for i, c in enumerate(row):
                out[i] -= n * c
        return out


#: (BETA x, y) = [LAMBDA](x, y) on G1; both are primitive cube roots of one.
LAMBDA = (36 * U**3 + 18 * U**2 + 6 * U + 1) % P
G1_LATTICE = Lattice([(6 * U**2 + 4 * U + 1, 2 * U + 1), (-(2 * U + 1), 6 * U**2 + 2 * U)])
#: x^q = x^(6 U^2) in GT (Galbraith and Scott's basis for Barreto-Naehrig curves).
GT_LATTICE = Lattice(
    [
        (U + 1, U, U, -2 * U),
        (2 * U + 1, -U, -(U + 1), -U),
        (2 * U, 2 * U + 1, 2 * U + 1, 2 * U + 1),
        (U - 1, 4 * U + 2, -2 * U + 1, U - 1),
    ]
)
