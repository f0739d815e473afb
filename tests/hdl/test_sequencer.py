"""The sequencer against an interpreter in Python: random programs of VECs, then each control instruction."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator
from fusequote_hdl.isa import Cond, Control, Dst, Fn, Port, Src, Unit
from fusequote_hdl.microcode import Assembler
from fusequote_hdl.ram import Ram
from fusequote_hdl.sequencer import BANK_BYTES, MEMORY_BYTES, Sequencer

pytestmark = pytest.mark.timeout(120)
#: logical addresses that the programs play in
SLOT, SCRATCH, REQUEST = 0x0000, 0x1000, 0x2000


def physical(address, slot):
    return address & 0xFFF | 0x2000 if address & 0x1000 else address | slot << 11


class Bench:
    """A sequencer with its two memories. The program must end at WAIT."""

    def __init__(self, program):
        self.dut = Sequencer(program.words)
        self.workspace, self.request = Ram(MEMORY_BYTES), Ram(BANK_BYTES)
        m = Module()
        m.submodules.dut = self.dut
        for ram, port in ((self.workspace, self.dut.workspace), (self.request, self.dut.request)):
            m.submodules += ram
            m.d.comb += [ram.en.eq(port.en), ram.addr.eq(port.addr), ram.w_en.eq(port.w_en),
                         ram.w_data.eq(port.w_data), port.r_data.eq(ram.r_data)]
        self.sim = Simulator(m)
        self.sim.add_clock(1e-6)
        self.cycles = 0

    def run(self, check=None, drive=None, limit=200_000):
        async def process(ctx):
            ctx.set(self.dut.sha_idle, 1)
            ctx.set(self.dut.cmac_idle, 1)
            while not ctx.get(self.dut.waiting):
                if drive:
                    drive(ctx)
                await ctx.tick()
                self.cycles += 1
                assert self.cycles < limit, "the program does not end"
            if check:
                await check(ctx)

        self.sim.add_testbench(process)
        self.sim.run()

    def byte(self, ctx, address, slot=0):
        if address >= REQUEST:
            return ctx.get(self.request.data[address - REQUEST])
        return ctx.get(self.workspace.data[physical(address, slot)])


def interpret(fn, a, b, zero, carry):
    """One byte: (result, zero, carry)."""
    total = 0
    match fn:
        case Fn.PASSB:
            result = b
        case Fn.AND:
            result = a & b
        case Fn.ANDN:
            result = a & ~b & 0xFF
        case Fn.OR:
            result = a | b
        case Fn.XOR:
            result = a ^ b
        case Fn.ADD:
            total = a + b + carry
            result, carry = total & 0xFF, total >> 8
        case Fn.SUB:
            total = a - b - carry
            result, carry = total & 0xFF, int(total < 0)
        case Fn.GT:
            result, carry = 0, int(carry or a > b)
    return result, zero and result == 0, carry


@pytest.mark.parametrize("seed", range(4))
def test_random_vectors(seed):
    """150 VECs over all functions, sources and both memories; memory and flags equal the interpreter's."""
    rng = random.Random(seed)
    asm = Assembler()
    memory = {}
    regions = [SLOT, SCRATCH, REQUEST]

    def place(size):
        return rng.choice(regions) + rng.randrange(0, 96 - size)

    for region in regions:
        content = rng.randbytes(96)
        asm.literal(region, content)
        memory.update((region + i, byte) for i, byte in enumerate(content))
    asm.flags()
    zero, carry, outcome = True, 0, []
    for i in range(150):
        fn, src, size = rng.choice(list(Fn)), rng.choice([Src.MEM, Src.IMM, Src.LIT]), rng.randrange(1, 20)
        dst = rng.choice([Dst.MEM, Dst.NONE])
        a, b, d = place(size), place(size), place(size)
        while d in (a + 1, b + 1):  # a byte is fetched before the one before it is written
            d = place(size)
        imm = rng.randrange(256) if rng.random() < 0.7 else 0
        literal = rng.randbytes(size)
        asm.a(a)
        asm.b(b)
        asm.d(d)
        asm.vec(fn, src, dst, size, imm if src is Src.IMM else 0)
        if src is Src.LIT:
            asm._literal(literal)
        for k in range(size):
            value_b = {Src.MEM: memory[b + k], Src.IMM: imm, Src.LIT: literal[k]}[src]
            result, zero, carry = interpret(fn, memory[a + k], value_b, zero, carry)
            if dst is Dst.MEM:
                memory[d + k] = result
        if i % 5 == 4:
            # What the flags say is written down by a branch each.
            for cond, holds in ((rng.choice([Cond.Z, Cond.NZ]), zero), (rng.choice([Cond.C, Cond.NC]), carry)):
                skip = asm.fresh()
                asm.branch(cond, skip)
                asm.fill(0x1100 + len(outcome), 1, 1)
                asm.flags()
                asm.label(skip)
                outcome.append(bool(holds) == (cond in (Cond.NZ, Cond.NC)))
                zero, carry = True, 0
                break
    for i in range(len(outcome)):
        memory[0x1100 + i] = int(outcome[i])
    asm.control(Control.WAIT)
    bench = Bench(asm.program())

    async def check(ctx):
        for address, value in memory.items():
            assert bench.byte(ctx, address) == value, (seed, hex(address))

    bench.run(check)


def test_time_does_not_depend_on_the_bytes():
    """The same program over other bytes takes the same number of cycles."""
    times = set()
    for seed in range(3):
        rng = random.Random(seed)
        asm = Assembler()
        asm.literal(SCRATCH, rng.randbytes(64))
        asm.literal(REQUEST, rng.randbytes(64))
        for fn in Fn:
            asm.combine(fn, SLOT, SCRATCH, REQUEST, 64)
            asm.check_equal(SLOT, REQUEST, 64)
        asm.control(Control.WAIT)
        bench = Bench(asm.program())
        bench.run()
        times.add(bench.cycles)
    assert len(times) == 1


def test_slots_loops_calls_and_indexing():
    asm = Assembler()
    # A byte in each slot: 0xA0 + slot.
    for slot in range(4):
        asm.control(Control.SETS, slot)
        asm.fill(0x7FF, 1, 0xA0 + slot)
    # X counts to 4, a record of 64 bytes each.
    asm.control(Control.SETX, 0)
    asm.label("record")
    asm.d(SCRATCH)
    asm.index("d")
    asm.take(None, Port.X, 2)
    asm.call("outer")
    asm.control(Control.INCX)
    asm.flags()
    asm.control(Control.CMPX, 4)
    asm.unless_zero("record")
    # Y: five times.
    asm.control(Control.SETY, 5)
    asm.label("five")
    asm.take(None, Port.S, 1)
    asm.djy("five")
    asm.control(Control.INCS)
    asm.flags()
    asm.control(Control.CMPS, 0)
    asm.if_zero("wrapped")
    asm.jump("end")
    asm.label("wrapped")
    asm.take(0x1200, Port.S, 1)
    asm.set_n(0x123)
    asm.take(None, Port.N, 2)
    asm.set_n(3)
    asm.fill(None, 0, 0x77)
    asm.label("end")
    asm.control(Control.WAIT)
    asm.label("outer")
    asm.call("middle")
    asm.fill(None, 1, 0x33)
    asm.ret()
    asm.label("middle")
    asm.call("inner")
    asm.fill(None, 1, 0x22)
    asm.ret()
    asm.label("inner")
    asm.call("innermost")
    asm.ret()
    asm.label("innermost")
    asm.fill(None, 1, 0x11)
    asm.ret()
    bench = Bench(asm.program())

    async def check(ctx):
        for slot in range(4):
            assert bench.byte(ctx, 0x7FF, slot) == 0xA0 + slot
        for x in range(4):
            record = bytes(bench.byte(ctx, SCRATCH + 64 * x + i) for i in range(5))
            assert record == bytes([x, x, 0x11, 0x22, 0x33])
        assert bytes(bench.byte(ctx, SCRATCH + 64 * 3 + 5 + i) for i in range(6)) == b"\3\3\3\3\3\0"
        assert bytes(bench.byte(ctx, 0x1200 + i) for i in range(7)) == b"\0\x23\x01\x77\x77\x77\0"

    bench.run(check)


def test_a_damaged_frame_and_its_length():
    """WAIT gives length and error; LEN and BR see them."""
    asm = Assembler()
    asm.control(Control.WAIT)
    asm.need_length(300)
    asm.unless_zero("end")
    asm.branch(Cond.LONG, "long")
    asm.branch(Cond.BAD, "end")
    asm.label("end")
    asm.control(Control.WAIT)
    asm.label("long")
    asm.control(Control.NLEN)
    asm.take(SCRATCH, Port.N, 2)
    asm.control(Control.WAIT)
    bench = Bench(asm.program())

    async def check(ctx):
        ctx.set(bench.dut.frame.payload, {"length": 300, "error": 2})
        ctx.set(bench.dut.frame.valid, 1)
        await ctx.tick()
        ctx.set(bench.dut.frame.valid, 0)
        for _ in range(50):
            await ctx.tick()
        assert ctx.get(bench.dut.waiting)
        assert [bench.byte(ctx, SCRATCH + i) for i in range(2)] == [300 & 0xFF, 300 >> 8]

    bench.run(check)


def test_reboot_starts_over_and_opens_everything():
    asm = Assembler()
    asm.unit(Unit.CLOSE_RPK)
    asm.unit(Unit.CLOSE_FUSES)
    asm.check_byte(SCRATCH, 0x5A)
    asm.if_zero("second")
    asm.fill(SCRATCH, 1, 0x5A)
    asm.unit(Unit.REBOOT)
    asm.label("second")
    asm.control(Control.WAIT)
    bench = Bench(asm.program())
    seen = []

    def drive(ctx):
        for name in ("close_rpk", "close_burn", "reopen"):
            if ctx.get(getattr(bench.dut, name)):
                seen.append(name)

    bench.run(drive=drive)
    assert seen == ["close_rpk", "close_burn", "reopen", "close_rpk", "close_burn"]


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("words", [[], [0] * 4097])
def test_program_sizes(words):
    with pytest.raises(ValueError, match="1 to 4096 words"):
        Sequencer(words)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("size", [0, 1, 3, 65536])
def test_ram_sizes(size):
    with pytest.raises(ValueError, match="power of two"):
        Ram(size)
