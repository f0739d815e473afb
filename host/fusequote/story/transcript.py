"""What the scripted run says, and how it checks itself."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from fusequote.errors import ExitCode, FusequoteError, Refused
from fusequote.reasons import Reason
from fusequote.verdict import Phase, StepEvent

__all__ = ["StoryFailed", "Transcript", "short"]


class StoryFailed(FusequoteError):
    """An answer of the scripted run is not what it must be: somebody was accepted who is not to be, or refused."""

    exit_code = ExitCode.NEGATIVE
    kind = "story"


def short(data: bytes) -> str:
    """The first four bytes of an id or a key, in hexadecimal."""
    return f"{data[:4].hex()}.." if len(data) > 4 else data.hex()


class Transcript:
    """Lines, told as they are made, with counts of what was checked."""

    def __init__(self, tell: Callable[[str], None] = lambda line: None):
        self._tell = tell
        self.lines: list[str] = []
        self.acts = self.checks = self.refusals = 0

    def line(self, text: str = "") -> None:
        """One line."""
        self.lines.append(text)
        self._tell(text)

    def act(self, title: str) -> None:
        """A new part of the story."""
        self.acts += 1
        if self.lines:
            self.line()
        self.line(f"{self.acts}. {title}")

    def note(self, text: str) -> None:
        """What somebody does, or what it means."""
        self.line(f"   {text}")

    def sent(self, source: str, target: str, what: str, sent: int | None = None, received: int | None = None) -> None:
        """A message and its answer, with their sizes in bytes."""
        counts = ((sent, "sent"), (received, "answered"))
        sizes = [f"{count:,} byte{'s' * (count != 1)} {way}" for count, way in counts if count is not None]
        self.line(f"   {source} -> {target}: {what}{': ' if sizes else ''}{', '.join(sizes)}")

    def check(self, what: str, found: object, wanted: object) -> None:
        """``found`` must be ``wanted``. Raises :class:`StoryFailed`."""
        self.checks += 1
        if found != wanted:
            self.line(f"   WRONG  {what}: {found} instead of {wanted}")
            raise StoryFailed(f"act {self.acts}: {what}: {found} instead of {wanted}")
        self.line(f"   ok  {what}: {found}")

    @contextlib.contextmanager
    def refused(self, what: str, reason: Reason) -> Iterator[None]:
        """What happens within must be refused for this reason. Raises :class:`StoryFailed`."""
        try:
            yield
        except Refused as error:
            self.refusals += 1
            self.check(f"{what}: refused", str(error.reason), reason.value)
            self.note(f"    {reason.meaning}")
        else:
            self.check(f"{what}: refused", "accepted", reason.value)

    def listener(self, name: str) -> Callable[[StepEvent], None]:
        """For a platform: tells each message that crosses between its parties."""

        def listen(event: StepEvent) -> None:
            if event.phase is Phase.EXCHANGE and event.source is not None and event.target is not None:
                what = f"{event.action} ({event.facts['enclave']})" if "enclave" in event.facts else event.action
                self.sent(f"{name}'s {event.source}", str(event.target), what, event.sent, event.received)

        return listen
