"""The basic part of a signature against one group: the equations of EPID spec section 9, step 1."""

from __future__ import annotations

from dataclasses import dataclass

from fusequote.epid.arithmetic import Arithmetic, NotAnElement
from fusequote.epid.hashing import HashAlg, device_challenge, fp_hash
from fusequote.epid.keys import GroupPublicKey
from fusequote.epid.params import G1_GENERATOR, G1_SIZE, G2_GENERATOR


@dataclass(frozen=True)
class BasicFields:
    """The fields of 352 bytes, not yet checked."""

    B: bytes
    K: bytes
    T: bytes
    c: int
    sx: int
    sf: int
    sa: int
    sb: int

    @classmethod
    def of(cls, data: bytes) -> BasicFields:
        """Cuts the first 352 bytes up."""
        points = (data[i : i + G1_SIZE] for i in (0, 64, 128))
        return cls(*points, *(int.from_bytes(data[i : i + 32], "big") for i in range(192, 352, 32)))

    @property
    def numbers(self) -> tuple[int, ...]:
        """c and the responses."""
        return self.c, self.sx, self.sf, self.sa, self.sb


class BasicEquation:
    """One group's tables and the check; ``fast`` says that w is known to be of order p."""

    def __init__(self, group: GroupPublicKey, hash_alg: HashAlg, fast: bool, arithmetic: Arithmetic):
        self._group, self._alg, self.fast, self._a = group, hash_alg, fast, arithmetic
        a = arithmetic
        self._h1, self._h2 = a.g1_prepare(group.h1), a.g1_prepare(group.h2)
        self._g1 = a.g1_prepare(G1_GENERATOR)
        if fast:
            self._second = a.pairing_prepare((G2_GENERATOR, group.w))
        self._prefix = group.hash_prefix()

    def holds(self, s: BasicFields, message: bytes, nonce: bytes | None = None) -> bool:
        """True if the signature of knowledge is good; ``nonce`` is the device's of a split signature."""
        alg = self._alg
        c = s.c if nonce is None else device_challenge(alg, nonce, s.c)
        try:
            R1, R2 = self.fast_commitments(s, c) if self.fast else self.literal_commitments(s, c)
        except NotAnElement:
            return False  # only the literal formula meets a pairing that cannot be computed
        t3 = fp_hash(alg, self._prefix + s.B + s.K + s.T + R1 + R2)
        found = fp_hash(alg, t3.to_bytes(32, "big") + message)
        return c == (found if nonce is None else device_challenge(alg, nonce, found))

    def fast_commitments(self, s: BasicFields, c: int) -> tuple[bytes, bytes]:
        """R1 = [sf]B - [c]K, and R2 gathered by the second argument of its pairings; w must be of order p."""
        bases, rows = (self._h1, self._h2, self._g1, s.T), ((s.sf, s.sb, c, -s.sx), (0, s.sa, 0, -c))
        R2, ((R1,),) = self._a.pairing_of_sums((bases, rows), self._second, [((s.B, s.K), ((s.sf, -c),))])
        return R1, R2

    def literal_commitments(self, s: BasicFields, c: int) -> tuple[bytes, bytes]:
        """R1, and R2 = e(T, -[sx]g2 - [c]w) e12^sf e22^sb e2w^sa eg12^c.

        As it stands: a pairing with a w of another order is not bilinear, so nothing may be moved.
        """
        a, group = self._a, self._group
        R1 = a.g1_sum([(s.B, s.sf), (s.K, -c)])
        t = a.g2_sum([(G2_GENERATOR, -s.sx), (group.w, -c)])
        left = a.g1_sum([(self._h1, s.sf), (self._h2, s.sb), (self._g1, c)])
        e2w = a.pairing_product([(group.h2, group.w)])
        return R1, a.gt_product([(a.pairing_product([(s.T, t), (left, G2_GENERATOR)]), 1), (e2w, s.sa)])
