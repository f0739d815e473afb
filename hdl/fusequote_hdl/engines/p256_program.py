"""The program of the P-256 signing engine: 18-bit instructions, and what they compute.

ECDSA (FIPS 186-5, section 6.4.1) with the nonce as it comes. k G is summed with a comb of four teeth: 64 times a
doubling and an addition of one of 16 points of the table, always both, by the complete formulas of Renes, Costello and
Batina (IACR ePrint 2015/1060, algorithms 4 and 6): they hold for all points, the neutral one as well. Inverses are
powers (Fermat) whose exponents p - 2 and n - 2 are public. So only public numbers decide which instructions run.
"""

from dataclasses import dataclass
from enum import IntEnum

from amaranth.lib import data, enum

from .p256_alu import Register
from .p256_numbers import CONSTANTS

__all__ = ["HASH", "KEY", "NONCE", "REGISTERS", "Control", "Instruction", "Kind", "Word", "sign"]


class Kind(enum.Enum, shape=3):
    """What an instruction does."""

    MUL_P = 0    #: d = a * b / R mod p
    MUL_N = 1    #: d = a * b / R mod n
    ADD_P = 2    #: d = a + b mod p
    ADD_N = 3    #: d = a + b mod n
    SUB_P = 4    #: d = a - b mod p
    LOAD = 5     #: d = coordinate a of the entry that the digit says, or (a = 7) constant b
    LOOK = 6     #: d = 0: bit (counter + 64 b) of a moves into the digit; d = 1: the signature fails unless 0 < a < n
    CONTROL = 7  #: see :class:`Control`; the number is a + 32 b


class Control(IntEnum):
    """Which control, in d."""

    END = 0   #: of the program
    SET = 1   #: counter = number
    NEXT = 2  #: unless the counter is 0, count down and go to the number
    ZERO = 3  #: go to the number if the lowest bit of the digit is 0


class Word(data.Struct):
    """An instruction in the program's memory."""

    b: 5
    a: 5
    d: 5
    kind: Kind


@dataclass(frozen=True)
class Instruction:
    """One instruction: numbers of registers, or what else :class:`Kind` says."""

    kind: Kind
    d: int = 0
    a: int = 0
    b: int = 0

    def encode(self) -> int:
        """18 bits, laid out as :class:`Word`."""
        return self.b | self.a << 5 | self.d << 10 | self.kind.value << 15


_NAMES = ("zero", "x1", "y1", "z1", "x2", "y2", "z2", "x3", "y3", "z3", "t0", "t1", "t2", "t3", "t4", "curve_b",
          "key", "nonce", "hash", "power", "base", "exponent", "unit", "square")
#: Register of each name. ``zero`` is never written but by a wipe; r and s are the two that the wipe after a
#: signature leaves.
REGISTERS = {name: number for number, name in enumerate(_NAMES)} | {
    "q": int(Register.Q), "t": int(Register.T), "p": int(Register.P), "n": int(Register.N), "r": 30, "s": 31}
KEY, NONCE, HASH = (REGISTERS[name] for name in ("key", "nonce", "hash"))

#: Point 3 = 2 * point 1. Algorithm 6, line by line.
_DOUBLE = """
t0 = x1 * x1; t1 = y1 * y1; t2 = z1 * z1; t3 = x1 * y1; t3 = t3 + t3; z3 = x1 * z1; z3 = z3 + z3
y3 = curve_b * t2; y3 = y3 - z3; x3 = y3 + y3; y3 = x3 + y3; x3 = t1 - y3; y3 = t1 + y3; y3 = x3 * y3; x3 = x3 * t3
t3 = t2 + t2; t2 = t2 + t3; z3 = curve_b * z3; z3 = z3 - t2; z3 = z3 - t0; t3 = z3 + z3; z3 = z3 + t3
t3 = t0 + t0; t0 = t3 + t0; t0 = t0 - t2; t0 = t0 * z3; y3 = y3 + t0; t0 = y1 * z1; t0 = t0 + t0; z3 = t0 * z3
x3 = x3 - z3; z3 = t0 * t1; z3 = z3 + z3; z3 = z3 + z3
"""
#: Point 1 = point 3 + point 2. Algorithm 4, with 1 and 3 the other way round.
_ADD = """
t0 = x3 * x2; t1 = y3 * y2; t2 = z3 * z2; t3 = x3 + y3; t4 = x2 + y2; t3 = t3 * t4; t4 = t0 + t1; t3 = t3 - t4
t4 = y3 + z3; x1 = y2 + z2; t4 = t4 * x1; x1 = t1 + t2; t4 = t4 - x1; x1 = x3 + z3; y1 = x2 + z2; x1 = x1 * y1
y1 = t0 + t2; y1 = x1 - y1; z1 = curve_b * t2; x1 = y1 - z1; z1 = x1 + x1; x1 = x1 + z1; z1 = t1 - x1; x1 = t1 + x1
y1 = curve_b * y1; t1 = t2 + t2; t2 = t1 + t2; y1 = y1 - t2; y1 = y1 - t0; t1 = y1 + y1; y1 = t1 + y1
t1 = t0 + t0; t0 = t1 + t0; t0 = t0 - t2; t1 = t4 * y1; t2 = t0 * y1; y1 = x1 * z1; y1 = y1 + t2; x1 = t3 * x1
x1 = x1 - t1; z1 = t4 * z1; t1 = t3 * t0; z1 = z1 + t1
"""
_CONSTANT = 7


class _Program:
    def __init__(self) -> None:
        self.instructions: list[Instruction] = []

    def compute(self, lines: str, modulus: str = "p") -> None:
        """``d = a op b`` for each, separated by semicolons or line ends."""
        kinds = {"p": {"*": Kind.MUL_P, "+": Kind.ADD_P, "-": Kind.SUB_P}, "n": {"*": Kind.MUL_N, "+": Kind.ADD_N}}
        for line in lines.strip().replace("\n", ";").split(";"):
            d, _, a, operator, b = line.split()
            self.instructions.append(
                Instruction(kinds[modulus][operator], *(REGISTERS[name] for name in (d, a, b))))

    def constant(self, register: str, name: str) -> None:
        self.instructions.append(
            Instruction(Kind.LOAD, REGISTERS[register], _CONSTANT, list(CONSTANTS).index(name)))

    def look(self, register: str, teeth: int = 0) -> None:
        self.instructions.append(Instruction(Kind.LOOK, 0, REGISTERS[register], teeth))

    def check(self, register: str) -> None:
        self.instructions.append(Instruction(Kind.LOOK, 1, REGISTERS[register]))

    def control(self, what: Control, number: int = 0) -> None:
        self.instructions.append(Instruction(Kind.CONTROL, int(what), number & 31, number >> 5))

    def invert(self, modulus: str) -> None:
        """power = 1 / base, all times R."""
        self.constant("power", f"one mod {modulus}")
        self.constant("exponent", f"{modulus} - 2")
        self.control(Control.SET, 255)
        start = len(self.instructions)
        self.compute("power = power * power", modulus)
        self.look("exponent")
        self.control(Control.ZERO, start + 4)
        self.compute("power = power * base", modulus)
        self.control(Control.NEXT, start)


def sign() -> list[Instruction]:
    """s = (z + r d) / k and r = x(k G), modulo n; ``key``, ``nonce`` and ``hash`` are there at the start."""
    program = _Program()
    for register, name in (("p", "p"), ("n", "n"), ("curve_b", "b"), ("unit", "one"), ("square", "R R mod n"),
                           ("y1", "one mod p")):  # point 1 is neutral: x1 and z1 are wiped
        program.constant(register, name)
    program.check("key")
    program.check("nonce")

    program.control(Control.SET, 63)
    start = len(program.instructions)
    program.compute(_DOUBLE)
    for teeth in (3, 2, 1, 0):
        program.look("nonce", teeth)
    for coordinate, register in enumerate(("x2", "y2", "z2")):
        program.instructions.append(Instruction(Kind.LOAD, REGISTERS[register], coordinate))
    program.compute(_ADD)
    program.control(Control.NEXT, start)

    program.compute("base = z1 + zero")
    program.invert("p")
    program.compute("x1 = x1 * power; x1 = x1 * unit")
    program.compute("r = x1 + zero", "n")
    program.check("r")

    program.compute("base = nonce * square", "n")
    program.invert("n")
    program.compute("key = key * square; t0 = r * key; hash = hash + zero; t0 = t0 + hash; s = t0 * power", "n")
    program.check("s")
    program.control(Control.END)
    return program.instructions
