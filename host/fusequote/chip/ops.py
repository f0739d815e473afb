"""The commands of the link by number (docs/link.md section 3): what travels, not what it means."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from fusequote.chip.framing import MAX_CONTENTS
from fusequote.errors import UsageError

#: Bytes of a request in front of its body: op and seq.
REQUEST_HEAD = 2
#: Bytes of an answer in front of its body: op | 80, seq, status.
ANSWER_HEAD = 4
#: What an unsolicited answer to a damaged frame carries as op.
NAK_OP = 0x80


class Op(IntEnum):
    """Every command of the link. Names as in the manual where the manual has the command."""

    IDENTIFY = 0x01
    CYCLES = 0x02
    RESET = 0x03
    EVENT = 0x04
    FUSE_STATUS = 0x10
    FUSE_MANUFACTURE = 0x11
    FUSE_LOCK = 0x12
    FUSE_RAISE_SVN = 0x13
    SET_LEPUBKEYHASH = 0x14
    SET_OWNEREPOCH = 0x15
    SLOT_INFO = 0x16
    FUSE_SCRAP = 0x17
    ECREATE = 0x20
    EADD = 0x21
    EEXTEND = 0x22
    EINIT = 0x23
    EREMOVE = 0x24
    EENTER = 0x25
    EEXIT = 0x26
    EREPORT = 0x27
    EGETKEY = 0x28
    AEX = 0x29
    ERESUME = 0x2A
    ECHALLENGE = 0x2B
    VERIFYREPORT = 0x30


def op_name(op: int) -> str:
    """``EADD``, or ``op 7F`` for a number that names no command."""
    try:
        return Op(op).name
    except ValueError:
        return f"op {op:02X}"


def is_numbered(op: int) -> bool:
    """Whether the chip counts this op and never runs it twice (docs/link.md 2.1)."""
    return op >= 0x10


@dataclass(frozen=True)
class Command:
    """One request: ``op`` and its body, which the representation leaves out: it may hold tickets and keys.

    ``note`` says in messages what the command was about, such as an address.

    Raises :class:`~fusequote.errors.UsageError` when the body does not fit a frame.
    """

    op: int
    body: bytes = field(default=b"", repr=False)
    note: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.op <= 0xFF:
            raise UsageError(f"an op is one byte, 00 to FF, not {self.op:#x}")
        if len(self.body) > MAX_CONTENTS - REQUEST_HEAD:
            raise UsageError(
                f"{self.name}: a body of {len(self.body)} bytes does not fit a frame",
                hint=f"{MAX_CONTENTS - REQUEST_HEAD} bytes are the most that a request carries",
            )

    @property
    def name(self) -> str:
        """The command's name, for messages."""
        return op_name(self.op)


@dataclass(frozen=True)
class Answer:
    """An answer as it came: ``op`` of the request, ``seq``, status and body (never shown)."""

    op: int
    seq: int
    status: int
    body: bytes = field(default=b"", repr=False)
