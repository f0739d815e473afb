"""The steps of a run as they happen: what was sent, what came back, and what the chip spent on it.

On a terminal the step under way is at the bottom, with a bar when pages are streamed; elsewhere every event is a line.
"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from typing import Self

from fusequote.cli.output import stderr
from fusequote.verdict import Phase, Step, StepEvent

__all__ = ["CLOCK_HZ", "StepsView", "cycles_text"]

#: The clock of the boards that the block is sized for; cycles are shown as time at it.
CLOCK_HZ = 24_000_000
_NUMBERS = {step: number for number, step in enumerate(Step, 1)}


def cycles_text(cycles: int) -> str:
    """``1,234,567 cycles (51.4 ms at 24 MHz)``."""
    return f"{cycles:,} cycles ({1000 * cycles / CLOCK_HZ:.1f} ms at {CLOCK_HZ // 1_000_000} MHz)"


class StepsView:
    """A listener for :class:`~fusequote.verdict.StepEvent`. Silent when not ``wanted``. A context manager."""

    def __init__(self, wanted: bool = True):
        self._wanted = wanted
        self._console = stderr()
        self._live = wanted and sys.stderr.isatty()
        self._started = 0.0
        self._stack = ExitStack()
        self._bars = self._task = None

    def __enter__(self) -> Self:
        if self._live:
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                SpinnerColumn,
                TextColumn,
                TimeElapsedColumn,
            )

            columns = (
                SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                TimeElapsedColumn(),
            )  # fmt: skip
            self._bars = self._stack.enter_context(Progress(*columns, console=self._console, transient=True))
            self._task = self._bars.add_task("starting the chip", total=None)
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def __call__(self, event: StepEvent) -> None:
        """Show one event."""
        if not self._wanted:
            return
        if event.phase is Phase.STARTED:
            self._started = time.monotonic()
            self._console.print(f"{_NUMBERS[event.step]} {event.step.value}: {event.action}", style="bold")
            if self._bars is not None:
                self._bars.reset(self._task, total=None, description=f"{event.step.value}: {event.action}")
        elif event.phase is Phase.EXCHANGE:
            self._console.print(f"    {_exchange(event)}")
        else:
            done = event.phase is Phase.FINISHED
            style = None if done else "red"
            self._console.print(f"    {'done' if done else 'refused'}{self._cost(event)}", style=style)
        for name, value in event.facts.items():
            self._console.print(f"      {name} {value}", style="dim")

    def pages(self, done: int, total: int) -> None:
        """Pages of an image that have been streamed to the chip."""
        if self._bars is not None:
            self._bars.update(self._task, completed=done, total=total)

    def _cost(self, event: StepEvent) -> str:
        parts = []
        if event.chip_commands:
            parts.append(f"{event.chip_commands} commands to the chip")
        if event.chip_cycles:
            parts.append(cycles_text(event.chip_cycles))
        parts.append(f"{time.monotonic() - self._started:.1f} s")
        return ": " + ", ".join(parts)


def _exchange(event: StepEvent) -> str:
    who = " -> ".join(party.value for party in (event.source, event.target) if party is not None)
    moved = []
    if event.sent is not None:
        moved.append(f"{event.sent:,} bytes sent")
    if event.received is not None:
        moved.append(f"{event.received:,} received")
    return f"{who}: {event.action}" + (f" ({', '.join(moved)})" if moved else "")
