"""Flag sets whose unknown bits survive."""

from __future__ import annotations

from enum import IntFlag
from typing import TypeVar

F = TypeVar("F", bound=type[IntFlag])


def bit_flags(kind: F) -> F:
    """Class decorator for the architecture's bit fields: makes ``~`` the integer's.

    Python's own forgets bits that have no name, so ``flags & ~DEBUG`` would silently clear reserved bits too. (It is
    copied into every subclass of IntFlag, hence a decorator and not a base class.)
    """
    kind.__invert__ = lambda self: ~int(self)  # type: ignore[assignment,method-assign]
    return kind
