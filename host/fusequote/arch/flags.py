"""Flag sets whose unknown bits survive."""

from __future__ import annotations

from enum import KEEP, IntFlag


class BitFlags(IntFlag, boundary=KEEP):
    """An IntFlag for the architecture's bit fields.

    Python's own ``~`` forgets bits that have no name, so ``flags & ~DEBUG`` would silently clear reserved bits too.
    Here ``~`` is the integer's.
    """

    def __invert__(self) -> int:  # type: ignore[override]
        return ~int(self)
