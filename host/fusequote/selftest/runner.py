"""Makes the checks one after another, whatever comes of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from fusequote.chip import Chip, LinkError
from fusequote.chip.transport import open_port
from fusequote.chip.wire import Port
from fusequote.errors import DeviceError, ExitCode, FusequoteError, UsageError
from fusequote.selftest import entries, fuses, keys, launching, life, link
from fusequote.selftest.bench import Bench, Failed, Skipped
from fusequote.selftest.registry import Check

__all__ = ["Outcome", "Result", "Results", "check_names", "run"]

_CHECKS = (*link.CHECKS, *fuses.BLANK, *life.BIRTH, *fuses.BURNT, *launching.CHECKS, *entries.CHECKS, *keys.CHECKS,
           *life.DEATH)


class Outcome(StrEnum):
    """Of one check."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Result:
    """``about``: what a chip that passes does. ``detail``: what was wrong, or why it was skipped."""

    name: str
    about: str
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True)
class Results:
    """All checks in order. ``dead``: the chip did not answer any more."""

    results: tuple[Result, ...]
    dead: bool = False

    def of(self, outcome: Outcome) -> list[Result]:
        """Those with this outcome."""
        return [result for result in self.results if result.outcome is outcome]

    @property
    def exit_code(self) -> ExitCode:
        """0 all good, 10 a check failed, 4 the chip does not answer."""
        if self.dead:
            return ExitCode.DEVICE
        return ExitCode.NEGATIVE if self.of(Outcome.FAILED) else ExitCode.OK


def check_names() -> list[str]:
    """Of all checks, in order."""
    return [check.name for check in _CHECKS]


def run(
    chip: str | Port,
    *,
    burn: bool = False,
    reset: bool = False,
    only: Iterable[str] = (),
    progress: Callable[[Result], None] = lambda result: None,
) -> Results:
    """Check the chip at a URL, or behind an open port, which is closed in the end.

    ``burn``: a blank chip is burnt with published keys, and scrapped in the end. ``reset``: RESET it even when enclaves
    of somebody else live in it. ``only``: these checks, or areas of them. Without either nothing is changed that
    outlives the run, but LEPUBKEYHASH where no RESET is possible. Requests are the same in every run on the same chip.

    Raises what :func:`fusequote.chip.transport.open_port` raises, :class:`UsageError` for a check that there is not,
    and :class:`fusequote.chip.replay.ReplayDifference`.
    """
    wanted = _chosen(tuple(only))
    port, seconds = open_port(chip) if isinstance(chip, str) else (chip, getattr(chip, "seconds_per_byte", 0.0))
    clock = getattr(port, "clock", time.monotonic)
    open_chip = partial(Chip, port, seconds_per_byte=seconds, clock=clock, first_echo=getattr(port, "first_echo", None))
    results: list[Result] = []

    def say(check: Check, outcome: Outcome, detail: str = "") -> None:
        results.append(Result(check.name, check.about, outcome, detail))
        progress(results[-1])

    try:
        try:
            bench = Bench(port, clock, open_chip, reset=reset, burn=burn)
        except DeviceError as error:
            _raise_if_not_the_chip(error)
            say(_CHECKS[0], Outcome.FAILED, str(error))
            for check in _CHECKS[1:]:
                say(check, Outcome.SKIPPED, "the chip does not answer")
            return Results(tuple(results), dead=isinstance(error, LinkError))
        dead = False
        for check in _CHECKS:
            if check.name not in wanted:
                continue
            if dead:
                say(check, Outcome.SKIPPED, "the chip does not answer any more")
                continue
            try:
                check.run(bench)
                say(check, Outcome.PASSED)
            except Skipped as skipped:
                say(check, Outcome.SKIPPED, str(skipped))
            except (Failed, DeviceError) as failed:
                _raise_if_not_the_chip(failed)
                say(check, Outcome.FAILED, str(failed))
                dead = not _answers(bench)
        return Results(tuple(results), dead)
    finally:
        port.close()


def _chosen(only: tuple[str, ...]) -> set[str]:
    names = check_names()
    for each in only:
        if each not in names and not any(name.startswith(f"{each}.") for name in names):
            raise UsageError(f"there is no check {each!r}", hint=f"one of {', '.join(names)}, or an area of them")
    return {name for name in names if not only or name in only or name.partition(".")[0] in only}


def _answers(bench: Bench) -> bool:
    """Find the chip again after a check failed: what it left in the chip, the next ones have to live with."""
    try:
        bench.resynchronise()
    except DeviceError as error:
        _raise_if_not_the_chip(error)
        return False
    return True


def _raise_if_not_the_chip(error: FusequoteError) -> None:
    if error.kind == "replay":
        raise error
