"""The sequencer: runs the leaves.

Control lives in the program, data paths in the engines; this is the small machine between them. Its instructions are
in :mod:`fusequote_hdl.isa`. Everything it does takes a number of cycles that depends on the program, on counts and on
public registers, never on the bytes that a VEC moves.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .alu import Alu
from .isa import TRAP_VECTOR, WORD_BITS, Cond, Control, Dst, Fn, KeyOp, Port, Src, Unit
from .keybox import KeyOrder

__all__ = ["ADDRESS_BITS", "MEMORY_BYTES", "MemorySignature", "Sequencer", "TxByte"]

#: Width of a logical address.
ADDRESS_BITS = 14
#: Bytes of the workspace, and of one request bank.
MEMORY_BYTES = 16384
BANK_BYTES = 8192
#: Bits of an address within a slot (2,048 bytes each).
SLOT_BITS = 11
#: Bits of the slot register, of a count, of a program address.
SLOT_INDEX_BITS = 2
COUNT_BITS = 12
LENGTH_BITS = 13
PC_BITS = 12
CALL_DEPTH = 4


def _one_of(value, *choices):
    """Whether ``value`` is one of these enum members."""
    result = value == choices[0]
    for choice in choices[1:]:
        result |= value == choice
    return result


class TxByte(data.Struct):
    """A byte of an answer."""

    data: 8
    last: 1


class MemorySignature(wiring.Signature):
    """The port of a :class:`~fusequote_hdl.ram.Ram`, from its user's side."""

    def __init__(self, size: int):
        super().__init__({
            "en": Out(1),
            "addr": Out(range(size)),
            "w_en": Out(1),
            "w_data": Out(8),
            "r_data": In(8),
        })


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
        super().__init__({
            "workspace": Out(MemorySignature(MEMORY_BYTES)),
            "request": Out(MemorySignature(BANK_BYTES)),
            # A request is there; its length; what is wrong with its frame (0: nothing, 1: bad, 2: too long).
            "frame": In(stream.Signature(data.StructLayout({"length": LENGTH_BITS, "error": 2}))),
            # The request bank is in use: between the acceptance of a frame and the next WAIT.
            "tx": Out(stream.Signature(TxByte)),
            "sha_data": Out(stream.Signature(8)),
            "sha_load": Out(stream.Signature(8)),
            "sha_digest": In(stream.Signature(8)),
            "sha_read": Out(1),
            "sha_init": Out(1),
            "sha_clear": Out(1),
            "sha_idle": In(1),
            "rsa_load": Out(stream.Signature(8)),
            "rsa_result": In(stream.Signature(8)),
            "rsa_done": In(1),
            "rsa_valid": In(1),
            "rsa_clear": Out(1),
            "rsa_idle": In(1),
            "key_order": Out(stream.Signature(KeyOrder)),
            "message": Out(stream.Signature(8)),
            "tag": In(stream.Signature(8)),
            "cmac_clear": Out(1),
            "cmac_idle": In(1),
            "fuse_addr": Out(9),
            "fuse_rdata": In(8),
            "fuse_pgm": Out(1),
            "fuse_wdata": Out(8),
            "close_rpk": Out(1),
            "close_burn": Out(1),
            "reopen": Out(1),
            "entropy": In(stream.Signature(8)),
            # The noise source failed: it is waited for no more.
            "entropy_failed": In(1),
            # An EVENT request waits behind the one that runs.
            "event": In(1),
            # Why the block started (link.md 3.1).
            "cause": In(2),
            # Waiting for a request.
            "waiting": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        # Program memory. ``word`` is the word at ``pc``.
        m.submodules.rom = rom = memory.Memory(
            shape=WORD_BITS, depth=len(self.program), init=self.program, attrs={"ram_style": "block"})
        rom_port = rom.read_port()
        pc = Signal(PC_BITS)
        next_pc = Signal(PC_BITS)
        word = rom_port.data
        m.d.comb += [next_pc.eq(pc), rom_port.addr.eq(next_pc)]
        m.d.sync += pc.eq(next_pc)
        after = Signal(PC_BITS)
        m.d.comb += after.eq(pc + 1)

        # Registers.
        pointer_a = Signal(ADDRESS_BITS)
        pointer_b = Signal(ADDRESS_BITS)
        pointer_d = Signal(ADDRESS_BITS)
        x = Signal(8)
        y = Signal(8)
        slot = Signal(SLOT_INDEX_BITS)
        n = Signal(LENGTH_BITS)
        length = Signal(LENGTH_BITS)
        frame_error = Signal(2)
        zero = Signal(init=1)
        carry = Signal()
        fuse_pointer = Signal(9)
        calls = [Signal(PC_BITS, name=f"call{i}") for i in range(CALL_DEPTH)]
        counter = Signal(32)
        cycles = Signal(32)
        counting = Signal()
        with m.If(counting):
            m.d.sync += counter.eq(counter + 1)

        # The instruction under way.
        fn = Signal(Fn)
        src = Signal(Src)
        dst = Signal(Dst)
        control = Signal(Control)
        immediate = Signal(8)
        port = Signal(Port)
        m.d.comb += port.eq(immediate[:4])
        rsa_used = Signal()
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
                Cat(address[:SLOT_BITS], slot))),
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
        m.d.comb += [alu.fn.eq(fn), alu.a.eq(a), alu.b.eq(b), alu.carry.eq(carry), result.eq(alu.result)]

        # The measurement engine's bytes wait here: there is a path from its data to its digest.
        digest = Signal(8)
        digest_valid = Signal()
        digest_taken = Signal()
        m.d.comb += self.sha_digest.ready.eq(~digest_valid | digest_taken)
        with m.If(self.sha_digest.ready):
            m.d.sync += [digest.eq(self.sha_digest.payload), digest_valid.eq(self.sha_digest.valid)]

        # Where B comes from, and whether it is there.
        b_valid = Signal(init=1)
        fuse_valid = Signal()
        with m.Switch(src):
            with m.Case(Src.MEM):
                m.d.comb += [b.eq(read), b_valid.eq(1)]
            with m.Case(Src.IMM):
                m.d.comb += [b.eq(immediate), b_valid.eq(1)]
            with m.Case(Src.LIT):
                m.d.comb += [b.eq(word.word_select(position[0], 8)), b_valid.eq(1)]
            with m.Case(Src.PORT):
                with m.Switch(port):
                    with m.Case(Port.TAG):
                        m.d.comb += [b.eq(self.tag.payload), b_valid.eq(self.tag.valid)]
                    with m.Case(Port.DIGEST):
                        m.d.comb += [b.eq(digest), b_valid.eq(digest_valid)]
                    with m.Case(Port.FUSE):
                        m.d.comb += [b.eq(self.fuse_rdata), b_valid.eq(fuse_valid)]
                    with m.Case(Port.ENTROPY):
                        m.d.comb += [b.eq(self.entropy.payload), b_valid.eq(self.entropy.valid | self.entropy_failed)]
                    with m.Case(Port.CYCLES):
                        m.d.comb += [b.eq(cycles.word_select(position[:2], 8)), b_valid.eq(1)]
                    with m.Case(Port.X):
                        m.d.comb += [b.eq(x), b_valid.eq(1)]
                    with m.Case(Port.N):
                        m.d.comb += [b.eq(Mux(position[0], n[8:], n[:8])), b_valid.eq(1)]
                    with m.Case(Port.S):
                        m.d.comb += [b.eq(slot), b_valid.eq(1)]
                    with m.Case(Port.RSA):
                        m.d.comb += [b.eq(self.rsa_result.payload), b_valid.eq(self.rsa_result.valid)]
                    with m.Case(Port.CAUSE):
                        m.d.comb += [b.eq(self.cause), b_valid.eq(1)]

        # Where the result goes, and whether it is taken. On its way to an engine or to memory it rests in a register,
        # for what they do with it in the cycle in which they take it is long enough by itself. To memory it goes in the
        # next cycle in which nothing is read there.
        taken = Signal()
        working = Signal()
        leaving_last = Signal()
        leaving_to = Signal(Dst)
        leaving_valid = Signal()
        leaving_taken = Signal()
        leaves, to_memory, memory_free = Signal(), Signal(), Signal(init=1)
        m.d.comb += [
            to_memory.eq(_one_of(dst, Dst.MEM, Dst.MEM_DOWN)),
            leaves.eq(to_memory | _one_of(
                dst, Dst.CMAC, Dst.SHA, Dst.SHA_STATE, Dst.RSA, Dst.TX, Dst.TX_LAST)),
            taken.eq(~leaves | ~leaving_valid | leaving_taken),
            self.message.payload.eq(leaving),
            self.sha_data.payload.eq(leaving),
            self.sha_load.payload.eq(leaving),
            self.rsa_load.payload.eq(leaving),
            self.tx.payload.data.eq(leaving),
            self.tx.payload.last.eq(leaving_last),
            self.fuse_wdata.eq(result),
            self.fuse_addr.eq(fuse_pointer),
        ]
        with m.Switch(leaving_to):
            with m.Case(Dst.CMAC):
                m.d.comb += [self.message.valid.eq(leaving_valid), leaving_taken.eq(self.message.ready)]
            with m.Case(Dst.SHA):
                m.d.comb += [self.sha_data.valid.eq(leaving_valid), leaving_taken.eq(self.sha_data.ready)]
            with m.Case(Dst.SHA_STATE):
                m.d.comb += [self.sha_load.valid.eq(leaving_valid), leaving_taken.eq(self.sha_load.ready)]
            with m.Case(Dst.RSA):
                m.d.comb += [self.rsa_load.valid.eq(leaving_valid), leaving_taken.eq(self.rsa_load.ready)]
                m.d.sync += rsa_used.eq(rsa_used | leaving_valid)
            with m.Case(Dst.MEM, Dst.MEM_DOWN):
                m.d.comb += leaving_taken.eq(memory_free)
                with m.If(leaving_valid & memory_free):
                    m.d.comb += [access.eq(1), writing.eq(1), address.eq(pointer_d)]
                    m.d.sync += pointer_d.eq(
                        pointer_d + Mux(leaving_to == Dst.MEM, 1, (1 << ADDRESS_BITS) - 1))
            with m.Default():
                m.d.comb += [self.tx.valid.eq(leaving_valid), leaving_taken.eq(self.tx.ready)]
        with m.If(working & b_valid & taken & leaves):
            m.d.sync += [
                leaving.eq(result),
                leaving_last.eq((dst == Dst.TX_LAST) & (count == 1)),
                leaving_to.eq(dst),
                leaving_valid.eq(1),
            ]
        with m.Elif(leaving_taken):
            m.d.sync += leaving_valid.eq(0)

        fetches = Signal()
        trapped = Signal()
        with m.FSM(name="state") as fsm:
            with m.State("START"):
                # ``word`` is not there yet in the first cycle.
                m.next = "DECODE"

            with m.State("DECODE"):
                m.d.comb += next_pc.eq(after)
                m.d.sync += immediate.eq(word[:8])
                with m.Switch(word[14:]):
                    with m.Case(0b01):
                        m.d.sync += pointer_a.eq(word[:ADDRESS_BITS])
                    with m.Case(0b10):
                        m.d.sync += pointer_b.eq(word[:ADDRESS_BITS])
                    with m.Case(0b11):
                        m.d.sync += pointer_d.eq(word[:ADDRESS_BITS])
                    with m.Default():
                        with m.If(word[13]):
                            m.d.sync += [fn.eq(word[10:13]), src.eq(word[8:10])]
                            m.next = "VECTOR"
                        with m.Else():
                            m.d.sync += control.eq(word[8:13])
                            with m.Switch(Control(word[8:13])):
                                with m.Case(Control.FLAGS):
                                    m.d.sync += [zero.eq(1), carry.eq(word[0])]
                                with m.Case(Control.SETX):
                                    m.d.sync += x.eq(word[:8])
                                with m.Case(Control.SETY):
                                    m.d.sync += y.eq(word[:8])
                                with m.Case(Control.SETS):
                                    m.d.sync += slot.eq(word[:SLOT_INDEX_BITS])
                                with m.Case(Control.INCX):
                                    m.d.sync += x.eq(x + 1)
                                with m.Case(Control.INCS):
                                    m.d.sync += slot.eq(slot + 1)
                                with m.Case(Control.CMPX):
                                    m.d.sync += zero.eq(zero & (x == word[:8]))
                                with m.Case(Control.CMPS):
                                    m.d.sync += zero.eq(zero & (slot == word[:SLOT_INDEX_BITS]))
                                with m.Case(Control.INDEX):
                                    with m.Switch(word[:2]):
                                        with m.Case(0):
                                            m.d.sync += pointer_a.eq(pointer_a + (x << 6))
                                        with m.Case(1):
                                            m.d.sync += pointer_b.eq(pointer_b + (x << 6))
                                        with m.Case(2):
                                            m.d.sync += pointer_d.eq(pointer_d + (x << 6))
                                with m.Case(Control.NLEN):
                                    m.d.sync += n.eq(length)
                                with m.Case(Control.FUSEL):
                                    m.d.sync += fuse_pointer.eq(word[:8])
                                with m.Case(Control.FUSEH):
                                    m.d.sync += fuse_pointer.eq(Cat(word[:8], Const(1, 1)))
                                with m.Case(Control.RET):
                                    m.d.comb += next_pc.eq(calls[0])
                                    m.d.sync += [low.eq(high) for low, high in zip(calls, calls[1:], strict=False)]
                                    # The word at the new address is there in the next cycle, as for a branch.
                                with m.Case(Control.UNIT):
                                    m.next = "UNIT"
                                with m.Case(Control.WAIT):
                                    m.next = "WAIT"
                                with m.Case(Control.TRAP):
                                    m.d.comb += trapped.eq(1)
                                with m.Case(Control.TRAP_Z):
                                    m.d.comb += trapped.eq(zero)
                                with m.Case(Control.TRAP_NZ):
                                    m.d.comb += trapped.eq(~zero)
                                with m.Case(Control.TRAP_C):
                                    m.d.comb += trapped.eq(carry)
                                with m.Case(Control.TRAP_NC):
                                    m.d.comb += trapped.eq(~carry)
                                with m.Case(Control.BR, Control.CALL, Control.DJY, Control.KEY, Control.LEN,
                                            Control.SETN):
                                    m.next = "SECOND"
                                with m.Default():
                                    pass

                            with m.If(_one_of(Control(word[8:13]), Control.TRAP, Control.TRAP_Z, Control.TRAP_NZ,
                                              Control.TRAP_C, Control.TRAP_NC)):
                                m.d.sync += [zero.eq(1), carry.eq(0)]
                            with m.If(trapped):
                                m.d.comb += next_pc.eq(TRAP_VECTOR)
                                m.d.sync += x.eq(word[:8])

            with m.State("SECOND"):
                m.d.comb += next_pc.eq(after)
                m.next = "DECODE"
                target = word[:PC_BITS]
                with m.Switch(control):
                    with m.Case(Control.BR):
                        holds = Signal()
                        with m.Switch(Cond(immediate[:4])):
                            with m.Case(Cond.ALWAYS):
                                m.d.comb += holds.eq(1)
                            with m.Case(Cond.Z):
                                m.d.comb += holds.eq(zero)
                            with m.Case(Cond.NZ):
                                m.d.comb += holds.eq(~zero)
                            with m.Case(Cond.C):
                                m.d.comb += holds.eq(carry)
                            with m.Case(Cond.NC):
                                m.d.comb += holds.eq(~carry)
                            with m.Case(Cond.BAD):
                                m.d.comb += holds.eq(frame_error == 1)
                            with m.Case(Cond.LONG):
                                m.d.comb += holds.eq(frame_error == 2)
                            with m.Case(Cond.EVENT):
                                m.d.comb += holds.eq(self.event)
                            with m.Case(Cond.RSA_BUSY):
                                m.d.comb += holds.eq(~self.rsa_done)
                            with m.Case(Cond.RSA_VALID):
                                m.d.comb += holds.eq(self.rsa_valid)
                            with m.Case(Cond.NO_ENTROPY):
                                m.d.comb += holds.eq(self.entropy_failed)
                        m.d.sync += [zero.eq(1), carry.eq(0)]
                        with m.If(holds):
                            m.d.comb += next_pc.eq(target)
                    with m.Case(Control.CALL):
                        m.d.comb += next_pc.eq(target)
                        m.d.sync += [high.eq(low) for low, high in zip(calls, calls[1:], strict=False)]
                        m.d.sync += calls[0].eq(after)
                    with m.Case(Control.DJY):
                        m.d.sync += y.eq(y - 1)
                        with m.If(y != 1):
                            m.d.comb += next_pc.eq(target)
                    with m.Case(Control.LEN):
                        m.d.sync += zero.eq(zero & (length == word[:LENGTH_BITS]))
                    with m.Case(Control.SETN):
                        m.d.sync += n.eq(word[:LENGTH_BITS])
                    with m.Case(Control.KEY):
                        m.d.comb += [
                            next_pc.eq(pc),
                            self.key_order.valid.eq(1),
                            self.key_order.payload.op.eq(KeyOp(immediate[:4])),
                            # Bits 7 and 15 add X to the slot number.
                            self.key_order.payload.src.eq(word[0:6] + Mux(word[7], x, 0)),
                            self.key_order.payload.dst.eq(word[8:14] + Mux(word[15], x, 0)),
                        ]
                        with m.If(self.key_order.ready):
                            m.d.comb += next_pc.eq(after)
                        with m.Else():
                            m.next = "SECOND"

            with m.State("VECTOR"):
                # The second word of a VEC.
                m.d.comb += next_pc.eq(after)
                m.d.sync += [
                    dst.eq(word[COUNT_BITS:]),
                    count.eq(Mux(word[:COUNT_BITS] == 0, n, word[:COUNT_BITS])),
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
                m.d.comb += [memory_free.eq(0), access.eq(1), address.eq(pointer_a)]
                m.d.sync += pointer_a.eq(pointer_a + 1)
                with m.If(src == Src.MEM):
                    m.next = "READ_B"
                with m.Else():
                    m.next = "EXECUTE"

            with m.State("READ_B"):
                m.d.sync += held_a.eq(read)
                m.d.comb += [memory_free.eq(0), access.eq(1), address.eq(pointer_b)]
                m.d.sync += pointer_b.eq(pointer_b + 1)
                m.next = "EXECUTE"

            with m.State("EXECUTE"):
                m.d.comb += [
                    working.eq(1),
                    self.tag.ready.eq((src == Src.PORT) & (port == Port.TAG) & taken),
                    digest_taken.eq((src == Src.PORT) & (port == Port.DIGEST) & taken),
                    self.entropy.ready.eq((src == Src.PORT) & (port == Port.ENTROPY) & taken),
                    self.rsa_result.ready.eq((src == Src.PORT) & (port == Port.RSA) & taken),
                ]
                m.d.sync += fuse_valid.eq(1)
                # The memory port must not wait for ``b_valid``, which comes late: the next byte is fetched ahead only
                # when B is no stream.
                m.d.comb += fetches.eq((src != Src.PORT) & (uses_a | (src == Src.MEM)))
                with m.If(fetches):
                    m.d.comb += [
                        memory_free.eq(0), access.eq(taken), address.eq(Mux(uses_a, pointer_a, pointer_b)),
                    ]
                with m.If(b_valid & taken):
                    m.d.sync += [
                        zero.eq(zero & (result == 0)),
                        carry.eq(carry_out),
                        count.eq(count - 1),
                        position.eq(position + 1),
                    ]
                    with m.Switch(dst):
                        with m.Case(Dst.FUSE):
                            m.d.comb += self.fuse_pgm.eq(1)
                            m.d.sync += fuse_pointer.eq(fuse_pointer + 1)
                        with m.Case(Dst.X):
                            m.d.sync += x.eq(result)
                        with m.Case(Dst.Y):
                            m.d.sync += y.eq(result)
                        with m.Case(Dst.S):
                            m.d.sync += slot.eq(result)
                        with m.Case(Dst.N_LOW):
                            m.d.sync += n[:8].eq(result)
                        with m.Case(Dst.N_HIGH):
                            m.d.sync += n[8:].eq(result)
                    with m.If((src == Src.PORT) & (port == Port.FUSE)):
                        m.d.sync += [fuse_pointer.eq(fuse_pointer + 1), fuse_valid.eq(0)]
                    # A literal is used up two bytes a word; an odd one leaves half a word behind.
                    with m.If((src == Src.LIT) & (position[0] | (count == 1))):
                        m.d.comb += next_pc.eq(after)
                    with m.If(count == 1):
                        # The last byte has to have arrived before anything else is asked of its engine.
                        m.next = "DRAIN"
                        with m.If(~leaves):
                            m.next = "DECODE"
                    with m.Elif(fetches):
                        m.d.sync += [pointer_a.eq(pointer_a + uses_a), pointer_b.eq(pointer_b + (uses_a == 0))]
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

            with m.State("DRAIN"), m.If(~leaving_valid | leaving_taken):
                m.next = "DECODE"

            with m.State("UNIT"):
                unit = Signal(Unit)
                m.d.comb += unit.eq(immediate[:4])
                m.next = "DECODE"
                with m.Switch(unit):
                    with m.Case(Unit.SHA_INIT):
                        m.d.comb += self.sha_init.eq(self.sha_idle)
                        with m.If(~self.sha_idle):
                            m.next = "UNIT"
                    with m.Case(Unit.SHA_CLEAR):
                        m.d.comb += self.sha_clear.eq(1)
                        m.next = "CLEARING"
                    with m.Case(Unit.CMAC_CLEAR):
                        m.d.comb += self.cmac_clear.eq(1)
                        m.next = "CLEARING"
                    with m.Case(Unit.RSA_CLEAR):
                        m.d.comb += self.rsa_clear.eq(rsa_used)
                        m.d.sync += rsa_used.eq(0)
                        m.next = "CLEARING"
                    with m.Case(Unit.CLOSE_RPK):
                        m.d.comb += self.close_rpk.eq(1)
                    with m.Case(Unit.CLOSE_FUSES):
                        m.d.comb += self.close_burn.eq(1)
                    with m.Case(Unit.CYCLES_START):
                        m.d.sync += [counter.eq(0), counting.eq(1)]
                    with m.Case(Unit.CYCLES_STOP):
                        m.d.sync += [cycles.eq(counter), counting.eq(0)]
                    with m.Case(Unit.REBOOT):
                        m.d.comb += [self.reopen.eq(1), next_pc.eq(0)]
                        m.d.sync += [zero.eq(1), carry.eq(0), cycles.eq(0), counting.eq(0)]

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
                        length.eq(self.frame.payload.length),
                        frame_error.eq(self.frame.payload.error),
                    ]
                    m.next = "DECODE"
        m.d.comb += self.waiting.eq(fsm.ongoing("WAIT"))
        return m
