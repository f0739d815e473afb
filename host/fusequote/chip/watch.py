"""Patience: how long to wait for the chip, how often to ask again, and what to say when it was all in
vain."""

from __future__ import annotations

from dataclasses import dataclass

from fusequote.chip.framing import BadFrame
from fusequote.chip.ops import Answer, op_name
from fusequote.chip.status import LinkError
from fusequote.chip.wire import Wire

#: After so many repeats without progress that damage set off at once, further ones wait for the timer.
_PROMPT_REPEATS = 8
#: After so many repeats without progress it is over.
_MOST_REPEATS = 48
#: The pause between repeats doubles up to this many times the first one.
_LONGEST_PAUSE = 8

_ANOTHER = "does another program use this chip?"


@dataclass(frozen=True)
class Patience:
    """Seconds.

    ``command``: until a command must have been answered. ``first``: the same for the first answer after
    opening or a reset, for a simulated chip boots slowly. ``retry``: silence before the chip is asked
    again; doubles each time, up to eight times this.
    """

    command: float = 30.0
    first: float = 60.0
    retry: float = 1.0


class Watch:
    """Watches over one command, or over a stream of them from one answer to the next.

    ``deadline`` and ``until`` (the next moment to act) are times of the wire's clock. ``soon`` begins
    with pauses of an eighth of ``retry``.
    """

    def __init__(self, wire: Wire, op: int, seconds: float, retry: float, *, soon: bool = False):
        self._wire = wire
        self._op = op
        self._seconds = seconds
        self._longest = retry * _LONGEST_PAUSE
        self._retry = retry / _LONGEST_PAUSE if soon else retry
        self.progress(op)

    def progress(self, op: int) -> None:
        """Something was achieved; from here on it is ``op`` that is waited for."""
        self._op = op
        self._repeats = 0
        self._pauses = 0
        self._naks = self._damaged = self._other = 0
        self._last_other = ""
        self._bytes_before = self._wire.stats.bytes_in
        self.deadline = self._wire.clock() + self._seconds
        self.sent(0)

    def sent(self, size: int) -> None:
        """``size`` bytes are on their way: their time on the wire does not count as silence."""
        pause = min(self._retry * 2**self._pauses, self._longest)
        travel = 2 * size * self._wire.seconds_per_byte
        self.until = min(self.deadline, self._wire.clock() + pause + travel)

    def silence(self) -> bool:
        """Nothing came until ``until``. True: ask again. Raises :class:`LinkError` when time or repeats
        are up."""
        self._pauses += 1
        self._check()
        return self._repeat()

    def damage(self, what: Answer | BadFrame) -> bool:
        """A NAK, a damaged frame, or an answer that shows that the two ends are out of step. True: ask
        again now."""
        if isinstance(what, BadFrame):
            self._damaged += 1
        elif is_nak(what):
            self._naks += 1
        else:
            self._note(what)
        self._check()
        return self._repeat() if self._repeats < _PROMPT_REPEATS else self._overdue()

    def foreign(self, answer: Answer) -> bool:
        """An answer to something that was not asked, or not now. Late ones are normal after trouble.

        True: ask again, for meanwhile ``until`` has passed.
        """
        self._note(answer)
        self._check()
        return self._overdue()

    def _note(self, answer: Answer) -> None:
        self._other += 1
        self._last_other = f"{op_name(answer.op)}, seq {answer.seq}"

    def _overdue(self) -> bool:
        return self._wire.clock() >= self.until and self.silence()

    def _repeat(self) -> bool:
        self._repeats += 1
        if self._repeats > _MOST_REPEATS:
            raise self._give_up(f"in {_MOST_REPEATS} tries")
        return True

    def _check(self) -> None:
        if self._wire.clock() >= self.deadline:
            raise self._give_up(f"in {self._seconds:g} s")

    def _give_up(self, how_long: str) -> LinkError:
        """The error, with what was seen instead of an answer and what that speaks for."""
        count = self._wire.stats.bytes_in - self._bytes_before
        line = "check baud rate, cable and ground"
        seen = [
            (self._naks, f"{self._naks} reports of damaged frames", line),
            (self._damaged, f"{self._damaged} damaged frames", line),
            (self._other, f"{self._other} other answers (last: {self._last_other})", _ANOTHER),
        ]
        most, saw, hint = max(seen, key=lambda item: item[0])
        if not most and count:
            saw, hint = (
                f"{count} bytes that are no frame",
                "is this the right port, and the right baud rate?",
            )
        elif not most:
            saw, hint = (
                "silence",
                "is the chip powered and this the right port? A longer timeout may help",
            )
        return LinkError(f"{op_name(self._op)}: no answer {how_long}, only {saw}", op=self._op, hint=hint)


def is_nak(answer: Answer) -> bool:
    """Whether this is the chip's report that it dropped a damaged frame.

    That includes LINK_TOO_LONG: nothing too long is ever sent, so a flag between two frames was lost.
    """
    return not answer.op and not answer.seq
