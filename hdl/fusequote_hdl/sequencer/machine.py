"""The sequencer: runs the leaves.

Control lives in the program, data paths in the engines; this is the small machine between them. Its instructions are
in :mod:`fusequote_hdl.isa`. Everything it does takes a number of cycles that depends on the program, on counts and on
public registers, never on the bytes that a VEC moves.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import memory, wiring

from ..alu import Alu
from ..isa import WORD_BITS, Dst, Fn, Port, Src
from .control import decode, second_word, unit_order
from .operand import Operand
from .outlet import Outlet
from .ports import ADDRESS_BITS, COUNT_BITS, LENGTH_BITS, MEMBERS, PC_BITS, SLOT_BITS, one_of
from .registers import Registers

__all__ = ["Sequencer"]


class Sequencer(wiring.Component):
    """See the module's text.

    Parameters
    ----------
    program : list of int
        Words, each ``WORD_BITS`` wide; at most 4,096. Execution starts at 0.
    """

    def __init__(self, program: list[int]):
        if not program or len(program) > 1 << PC_BITS:
            raise ValueError(f"a program has 1 to {1 << PC_BITS} words, not {len(program)}")
        self.program = program
        super().__init__(MEMBERS)

    def elaborate(self, platform):
        m = Module()

        # Program memory. ``word`` is the word at ``pc``.
        m.submodules.rom = rom = memory.Memory(
            shape=WORD_BITS, depth=len(self.program), init=self.program, attrs={"ram_style": "block"})
        rom_port = rom.read_port()
        r = Registers()
        pc, next_pc, after = r.pc, r.next_pc, r.after
        word = rom_port.data
        m.d.comb += [next_pc.eq(pc), rom_port.addr.eq(next_pc)]
        m.d.sync += pc.eq(next_pc)
        m.d.comb += after.eq(pc + 1)

        with m.If(r.counting):
            m.d.sync += r.counter.eq(r.counter + 1)

        # The instruction under way.
        fn, src, immediate = r.fn, r.src, r.immediate
        dst = Signal(Dst)
        port = Signal(Port)
        m.d.comb += port.eq(immediate[:4])
        count = Signal(LENGTH_BITS)
        position = Signal(5)

        # Memory access: one address, to one of the two memories.
        access = Signal()
        writing = Signal()
        address = Signal(ADDRESS_BITS)
        result = Signal(8)
        leaving = Signal(8)
        read_request = Signal()
        with m.If(access & ~writing):
            m.d.sync += read_request.eq(address[13])
        m.d.comb += [
            self.request.addr.eq(address[:13]),
            self.request.en.eq(access & address[13]),
            self.request.w_en.eq(writing),
            self.request.w_data.eq(leaving),
            # Slot s starts at s x 2048; the globals follow the slots.
            self.workspace.addr.eq(Mux(
                address[12],
                Cat(address[:12], Const(0b10, 2)),
                Cat(address[:SLOT_BITS], r.slot))),
            self.workspace.en.eq(access & ~address[13]),
            self.workspace.w_en.eq(writing),
            self.workspace.w_data.eq(leaving),
        ]
        read = Signal(8)
        m.d.comb += read.eq(Mux(read_request, self.request.r_data, self.workspace.r_data))

        # The byte ALU.
        uses_a = Signal()
        m.d.comb += uses_a.eq(fn != Fn.PASSB)
        held_a = Signal(8)
        a = Signal(8)
        b = Signal(8)
        m.d.comb += a.eq(Mux(src == Src.MEM, held_a, read))
        m.submodules.alu = alu = Alu()
        carry_out = alu.carry_out
        m.d.comb += [alu.fn.eq(fn), alu.a.eq(a), alu.b.eq(b), alu.carry.eq(r.carry), result.eq(alu.result)]

        # Where B comes from.
        m.submodules.operand = operand = Operand()
        fuse_valid = Signal()
        wiring.connect(m, wiring.flipped(self.tag), operand.tag)
        wiring.connect(m, wiring.flipped(self.sha_digest), operand.digest)
        wiring.connect(m, wiring.flipped(self.rsa_result), operand.rsa)
        wiring.connect(m, wiring.flipped(self.entropy), operand.entropy)
        m.d.comb += [
            operand.src.eq(src),
            operand.port.eq(port),
            operand.position.eq(position),
            operand.from_memory.eq(read),
            operand.immediate.eq(immediate),
            operand.literal.eq(word),
            operand.x.eq(r.x),
            operand.n.eq(r.n),
            operand.slot.eq(r.slot),
            operand.cycles.eq(r.cycles),
            operand.cause.eq(self.cause),
            operand.fuse.eq(self.fuse_rdata),
            operand.fuse_valid.eq(fuse_valid),
            operand.entropy_failed.eq(self.entropy_failed),
            b.eq(operand.b),
        ]

        # Where the result goes, and whether it is taken.
        m.submodules.outlet = outlet = Outlet()
        wiring.connect(m, outlet.message, wiring.flipped(self.message))
        wiring.connect(m, outlet.sha_data, wiring.flipped(self.sha_data))
        wiring.connect(m, outlet.sha_load, wiring.flipped(self.sha_load))
        wiring.connect(m, outlet.rsa_load, wiring.flipped(self.rsa_load))
        wiring.connect(m, outlet.tx, wiring.flipped(self.tx))
        taken = Signal()
        working = Signal()
        leaves, to_memory, memory_free = Signal(), Signal(), Signal(init=1)
        m.d.comb += [
            to_memory.eq(one_of(dst, Dst.MEM, Dst.MEM_DOWN)),
            leaves.eq(to_memory | one_of(
                dst, Dst.CMAC, Dst.SHA, Dst.SHA_STATE, Dst.RSA, Dst.TX, Dst.TX_LAST)),
            taken.eq(~leaves | outlet.ready),
            operand.take.eq(working & taken),
            outlet.offer.eq(working & operand.valid & leaves),
            outlet.result.eq(result),
            outlet.dst.eq(dst),
            outlet.last.eq(count == 1),
            outlet.memory_free.eq(memory_free),
            leaving.eq(outlet.data),
            self.fuse_wdata.eq(result),
            self.fuse_addr.eq(r.fuse_pointer),
        ]
        with m.If(outlet.write):
            m.d.comb += [access.eq(1), writing.eq(1), address.eq(r.pointer_d)]
            m.d.sync += r.pointer_d.eq(r.pointer_d + Mux(outlet.down, (1 << ADDRESS_BITS) - 1, 1))
        with m.If(self.rsa_load.valid):
            m.d.sync += r.rsa_used.eq(1)

        fetches = Signal()
        with m.FSM(name="state") as fsm:
            with m.State("START"):
                # ``word`` is not there yet in the first cycle.
                m.next = "DECODE"

            with m.State("DECODE"):
                decode(m, r, word)

            with m.State("SECOND"):
                second_word(m, r, word, self)

            with m.State("VECTOR"):
                # The second word of a VEC.
                m.d.comb += next_pc.eq(after)
                m.d.sync += [
                    dst.eq(word[COUNT_BITS:]),
                    count.eq(Mux(word[:COUNT_BITS] == 0, r.n, word[:COUNT_BITS])),
                    position.eq(0),
                    fuse_valid.eq(0),
                ]
                with m.If((src == Src.PORT) & (port == Port.DIGEST)):
                    m.d.comb += self.sha_read.eq(self.sha_idle)
                    with m.If(~self.sha_idle):
                        m.d.comb += next_pc.eq(pc)
                        m.next = "VECTOR"
                    with m.Else():
                        m.next = "EXECUTE"
                with m.Elif(uses_a):
                    m.next = "READ_A"
                with m.Elif(src == Src.MEM):
                    m.next = "READ_B"
                with m.Else():
                    m.next = "EXECUTE"

            with m.State("READ_A"):
                m.d.comb += [memory_free.eq(0), access.eq(1), address.eq(r.pointer_a)]
                m.d.sync += r.pointer_a.eq(r.pointer_a + 1)
                with m.If(src == Src.MEM):
                    m.next = "READ_B"
                with m.Else():
                    m.next = "EXECUTE"

            with m.State("READ_B"):
                m.d.sync += held_a.eq(read)
                m.d.comb += [memory_free.eq(0), access.eq(1), address.eq(r.pointer_b)]
                m.d.sync += r.pointer_b.eq(r.pointer_b + 1)
                m.next = "EXECUTE"

            with m.State("EXECUTE"):
                m.d.comb += working.eq(1)
                m.d.sync += fuse_valid.eq(1)
                # The memory port must not wait for ``operand.valid``, which comes late: the next byte is fetched ahead
                # only when B is no stream.
                m.d.comb += fetches.eq((src != Src.PORT) & (uses_a | (src == Src.MEM)))
                with m.If(fetches):
                    m.d.comb += [
                        memory_free.eq(0), access.eq(taken), address.eq(Mux(uses_a, r.pointer_a, r.pointer_b)),
                    ]
                with m.If(operand.valid & taken):
                    m.d.sync += [
                        r.zero.eq(r.zero & (result == 0)),
                        r.carry.eq(carry_out),
                        count.eq(count - 1),
                        position.eq(position + 1),
                    ]
                    with m.Switch(dst):
                        with m.Case(Dst.FUSE):
                            m.d.comb += self.fuse_pgm.eq(1)
                            m.d.sync += r.fuse_pointer.eq(r.fuse_pointer + 1)
                        with m.Case(Dst.X):
                            m.d.sync += r.x.eq(result)
                        with m.Case(Dst.Y):
                            m.d.sync += r.y.eq(result)
                        with m.Case(Dst.S):
                            m.d.sync += r.slot.eq(result)
                        with m.Case(Dst.N_LOW):
                            m.d.sync += r.n[:8].eq(result)
                        with m.Case(Dst.N_HIGH):
                            m.d.sync += r.n[8:].eq(result)
                    with m.If((src == Src.PORT) & (port == Port.FUSE)):
                        m.d.sync += [r.fuse_pointer.eq(r.fuse_pointer + 1), fuse_valid.eq(0)]
                    # A literal is used up two bytes a word; an odd one leaves half a word behind.
                    with m.If((src == Src.LIT) & (position[0] | (count == 1))):
                        m.d.comb += next_pc.eq(after)
                    with m.If(count == 1):
                        # The last byte has to have arrived before anything else is asked of its engine.
                        m.next = "DRAIN"
                        with m.If(~leaves):
                            m.next = "DECODE"
                    with m.Elif(fetches):
                        m.d.sync += [r.pointer_a.eq(r.pointer_a + uses_a), r.pointer_b.eq(r.pointer_b + (uses_a == 0))]
                        with m.If(to_memory):
                            m.next = "WRITE"
                        with m.Elif(uses_a & (src == Src.MEM)):
                            m.next = "READ_B"
                    with m.Elif(uses_a):
                        m.next = "READ_A"
                    with m.Elif(src == Src.MEM):
                        m.next = "READ_B"

            with m.State("WRITE"):
                # Nothing is read: what was fetched waits in the memory's output.
                m.next = "EXECUTE"
                with m.If(uses_a & (src == Src.MEM)):
                    m.next = "READ_B"

            with m.State("DRAIN"), m.If(~outlet.valid | outlet.leaves):
                m.next = "DECODE"

            with m.State("UNIT"):
                unit_order(m, r, self)

            with m.State("CLEARING"):
                # One cycle for the engine to leave idle, then until it is back.
                m.next = "CLEARED"
            with m.State("CLEARED"):
                with m.If(self.sha_idle & self.cmac_idle & self.rsa_idle):
                    m.next = "DECODE"

            with m.State("WAIT"):
                m.d.comb += self.frame.ready.eq(1)
                with m.If(self.frame.valid):
                    m.d.sync += [
                        r.length.eq(self.frame.payload.length),
                        r.frame_error.eq(self.frame.payload.error),
                    ]
                    m.next = "DECODE"
        m.d.comb += self.waiting.eq(fsm.ongoing("WAIT"))
        return m
