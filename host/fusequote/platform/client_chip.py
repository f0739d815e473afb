"""The daemon's chip as its client sees it: a :class:`~fusequote.chip.Chip` whose commands go through the daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fusequote.chip import Chip, Command
from fusequote.chip.client import PIPELINED, PipelineResult
from fusequote.chip.identity import Identity
from fusequote.chip.ops import Answer, Op
from fusequote.chip.status import error_for
from fusequote.chip.trace import Stats
from fusequote.errors import UsageError
from fusequote.platform.daemon_wire import STREAM_LIMIT, Call

__all__ = ["ClientChip"]


class ClientChip(Chip):
    """All methods of a chip; RESET, fuses and OWNEREPOCH are the daemon's (PlatformError, platform.not-allowed).

    The link below is the daemon's affair: answers are never lost here.
    """

    def __init__(self, call: Callable[..., bytes], name: str):
        # None of what Chip's constructor opens exists here.
        self._call = call
        self.url = f"platform://{name}"
        self.stats = Stats()
        self.identity: Identity = self.identify()

    def close(self) -> None:
        """The connection is its client's to close."""

    def pipeline(self, requests: Iterable[Command], *, window: int = 2) -> PipelineResult:
        """Run a stream of EADD and EEXTEND, some at a time; ends at the first refusal and raises it."""
        count, batch = 0, []
        for request in requests:
            if request.op not in PIPELINED:
                raise UsageError(f"{request.name} cannot be part of a stream", hint="only EADD and EEXTEND can")
            batch.append(request)
            if len(batch) == STREAM_LIMIT:
                count += self._stream(batch)
                batch = []
        if batch:
            count += self._stream(batch)
        return PipelineResult(count, 0)

    def _stream(self, batch: list[Command]) -> int:
        parts = (bytes((c.op,)) + len(c.body).to_bytes(2, "little") + c.body for c in batch)
        answer = self._call(Call.STREAM, b"".join(parts))
        status, done = int.from_bytes(answer[:2], "little"), answer[2]
        self.stats.commands += done
        if status:
            failed = batch[done - 1]
            raise error_for(status, failed.op, failed.note)
        return done

    def _exchange(self, command: Command) -> Answer:
        answer = self._call(Call.CHIP, bytes((command.op,)) + command.body)
        if command.op != Op.IDENTIFY:
            self.stats.commands += 1
        return Answer(command.op, 0, int.from_bytes(answer[:2], "little"), answer[2:])

    def __repr__(self) -> str:
        return f"ClientChip({self.url!r})"

    def __enter__(self) -> Any:
        return self
