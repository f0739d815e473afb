"""The C back end: sources, how to build them, and the :class:`Arithmetic` over them.

The kernel is plain C11 without any Python API, loaded with ctypes: one binary serves every Python version,
needs no Python headers to build, and runs without the interpreter's lock. It is never required. A wheel
carries it as ``fusequote/epid/_kernel*.so``; from a clone, ``python -m fusequote.epid.kernel.build`` makes
it.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from fusequote.epid.arithmetic.interface import Arithmetic, Base, Job, NotAnElement, Term
from fusequote.epid.params import G1_SIZE, G2_SIZE, GT_SIZE, SCALAR_SIZE, P

#: Version of the functions' signatures; a library with another one is not used.
ABI = 3
PACKAGE = Path(__file__).resolve().parents[1]


def library_path() -> Path | None:
    """The compiled kernel, if there is one: what ``FUSEQUOTE_EPID_KERNEL`` names, or the one beside the package."""
    named = os.environ.get("FUSEQUOTE_EPID_KERNEL")
    if named:
        return Path(named)
    return next((path for path in sorted(PACKAGE.glob("_kernel*.so"))), None)


class KernelTable:
    """Memory of the kernel's making, kept alive by this object."""

    __slots__ = ("address", "_buffer")

    def __init__(self, size: int):
        self._buffer = ctypes.create_string_buffer(size)
        self.address = ctypes.addressof(self._buffer)


class G1Tables(KernelTable):
    """Multiples of a point of G1."""

    __slots__ = ()


class G2Lines(KernelTable):
    """Lines of a second argument of the pairing."""

    __slots__ = ()


class GtTables(KernelTable):
    """Powers of an element of GT."""

    __slots__ = ()


def _scalars(terms: Sequence[Term]) -> bytes:
    return b"".join((k % P).to_bytes(SCALAR_SIZE, "big") for _, k in terms)


class KernelArithmetic(Arithmetic):
    """Back end over the compiled kernel. Its ``*_secret`` methods are constant-time.

    The reduction of an exponent to 32 bytes, and the sums of exponents in the protocol above, are Python's
    and are not.
    """

    constant_time = True
    parallel = True

    def __init__(self, path: Path | None = None, portable: bool = False):
        """Loads the library at ``path``; ``portable`` keeps to plain C even if the processor could do more."""
        path = path or library_path()
        self.name = "c-portable" if portable else "c"
        if path is None:
            raise ImportError("the C kernel has not been built")
        try:
            self._c = ctypes.CDLL(str(path))
        except OSError as error:
            raise ImportError(f"the C kernel cannot be loaded: {error}") from None
        if getattr(self._c, "epid_kernel_version", int)() != ABI:
            raise ImportError(f"{path} is another version's kernel; build it again")
        self._prefix = "epid_adx_" if not portable and self._c.epid_has_adx() else "epid_"
        buffer, size, flag = ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int
        tables = ctypes.POINTER(ctypes.c_void_p)
        signatures = {
            "g1_is_point": [buffer],
            "g1_from_x": [buffer, buffer],
            "g1_prepare": [ctypes.c_void_p, buffer],
            "g1_sums": [buffer, size, size, tables, buffer, buffer, flag],
            "g1_batch": [buffer, size, ctypes.POINTER(size), tables, buffer, buffer, flag],
            "g2_is_point": [buffer],
            "g2_in_subgroup": [buffer],
            "g2_sum": [buffer, size, buffer, buffer],
            "g2_prepare": [ctypes.c_void_p, buffer],
            "gt_is_element": [buffer],
            "gt_prepare": [ctypes.c_void_p, buffer],
            "gt_product": [buffer, size, tables, buffer],
            "pairing_product": [buffer, size, buffer, tables],
        }
        self._call = {name: self._function(name, arguments, flag) for name, arguments in signatures.items()}
        # Second arguments of pairings are few: the generator, and the w of each group.
        self._lines = lru_cache(maxsize=32)(self._make_lines)
        self._sizes = {}
        for kind, name in ((G1Tables, "g1_table"), (G2Lines, "g2_lines"), (GtTables, "gt_table")):
            self._sizes[kind] = self._function(f"{name}_size", [], size)()

    def function(self, name: str):
        """The kernel's function behind an operation, for measurements."""
        return self._call[name]

    def _function(self, name: str, arguments: list, result):
        function = getattr(self._c, self._prefix + name)
        function.argtypes, function.restype = arguments, result
        return function

    @staticmethod
    def _sized(data: bytes, size: int) -> bytes:
        if len(data) != size:
            raise NotAnElement(f"{len(data)} bytes where {size} are needed")
        return bytes(data)

    @staticmethod
    def _check(answer: int) -> None:
        if answer == -2:
            raise MemoryError
        if answer:
            raise NotAnElement("not an element of the group")

    def _prepare(self, kind: type[KernelTable], function, data: bytes, size: int) -> KernelTable:
        table = kind(self._sizes[kind])
        self._check(function(table.address, self._sized(data, size)))
        return table

    @staticmethod
    def _addresses(tables: Sequence[KernelTable | None]):
        return (ctypes.c_void_p * len(tables))(*(table and table.address for table in tables))

    # G1

    def g1_is_point(self, data: bytes) -> bool:
        return len(data) == G1_SIZE and bool(self._call["g1_is_point"](bytes(data)))

    def g1_from_x(self, x: int) -> bytes | None:
        out = ctypes.create_string_buffer(G1_SIZE)
        return None if self._call["g1_from_x"](out, int(x).to_bytes(32, "big")) else out.raw

    def g1_prepare(self, point: bytes) -> G1Tables:
        return self._prepare(G1Tables, self._call["g1_prepare"], point, G1_SIZE)

    def _g1_sum(self, terms: Sequence[Term], secret: bool) -> bytes:
        tables = [base if isinstance(base, G1Tables) else None for base, _ in terms]
        points = b"".join(self._sized(base, G1_SIZE) for base, _ in terms if not isinstance(base, G1Tables))
        out = ctypes.create_string_buffer(G1_SIZE)
        call = self._call["g1_sums"]
        self._check(call(out, 1, len(terms), self._addresses(tables), points, _scalars(terms), secret))
        return out.raw

    def g1_sum(self, terms: Sequence[Term]) -> bytes:
        return self._g1_sum(terms, False)

    def g1_sum_secret(self, terms: Sequence[Term]) -> bytes:
        return self._g1_sum(terms, True)

    def g1_batch(self, jobs: Sequence[Job], secret: bool) -> list[list[bytes]]:
        bases = [base for job_bases, _ in jobs for base in job_bases]
        tables = [base if isinstance(base, G1Tables) else None for base in bases]
        points = b"".join(self._sized(base, G1_SIZE) for base in bases if not isinstance(base, G1Tables))
        shape: list[int] = []
        scalars: list[bytes] = []
        for job_bases, rows in jobs:
            if any(len(row) != len(job_bases) for row in rows):
                raise ValueError("every row needs an exponent for each base")
            shape += (len(rows), len(job_bases))
            scalars += [(k % P).to_bytes(SCALAR_SIZE, "big") for row in rows for k in row]
        out = ctypes.create_string_buffer(G1_SIZE * sum(shape[::2]))
        shapes = (ctypes.c_size_t * len(shape))(*shape)
        call = self._call["g1_batch"]
        self._check(call(out, len(jobs), shapes, self._addresses(tables), points, b"".join(scalars), secret))
        sums = iter([out.raw[at : at + G1_SIZE] for at in range(0, len(out), G1_SIZE)])
        return [[next(sums) for _ in rows] for _, rows in jobs]

    # G2

    def g2_is_point(self, data: bytes) -> bool:
        return len(data) == G2_SIZE and bool(self._call["g2_is_point"](bytes(data)))

    def g2_in_subgroup(self, data: bytes) -> bool:
        return len(data) == G2_SIZE and bool(self._call["g2_in_subgroup"](bytes(data)))

    def g2_sum(self, terms: Sequence[tuple[bytes, int]]) -> bytes:
        points = b"".join(self._sized(point, G2_SIZE) for point, _ in terms)
        out = ctypes.create_string_buffer(G2_SIZE)
        self._check(self._call["g2_sum"](out, len(terms), points, _scalars(terms)))
        return out.raw

    def g2_sum_secret(self, terms: Sequence[tuple[bytes, int]]) -> bytes:
        return self.g2_sum(terms)

    def g2_prepare(self, point: bytes) -> G2Lines:
        return self._lines(bytes(point))

    def _make_lines(self, point: bytes) -> G2Lines:
        return self._prepare(G2Lines, self._call["g2_prepare"], point, G2_SIZE)

    # GT

    def gt_is_element(self, data: bytes) -> bool:
        return len(data) == GT_SIZE and bool(self._call["gt_is_element"](bytes(data)))

    def gt_prepare(self, element: bytes) -> GtTables:
        return self._prepare(GtTables, self._call["gt_prepare"], element, GT_SIZE)

    def gt_product(self, terms: Sequence[Term]) -> bytes:
        tables = [base if isinstance(base, GtTables) else self.gt_prepare(base) for base, _ in terms]
        out = ctypes.create_string_buffer(GT_SIZE)
        self._check(self._call["gt_product"](out, len(terms), self._addresses(tables), _scalars(terms)))
        return out.raw

    def gt_product_secret(self, terms: Sequence[Term]) -> bytes:
        return self.gt_product(terms)

    # pairing

    def pairing_product(self, pairs: Sequence[tuple[bytes, Base]]) -> bytes:
        points = b"".join(self._sized(point, G1_SIZE) for point, _ in pairs)
        lines = [base if isinstance(base, G2Lines) else self.g2_prepare(base) for _, base in pairs]
        out = ctypes.create_string_buffer(GT_SIZE)
        self._check(self._call["pairing_product"](out, len(pairs), points, self._addresses(lines)))
        return out.raw


__all__ = ["KernelArithmetic", "library_path"]
