"""Reliable commands over an unreliable wire: docs/link.md 2.1, the client's side.

One rule carries everything. Whatever goes wrong (silence, a NAK, a damaged answer, an answer out of
sequence), the client asks IDENTIFY for the last seq that the chip accepted. Requests and answers stay in
order on the wire, so once this answer is there, nothing sent before is under way any more, and the seq
says exactly which requests the chip has run: those are never run again, the others are sent again under
the seq they had.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fusequote.chip.framing import BadFrame
from fusequote.chip.identity import Identity
from fusequote.chip.ops import Answer, Command, Op
from fusequote.chip.status import LinkError, Status
from fusequote.chip.watch import Patience, Watch, is_nak
from fusequote.chip.wire import Wire

_LAST_SEQ = 255
#: How often an impossible seq is asked for again before it is believed.
_MOST_DOUBTS = 2


@dataclass
class Done:
    """A numbered command that the chip has run. ``answer`` is None when the link lost it (window 2 only)."""

    command: Command
    seq: int
    answer: Answer | None = None
    wire_out: int = 0
    wire_in: int = 0
    retries: int = 0


class Link:
    """Runs commands, one at a time or in a stream. Not for several threads at once.

    ``first_echo``: where the seqs of unnumbered commands begin (default: anywhere), for tests that repeat
    exactly.
    """

    def __init__(self, wire: Wire, patience: Patience, *, first_echo: int | None = None):
        self._wire = wire
        self._patience = patience
        self._stats = wire.stats
        self._last = 0
        self._in_step = False
        # Answers that an earlier client did not wait for may still come: they should not look like ours.
        self._echo = first_echo or 1 + secrets.randbelow(_LAST_SEQ)

    def synchronise(self, *, first: bool = False) -> Identity:
        """Ask the chip where it stands. Raises :class:`LinkError` when nothing sensible comes."""
        answer = self._ask(Command(Op.IDENTIFY), first=first)
        identity = Identity.from_bytes(answer.body)
        self._last = identity.last_seq
        self._in_step = True
        return identity

    def lose_step(self) -> None:
        """After a reset: the next numbered command asks first where the chip stands."""
        self._in_step = False

    def ask(self, command: Command) -> Answer:
        """One unnumbered command. It may run more than once."""
        return self._ask(command, first=False)

    def run(self, command: Command) -> tuple[Done, Answer]:
        """One numbered command, run once, and its answer. Raises as :meth:`stream` does."""
        finished: list[Done] = []
        self.stream([command], lambda done: bool(finished.append(done)))
        (done,) = finished
        if done.answer is None:
            raise LinkError(f"{command.name}: it was run, but the link lost its answer", op=command.op)
        return done, done.answer

    def stream(
        self, commands: Iterable[Command], deliver: Callable[[Done], bool], *, window: int = 1
    ) -> None:
        """Numbered commands in order, ``window`` of them under way at a time, each of them run once.

        ``deliver`` takes them as they are done, in order; when it answers False, no further one is
        started. What ``commands`` or ``deliver`` raise comes through; the commands under way are then
        still run. Raises :class:`LinkError` when the chip stays silent, talks nonsense, or turns out to
        be at a seq of somebody else.
        """
        if not self._in_step:
            self.synchronise()
        self._in_step = False  # until the end: an exception on the way leaves answers under way
        _Stream(self, iter(commands), deliver, window).run()
        self._in_step = True

    def _ask(self, command: Command, *, first: bool) -> Answer:
        # A chip that boots loses what it is sent too early: ask again soon at first.
        seconds = self._patience.first if first else self._patience.command
        watch = Watch(self._wire, command.op, seconds, self._patience.retry, soon=first)
        asked = {self._send_unnumbered(command, watch, again=not self._in_step)}
        while True:
            event = self._receive(watch.until)
            if isinstance(event, Answer) and event.op == command.op and event.seq in asked:
                return event
            if self._trouble(event, watch, others_are_late=True):
                self._stats.retries += 1
                asked.add(self._send_unnumbered(command, watch, again=True))

    def _send_unnumbered(self, command: Command, watch: Watch, *, again: bool) -> int:
        self._echo = _next(self._echo)
        watch.sent(self._wire.send(command, self._echo, again=again))
        return self._echo

    def _receive(self, until: float) -> Answer | BadFrame | None:
        event = self._wire.receive(until)
        if isinstance(event, BadFrame):
            self._stats.damaged += 1
        elif event is not None and is_nak(event):
            self._stats.naks += 1
        return event

    def _trouble(self, event: Answer | BadFrame | None, watch: Watch, *, others_are_late: bool) -> bool:
        """Whether to ask again now."""
        if event is None:
            again = watch.silence()
            self._wire.reset_line()
            return again
        if others_are_late and isinstance(event, Answer) and not is_nak(event):
            return watch.foreign(event)
        return watch.damage(event)


class _Stream:
    """One call of :meth:`Link.stream`."""

    def __init__(self, link: Link, commands, deliver: Callable[[Done], bool], window: int):
        self._link = link
        self._wire = link._wire
        self._stats = link._stats
        self._commands = commands
        self._deliver = deliver
        self._window = window
        self._flight: deque[Done] = deque()
        self._more = True
        self._doubts = 0
        #: Echo seqs of the IDENTIFYs that are out; while there are any, nothing else is sent.
        self._probes: set[int] = set()
        self._bytes_in = self._stats.bytes_in
        patience = link._patience
        self._watch = Watch(self._wire, 0, patience.command, patience.retry)

    def run(self) -> None:
        """Until all is done."""
        while True:
            if not self._probes:
                self._fill()
                if not self._flight:
                    return
            event = self._link._receive(self._watch.until)
            if isinstance(event, Answer) and self._take(event):
                continue
            late = isinstance(event, Answer) and not self._out_of_step(event)
            if self._link._trouble(event, self._watch, others_are_late=late):
                self._probe()

    def _fill(self) -> None:
        while self._more and len(self._flight) < self._window:
            command = next(self._commands, None)
            if command is None:
                self._more = False
                return
            seq = _next(self._flight[-1].seq if self._flight else self._link._last)
            done = Done(command, seq)
            if not self._flight:
                self._watch.progress(command.op)
            self._flight.append(done)
            self._send(done, again=False)

    def _send(self, done: Done, *, again: bool) -> None:
        size = self._wire.send(done.command, done.seq, again=again)
        done.wire_out += size
        self._watch.sent(size)
        if again:
            done.retries += 1
            self._stats.retries += 1

    def _take(self, answer: Answer) -> bool:
        """Whether the answer was one that is waited for."""
        if answer.op == Op.IDENTIFY and answer.seq in self._probes:
            self._probes.clear()
            self._resume(Identity.from_bytes(answer.body).last_seq)
            return True
        place = self._place(answer)
        if place is None or answer.status == Status.LINK_OUT_OF_SEQUENCE:
            return False
        if answer.op != self._flight[place].command.op & 0x7F:
            return False
        # Answers come in order: those of the commands before this one were lost, though they were run.
        for _ in range(place):
            self._finish(None)
        self._finish(answer)
        return True

    def _place(self, answer: Answer) -> int | None:
        return next((i for i, done in enumerate(self._flight) if done.seq == answer.seq), None)

    def _out_of_step(self, answer: Answer) -> bool:
        """Whether this answer is a reason to ask where the chip is; while that question is out, none is."""
        return is_nak(answer) or (not self._probes and self._place(answer) is not None)

    def _finish(self, answer: Answer | None) -> None:
        done = self._flight.popleft()
        done.answer = answer
        done.wire_in, self._bytes_in = self._stats.bytes_in - self._bytes_in, self._stats.bytes_in
        self._link._last = done.seq
        self._stats.lost += answer is None
        self._watch.progress(self._flight[0].command.op if self._flight else done.command.op)
        if not self._deliver(done):
            self._more = False

    def _probe(self) -> None:
        before = self._stats.bytes_out
        self._probes.add(self._link._send_unnumbered(Command(Op.IDENTIFY), self._watch, again=True))
        self._stats.retries += 1
        if self._flight:
            self._flight[0].retries += 1
            self._flight[0].wire_out += self._stats.bytes_out - before

    def _resume(self, last: int) -> None:
        """The chip has accepted all up to ``last``, and nothing is under way. Send again what has to be."""
        if last != self._link._last:
            place = next((i for i, done in enumerate(self._flight) if done.seq == last), None)
            if place is None:
                self._doubt(last)
                return
            for _ in range(place):
                self._finish(None)
        for done in self._flight:
            self._send(done, again=True)

    def _doubt(self, last: int) -> None:
        """A seq that cannot be: either the wire gave back an old answer, or this is no longer the chip
        that it was."""
        self._doubts += 1
        if self._doubts > _MOST_DOUBTS:
            raise self._lost_count(last)
        self._probe()

    def _lost_count(self, last: int) -> LinkError:
        command = self._flight[0].command if self._flight else None
        op, name = (command.op, command.name) if command else (None, "the link")
        if last == 0:
            return LinkError(
                f"{name}: the chip was reset in the meantime; its enclaves are gone",
                op=op,
                hint="launch them again",
            )
        return LinkError(
            f"{name}: the chip is at seq {last}, not at {self._link._last}",
            op=op,
            hint="another program seems to use this chip: end one of the two",
        )


def _next(seq: int) -> int:
    return 1 if seq == _LAST_SEQ else seq + 1
