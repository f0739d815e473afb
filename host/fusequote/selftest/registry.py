"""The checks by name, in the order in which they are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fusequote.selftest.bench import Bench

__all__ = ["Check", "check"]


@dataclass(frozen=True)
class Check:
    """``name`` is AREA.WHAT; ``about`` says in a line what a chip that passes does."""

    name: str
    about: str
    run: Callable[[Bench], None]


def check(checks: list[Check], name: str) -> Callable[[Callable[[Bench], None]], Callable[[Bench], None]]:
    """Put a function into ``checks``; the first line of its docstring is what it is about."""

    def put(run: Callable[[Bench], None]) -> Callable[[Bench], None]:
        checks.append(Check(name, (run.__doc__ or "").partition("\n")[0].rstrip("."), run))
        return run

    return put
