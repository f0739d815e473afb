"""Signatures with quotients, good and forged, and a model of the check that can leave out any one of its parts.

Each forgery is made for one shortcut: a verifier that leaves out that part accepts it, and hands out the block that
the forger wants, while all other parts are in place. `fooled` says so; `Case.expected` is plain integer arithmetic.
"""

import math
import random
from typing import NamedTuple

#: What RsaCheck looks at.
PARTS = ("nonzero", "s below n", "upper 1", "t1 below n", "upper 2", "t2 below n")


class Case(NamedTuple):
    """The four operands, and the block that comes or would come out."""

    n: int
    s: int
    q1: int
    q2: int
    block: int

    def encode(self, width: int) -> bytes:
        """What goes into `load`."""
        return b"".join(number.to_bytes(width // 8, "little") for number in self[:4])

    def expected(self) -> int | None:
        """t2 if the signature is valid, else None."""
        t1 = self.s * self.s - self.q1 * self.n
        t2 = t1 * self.s - self.q2 * self.n
        return t2 if self.s < self.n and 0 <= t1 < self.n and 0 <= t2 < self.n else None


def fooled(case: Case, width: int, without: set[str]) -> bool:
    """Whether a verifier with registers of `width` bits, and `without` these parts, accepts the block."""
    assert without <= set(PARTS)
    r = 1 << width

    def below_n(number):
        return number + (r - case.n) % r < r  # as one would build it; for n = 0, any number is

    difference1 = case.s * case.s - case.q1 * case.n
    t1 = difference1 % r
    difference2 = t1 * case.s - case.q2 * case.n
    t2 = difference2 % r
    passed = (case.n != 0, below_n(case.s), difference1 == t1, below_n(t1), difference2 == t2, below_n(t2))
    return t2 == case.block and all(ok or part in without for part, ok in zip(PARTS, passed, strict=True))


def honest(n: int, s: int) -> Case:
    """With the quotients that a signer would send."""
    q1, t1 = divmod(s * s, n)
    q2, t2 = divmod(t1 * s, n)
    return Case(n, s, q1, q2, t2)


def modulus(rng: random.Random, bits: int) -> int:
    """Odd, of exactly so many bits: nobody knows its factors, and no forgery below needs them."""
    return rng.getrandbits(bits) | 1 << (bits - 1) | 1


def small_key(rng: random.Random, bits: int) -> tuple[int, int]:
    """N and the private exponent for e = 3, of a key for tests of narrow engines (up to some 40 bits)."""
    def prime():
        while True:
            p = rng.randrange(1 << (bits // 2 - 1), 1 << (bits // 2))
            if p % 3 == 2 and all(p % d for d in range(2, math.isqrt(p) + 1)):
                return p
    p = q = prime()
    while q == p:
        q = prime()
    return p * q, pow(3, -1, (p - 1) * (q - 1))


def forgeries(rng: random.Random, width: int, n: int, block: int) -> dict[str, tuple[Case, set[str]]]:
    """By name, a forgery of `block` under somebody's odd modulus `n`, and the parts that a verifier must lack.

    `n` has `width` bits, `block` is less. Each of these is found in a few tries, with no private key.
    """
    r = 1 << width
    inverse = pow(n, -1, r)
    found = {}

    def wanted(name, condition, case, without):
        if condition and name not in found:
            found[name] = case, without

    while len(found) < 6:
        s = rng.randrange(2, n)
        t1 = rng.randrange(n)
        # Both differences are right modulo R only.
        q1, q2 = (s * s - t1) * inverse % r, (t1 * s - block) * inverse % r
        wanted("both products wrap", True, Case(n, s, q1, q2, block), {"upper 1", "upper 2"})
        wanted("both differences positive, too large", s * s >= q1 * n and t1 * s >= q2 * n,
               Case(n, s, q1, q2, block), {"upper 1", "upper 2"})
        # The first only: t1 is what makes the second come out.
        if math.gcd(s, n) == 1:
            t1 = block * pow(s, -1, n) % n
            q1, q2 = (s * s - t1) * inverse % r, (t1 * s - block) // n
            wanted("t1 negative", s * s < q1 * n, Case(n, s, q1, q2, block), {"upper 1"})
            wanted("t1 too large", s * s >= q1 * n + r, Case(n, s, q1, q2, block), {"upper 1"})
        # The second only.
        q1, t1 = divmod(s * s, n)
        q2 = (t1 * s - block) * inverse % r
        wanted("t2 negative", t1 * s < q2 * n, Case(n, s, q1, q2, block), {"upper 2"})
        wanted("t2 too large", t1 * s >= q2 * n + r, Case(n, s, q1, q2, block), {"upper 2"})
    return found


def out_of_range(rng: random.Random, width: int) -> dict[str, tuple[Case, set[str]]]:
    """Operands for which the identity holds over the integers, yet a number is not in its range."""
    r = 1 << width
    n = modulus(rng, width - 2)  # room for multiples of N
    s = rng.randrange(n // 2, n)
    good = honest(n, s)
    root = rng.randrange(1 << (width // 3 - 1), 1 << (width // 3))
    found = {
        "t1 in [N, 2N)": (Case(n, s, good.q1 - 1, good.q2 + s, good.block), {"t1 below n"}),
        "t1 is N": (Case(4, 2, 0, 2, 0), {"t1 below n"}),
        "t2 in [N, 2N)": (Case(n, s, good.q1, good.q2 - 1, good.block + n), {"t2 below n"}),
        "t2 is N": (Case(8, 2, 0, 0, 8), {"t2 below n"}),
        "S in [N, 2N)": (honest(n, s + n), {"s below n"}),
        "S is N": (honest(n, n), {"s below n"}),
        "N is 0, the block a cube": (Case(0, root, 0, 0, root**3), {"nonzero"}),
        "all is 0": (Case(0, 0, 0, 0, 0), {"nonzero"}),
    }
    assert all(0 <= number < r for case, _ in found.values() for number in case)
    return found


def just_negative(rng: random.Random, width: int) -> list[Case]:
    """Q1, then Q2, one too large: t1 and t2 are below 0, by no more than N."""
    n = modulus(rng, width)
    good = honest(n, rng.randrange(n // 2, n))
    return [good._replace(q1=good.q1 + 1), good._replace(q2=good.q2 + 1)]
