"""The P-256 engine's program run on integers: what each instruction is documented to do, without the hardware."""

from fusequote_hdl.engines.p256_alu import PRODUCT_CYCLES, SUM_CYCLES
from fusequote_hdl.engines.p256_numbers import N, P, R, table_words
from fusequote_hdl.engines.p256_program import HASH, KEY, NONCE, REGISTERS, Control, Kind, sign

#: Beside the ALU's cycles: fetch; an instruction that it does not run has the decoding, a bit one more.
_PASS_CYCLES = 21


def entry(table, number, column):
    """A number of 256 bits in the engine's table."""
    return sum(word << 16 * k for k, word in enumerate(table[(4 * number + column) * 16:][:16]))


def run(key, nonce, digest):
    """(r, s) or None, and the cycles of the program."""
    program, table = sign(), table_words()
    registers = [0] * 32
    registers[KEY], registers[NONCE], registers[HASH] = key, nonce, digest
    pc = counter = digit = cycles = 0
    failed = False
    while True:
        at = program[pc]
        pc, cycles = pc + 1, cycles + 1
        a, b = registers[at.a], registers[at.b]
        match at.kind:
            case Kind.MUL_P | Kind.MUL_N:
                modulus = P if at.kind is Kind.MUL_P else N
                registers[at.d] = a * b * pow(R, -1, modulus) % modulus
                cycles += PRODUCT_CYCLES
            case Kind.ADD_P | Kind.SUB_P | Kind.ADD_N:
                modulus = N if at.kind is Kind.ADD_N else P
                registers[at.d] = (a - b if at.kind is Kind.SUB_P else a + b) % modulus
                cycles += SUM_CYCLES
            case Kind.LOAD:
                registers[at.d] = entry(table, at.b, 3) if at.a & 4 else entry(table, digit, at.a)
                cycles += _PASS_CYCLES
            case Kind.LOOK if at.d:
                failed |= not 0 < a < N
                cycles += _PASS_CYCLES
            case Kind.LOOK:
                digit = digit << 1 & 15 | a >> counter + 64 * at.b & 1
                cycles += 2
            case Kind.CONTROL:
                cycles += 1
                number = at.a | at.b << 5
                match at.d:
                    case Control.END:
                        pair = registers[REGISTERS["r"]], registers[REGISTERS["s"]]
                        return None if failed else pair, cycles
                    case Control.SET:
                        counter = number
                    case Control.NEXT if counter:
                        counter, pc = counter - 1, number
                    case Control.ZERO if not digit & 1:
                        pc = number
