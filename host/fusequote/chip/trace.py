"""What went over the link, for people and for totals, with every ticket and key left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from fusequote.chip.ops import Op, op_name
from fusequote.chip.status import status_name

#: Bytes of a body that are shown before it is cut short.
_SHOWN = 48


@dataclass(frozen=True)
class TraceEvent:
    """One finished command.

    ``request`` and ``answer`` are the bodies as text (hex, cut short), tickets and keys replaced by their
    names. Sizes are bodies in bytes; ``wire_out`` and ``wire_in`` are bytes on the wire for this command,
    repeats and framing included. ``retries`` counts what was sent again. ``cycles`` are the chip's clock
    cycles, None when not asked for and 0 when the chip does not measure. ``status`` is None when the link
    lost the answer of a pipelined command that was run.
    """

    op: int
    seq: int
    status: int | None
    request_size: int
    answer_size: int
    wire_out: int
    wire_in: int
    retries: int
    cycles: int | None
    request: str
    answer: str

    @property
    def name(self) -> str:
        """The command by name."""
        return op_name(self.op)

    @property
    def status_name(self) -> str:
        """The status by name."""
        return "answer lost" if self.status is None else status_name(self.status)

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return {"name": self.name, "status_name": self.status_name, **asdict(self)}


#: What :func:`fusequote.chip.open_chip` takes as ``trace``. A callable with an attribute ``wants_cycles``
#: set to False is spared the CYCLES command after each numbered one (and streams of EADD and EEXTEND then
#: stay pipelined).
Trace = Callable[[TraceEvent], None]


@dataclass
class Stats:
    """Totals since the chip was opened. Bytes are bytes on the wire.

    ``commands``: numbered commands finished. ``retries``: frames sent again, and questions where the chip is.
    ``naks``: damaged frames that the chip reported. ``damaged``: damaged frames that the chip sent. ``lost``:
    pipelined commands that were run and whose answers the link lost. ``cycles``: those that the trace
    asked for.
    """

    commands: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    retries: int = 0
    naks: int = 0
    damaged: int = 0
    lost: int = 0
    cycles: int = 0

    def to_dict(self) -> dict[str, int]:
        """For JSON."""
        return asdict(self)


#: Spans of bodies that no trace shows: op -> (offset, end or None for the rest, name).
_HIDDEN_IN_REQUEST: dict[int, tuple[int, int | None, str]] = {
    Op.FUSE_MANUFACTURE: (0, None, "fuses"),
    Op.SET_OWNEREPOCH: (0, None, "owner epoch"),
    Op.EEXIT: (0, 16, "ticket"),
    Op.EREPORT: (0, 16, "ticket"),
    Op.EGETKEY: (0, 16, "ticket"),
    Op.VERIFYREPORT: (0, 16, "ticket"),
}
_HIDDEN_IN_ANSWER: dict[int, tuple[int, int | None, str]] = {
    Op.EENTER: (0, 16, "ticket"),
    Op.ERESUME: (0, 16, "ticket"),
    Op.EGETKEY: (0, None, "key"),
}


def request_text(op: int, body: bytes) -> str:
    """A request's body for people. A body of an unknown op is not shown: nobody knows what is in it."""
    return _text(op, body, _HIDDEN_IN_REQUEST)


def answer_text(op: int, body: bytes) -> str:
    """An answer's body for people."""
    return _text(op, body, _HIDDEN_IN_ANSWER)


def _text(op: int, body: bytes, hidden: dict[int, tuple[int, int | None, str]]) -> str:
    if not body:
        return ""
    if op not in Op.__members__.values():
        return f"<{len(body)} bytes>"
    start, end, name = hidden.get(op, (0, 0, ""))
    end = len(body) if end is None else min(end, len(body))
    parts = [_hex(body[:start]), f"<{name}>" if end > start else "", _hex(body[end:])]
    return " ".join(part for part in parts if part)


def _hex(body: bytes) -> str:
    return body[:_SHOWN].hex() + (f"... ({len(body)} bytes)" if len(body) > _SHOWN else "")
