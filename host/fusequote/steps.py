"""Telling what happens: step events to whoever listens, with what each step cost the chip."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

from fusequote.chip.trace import TraceEvent
from fusequote.errors import Refused
from fusequote.verdict import Party, Phase, Step, StepEvent

__all__ = ["Listener", "Meter", "Steps"]

#: Called with each event as it happens.
Listener = Callable[[StepEvent], None]


class Meter:
    """Counts a chip's commands and cycles; give it to :func:`fusequote.chip.open_chip` as ``trace``.

    ``wants_cycles`` asks the chip for its cycles after every command, which a chip that does not measure (the
    model) is spared.
    """

    def __init__(self, wants_cycles: bool):
        self.wants_cycles = wants_cycles
        self.commands = 0
        self.cycles = 0

    def __call__(self, event: TraceEvent) -> None:
        self.commands += 1
        self.cycles += event.cycles or 0


class Steps:
    """Emits the events of one run. Without a listener nothing is done."""

    def __init__(self, listener: Listener | None, meter: Meter):
        self._listener, self._meter = listener, meter
        self._step = Step.MANUFACTURE

    @contextlib.contextmanager
    def step(self, step: Step, action: str) -> Iterator[dict[str, str | int | bool]]:
        """A step from start to end; yields the facts that its last event will carry.

        A refusal within is told, with its reason, and goes on upwards.
        """
        self._step = step
        commands, cycles = self._meter.commands, self._meter.cycles
        facts: dict[str, str | int | bool] = {}
        self._emit(StepEvent(step, Phase.STARTED, action))
        try:
            yield facts
        except Refused as error:
            refused = {**facts, "reason": str(error.reason), "message": str(error)}
            self._emit(self._end(step, Phase.REFUSED, action, commands, cycles, refused))
            raise
        self._emit(self._end(step, Phase.FINISHED, action, commands, cycles, facts))

    def _end(
        self, step: Step, phase: Phase, action: str, commands: int, cycles: int, facts: Mapping[str, str | int | bool]
    ) -> StepEvent:
        spent = self._meter.cycles - cycles if self._meter.wants_cycles else None
        return StepEvent(
            step, phase, action, chip_commands=self._meter.commands - commands, chip_cycles=spent, facts=facts
        )

    def exchange(
        self,
        action: str,
        source: Party,
        target: Party,
        *,
        sent: int | None = None,
        received: int | None = None,
        **facts: str | int | bool,
    ) -> None:
        """``source`` asked ``target`` for ``action``: bytes there and back, and what is worth showing of it."""
        self._emit(StepEvent(self._step, Phase.EXCHANGE, action, source, target, sent, received, facts=facts))

    def _emit(self, event: StepEvent) -> None:
        if self._listener is not None:
            self._listener(event)
