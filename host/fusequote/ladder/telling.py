"""What the ladder says: lines as they are made, bytes as short hex, and a wait for whoever wants to read along."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

__all__ = ["Progress", "Talk", "hexdump"]

#: Told (done, of) while something slow is done.
Progress = Callable[[int, int], None]
#: Opens a bar with this title.
Bars = Callable[[str], contextlib.AbstractContextManager[Progress]]
#: Bytes of a value that are shown.
SHOWN = 32


@contextlib.contextmanager
def _no_bars(title: str) -> Iterator[Progress]:
    yield lambda done, total: None


def hexdump(data: bytes, shown: int = SHOWN) -> str:
    """The first bytes of ``data`` in groups of four, and how many there are when that is not all."""
    text = " ".join(data[at : min(at + 4, shown)].hex() for at in range(0, min(len(data), shown), 4))
    return text if len(data) <= shown else f"{text} .. ({len(data):,} bytes)"


class Talk:
    """Tells lines through ``tell`` and keeps them; ``wait`` is called where a reader may want to stop."""

    def __init__(
        self,
        tell: Callable[[str], None] = lambda line: None,
        wait: Callable[[], None] = lambda: None,
        bars: Bars = _no_bars,
    ):
        self._tell, self._wait = tell, wait
        #: Opens a progress bar: ``with talk.bar("title") as progress``.
        self.bar = bars
        self.lines: list[str] = []

    def line(self, text: str = "") -> None:
        """One line."""
        self.lines.append(text)
        self._tell(text)

    def pause(self) -> None:
        """A place to stop and read."""
        self._wait()

    def heading(self, text: str) -> None:
        """A rung begins."""
        if self.lines:
            self.line()
        self.line(text)
        self.line("=" * len(text))

    def part(self, text: str) -> None:
        """A part of a rung begins."""
        self.line()
        self.line(text)

    def note(self, text: str) -> None:
        """What somebody does, or what it means."""
        self.line(f"    {text}")

    def bytes(self, name: str, data: bytes, shown: int = SHOWN) -> None:
        """Bytes that matter."""
        self.line(f"      {name:<12} {hexdump(data, shown)}")
