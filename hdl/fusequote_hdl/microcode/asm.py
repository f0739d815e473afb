"""Assembler for the sequencer: a leaf is a Python function that appends instructions.

Names follow what an instruction does, so that a leaf reads beside the Operation section of the manual. Sizes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..isa import Cond, Control, Dst, Fn, KeyOp, Port, Src, Unit

__all__ = ["Assembler", "Program"]

MAX_COUNT = 4095
ADDRESS_LIMIT = 0x4000
_TRAPS = {Cond.ALWAYS: Control.TRAP, Cond.Z: Control.TRAP_Z, Cond.NZ: Control.TRAP_NZ, Cond.C: Control.TRAP_C,
          Cond.NC: Control.TRAP_NC}


@dataclass(frozen=True)
class Program:
    """An assembled program: words, and where each label stands."""

    words: list[int]
    labels: dict[str, int]
    #: (address, KeyOp or VEC kind, leaf) of everything that moves a MAC or a key; tests read it.
    key_moves: list[tuple[int, str, str]] = field(default_factory=list)


class Assembler:
    """Collects instructions; labels are strings and may be used before they are placed.

    ``traps``: labels that end a command -> immediate of the TRAP that goes there.

    Raises
    ------
    ValueError
        For an operand that does not fit, a label placed twice, or (in :meth:`program`) one never placed.
    """

    def __init__(self, traps: dict[str, int] | None = None):
        self._traps = traps or {}
        self._words: list[int | tuple[str, int]] = []
        self._labels: dict[str, int] = {}
        self._fresh = 0
        self._leaf = "boot"
        self._key_moves: list[tuple[int, str, str]] = []

    # -- labels -----------------------------------------------------------------------------------------------

    def label(self, name: str) -> None:
        """Place ``name`` here."""
        if name in self._labels:
            raise ValueError(f"label {name!r} is placed twice")
        self._labels[name] = len(self._words)

    def leaf(self, name: str) -> None:
        """Place ``name`` and book what follows under it."""
        self._leaf = name
        self.label(name)

    def fresh(self, stem: str = "l") -> str:
        """A new label name."""
        self._fresh += 1
        return f"{stem}.{self._fresh}"

    # -- words ------------------------------------------------------------------------------------------------

    def _word(self, value: int) -> None:
        if not 0 <= value < 1 << 16:
            raise ValueError(f"{value:#x} is no program word")
        self._words.append(value)

    def _target(self, label: str) -> None:
        self._words.append((label, 0))

    def _pointer(self, kind: int, address: int) -> None:
        if not 0 <= address < ADDRESS_LIMIT:
            raise ValueError(f"{address:#x} is no address")
        self._word(kind << 14 | address)

    def a(self, address: int) -> None:
        """A := address."""
        self._pointer(0b01, address)

    def b(self, address: int) -> None:
        """B := address."""
        self._pointer(0b10, address)

    def d(self, address: int) -> None:
        """D := address."""
        self._pointer(0b11, address)

    def vec(self, fn: Fn, src: Src, dst: Dst, count: int, imm: int = 0) -> None:
        """One VEC; ``count`` 0 takes the N register."""
        if not 0 <= count <= MAX_COUNT or not 0 <= imm <= 255:
            raise ValueError(f"count {count!r} or immediate {imm!r} does not fit")
        if src is Src.PORT and Port(imm) is Port.TAG:
            self._key_moves.append((len(self._words), f"VEC {dst.name}", self._leaf))
        self._word(0b001 << 13 | fn.value << 10 | src.value << 8 | imm)
        self._word(dst.value << 12 | count)

    def control(self, what: Control, imm: int = 0) -> None:
        """A control instruction without a second word."""
        self._word(what.value << 8 | imm)

    def _literal(self, content: bytes) -> None:
        for i in range(0, len(content), 2):
            self._word(int.from_bytes(content[i:i + 2].ljust(2, b"\0"), "little"))

    # -- moving bytes -----------------------------------------------------------------------------------------

    def copy(self, dst: int | None, src: int | None, count: int) -> None:
        """memory to memory; None leaves the pointer where it is."""
        if dst is not None:
            self.d(dst)
        if src is not None:
            self.b(src)
        self.vec(Fn.PASSB, Src.MEM, Dst.MEM, count)

    def fill(self, dst: int | None, count: int, value: int = 0) -> None:
        """``count`` bytes of memory := value."""
        if dst is not None:
            self.d(dst)
        self.vec(Fn.PASSB, Src.IMM, Dst.MEM, count, value)

    def literal(self, dst: int | None, content: bytes) -> None:
        """memory := bytes from the program."""
        if dst is not None:
            self.d(dst)
        self.vec(Fn.PASSB, Src.LIT, Dst.MEM, len(content))
        self._literal(content)

    def send(self, unit: Dst, src: int | None, count: int) -> None:
        """memory into the stream of an engine."""
        if src is not None:
            self.b(src)
        self.vec(Fn.PASSB, Src.MEM, unit, count)

    def send_fill(self, unit: Dst, count: int, value: int = 0) -> None:
        """``count`` times the same byte into an engine."""
        self.vec(Fn.PASSB, Src.IMM, unit, count, value)

    def send_literal(self, unit: Dst, content: bytes) -> None:
        """bytes from the program into an engine."""
        self.vec(Fn.PASSB, Src.LIT, unit, len(content))
        self._literal(content)

    def take(self, dst: int | None, port: Port, count: int) -> None:
        """the stream of an engine into memory."""
        if dst is not None:
            self.d(dst)
        self.vec(Fn.PASSB, Src.PORT, Dst.MEM, count, port.value)

    def combine(self, fn: Fn, dst: int, a: int, b: int, count: int) -> None:
        """memory := memory fn memory."""
        self.d(dst)
        self.a(a)
        self.b(b)
        self.vec(fn, Src.MEM, Dst.MEM, count)

    def combine_literal(self, fn: Fn, dst: int, a: int, content: bytes) -> None:
        """memory := memory fn bytes from the program."""
        self.d(dst)
        self.a(a)
        self.vec(fn, Src.LIT, Dst.MEM, len(content))
        self._literal(content)

    def get(self, register: Dst, src: int) -> None:
        """register := one byte of memory."""
        self.send(register, src, 1)

    # -- checks (they only touch the flags) ------------------------------------------------------------------

    def flags(self, carry: int = 0) -> None:
        """Z := 1, C := carry."""
        self.control(Control.FLAGS, carry)

    def check_zero(self, address: int | None, count: int) -> None:
        """Z falls unless every byte is 0."""
        self.check_bits(address, 0xFF, count)

    def check_bits(self, address: int | None, mask: int, count: int = 1) -> None:
        """Z falls if any byte has a bit of ``mask``."""
        if address is not None:
            self.a(address)
        self.vec(Fn.AND, Src.IMM, Dst.NONE, count, mask)

    def check_byte(self, address: int | None, value: int, count: int = 1) -> None:
        """Z falls unless each byte has this value."""
        if address is not None:
            self.a(address)
        self.vec(Fn.XOR, Src.IMM, Dst.NONE, count, value)

    def check_equal(self, a: int | None, b: int | None, count: int) -> None:
        """Z falls unless the two are equal; all bytes are always read."""
        if a is not None:
            self.a(a)
        if b is not None:
            self.b(b)
        self.vec(Fn.XOR, Src.MEM, Dst.NONE, count)

    def check_literal(self, address: int | None, content: bytes) -> None:
        """Z falls unless memory holds these bytes."""
        if address is not None:
            self.a(address)
        self.vec(Fn.XOR, Src.LIT, Dst.NONE, len(content))
        self._literal(content)

    def check_mask(self, address: int | None, allowed: bytes) -> None:
        """Z falls if memory has a bit that ``allowed`` has not."""
        if address is not None:
            self.a(address)
        self.vec(Fn.ANDN, Src.LIT, Dst.NONE, len(allowed))
        self._literal(allowed)

    def compare(self, a: int, b: int, count: int) -> None:
        """C := a < b, little-endian; Z: equal. Flags must be fresh."""
        self.a(a)
        self.b(b)
        self.vec(Fn.SUB, Src.MEM, Dst.NONE, count)

    def compare_literal(self, a: int, content: bytes) -> None:
        """C := a < constant, little-endian. Flags must be fresh."""
        self.a(a)
        self.vec(Fn.SUB, Src.LIT, Dst.NONE, len(content))
        self._literal(content)

    def any_above(self, a: int, b: int, count: int) -> None:
        """C := some byte of a is above that of b."""
        self.a(a)
        self.b(b)
        self.vec(Fn.GT, Src.MEM, Dst.NONE, count)

    # -- control ----------------------------------------------------------------------------------------------

    def branch(self, cond: Cond, label: str) -> None:
        """Branch when ``cond``; afterwards, either way, Z = 1 and C = 0. To the end of a command it is one word."""
        if label in self._traps:
            self.control(_TRAPS[cond], self._traps[label])
            return
        self.control(Control.BR, cond.value)
        self._target(label)

    def jump(self, label: str) -> None:
        """Branch always."""
        self.branch(Cond.ALWAYS, label)

    def unless_zero(self, label: str) -> None:
        """Branch if a check failed."""
        self.branch(Cond.NZ, label)

    def if_zero(self, label: str) -> None:
        """Branch if all checks passed."""
        self.branch(Cond.Z, label)

    def call(self, label: str) -> None:
        """Call; four levels deep at most."""
        self.control(Control.CALL)
        self._target(label)

    def ret(self) -> None:
        """Back to the caller; flags as they are."""
        self.control(Control.RET)

    def djy(self, label: str) -> None:
        """Y := Y - 1, branch unless 0."""
        self.control(Control.DJY)
        self._target(label)

    def set_n(self, count: int) -> None:
        """N := count."""
        self.control(Control.SETN)
        self._word(count)

    def need_length(self, length: int) -> None:
        """Z falls unless the request's contents have this length."""
        self.control(Control.LEN)
        self._word(length)

    def unit(self, what: Unit) -> None:
        """An engine as a whole."""
        self.control(Control.UNIT, what.value)

    def index(self, pointer: str) -> None:
        """Pointer ``a``, ``b`` or ``d`` += 64 X."""
        self.control(Control.INDEX, "abd".index(pointer))

    def key(self, op: KeyOp, src: int = 0, dst: int = 0, *, src_x: bool = False, dst_x: bool = False) -> None:
        """An order to the key box; ``src_x`` and ``dst_x`` add X to the slot."""
        self._key_moves.append((len(self._words), f"KEY {op.name}", self._leaf))
        self.control(Control.KEY, op.value)
        self._word(src | src_x << 7 | dst << 8 | dst_x << 15)

    # -- the end ----------------------------------------------------------------------------------------------

    def program(self) -> Program:
        """Resolve the labels."""
        words = []
        for word in self._words:
            if isinstance(word, tuple):
                label, _ = word
                if label not in self._labels:
                    raise ValueError(f"label {label!r} is never placed")
                word = self._labels[label]
            words.append(word)
        return Program(words, dict(self._labels), self._key_moves)
