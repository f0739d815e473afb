"""Streams of EADD and EEXTEND: what may be part of one, and in which pieces a page keeps the wire busy.

With a window of two, one request is executed while the next one arrives, and the one after that has to wait for the
first answer. Extending a whole page takes the chip four times as long as the EADD of the next page is on the wire, so
the wire would stand still for the rest. In pieces that get smaller, each piece is on the wire for at least as long as
the one before is executed, and the EADD follows the smallest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fusequote.arch import CHUNK_SIZE, CHUNKS_PER_PAGE
from fusequote.chip.handles import HANDLE_SIZE
from fusequote.chip.ops import Command, Op
from fusequote.errors import UsageError

__all__ = ["PIECES", "PIPELINED", "only_pipelined", "shaped"]

#: Ops of which two may be under way: they answer nothing but yes, and EINIT's check of the measurement
#: tells in the end whether all of them were done. (The answer to the first of two is lost for good when
#: the wire damages it.)
PIPELINED = frozenset({Op.EADD, Op.EEXTEND})
#: Chunks of a page by request. A chunk takes 4,457 cycles, and the chip wipes what it has read: that is 0.3 of its time
#: on the wire at 18 MHz and 3 Mbaud, and half of it at 48 MHz and 12 Mbaud.
PIECES = (9, 4, 2, 1)
_HEAD = HANDLE_SIZE + 8


def only_pipelined(requests: Iterable[Command]) -> Iterator[Command]:
    """The requests as they are. Raises :class:`UsageError` at one that cannot be part of a stream."""
    for request in requests:
        if request.op not in PIPELINED:
            raise UsageError(f"{request.name} cannot be part of a stream", hint="only EADD and EEXTEND can")
        yield request


def shaped(requests: Iterable[Command]) -> Iterator[Command]:
    """Requests that do the same, whole pages in :data:`PIECES`. What is measured, and in which order, is the same."""
    for request in requests:
        body = request.body
        if request.op != Op.EEXTEND or len(body) != _HEAD + 1 + CHUNKS_PER_PAGE * CHUNK_SIZE:
            yield request
            continue
        at, data = int.from_bytes(body[HANDLE_SIZE:_HEAD], "little"), body[_HEAD + 1 :]
        for count in PIECES:
            size = count * CHUNK_SIZE
            head = body[:HANDLE_SIZE] + at.to_bytes(8, "little") + bytes((count,))
            yield Command(Op.EEXTEND, head + data[:size], note=f"{at:#x}")
            at, data = at + size, data[size:]
