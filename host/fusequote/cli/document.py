"""Documents with places for tables that commands measure."""

from __future__ import annotations

from pathlib import Path

from fusequote.cli.values import write_output
from fusequote.errors import UsageError

__all__ = ["MarkedDocument"]


class MarkedDocument:
    """A document with a place for the table of ``fusequote bench NAME``, between two markers.

    Raises :class:`UsageError` when it cannot be read or has not both markers.
    """

    def __init__(self, path: Path, name: str):
        self._path = path
        self._begin, self._end = (f"<!-- fusequote bench {name}: {word} -->" for word in ("begin", "end"))
        try:
            document = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'not text'}") from error
        self._head, begin, rest = document.partition(self._begin)
        _, end, self._tail = rest.partition(self._end)
        if not begin or not end:
            hint = f"put in lines {self._begin} and {self._end}"
            raise UsageError(f"{path} has no place for the table: it has not got both markers", hint=hint)

    def put(self, text: str) -> None:
        """Write the document with ``text`` between its markers. Raises :class:`EnvironmentProblem` when that fails."""
        text = text.strip("\n")
        write_output(self._path, f"{self._head}{self._begin}\n{text}\n{self._end}{self._tail}".encode())
