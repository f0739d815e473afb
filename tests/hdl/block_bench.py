"""The whole block in Amaranth's simulator: slow, but every register and memory cell can be looked at."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.sim import Simulator
from fusequote.chip import framing
from fusequote_hdl.block import Block
from fusequote_hdl.fuses import FUSE_BYTES
from fusequote_hdl.ram import Ram
from streams import state_of

RPK, RSK = bytes(range(0x41, 0x51)), bytes(range(0x61, 0x71))
#: The last CPUSVN there is: a boot has no step of the ratchet to walk.
LAST_CPUSVN = b"\xff" * 16
ENTROPY = bytes(range(0x80, 0xA0))
DEVICE_ID = b"hygiene test 001"


def locked_fuses() -> bytearray:
    """Fuses of a locked chip (docs/chip.md, section 1)."""
    fuses = bytearray(FUSE_BYTES)
    fuses[0:4] = bytes([3, 1, 0, 1])
    fuses[0x10:0x20] = DEVICE_ID
    fuses[0x80:0x90] = LAST_CPUSVN
    fuses[0x100:0x110], fuses[0x110:0x120] = RPK, RSK
    return fuses


class BlockBench:
    """``await bench.ask(contents)`` sends a request and returns its answer; one clock a cycle, no UART.

    The fuse macro is 512 bytes of memory, read every cycle and never burnt.
    """

    def __init__(self, fuses: bytes):
        self.block = Block()
        m = Module()
        m.submodules.block = self.block
        m.submodules.cells = self.cells = cells = Ram(512)
        cells.data.init = list(fuses) + [0] * (512 - len(fuses))
        m.d.comb += [
            cells.en.eq(1),
            cells.addr.eq(self.block.fuse.addr),
            self.block.fuse.rdata.eq(cells.r_data),
        ]
        self.sim = Simulator(m)
        self.sim.add_clock(1e-6)
        self.cycles = 0

    def run(self, scenario) -> None:
        """Boot, then ``await scenario(bench)``."""
        async def process(ctx):
            self.ctx = ctx
            stream = self.block.entropy
            ctx.set(stream.valid, 1)
            for byte in ENTROPY:
                ctx.set(stream.payload, byte)
                await ctx.tick().until(stream.ready)
            ctx.set(stream.valid, 0)
            await ctx.tick().until(self.block.idle)
            await scenario(self)

        self.sim.add_testbench(process)
        self.sim.run()

    async def send(self, contents: bytes) -> None:
        """All bytes of a frame into the block."""
        ctx, rx = self.ctx, self.block.rx
        ctx.set(rx.valid, 1)
        for byte in framing.encode(contents):
            ctx.set(rx.payload, byte)
            await ctx.tick().until(rx.ready)
        ctx.set(rx.valid, 0)

    async def receive(self) -> bytes:
        """The next answer."""
        ctx, tx = self.ctx, self.block.tx
        decoder = framing.Decoder(4608)
        ctx.set(tx.ready, 1)
        while True:
            (byte,) = await ctx.tick().sample(tx.payload).until(tx.valid)
            frames = decoder.feed(bytes([byte]))
            if frames:
                ctx.set(tx.ready, 0)
                assert isinstance(frames[0], bytes)
                return frames[0]

    def preload(self, address: int, content: bytes) -> None:
        """Bytes into the workspace, where a test would otherwise need a hundred thousand cycles to get them."""
        for i, byte in enumerate(content):
            self.ctx.set(self.block.workspace.data[address + i], byte)

    def memories(self) -> list[bytes]:
        """Every memory of the simulation but the fuses, each word low byte first, and all registers at the end."""
        out, registers = [], bytearray()
        for name, values in state_of(self.sim).items():
            for value in values:
                if name == "memory":
                    width = max(1, max((v.bit_length() + 7) // 8 for v in value))
                    out.append(b"".join(v.to_bytes(width, "little") for v in value))
                else:
                    registers += (value % (1 << 64) if value < 0 else value).to_bytes(64, "little") + b"|"
        fuses = bytes(self.cells.data.init)
        return [memory for memory in out if memory != fuses] + [bytes(registers)]

    async def ask(self, contents: bytes) -> bytes:
        """A request and its answer; returns when the block rests again."""
        await self.send(contents)
        answer = await self.receive()
        await self.ctx.tick().until(self.block.idle)
        return answer
