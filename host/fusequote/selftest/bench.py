"""What every check has at hand: the chip, the raw line below it, and enclaves that are gone when the check is."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fusequote.arch import KeyName, KeyPolicy, KeyRequest, Report, ReportBody, SecInfo, SigStruct, TargetInfo
from fusequote.chip import BlockError, Chip, Handle, Identity, LifeCycle, Status, Ticket
from fusequote.chip.framing import BadFrame, Decoder, encode
from fusequote.chip.status import LinkError, status_name
from fusequote.chip.wire import Clock, Port
from fusequote.enclave.image import AddPage, MemoryImage
from fusequote.errors import FusequoteError
from fusequote.selftest import material

__all__ = ["Bench", "Failed", "Line", "Resident", "Skipped"]

#: Seconds in which the chip answers anything that a check sends by itself.
_PATIENCE = 20.0


class Failed(FusequoteError):
    """A check found something wrong."""


class Skipped(FusequoteError):
    """A check cannot be made here."""


@dataclass(frozen=True)
class Resident:
    """An enclave in the chip."""

    handle: Handle
    identity: ReportBody


class Line:
    """Frames as they are, below all that the client does for its caller."""

    def __init__(self, port: Port, clock: Clock):
        self._port = port
        self._clock = clock
        self._decoder = Decoder()
        self._inbox: deque[bytes | BadFrame] = deque()

    def send(self, data: bytes) -> None:
        """Bytes."""
        self._port.write(data)

    def request(self, op: int, seq: int, body: bytes = b"") -> None:
        """A request in a good frame."""
        self.send(encode(bytes((op, seq)) + body))

    def answer(self) -> tuple[int, int, int, bytes]:
        """The next answer: (op, seq, status, body). Raises :class:`LinkError` when none comes."""
        until = self._clock() + _PATIENCE
        while not self._inbox:
            if self._clock() >= until:
                raise LinkError("no answer to a frame of the self-test", hint="is the chip powered?")
            self._inbox.extend(self._decoder.feed(self._port.read(max(1, self._port.in_waiting))))
        frame = self._inbox.popleft()
        if isinstance(frame, BadFrame) or len(frame) < 4 or not frame[0] & 0x80:
            raise Failed("the chip sent a damaged frame")
        return frame[0] & 0x7F, frame[1], int.from_bytes(frame[2:4], "little"), frame[4:]

    def ask(self, op: int, seq: int, body: bytes = b"") -> tuple[int, int, int, bytes]:
        """A request and its answer."""
        self.request(op, seq, body)
        return self.answer()


class Bench:
    """``chip`` and ``line`` are two ways to the same port. ``reset``: RESET is allowed even when somebody's enclaves
    are lost by it. ``burn``: this blank chip may be burnt.
    """

    def __init__(self, port: Port, clock: Clock, open_chip: Callable[[], Chip], *, reset: bool, burn: bool):
        self.line = Line(port, clock)
        self._open_chip = open_chip
        self.chip = open_chip()
        self.identity: Identity = self.chip.identity
        self.burn = burn
        #: This run has burnt the chip's fuses: its keys are known.
        self.burnt = False
        self._reset = reset
        self._free: int | None = None

    def resynchronise(self) -> None:
        """After the line was used: a client that asks where the chip is."""
        self.chip = self._open_chip()

    # What a check demands

    def need_enclaves(self) -> None:
        """Skip what needs a chip that runs enclaves."""
        if not self.identity.booted_locked:
            raise Skipped(f"needs a locked chip, and this one is {self.identity.life_cycle.name.lower()}")
        if not self.free_slots():
            raise Skipped("needs a free slot, and enclaves of somebody else live in all of them")

    def need_reset(self) -> None:
        """Skip what needs a RESET that takes nobody's enclaves away."""
        if not self._reset and self.free_slots() != self.identity.slots:
            raise Skipped("needs a RESET, and enclaves of somebody else live in this chip (--reset allows it)")

    def free_slots(self) -> int:
        """How many enclaves the chip takes besides those that live in it; asked for once."""
        if self._free is None:
            taken: list[Handle] = []
            try:
                for _ in range(self.identity.slots):
                    taken.append(self.chip.ecreate(material.image().secs))
            except BlockError as error:
                if error.status != Status.BLOCK_NO_SLOT:
                    raise
            finally:
                for handle in taken:
                    self.chip.eremove(handle)
            self._free = len(taken)
        return self._free

    def need_blank(self) -> None:
        """Skip what only a blank chip does, and never to one that may not be burnt."""
        if self.identity.life_cycle is not LifeCycle.BLANK:
            raise Skipped("needs a blank chip: nothing is burnt on one that was manufactured")
        if not self.burn:
            raise Skipped("would burn the fuses of this blank chip for good (--burn allows it)")

    def equal(self, what: str, got: object, wanted: object) -> None:
        """Fails when they differ."""
        if got != wanted:
            raise Failed(f"{what} is {_shown(got)}, not {_shown(wanted)}")

    def refused(self, status: int, call: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        """Fails unless the chip refuses with this status."""
        try:
            call(*arguments, **options)
        except FusequoteError as error:
            got = getattr(error, "status", None)
            if got is None:
                raise
            if got != status:
                says = f"was refused with {status_name(got)}, not {status_name(status)}"
                raise Failed(f"{_called(call)} {says}") from None
            return
        raise Failed(f"{_called(call)} was accepted; {status_name(status)} is right")

    # Enclaves and entries

    def own_signer(self, signer: int = 0) -> None:
        """Our signer may launch. Skips where the fuses let nobody new."""
        if self.identity.lepubkeyhash_locked:
            raise Skipped("the fuses lock LEPUBKEYHASH: only its owner's enclaves run here")
        self.chip.set_lepubkeyhash(material.owner(signer))

    @contextlib.contextmanager
    def building(self, image: MemoryImage) -> Iterator[Handle]:
        """An enclave with all its pages in, before EINIT; removed in the end."""
        built = _build_pages(self.chip, image)
        try:
            yield built
        finally:
            with contextlib.suppress(FusequoteError):
                self.chip.eremove(built)

    @contextlib.contextmanager
    def enclave(
        self, image: MemoryImage | None = None, sigstruct: SigStruct | None = None, signer: int = 0
    ) -> Iterator[Resident]:
        """An initialised enclave; removed in the end."""
        self.need_enclaves()
        self.own_signer(signer)
        image = image or material.image()
        with self.building(image) as handle:
            self.chip.einit(handle, sigstruct or material.sigstruct(image, signer=signer))
            yield Resident(handle, self.chip.slot_info(handle))

    @contextlib.contextmanager
    def entry(self, resident: Resident) -> Iterator[Ticket]:
        """Inside an enclave by its one TCS; left in the end, if that was not done yet."""
        ticket = self.chip.eenter(resident.handle, material.TCS).ticket
        try:
            yield ticket
        finally:
            with contextlib.suppress(FusequoteError):
                self.chip.eexit(ticket)

    def report(self, ticket: Ticket, target: TargetInfo, data: bytes = bytes(64)) -> Report:
        """EREPORT."""
        return self.chip.ereport(ticket, target, data)

    def key(self, ticket: Ticket, name: KeyName, policy: KeyPolicy | int = 0, **fields: Any) -> bytes:
        """EGETKEY, of the chip's own CPUSVN unless ``fields`` say another."""
        fields = {"cpusvn": self.identity.cpusvn} | fields
        return self.chip.egetkey(ticket, KeyRequest(keyname=name, keypolicy=policy, **fields))


def _build_pages(chip: Chip, image: MemoryImage) -> Handle:
    handle = chip.ecreate(image.secs)
    tcs_open = False
    for operation in image.operations():
        at = image.secs.baseaddr + operation.offset
        if isinstance(operation, AddPage):
            tcs_open = operation.is_tcs
            chip.eadd(handle, at, SecInfo(flags=operation.flags), operation.content)
        else:
            chip.eextend(handle, at, operation.count, b"" if tcs_open else operation.data)
    return handle


def _called(call: Callable[..., Any]) -> str:
    return getattr(call, "__name__", "it").upper()


def _shown(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
