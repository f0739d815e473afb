"""Makes ``constants.h`` from the domain parameters: ``python -m fusequote.epid.kernel.constants > constants.h``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fusequote.epid.arithmetic.fq12 import naf
from fusequote.epid.arithmetic.pairing import LOOP
from fusequote.epid.arithmetic.split import G1_LATTICE, GT_LATTICE, Lattice
from fusequote.epid.arithmetic.tower import Tower
from fusequote.epid.params import CURVE_B, TWIST_B, Q, U

R = 1 << 256
T_NAF = naf(-U)
#: Fixed point of the splitting, in limbs of 64 bits.
SPLIT_SHIFT = 6


def limbs(value: int, count: int = 4) -> str:
    """A C initializer of ``count`` limbs, least significant first; negative numbers in two's complement."""
    value %= 1 << 64 * count
    return "{" + ", ".join(f"0x{value >> 64 * i & (2**64 - 1):016x}u" for i in range(count)) + "}"


def fq(value: int) -> str:
    """An ``fq`` in Montgomery form."""
    return "{" + limbs(value * R % Q) + "}"


def fq2(value: Sequence[int]) -> str:
    """An ``fq2``."""
    return "{" + fq(value[0]) + ", " + fq(value[1]) + "}"


def lines_of(items: Iterable[str]) -> str:
    """Items of an array, one a line."""
    return "{\n    " + ",\n    ".join(items) + "\n}"


def digits(values: Sequence[int]) -> str:
    """Small signed digits."""
    return "{" + ", ".join(map(str, values)) + "}"


def splitting(lattice: Lattice) -> tuple[list[str], list[str]]:
    """The fixed-point factors and the rows that go with them, all factors positive."""
    factors, rows = [], []
    for cofactor, row in zip(lattice.cofactors, lattice.basis, strict=True):
        negative = (cofactor < 0) != (lattice.determinant < 0)
        factors.append(limbs((abs(cofactor) << 64 * SPLIT_SHIFT) // abs(lattice.determinant), 5))
        rows += ["{" + limbs(-c if negative else c, 3) + "}" for c in row]
    return factors, rows


def header() -> str:
    """The text of ``constants.h``."""
    tower = Tower(int)
    beta = (18 * U**3 + 18 * U**2 + 9 * U + 1) % Q
    loop = [*LOOP[::-1], 1]
    twist_b3 = [3 * c % Q for c in TWIST_B]
    g1_factors, g1_rows = splitting(G1_LATTICE)
    gt_factors, gt_rows = splitting(GT_LATTICE)
    frobenius = ["{" + ", ".join(fq2(f) for f in row) + "}" for row in tower.frobenius_factors]
    entries = [
        f"static const u64 Q_LIMBS[4] = {limbs(Q)};",
        f"static const u64 Q_INVERSE = 0x{-pow(Q, -1, 1 << 64) % (1 << 64):016x}u; /* -1/q mod 2^64 */",
        f"static const u64 Q_MINUS_2[4] = {limbs(Q - 2)};",
        f"static const u64 Q_PLUS_1_OVER_4[4] = {limbs((Q + 1) // 4)};",
        f"static const u64 SIX_U_SQUARED[2] = {limbs(6 * U * U, 2)};",
        f"static const fq FQ_R2 = {{{limbs(R * R % Q)}}}; /* turns a number into its Montgomery form */",
        f"static const fq FQ_ONE = {fq(1)};",
        f"static const fq FQ_THREE = {fq(CURVE_B)};",
        f"static const fq BETA = {fq(beta)};",
        f"static const fq2 TWIST_B = {fq2(TWIST_B)};",
        f"static const fq2 TWIST_B3 = {fq2(twist_b3)};",
        "/* XI^(i (q^k - 1) / 6) */",
        f"static const fq2 FROBENIUS[4][6] = {lines_of(frobenius)};",
        "/* |U| and |6 U + 2| in non-adjacent form, least significant first */",
        f"enum {{ T_NAF_LENGTH = {len(T_NAF)}, LOOP_LENGTH = {len(loop)} }};",
        f"static const int8_t T_NAF[T_NAF_LENGTH] = {digits(T_NAF)};",
        f"static const int8_t LOOP[LOOP_LENGTH] = {digits(loop)};",
        f"enum {{ LINES = {len(LOOP) + sum(map(bool, LOOP)) + 2} }};",
        f"enum {{ SPLIT_SHIFT = {SPLIT_SHIFT} }};",
        f"static const u64 G1_SPLIT[2][5] = {lines_of(g1_factors)};",
        f"static const struct part {{ u64 l[3]; }} G1_BASIS[4] = {lines_of(g1_rows)};",
        f"static const u64 GT_SPLIT[4][5] = {lines_of(gt_factors)};",
        f"static const struct part GT_BASIS[16] = {lines_of(gt_rows)};",
    ]
    note = "/* Made by fusequote.epid.kernel.constants from the domain parameters; do not edit. */"
    return "\n".join([note, *entries]) + "\n"


if __name__ == "__main__":
    print(header(), end="")
