"""``python -m fusequote_sim.simulation_vectors FILE``: known answers of Intel's simulation mode, on the block's RTL.

FILE is JSON, ``{"vectors": [...]}``, each with ``secs`` (its first 512 bytes; ISVFAMILYID at 262, ISVEXTPRODID at 278),
``cpusvn``, ``keyrequest`` and ``targetinfo`` (their first bytes, the rest 0), ``reportdata``, all in hex; and what came
of them: ``rc`` and ``key`` of EGETKEY, ``report`` of EREPORT. A vector may have only one of both.

The block is built with the profile ``linux-sgx-sim`` (docs/chip.md, section 6) and runs in Amaranth's simulator, where
SECS and CPUSVN are put into the workspace: no enclave has the MRENCLAVE of a random vector. Some seconds a vector.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from amaranth.hdl import Module
from amaranth.sim import Simulator
from fusequote.chip import framing
from fusequote.errors import FormatError, FusequoteError, UsageError
from fusequote_hdl.block import Block
from fusequote_hdl.microcode import map as at
from fusequote_hdl.ram import Ram

__all__ = ["Vector", "load", "run"]

EREPORT, EGETKEY = 0x27, 0x28
SECS_BYTES, KEYREQUEST_BYTES, TARGETINFO_BYTES, REPORTDATA_BYTES = 512, 512, 512, 64
#: Where a vector's SECS has what a slot keeps elsewhere.
FAMILY_ID, EXT_PROD_ID = 262, 278
TICKET = bytes(range(1, 17))
FUSE_RAM_BYTES = 512
GLOBALS_IN_WORKSPACE = at.SLOTS * at.SLOT_BYTES - at.GLOBALS


@dataclass(frozen=True)
class Vector:
    """One line of a file. ``status`` and ``key`` of EGETKEY, ``report`` of EREPORT; None: not in the file."""

    secs: bytes
    cpusvn: bytes
    keyrequest: bytes | None = None
    status: int | None = None
    key: bytes | None = None
    targetinfo: bytes | None = None
    reportdata: bytes | None = None
    report: bytes | None = None

    def commands(self) -> Iterator[tuple[str, bytes, bytes]]:
        """Name, contents of the request after op and seq, and the answer that is right, from its status on."""
        if self.keyrequest is not None and self.status is not None:
            key = self.key if not self.status and self.key is not None else b""
            yield "EGETKEY", TICKET + self.keyrequest, self.status.to_bytes(2, "little") + key
        if self.targetinfo is not None and self.reportdata is not None and self.report is not None:
            yield "EREPORT", TICKET + self.targetinfo + self.reportdata, bytes(2) + self.report


def load(path: Path) -> list[Vector]:
    """Read a file. Raises :class:`FormatError` for what is no such file, :class:`UsageError` when it cannot be read."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    try:
        vectors = [_vector(entry) for entry in json.loads(text)["vectors"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{path} is no file of vectors: {error}") from error
    if not any(list(vector.commands()) for vector in vectors):
        raise FormatError(f"{path} has no vector with an answer")
    return vectors


def _vector(entry: dict) -> Vector:
    def field(name: str, size: int) -> bytes | None:
        if entry.get(name) is None:
            return None
        content = bytes.fromhex(entry[name])
        if len(content) > size:
            raise ValueError(f"{name} has {len(content)} bytes, {size} at most")
        return content.ljust(size, b"\0")

    secs, cpusvn = field("secs", SECS_BYTES), field("cpusvn", 16)
    if secs is None or cpusvn is None:
        raise ValueError("a vector has no secs or no cpusvn")
    status = entry.get("rc")
    if status is not None and not (isinstance(status, int) and 0 <= status < 1 << 16):
        raise ValueError(f"rc is {status!r}")
    return Vector(secs, cpusvn, field("keyrequest", KEYREQUEST_BYTES), status, field("key", 16),
                  field("targetinfo", TARGETINFO_BYTES), field("reportdata", REPORTDATA_BYTES), field("report", 432))


class _Bench:
    """The block, booted from fuses with a CPUSVN that leaves the ratchet no step to walk."""

    def __init__(self) -> None:
        fuses = bytearray(FUSE_RAM_BYTES)
        fuses[0:4] = bytes([at.LIFE_LOCKED, 1, 0, at.FUSE_MAP_VERSION])
        fuses[0x80:0x90] = b"\xff" * 16
        self.block = Block(profile="linux-sgx-sim")
        m = Module()
        m.submodules.block = self.block
        m.submodules.cells = cells = Ram(FUSE_RAM_BYTES)
        cells.data.init = list(fuses)
        m.d.comb += [cells.en.eq(1), cells.addr.eq(self.block.fuse.addr), self.block.fuse.rdata.eq(cells.r_data)]
        self.simulator = Simulator(m)
        self.simulator.add_clock(1e-6)
        self.seq = 0

    def run(self, scenario) -> None:
        async def process(ctx):
            self.ctx = ctx
            ctx.set(self.block.entropy.valid, 1)
            await ctx.tick().until(self.block.idle)
            await scenario(self)

        self.simulator.add_testbench(process)
        self.simulator.run()

    def put(self, address: int, content: bytes) -> None:
        """Bytes into the workspace, at the program's address: slot 0, or the globals."""
        base = GLOBALS_IN_WORKSPACE if address >= at.GLOBALS else 0
        for i, byte in enumerate(content):
            self.ctx.set(self.block.workspace.data[base + address + i], byte)

    def enter(self, vector: Vector) -> None:
        """The vector's SECS in slot 0, initialised, and one TCS, entered with :data:`TICKET`."""
        self.put(0, vector.secs[:at.STATE])
        self.put(at.STATE, bytes([at.INITIALISED]))
        self.put(at.ISVFAMILYID, vector.secs[FAMILY_ID:FAMILY_ID + 16])
        self.put(at.ISVEXTPRODID, vector.secs[EXT_PROD_ID:EXT_PROD_ID + 16])
        self.put(at.TCS + at.TCS_STATE, bytes([at.TCS_ACTIVE]))
        self.put(at.TCS + at.TCS_TICKET, TICKET)
        self.put(at.CPUSVN, vector.cpusvn)

    async def ask(self, op: int, body: bytes) -> bytes:
        """A request; its answer from the status on."""
        ctx, rx, tx = self.ctx, self.block.rx, self.block.tx
        self.seq = self.seq % 255 + 1
        ctx.set(rx.valid, 1)
        for byte in framing.encode(bytes([op, self.seq]) + body):
            ctx.set(rx.payload, byte)
            await ctx.tick().until(rx.ready)
        ctx.set(rx.valid, 0)
        decoder = framing.Decoder(4608)
        ctx.set(tx.ready, 1)
        frames: list = []
        while not frames:
            (byte,) = await ctx.tick().sample(tx.payload).until(tx.valid)
            frames = list(decoder.feed(bytes([byte])))
        await ctx.tick().until(self.block.idle)
        ctx.set(tx.ready, 0)
        assert frames[0][:2] == bytes([op | 0x80, self.seq]), frames[0][:2].hex()
        return frames[0][2:]


def run(vectors: Iterable[Vector], *, on_result: Callable[[int, str, bool], None] | None = None) -> list[str]:
    """Run vectors on the RTL; what was wrong, a line for each, and nothing when all is right.

    ``on_result`` is called with the vector's number from 0, the leaf, and whether its answer was right.
    """
    wrong: list[str] = []

    async def scenario(bench: _Bench) -> None:
        for number, vector in enumerate(vectors):
            bench.enter(vector)
            for leaf, body, right in vector.commands():
                answer = await bench.ask(EGETKEY if leaf == "EGETKEY" else EREPORT, body)
                if answer != right:
                    wrong.append(f"vector {number}, {leaf}: {answer.hex()}, not {right.hex()}")
                if on_result is not None:
                    on_result(number, leaf, answer == right)

    _Bench().run(scenario)
    return wrong


def main(argv: Sequence[str] | None = None) -> int:
    """The command; exit code 0: all answers are right, 10: one is not, 2: FILE is no file of vectors."""
    parser = argparse.ArgumentParser(prog="python -m fusequote_sim.simulation_vectors",
                                     description="Run known answers of Intel's simulation mode on the RTL.")
    parser.add_argument("file", type=Path, metavar="FILE")
    args = parser.parse_args(argv)
    done = [0]

    def on_result(number: int, leaf: str, right: bool) -> None:
        done[0] += 1
        print(f"{number} {leaf} {'ok' if right else 'WRONG'}", file=sys.stderr, flush=True)

    try:
        wrong = run(load(args.file), on_result=on_result)
    except FusequoteError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    print("\n".join([*wrong, f"{done[0] - len(wrong)} of {done[0]} answers are right"]))
    return 10 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
