"""`fusequote bench chip`: one session in which a chip runs every command, and what each cost it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from fusequote.arch import AttributeFlags, KeyName, KeyPolicy, KeyRequest, SecInfo
from fusequote.chip import Chip, LifeCycle, TraceEvent, open_chip
from fusequote.cli.steps import CLOCK_HZ
from fusequote.enclave import generate_signing_key, image_from_files, sign_image
from fusequote.enclave.image import AddPage, MemoryImage
from fusequote.enclave.load import base_for
from fusequote.errors import UsageError

__all__ = ["Row", "markdown", "measure"]


@dataclass(frozen=True)
class Row:
    """One command: bodies of request and answer in bytes, and the clock cycles from acceptance to answer."""

    name: str
    request: int
    answer: int
    cycles: int


class _Recorder:
    """Keeps the last command of a chip (a trace)."""

    wants_cycles = True

    def __init__(self) -> None:
        self.last: TraceEvent | None = None

    def __call__(self, event: TraceEvent) -> None:
        self.last = event

    def row(self, detail: str = "") -> Row:
        """The last command as a row."""
        event = self.last
        assert event is not None
        name = f"{event.name} {detail}".strip()
        return Row(name, event.request_size, event.answer_size, event.cycles or 0)


def measure(url: str) -> Iterator[Row]:
    """Drive the chip at ``url`` through every command.

    A blank chip is manufactured when it is a simulated one whose fuses are not kept. Raises :class:`UsageError` for
    any other blank chip, and for one that counts no cycles.
    """
    seen = _Recorder()
    with open_chip(url, trace=seen) as chip:
        blank = chip.identity.life_cycle is LifeCycle.BLANK
        if blank and "fuses=" in url or not (blank or chip.identity.booted_locked):
            raise UsageError(
                "this chip is not manufactured, and its fuses would be burnt for a measurement",
                hint="run `fusequote manufacture` with the same --chip first, or leave out fuses=",
            )
        chip.fuse_status()
        if not seen.last or not seen.last.cycles:
            raise UsageError("this chip counts no clock cycles", hint="measure the simulated RTL: --chip sim://")
        yield seen.row()
        key = generate_signing_key()
        flags = AttributeFlags.MODE64BIT
        if blank:
            flags |= AttributeFlags.PROVISIONKEY | AttributeFlags.EINITTOKEN_KEY
        image = image_from_files("fusequote bench", {"bench": bytes(4096)}, attributes=flags)
        image = image.signed(sign_image(image, key))
        assert image.sigstruct is not None
        owner = image.sigstruct.mrsigner
        if blank:
            yield from _fuses(chip, seen, owner)
        chip.set_lepubkeyhash(owner)
        yield seen.row()
        chip.set_ownerepoch(secrets.token_bytes(16))
        yield seen.row()
        yield from _enclave(chip, seen, image, every_key=blank)


def _fuses(chip: Chip, seen: _Recorder, owner: bytes) -> Iterator[Row]:
    chip.fuse_manufacture(
        root_provisioning_key=secrets.token_bytes(16),
        device_id=secrets.token_bytes(16),
        cpusvn=bytes([1]) * 16,
        provisioning_signers=(owner, bytes(32)),
        lepubkeyhash=owner,
    )
    yield seen.row()
    chip.fuse_lock()
    yield seen.row()
    chip.reset()


def _enclave(chip: Chip, seen: _Recorder, image: MemoryImage, *, every_key: bool) -> Iterator[Row]:
    secs = image.secs.replace(baseaddr=base_for(image.secs))
    handle = chip.ecreate(secs)
    yield seen.row()
    tcs, tcs_open = 0, False
    shown: dict[str, Row] = {}
    for operation in image.operations():
        at = secs.baseaddr + operation.offset
        if isinstance(operation, AddPage):
            tcs_open = operation.is_tcs
            tcs = at if tcs_open else tcs
            chip.eadd(handle, at, SecInfo(flags=operation.flags), operation.content)
            row = seen.row("of a TCS" if tcs_open else "of a page")
        else:
            data = b"" if tcs_open else operation.data
            chip.eextend(handle, at, operation.count, data)
            row = seen.row(f"of {operation.count} chunks" + (" of a TCS" if tcs_open else ""))
        shown.setdefault(row.name, row)
    yield from shown.values()
    chip.einit(handle, image.sigstruct)
    yield seen.row()
    chip.slot_info(handle)
    yield seen.row()
    entry = chip.eenter(handle, tcs)
    yield seen.row()
    report = chip.ereport(entry.ticket, chip.slot_info(handle).target(), bytes(64))
    chip.ereport(entry.ticket, report.body.target(), bytes(64))
    yield seen.row()
    chip.verifyreport(entry.ticket, report)
    yield seen.row()
    names = list(KeyName) if every_key else [KeyName.REPORT, KeyName.SEAL]
    for name in names:
        policy = KeyPolicy.MRSIGNER if name is KeyName.SEAL else KeyPolicy(0)
        chip.egetkey(entry.ticket, KeyRequest(keyname=name, keypolicy=policy, cpusvn=chip.identity.cpusvn))
        yield seen.row(f"of {name.name}")
    chip.aex(handle, tcs)
    yield seen.row()
    entry = chip.eresume(handle, tcs)
    yield seen.row()
    chip.eexit(entry.ticket)
    yield seen.row()
    chip.eremove(handle)
    yield seen.row()


def markdown(rows: list[Row]) -> str:
    """The table for a document."""
    mhz = CLOCK_HZ // 1_000_000
    lines = [f"| command | request, bytes | answer, bytes | cycles | µs at {mhz} MHz |", "|---|---:|---:|---:|---:|"]
    for row in rows:
        time = 1e6 * row.cycles / CLOCK_HZ
        lines.append(f"| {row.name} | {row.request:,} | {row.answer:,} | {row.cycles:,} | {time:,.1f} |")
    return "\n".join(lines)
