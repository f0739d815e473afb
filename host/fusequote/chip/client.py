"""The chip as an object: one method per command of docs/link.md section 3.

Every method may raise, besides what it says itself: :class:`SgxError`, :class:`ChipFault`,
:class:`BlockError` when the chip refuses (the chip is then as before), and :class:`LinkError` when no
usable answer came in time.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Self

from fusequote import arch
from fusequote.chip import commands
from fusequote.chip.commands import Structure
from fusequote.chip.handles import ENTRY_SIZE, HANDLE_SIZE, NONCE_SIZE, Entry, Handle, Ticket
from fusequote.chip.identity import FUSE_STATUS_SIZE, FuseStatus, Identity, LifeCycle
from fusequote.chip.link import Done, Link
from fusequote.chip.ops import Answer, Command, Op, is_numbered
from fusequote.chip.pipelining import PIPELINED as PIPELINED
from fusequote.chip.pipelining import only_pipelined, shaped
from fusequote.chip.status import LinkError, Status, error_for
from fusequote.chip.trace import Stats, Trace, TraceEvent, answer_text, request_text
from fusequote.chip.transport import open_port
from fusequote.chip.watch import Patience
from fusequote.chip.wire import Clock, Port, Wire
from fusequote.errors import DeviceError, UsageError

KEY_SIZE = 16
SLOT_INFO_SIZE = 320
#: How often a key is asked for again whose answer the wire lost.
_KEY_TRIES = 16


class PipelineResult(NamedTuple):
    """``commands`` of the stream were run; ``lost`` answers were lost by the link."""

    commands: int
    lost: int


def open_chip(
    url: str,
    *,
    baudrate: int | None = None,
    timeout: float = Patience.command,
    first_timeout: float = Patience.first,
    retry_after: float = Patience.retry,
    trace: Trace | None = None,
) -> Chip:
    """Open the chip at a pyserial URL: ``model://``, ``sim://``, ``/dev/ttyUSB0``, ``socket://host:port``, rfc2217;
    or ``serial://``, the board that is plugged in, and ``replay:FILE``, a recording.

    ``baudrate``: None for the URL's, else the board's, else 115,200. ``timeout``, ``first_timeout`` and
    ``retry_after`` are seconds: see :class:`~fusequote.chip.watch.Patience`. ``trace`` is called after each
    command. Raises :class:`UsageError` (unknown scheme or option), :class:`EnvironmentProblem` (missing extra,
    no permission), :class:`LinkError` (no such port, in use, no answer), :class:`DeviceError` (something
    answers, but no chip of this protocol).
    """
    if (baudrate is not None and baudrate <= 0) or min(timeout, first_timeout, retry_after) <= 0:
        raise UsageError("baud rate and timeouts must be above 0")
    port, seconds_per_byte = open_port(url, baudrate)
    patience = Patience(timeout, first_timeout, retry_after)
    return Chip(port, url=url, patience=patience, seconds_per_byte=seconds_per_byte, trace=trace,
                clock=getattr(port, "clock", time.monotonic), first_echo=getattr(port, "first_echo", None))


class Chip:
    """A chip behind an open port. A context manager: leaving it closes the port, which does not reset the chip.

    ``identity`` is what the chip said last about itself, ``stats`` are the totals. For one thread at a
    time. The port is closed when construction fails. Tests bring their own ``clock`` and ``first_echo``.
    """

    def __init__(
        self,
        port: Port,
        *,
        url: str = "",
        patience: Patience | None = None,
        seconds_per_byte: float = 0.0,
        trace: Trace | None = None,
        clock: Clock = time.monotonic,
        first_echo: int | None = None,
    ):
        self.url = url
        self.stats = Stats()
        self._trace = trace
        self._cycles_wanted = trace is not None and getattr(trace, "wants_cycles", True)
        self._wire = Wire(port, self.stats, seconds_per_byte=seconds_per_byte, clock=clock)
        self._link = Link(self._wire, patience or Patience(), first_echo=first_echo)
        try:
            self.identity: Identity = self._link.synchronise(first=True)
        except BaseException:
            self._wire.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        if kind is None:
            self.close()
            return
        with contextlib.suppress(DeviceError):  # what went wrong first is what has to be told
            self.close()

    def __repr__(self) -> str:
        return f"Chip({self.url!r}, device {self.identity.device_id.hex()})"

    def close(self) -> None:
        """Close the port. Enclaves and entries live on in the chip, unless it is a simulated one."""
        self._wire.close()

    # About the chip

    def identify(self) -> Identity:
        """IDENTIFY: versions, capabilities, life cycle (docs/link.md 3.1)."""
        self.identity = Identity.from_bytes(self._answered(Command(Op.IDENTIFY)))
        return self.identity

    def cycles(self) -> int:
        """CYCLES: clock cycles that the last numbered command took; 0 when this chip does not measure."""
        return int.from_bytes(self._answered(Command(Op.CYCLES), 4), "little")

    def event(self) -> None:
        """EVENT: what an interrupt is to a CPU. Only an EINIT that is being run when it comes takes notice."""
        self._answered(Command(Op.EVENT), 0)

    def reset(self) -> Identity:
        """RESET: as at power-on. All enclaves, entries and keys are gone. Waits until the chip has booted."""
        self._answered(Command(Op.RESET), 0)
        self._link.lose_step()
        self.identity = self._link.synchronise(first=True)
        if self.identity.last_seq:
            raise LinkError("RESET: the chip answered it, but was not reset", op=Op.RESET)
        return self.identity

    # Fuses and registers

    def fuse_status(self) -> FuseStatus:
        """FUSE_STATUS: life cycle and public fuses (docs/link.md 3.2)."""
        return FuseStatus.from_bytes(self._answered(Command(Op.FUSE_STATUS), FUSE_STATUS_SIZE))

    def fuse_manufacture(
        self,
        *,
        root_provisioning_key: bytes,
        device_id: bytes,
        cpusvn: bytes,
        provisioning_signers: tuple[bytes, bytes],
        lepubkeyhash: bytes,
        lock_lepubkeyhash: bool = False,
        p256_key: bytes | None = None,
    ) -> None:
        """FUSE_MANUFACTURE: burn the fuses of a blank chip, for good (docs/link.md 3.3).

        16 bytes each for key, device id and CPUSVN, 32 for the rest; ``p256_key`` is a big-endian scalar.
        """
        command = commands.fuse_manufacture(
            root_provisioning_key=root_provisioning_key,
            device_id=device_id,
            cpusvn=cpusvn,
            provisioning_signers=provisioning_signers,
            lepubkeyhash=lepubkeyhash,
            lock_lepubkeyhash=lock_lepubkeyhash,
            p256_key=p256_key,
        )
        self._answered(command, 0)

    def fuse_lock(self) -> None:
        """FUSE_LOCK: lock the fuses, for good. Enclaves run from the next :meth:`reset` on."""
        self._answered(Command(Op.FUSE_LOCK), 0)

    def set_lepubkeyhash(self, value: bytes) -> None:
        """SET_LEPUBKEYHASH: whose enclaves EINIT takes without a token (32 bytes, an MRSIGNER)."""
        self._answered(commands.set_lepubkeyhash(value), 0)

    def set_ownerepoch(self, value: bytes) -> None:
        """SET_OWNEREPOCH: 16 bytes that go into all keys but two; once per boot."""
        self._answered(commands.set_ownerepoch(value), 0)

    def fuse_raise_svn(self, cpusvn: bytes, mac: bytes) -> None:
        """FUSE_RAISE_SVN: burn the next CPUSVN generation, for good; it counts from the next :meth:`reset` on."""
        self._answered(commands.fuse_raise_svn(cpusvn, mac), 0)

    def fuse_scrap(self, mac: bytes) -> Identity:
        """FUSE_SCRAP: the end of this chip, for good. Waits until it has booted as what it is then."""
        try:
            self._answered(commands.fuse_scrap(mac), 0)
        except LinkError as lost:
            # Its answer may be what was lost, and the chip has forgotten it: it says itself what it is now.
            self._link.lose_step()
            if self.identify().life_cycle is not LifeCycle.SCRAPPED:
                raise lost from None
        self._link.lose_step()
        self.identity = self._link.synchronise(first=True)
        if self.identity.life_cycle is not LifeCycle.SCRAPPED:
            raise LinkError("FUSE_SCRAP: the chip answered it, but is not scrapped", op=Op.FUSE_SCRAP)
        return self.identity

    # Building and removing an enclave

    def ecreate(self, secs: Structure, secinfo: Structure | None = None) -> Handle:
        """ECREATE: a new enclave in the lowest free slot."""
        command = commands.ecreate(secs) if secinfo is None else commands.ecreate(secs, secinfo)
        return Handle.from_bytes(self._answered(command, HANDLE_SIZE))

    def eadd(self, handle: Handle, linaddr: int, secinfo: Structure, page: bytes | None = None) -> None:
        """EADD: open and measure a page. ``page`` (4,096 bytes) is sent for a TCS only."""
        self._answered(commands.eadd(handle, linaddr, secinfo, page), 0)

    def eextend(self, handle: Handle, linaddr: int, count: int, data: bytes = b"") -> None:
        """EEXTEND: measure ``count`` chunks (1 to 16) of 256 bytes of the page opened last.

        ``data`` is empty for a TCS: the chip has its page.
        """
        self._answered(commands.eextend(handle, linaddr, count, data), 0)

    def einit(self, handle: Handle, sigstruct: Structure, token: Structure | None = None) -> None:
        """EINIT: check measurement, SIGSTRUCT and token; from here on the enclave can be entered."""
        self._answered(commands.einit(handle, sigstruct, token), 0)

    def eremove(self, handle: Handle) -> None:
        """EREMOVE: wipe the slot."""
        self._answered(commands.eremove(handle), 0)

    def slot_info(self, handle: Handle) -> arch.ReportBody:
        """SLOT_INFO (ours): the identity of an initialised enclave as EREPORT would state it, REPORTDATA
        zero."""
        body = self._answered(commands.slot_info(handle), SLOT_INFO_SIZE)
        return arch.ReportBody.from_bytes(body.ljust(arch.ReportBody.SIZE, b"\0"))

    # Entries

    def echallenge(self, handle: Handle) -> bytes:
        """ECHALLENGE (ours): 16 bytes that the proof of the next entry has to be about."""
        return self._answered(commands.echallenge(handle), NONCE_SIZE)

    def eenter(self, handle: Handle, tcs: int, proof: bytes = b"") -> Entry:
        """EENTER by the TCS at address ``tcs``; an enclave with an entry key wants a proof."""
        return Entry.from_bytes(self._answered(commands.eenter(handle, tcs, proof), ENTRY_SIZE))

    def eresume(self, handle: Handle, tcs: int, proof: bytes = b"") -> Entry:
        """ERESUME: go on where an AEX interrupted, with a new ticket (and proof)."""
        return Entry.from_bytes(self._answered(commands.eresume(handle, tcs, proof), ENTRY_SIZE))

    def aex(self, handle: Handle, tcs: int) -> None:
        """AEX: an event interrupts the entry; its ticket is dead from here on."""
        self._answered(commands.aex(handle, tcs), 0)

    # ``following``: in a signed entry, the link of the next command (docs/link.md 3.4); a wrong one, or a command
    # that is not the next, is a BlockError (BLOCK_ENTRY_PROOF).

    def eexit(self, ticket: Ticket, following: bytes = b"") -> None:
        """EEXIT: leave; the ticket is dead from here on."""
        self._answered(commands.eexit(ticket, following), 0)

    def ereport(
        self, ticket: Ticket, targetinfo: Structure, reportdata: bytes, following: bytes = b""
    ) -> arch.Report:
        """EREPORT for the enclave that ``targetinfo`` names. ``reportdata``: 64 bytes."""
        command = commands.ereport(ticket, targetinfo, reportdata, following)
        return arch.Report.from_bytes(self._answered(command, arch.Report.SIZE))

    def egetkey(self, ticket: Ticket, keyrequest: Structure, following: bytes = b"") -> bytes:
        """EGETKEY: 16 secret bytes, which cross the link in the clear.

        When the wire loses the answer it is asked for again; in a signed entry it cannot be, and that is
        a :class:`LinkError` whose ``status`` is LINK_ANSWER_GONE.
        """
        return self._answered(commands.egetkey(ticket, keyrequest, following), KEY_SIZE)

    def verifyreport(self, ticket: Ticket, report: Structure, following: bytes = b"") -> bool:
        """VERIFYREPORT (ours): whether the REPORT's MAC is good for the active enclave; its key stays in
        the chip."""
        verdict = self._answered(commands.verifyreport(ticket, report, following), 1)[0]
        if verdict > 1:
            raise LinkError(f"VERIFYREPORT: answered {verdict}, neither yes nor no", op=Op.VERIFYREPORT)
        return verdict == 1

    # Any command

    def run(self, command: Command) -> bytes:
        """A command that was built already (:mod:`fusequote.chip.commands`): the body of its answer."""
        return self._answered(command)

    def raw(self, op: int, body: bytes = b"") -> tuple[int, bytes]:
        """Any command: (status, body). Nothing is checked but that it fits a frame."""
        answer = self._exchange(Command(op, bytes(body)))
        return answer.status, answer.body

    def pipeline(self, requests: Iterable[Command], *, window: int = 2) -> PipelineResult:
        """Run a stream of EADD and EEXTEND (:mod:`fusequote.chip.commands`), the next one sent while one is run.

        Ends at the first refusal and raises it; the command after it may have been run by then. When the
        wire loses an answer after the next command was sent, that answer is lost for good: the command
        was run, once, and whether it was refused only the measurement tells. ``window`` 1 loses none, and
        waits for each answer; so does a trace that wants cycles. On a line with bit times pages are sent in
        pieces that keep it busy (:mod:`fusequote.chip.pipelining`).
        """
        given, lost = 0, 0
        failed: DeviceError | None = None

        def deliver(done: Done) -> bool:
            nonlocal lost, failed
            self._account(done)
            lost += done.answer is None
            if done.answer is not None and failed is None:
                failed = _refusal(done.command, done.answer, 0)
            return failed is None

        def taken() -> Iterator[Command]:
            nonlocal given
            for request in only_pipelined(requests):
                given += 1
                yield request

        if self._cycles_wanted:
            for request in taken():
                self._body(request, self._exchange(request), 0)
            return PipelineResult(given, 0)
        window = min(window, self.identity.window)
        busy_line = window > 1 and self._wire.seconds_per_byte
        self._link.stream(shaped(taken()) if busy_line else taken(), deliver, window=window)
        if failed is not None:
            raise failed
        return PipelineResult(given, lost)

    def _answered(self, command: Command, size: int | None = None) -> bytes:
        return self._body(command, self._exchange(command), size)

    @staticmethod
    def _body(command: Command, answer: Answer, size: int | None) -> bytes:
        failed = _refusal(command, answer, size)
        if failed is not None:
            raise failed
        return answer.body

    def _exchange(self, command: Command) -> Answer:
        if not is_numbered(command.op):
            return self._link.ask(command)
        for _ in range(_KEY_TRIES):
            done, answer = self._link.run(command)
            self._account(done)
            gone = command.op == Op.EGETKEY and answer.status == Status.LINK_ANSWER_GONE
            if not gone or commands.is_chained(command):
                return answer
        raise LinkError(
            f"{command.name}: the link lost the answer {_KEY_TRIES} times",
            op=command.op,
            hint="check the line",
        )

    def _account(self, done: Done) -> None:
        self.stats.commands += 1
        cycles = None
        if self._cycles_wanted:
            cycles = self.cycles()
            self.stats.cycles += cycles
        if self._trace is not None:
            self._trace(_event(done, cycles))


def _refusal(command: Command, answer: Answer, size: int | None) -> DeviceError | None:
    if answer.status:
        return error_for(answer.status, command.op, command.note)
    if size is not None and len(answer.body) != size:
        return LinkError(
            f"{command.name}: the answer has {len(answer.body)} bytes where docs/link.md has {size}",
            op=command.op,
            hint="is the chip of another version than this program?",
        )
    return None


def _event(done: Done, cycles: int | None) -> TraceEvent:
    command, answer = done.command, done.answer
    body = b"" if answer is None else answer.body
    return TraceEvent(
        op=command.op,
        seq=done.seq,
        status=None if answer is None else answer.status,
        request_size=len(command.body),
        answer_size=len(body),
        wire_out=done.wire_out,
        wire_in=done.wire_in,
        retries=done.retries,
        cycles=cycles,
        request=request_text(command.op, command.body),
        answer=answer_text(command.op, body),
    )
