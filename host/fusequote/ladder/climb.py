"""The five rungs in order: each system is set up, shown to work, attacked, and its line of the table said.

An attack's outcome is what happened; here it is compared with what must happen.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

from fusequote.errors import UsageError
from fusequote.ladder import epid, key_exchange, local, provisioned, signed_hash
from fusequote.ladder.rung import Attack, LadderFailed, Level, Rung
from fusequote.ladder.stage import Stage
from fusequote.ladder.system import System
from fusequote.ladder.telling import Talk

__all__ = ["RUNGS", "Climbed", "Result", "attack_names", "climb", "chosen"]

RUNGS = (signed_hash.RUNG, key_exchange.RUNG, local.RUNG, provisioned.RUNG, epid.RUNG)


@dataclass(frozen=True)
class Result:
    """One attack on one rung at one level."""

    rung: int
    attack: str
    level: Level
    worked: bool
    seen: str


@dataclass
class Climbed:
    """What a run showed: every attack's outcome, and the facts of finales."""

    results: list[Result] = field(default_factory=list)
    facts: dict[str, str | int | bool] = field(default_factory=dict)


def attack_names(rung: Rung) -> list[str]:
    """What may be named on a rung, its finale included."""
    return [*rung.attacks, *([rung.finale_name] if rung.finale else [])]


def chosen(number: int | None, attack: str | None) -> list[Rung]:
    """The rungs to climb. Raises :class:`UsageError` for a rung or an attack that there is not."""
    rungs = [rung for rung in RUNGS if number in (None, rung.number)]
    if not rungs:
        raise UsageError(f"there is no rung {number}", hint=f"1 to {len(RUNGS)}")
    having = [rung for rung in rungs if attack is None or attack in attack_names(rung)]
    if not having:
        where = "on no rung" if number is None else f"not on rung {number}"
        names = ", ".join(dict.fromkeys(name for rung in rungs for name in attack_names(rung)))
        raise UsageError(f"the attack {attack!r} is {where}", hint=f"one of: {names}")
    return having


def climb(stage: Stage, talk: Talk, rungs: list[Rung], attack: str | None = None) -> Climbed:
    """Climb these rungs, with all attacks or the one of this name.

    Raises :class:`LadderFailed` as soon as an outcome is not what it must be, and what chips and services raise.
    """
    climbed = Climbed()
    if epid.RUNG in rungs:
        stage.expect_services()
    for rung in rungs:
        with contextlib.ExitStack() as stack:
            _climb(rung, stage, talk, attack, climbed, stack)
    if len(rungs) > 1 and attack is None:
        _table(rungs, talk)
    return climbed


def _table(rungs: list[Rung], talk: Talk) -> None:
    """The ladder's table: of each rung, what it proves, to whom, what it reveals, and what breaks it."""
    talk.heading("The ladder")
    for rung in rungs:
        talk.line(f"{rung.number}  {rung.title}")
        talk.note(f"proves   {rung.proves}")
        talk.note(f"to       {rung.whom}")
        talk.note(f"reveals  {rung.reveals}")
        working = [f"{one.name} ({', '.join(sorted(one.works))})" for one in rung.attacks.values() if one.works]
        talk.note(f"works    {', '.join(working)}")


def _climb(
    rung: Rung, stage: Stage, talk: Talk, attack: str | None, climbed: Climbed, stack: contextlib.ExitStack
) -> None:
    talk.heading(f"Rung {rung.number}: {rung.title}")
    talk.line(f"assumed: {rung.assumed}")
    talk.line(f"entry: {rung.entry}")
    for level in Level:
        talk.line(f"  {level}: {level.meaning}")
    talk.pause()
    system = rung.open(stage, talk)
    stack.callback(system.close)
    for level in Level:
        talk.part(f"it works ({level})")
        rung.works(system, level, talk)
    for one in rung.attacks.values():
        if attack in (None, one.name):
            _attack(rung, one, system, talk, climbed)
    if rung.finale is not None and attack in (None, rung.finale_name):
        talk.pause()
        climbed.facts |= rung.finale(system, talk)
    talk.line()
    talk.line(f"{rung.title} | {rung.last_line}")


def _attack(rung: Rung, attack: Attack, system: System, talk: Talk, climbed: Climbed) -> None:
    talk.pause()
    talk.part(f"attack {attack.name}: {attack.title}")
    talk.line(f"  assumed: {attack.assumed}")
    for level in attack.levels:
        talk.line(f"  {level}:")
        outcome = attack.run(system, level, talk)
        wanted = level in attack.works
        talk.line(f"    {'WORKS' if outcome.worked else 'fails'}: {outcome.seen}")
        climbed.results.append(Result(rung.number, attack.name, level, outcome.worked, outcome.seen))
        if outcome.worked != wanted:
            raise LadderFailed(
                f"rung {rung.number}, attack {attack.name} at {level}: it {'works' if outcome.worked else 'fails'}, "
                f"and must {'work' if wanted else 'fail'}: {outcome.seen}"
            )
    if attack.works:
        talk.line(f"  stopped by {attack.stopped_by}")
