"""The one narrow interface to the arithmetic of EPID: above it are bytes and exponents only.

A back end does whole operations per call, so that one written in C crosses the boundary a handful of times
for a signature. Points and GT elements are their wire bytes (EPID spec section 2): G1 64, G2 128, GT 384; the
identity of G1 and G2 is all zeros. Exponents are integers of any sign and size, taken modulo the order. What
is used again and again is prepared once into an opaque handle (:data:`Prepared`), which is good for the back
end that made it only.

Every method refuses bytes that are not an element with :class:`NotAnElement`, unless it says otherwise.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

Prepared = Any
#: A point or element as wire bytes, or what the matching prepare method made of it.
Base = bytes | Prepared
Term = tuple[Base, int]
#: Bases, and rows of exponents with one for each base.
Job = tuple[Sequence[Base], Sequence[Sequence[int]]]


class NotAnElement(ArithmeticError):
    """Bytes handed to the arithmetic are not canonical, not on the curve, or degenerate for the operation."""


class Arithmetic(ABC):
    """Groups G1, G2, GT of EPID 2.0 and the pairing between them.

    Methods named ``*_secret`` give the same answers as their namesakes; a back end whose ``constant_time`` is
    true runs them in a time that depends on the number of terms only.
    """

    #: Name for the environment variable and the benches.
    name: str
    #: True if the ``*_secret`` methods are constant-time.
    constant_time: bool
    #: True if it lets go of the interpreter's lock, so that threads run side by side.
    parallel: bool = False

    @abstractmethod
    def g1_is_point(self, data: bytes) -> bool:
        """True for 64 bytes that are a point of G1 other than the identity, in canonical form."""

    @abstractmethod
    def g1_from_x(self, x: int) -> bytes | None:
        """The point (x, (x^3+3)^((q+1)/4)), or None if there is none; 0 <= x < q."""

    @abstractmethod
    def g1_prepare(self, point: bytes) -> Prepared:
        """Tables for a point of G1 that will be multiplied often."""

    @abstractmethod
    def g1_sum(self, terms: Sequence[Term]) -> bytes:
        """Sum of [k]P over the terms. The identity is allowed in and out."""

    @abstractmethod
    def g1_sum_secret(self, terms: Sequence[Term]) -> bytes:
        """:meth:`g1_sum` for exponents that nobody may learn."""

    def g1_sums_secret(self, bases: Sequence[Base], rows: Sequence[Sequence[int]]) -> list[bytes]:
        """:meth:`g1_sum_secret` over the same bases for each row of exponents."""
        return self.g1_batch([(bases, rows)], True)[0]

    def g1_batch(self, jobs: Sequence[Job], secret: bool) -> list[list[bytes]]:
        """Many jobs in one call: for each its bases and rows of exponents, and of each row the sum."""
        total = self.g1_sum_secret if secret else self.g1_sum
        return [[total(list(zip(bases, row, strict=True))) for row in rows] for bases, rows in jobs]

    @abstractmethod
    def g2_is_point(self, data: bytes) -> bool:
        """True for 128 bytes that are a point of the twist other than the identity; its order is not looked at."""

    @abstractmethod
    def g2_in_subgroup(self, data: bytes) -> bool:
        """True for a point of G2 proper: on the twist, order p, not the identity."""

    @abstractmethod
    def g2_sum(self, terms: Sequence[tuple[bytes, int]]) -> bytes:
        """Sum of [k mod p]Q over points of the twist. The identity is allowed in and out."""

    @abstractmethod
    def g2_sum_secret(self, terms: Sequence[tuple[bytes, int]]) -> bytes:
        """:meth:`g2_sum` for exponents that nobody may learn."""

    @abstractmethod
    def g2_prepare(self, point: bytes) -> Prepared:
        """The pairing's lines for a fixed second argument, not the identity."""

    @abstractmethod
    def gt_is_element(self, data: bytes) -> bool:
        """True for 384 canonical bytes of an element of order p (or one)."""

    @abstractmethod
    def gt_prepare(self, element: bytes) -> Prepared:
        """Tables for an element that will be raised often. It must have passed :meth:`gt_is_element`."""

    @abstractmethod
    def gt_product(self, terms: Sequence[Term]) -> bytes:
        """Product of g^k over the terms; every g must have passed :meth:`gt_is_element`."""

    @abstractmethod
    def gt_product_secret(self, terms: Sequence[Term]) -> bytes:
        """:meth:`gt_product` for exponents that nobody may learn."""

    @abstractmethod
    def pairing_product(self, pairs: Sequence[tuple[bytes, Base]]) -> bytes:
        """Product of e(P, Q) over pairs of a G1 point and a G2 point or its lines; e(identity, Q) = 1."""

    def pairing_prepare(self, points: Sequence[bytes]) -> Prepared:
        """Fixed second arguments of :meth:`pairing_of_sums`, none the identity."""
        return [self.g2_prepare(point) for point in points]

    def pairing_of_sums(self, job: Job, second: Prepared, others: Sequence[Job]) -> tuple[bytes, list[list[bytes]]]:
        """The product of e(S, Q) over the sums S of the job's rows and as many prepared points Q of order p.

        And :meth:`g1_batch` of other jobs, none of it secret, whose work may be shared.
        """
        *answers, sums = self.g1_batch([*others, job], False)
        return self.pairing_product(list(zip(sums, second, strict=True))), answers
