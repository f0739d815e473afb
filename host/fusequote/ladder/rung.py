"""What a rung is: a system that works, attacks on it with what must come of them, and what it proves.

An attack is a function that does something to the running system and says what happened (:class:`Outcome`); whether
that is what must happen, is judged elsewhere (:mod:`fusequote.ladder.climb`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from fusequote.chip.status import CommandError, LinkError
from fusequote.errors import ExitCode, FusequoteError, Refused
from fusequote.platform.daemon_wire import PlatformCode, PlatformError

if TYPE_CHECKING:
    from fusequote.ladder.stage import Stage
    from fusequote.ladder.system import System
    from fusequote.ladder.telling import Talk

__all__ = ["BOTH", "Attack", "LadderFailed", "Level", "NotAccepted", "Outcome", "Rung", "refusal_of"]


class LadderFailed(FusequoteError):
    """Something did not go as it must: an attack that has to fail worked, or the other way round."""

    exit_code = ExitCode.NEGATIVE
    kind = "ladder"


class NotAccepted(FusequoteError):
    """A party of a rung says no; the message says why."""

    exit_code = ExitCode.NEGATIVE
    kind = "ladder.not-accepted"


class Level(StrEnum):
    """Entry level of the application enclave (instruction notes 8.4)."""

    L1 = "L1"
    L2 = "L2"

    @property
    def meaning(self) -> str:
        """One line."""
        return _MEANINGS[self]


_MEANINGS = {
    Level.L1: "the daemon that owns the chip keeps its clients apart; whoever launches the image can enter it",
    Level.L2: "the image names an entry key, which signs each entry; whoever launches the image cannot enter it",
}
BOTH = frozenset(Level)


@dataclass(frozen=True)
class Outcome:
    """What an attack came to: whether the attacker got what he wanted, and what was seen, in one line."""

    worked: bool
    seen: str


Run = Callable[[Any, Level, "Talk"], Outcome]


@dataclass(frozen=True)
class Attack:
    """``assumed``: what the attacker has. ``works``: the levels at which it must work; at the others it must fail.

    ``levels``: those at which it is tried. ``stopped_by``: what stops it, where it works.
    """

    name: str
    title: str
    assumed: str
    run: Run
    works: frozenset[Level] = frozenset()
    levels: tuple[Level, ...] = tuple(Level)
    stopped_by: str = ""


@dataclass
class Rung:
    """One system of the ladder. ``open`` sets it up on a stage; ``works`` is its honest run, at each level.

    ``assumed``, ``entry`` and the three of the last line (``proves``, ``whom``, ``reveals``) are for people. ``finale``
    is run after the attacks, as if it were one of them of the name ``finale_name``; its answer is a table for people
    and facts for programs.
    """

    number: int
    title: str
    assumed: str
    entry: str
    proves: str
    whom: str
    reveals: str
    open: Callable[[Stage, Talk], System]
    works: Callable[[Any, Level, Talk], None]
    attacks: dict[str, Attack] = field(default_factory=dict)
    finale: Callable[[Any, Talk], dict[str, str | int | bool]] | None = None
    finale_name: str = ""

    def attack(
        self,
        name: str,
        title: str,
        *,
        assumed: str,
        works: Iterable[Level] = (),
        stopped_by: str = "",
    ) -> Callable[[Run], Run]:
        """Register the function below as an attack on this rung. Raises ValueError for a name that is taken."""

        def register(run: Run) -> Run:
            self.add(Attack(name, title, assumed, run, frozenset(works), stopped_by=stopped_by))
            return run

        return register

    def add(self, *attacks: Attack) -> None:
        """Register attacks. Raises ValueError for a name that is taken."""
        for attack in attacks:
            if attack.name in self.attacks:
                raise ValueError(f"rung {self.number} has an attack {attack.name!r} already")
            self.attacks[attack.name] = attack

    @property
    def last_line(self) -> str:
        """The rung's line of the ladder's table."""
        return f"proves: {self.proves} | to: {self.whom} | reveals: {self.reveals}"


def refusal_of(action: Callable[[], object]) -> str | None:
    """Do it: None when it is done, else why a party or the chip refused. A chip or link that is broken is raised."""
    try:
        action()
    except (NotAccepted, Refused, CommandError) as no:
        return str(no)
    except LinkError as no:
        if no.status is None:
            raise
        return str(no)
    except PlatformError as no:
        if no.code is PlatformCode.CLOSED:
            raise
        return str(no)
    return None
