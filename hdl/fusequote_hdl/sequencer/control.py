"""What the control instructions do: their first word, their second, UNIT. Parts of the machine's state machine.

``r`` are the :class:`~.registers.Registers`, ``word`` the word of the program that is there, ``ports`` the sequencer.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal

from ..isa import TRAP_VECTOR, Cond, Control, KeyOp, Unit
from .ports import ADDRESS_BITS, LENGTH_BITS, PC_BITS, SLOT_INDEX_BITS, one_of
from .registers import Registers

__all__ = ["decode", "second_word", "unit_order"]


def decode(m: Module, r: Registers, word) -> None:
    """State DECODE: an instruction's first word."""
    trapped = Signal()
    m.d.comb += r.next_pc.eq(r.after)
    m.d.sync += r.immediate.eq(word[:8])
    with m.Switch(word[14:]):
        with m.Case(0b01):
            m.d.sync += r.pointer_a.eq(word[:ADDRESS_BITS])
        with m.Case(0b10):
            m.d.sync += r.pointer_b.eq(word[:ADDRESS_BITS])
        with m.Case(0b11):
            m.d.sync += r.pointer_d.eq(word[:ADDRESS_BITS])
        with m.Default():
            with m.If(word[13]):
                m.d.sync += [r.fn.eq(word[10:13]), r.src.eq(word[8:10])]
                m.next = "VECTOR"
            with m.Else():
                m.d.sync += r.control.eq(word[8:13])
                with m.Switch(Control(word[8:13])):
                    with m.Case(Control.FLAGS):
                        m.d.sync += [r.zero.eq(1), r.carry.eq(word[0])]
                    with m.Case(Control.SETX):
                        m.d.sync += r.x.eq(word[:8])
                    with m.Case(Control.SETY):
                        m.d.sync += r.y.eq(word[:8])
                    with m.Case(Control.SETS):
                        m.d.sync += r.slot.eq(word[:SLOT_INDEX_BITS])
                    with m.Case(Control.INCX):
                        m.d.sync += r.x.eq(r.x + 1)
                    with m.Case(Control.INCS):
                        m.d.sync += r.slot.eq(r.slot + 1)
                    with m.Case(Control.CMPX):
                        m.d.sync += r.zero.eq(r.zero & (r.x == word[:8]))
                    with m.Case(Control.CMPS):
                        m.d.sync += r.zero.eq(r.zero & (r.slot == word[:SLOT_INDEX_BITS]))
                    with m.Case(Control.INDEX):
                        with m.Switch(word[:2]):
                            with m.Case(0):
                                m.d.sync += r.pointer_a.eq(r.pointer_a + (r.x << 6))
                            with m.Case(1):
                                m.d.sync += r.pointer_b.eq(r.pointer_b + (r.x << 6))
                            with m.Case(2):
                                m.d.sync += r.pointer_d.eq(r.pointer_d + (r.x << 6))
                    with m.Case(Control.NLEN):
                        m.d.sync += r.n.eq(r.length)
                    with m.Case(Control.FUSEL):
                        m.d.sync += r.fuse_pointer.eq(word[:8])
                    with m.Case(Control.FUSEH):
                        m.d.sync += r.fuse_pointer.eq(Cat(word[:8], Const(1, 1)))
                    with m.Case(Control.RET):
                        m.d.comb += r.next_pc.eq(r.calls[0])
                        m.d.sync += [low.eq(high) for low, high in zip(r.calls, r.calls[1:], strict=False)]
                        # The word at the new address is there in the next cycle, as for a branch.
                    with m.Case(Control.UNIT):
                        m.next = "UNIT"
                    with m.Case(Control.WAIT):
                        m.next = "WAIT"
                    with m.Case(Control.TRAP):
                        m.d.comb += trapped.eq(1)
                    with m.Case(Control.TRAP_Z):
                        m.d.comb += trapped.eq(r.zero)
                    with m.Case(Control.TRAP_NZ):
                        m.d.comb += trapped.eq(~r.zero)
                    with m.Case(Control.TRAP_C):
                        m.d.comb += trapped.eq(r.carry)
                    with m.Case(Control.TRAP_NC):
                        m.d.comb += trapped.eq(~r.carry)
                    with m.Case(Control.BR, Control.CALL, Control.DJY, Control.KEY, Control.LEN,
                                Control.SETN):
                        m.next = "SECOND"
                    with m.Default():
                        pass

                with m.If(one_of(Control(word[8:13]), Control.TRAP, Control.TRAP_Z, Control.TRAP_NZ, Control.TRAP_C,
                                 Control.TRAP_NC)):
                    m.d.sync += [r.zero.eq(1), r.carry.eq(0)]
                with m.If(trapped):
                    m.d.comb += r.next_pc.eq(TRAP_VECTOR)
                    m.d.sync += r.x.eq(word[:8])


def second_word(m: Module, r: Registers, word, ports) -> None:
    """State SECOND: the other word of a control instruction that has one."""
    m.d.comb += r.next_pc.eq(r.after)
    m.next = "DECODE"
    target = word[:PC_BITS]
    with m.Switch(r.control):
        with m.Case(Control.BR):
            holds = _holds(m, r, ports)
            m.d.sync += [r.zero.eq(1), r.carry.eq(0)]
            with m.If(holds):
                m.d.comb += r.next_pc.eq(target)
        with m.Case(Control.CALL):
            m.d.comb += r.next_pc.eq(target)
            m.d.sync += [high.eq(low) for low, high in zip(r.calls, r.calls[1:], strict=False)]
            m.d.sync += r.calls[0].eq(r.after)
        with m.Case(Control.DJY):
            m.d.sync += r.y.eq(r.y - 1)
            with m.If(r.y != 1):
                m.d.comb += r.next_pc.eq(target)
        with m.Case(Control.LEN):
            m.d.sync += r.zero.eq(r.zero & (r.length == word[:LENGTH_BITS]))
        with m.Case(Control.SETN):
            m.d.sync += r.n.eq(word[:LENGTH_BITS])
        with m.Case(Control.KEY):
            m.d.comb += [
                r.next_pc.eq(r.pc),
                ports.key_order.valid.eq(1),
                ports.key_order.payload.op.eq(KeyOp(r.immediate[:4])),
                # Bits 7 and 15 add X to the slot number.
                ports.key_order.payload.src.eq(word[0:6] + Mux(word[7], r.x, 0)),
                ports.key_order.payload.dst.eq(word[8:14] + Mux(word[15], r.x, 0)),
            ]
            with m.If(ports.key_order.ready):
                m.d.comb += r.next_pc.eq(r.after)
            with m.Else():
                m.next = "SECOND"


def _holds(m: Module, r: Registers, ports) -> Signal:
    """Whether the condition of a branch holds."""
    holds = Signal()
    with m.Switch(Cond(r.immediate[:4])):
        with m.Case(Cond.ALWAYS):
            m.d.comb += holds.eq(1)
        with m.Case(Cond.Z):
            m.d.comb += holds.eq(r.zero)
        with m.Case(Cond.NZ):
            m.d.comb += holds.eq(~r.zero)
        with m.Case(Cond.C):
            m.d.comb += holds.eq(r.carry)
        with m.Case(Cond.NC):
            m.d.comb += holds.eq(~r.carry)
        with m.Case(Cond.BAD):
            m.d.comb += holds.eq(r.frame_error == 1)
        with m.Case(Cond.LONG):
            m.d.comb += holds.eq(r.frame_error == 2)
        with m.Case(Cond.EVENT):
            m.d.comb += holds.eq(ports.event)
        with m.Case(Cond.RSA_BUSY):
            m.d.comb += holds.eq(~ports.rsa_done)
        with m.Case(Cond.RSA_VALID):
            m.d.comb += holds.eq(ports.rsa_valid)
        with m.Case(Cond.NO_ENTROPY):
            m.d.comb += holds.eq(ports.entropy_failed)
    return holds


def unit_order(m: Module, r: Registers, ports) -> None:
    """State UNIT: an engine as a whole."""
    unit = Signal(Unit)
    m.d.comb += unit.eq(r.immediate[:4])
    m.next = "DECODE"
    with m.Switch(unit):
        with m.Case(Unit.SHA_INIT):
            m.d.comb += ports.sha_init.eq(ports.sha_idle)
            with m.If(~ports.sha_idle):
                m.next = "UNIT"
        with m.Case(Unit.SHA_CLEAR):
            m.d.comb += ports.sha_clear.eq(1)
            m.next = "CLEARING"
        with m.Case(Unit.CMAC_CLEAR):
            m.d.comb += ports.cmac_clear.eq(1)
            m.next = "CLEARING"
        with m.Case(Unit.RSA_CLEAR):
            m.d.comb += ports.rsa_clear.eq(r.rsa_used)
            m.d.sync += r.rsa_used.eq(0)
            m.next = "CLEARING"
        with m.Case(Unit.CLOSE_RPK):
            m.d.comb += ports.close_rpk.eq(1)
        with m.Case(Unit.CLOSE_FUSES):
            m.d.comb += ports.close_burn.eq(1)
        with m.Case(Unit.CYCLES_START):
            m.d.sync += [r.counter.eq(0), r.counting.eq(1)]
        with m.Case(Unit.CYCLES_STOP):
            m.d.sync += [r.cycles.eq(r.counter), r.counting.eq(0)]
        with m.Case(Unit.REBOOT):
            m.d.comb += [ports.reopen.eq(1), r.next_pc.eq(0)]
            m.d.sync += [r.zero.eq(1), r.carry.eq(0), r.cycles.eq(0), r.counting.eq(0)]
