"""The instruction set of the sequencer: sixteen-bit words, two kinds of work.

The leaves of the block are short programs (:mod:`fusequote_hdl.microcode`) that move and combine *byte vectors*. One
instruction, ``VEC``, walks over up to 4,095 bytes and computes ``destination := A fn B`` byte by byte, where A is
memory, B is memory, an immediate, a literal in the program or the stream of an engine, and the destination is memory,
the stream of an engine, or a register. Everything else is control.

Word formats (bit 15 on the left)::

    01 aaaaaaaaaaaaaa            LDA  address          A := address
    10 aaaaaaaaaaaaaa            LDB  address
    11 aaaaaaaaaaaaaa            LDD  address
    001 fff ss iiiiiiii          VEC  fn, source of B, immediate or port
        dddd nnnnnnnnnnnn          second word: destination, count (0: the N register)
    000 ooooo iiiiiiii           control, some with a second word

Logical addresses are 14 bits: 0x0000-0x07FF the selected slot, 0x1000-0x1FFF globals and scratch, 0x2000-0x3FFF the
request being executed. Pointers advance by one for each byte used. A byte is fetched before the one before is written:
a destination may be A or B itself, not the byte after it.

Flags: Z stays set as long as every result byte was zero, C is carry or borrow (or, for GT, "any"). They are sticky
over VECs, so that several checks can share one branch, and every branch sets them anew (Z = 1, C = 0), taken or not.
"""

from amaranth.lib import enum

__all__ = ["Control", "Cond", "Dst", "Fn", "KeyOp", "Port", "Src", "TRAP_VECTOR", "Unit", "WORD_BITS"]

#: Width of a program word, in bits.
WORD_BITS = 16
#: Where the TRAP instructions go on; the two words before it are the start.
TRAP_VECTOR = 2


class Fn(enum.Enum, shape=3):
    """What a VEC computes from a byte of A and a byte of B."""

    #: B alone; A is not read
    PASSB = 0
    AND = 1
    #: A and not B
    ANDN = 2
    OR = 3
    XOR = 4
    #: A + B + C, little-endian over the vector
    ADD = 5
    #: A - B - C, little-endian over the vector
    SUB = 6
    #: C := C or (A > B), for each byte by itself; the result byte is 0
    GT = 7


class Src(enum.Enum, shape=2):
    """Where a VEC takes its B bytes from."""

    MEM = 0
    #: the immediate, the same for each byte
    IMM = 1
    #: the stream of an engine; the immediate is a :class:`Port`
    PORT = 2
    #: the program itself: bytes follow, two a word, low byte first
    LIT = 3


class Port(enum.Enum, shape=4):
    """Streams that a VEC can read."""

    #: the 16 bytes of a MAC
    TAG = 0
    #: the 32 bytes of the measurement engine's state
    DIGEST = 1
    #: public fuses, from the fuse pointer on
    FUSE = 2
    #: the noise source
    ENTROPY = 3
    #: the cycle counter, 4 bytes
    CYCLES = 4
    #: the X register, the same for each byte
    X = 5
    #: the N register, low byte, then high byte
    N = 6
    #: the slot register
    S = 7
    #: the signed block that the signature engine recovered, low byte first; only when RSA_VALID
    RSA = 8
    #: why the block started
    CAUSE = 9


class Dst(enum.Enum, shape=4):
    """Where a VEC puts its result bytes."""

    #: nowhere: only the flags count
    NONE = 0
    MEM = 1
    CMAC = 2
    SHA = 3
    #: replaces the measurement engine's state, 32 bytes
    SHA_STATE = 4
    TX = 5
    #: the same, and the last byte ends the answer
    TX_LAST = 6
    #: burns fuses, from the fuse pointer on
    FUSE = 7
    X = 8
    Y = 9
    S = 10
    N_LOW = 11
    N_HIGH = 12
    #: the signature engine
    RSA = 13
    #: memory, and D moves down
    MEM_DOWN = 14


class Control(enum.Enum, shape=5):
    """Control instructions. Those with a second word are marked (2)."""

    NOP = 0
    #: (2) branch to the second word when the :class:`Cond` in the immediate holds
    BR = 1
    #: (2) call; four levels
    CALL = 2
    RET = 3
    #: Z := 1, C := immediate bit 0
    FLAGS = 4
    SETX = 5
    SETY = 6
    SETS = 7
    INCX = 8
    INCS = 9
    #: (2) Y := Y - 1 and branch unless it became 0
    DJY = 10
    #: Z := Z and (X = immediate)
    CMPX = 11
    CMPS = 12
    #: A, B, D (immediate 0, 1, 2) := it + 64 X
    INDEX = 13
    #: (2) the :class:`KeyOp` in the immediate; second word: key slots
    KEY = 14
    #: an engine as a whole: :class:`Unit`
    UNIT = 15
    #: wait for a request; its length goes to N
    WAIT = 16
    #: (2) Z := Z and (length of the request = second word)
    LEN = 17
    #: (2) N := second word
    SETN = 18
    #: N := length of the request
    NLEN = 19
    #: fuse pointer := immediate, public half
    FUSEL = 20
    #: fuse pointer := immediate, secret half (can be burnt there, never read)
    FUSEH = 21
    #: end the command: X := immediate, go on at TRAP_VECTOR; always, and by Z and C as branches do
    TRAP = 22
    TRAP_Z = 23
    TRAP_NZ = 24
    TRAP_C = 25
    TRAP_NC = 26


class Cond(enum.Enum, shape=4):
    """Conditions of BR."""

    ALWAYS = 0
    Z = 1
    NZ = 2
    C = 3
    NC = 4
    #: the request that was waited for is a damaged frame
    BAD = 5
    #: it was too long
    LONG = 6
    #: an EVENT request waits
    EVENT = 7
    #: the signature engine has no verdict yet; it has, and the signature is good
    RSA_BUSY = 8
    RSA_VALID = 9
    #: the noise source failed its health tests: what it gives is not noise
    NO_ENTROPY = 10


class Unit(enum.Enum, shape=4):
    """What UNIT does."""

    SHA_INIT = 0
    #: wipe the measurement engine
    SHA_CLEAR = 1
    #: wipe the MAC engine
    CMAC_CLEAR = 2
    #: close the root provisioning key until the next boot
    CLOSE_RPK = 3
    #: from now on only what :mod:`fusequote_hdl.fuses` names can be burnt, until the next boot
    CLOSE_FUSES = 4
    CYCLES_START = 5
    CYCLES_STOP = 6
    #: start again at address 0, with everything open
    REBOOT = 7
    #: wipe the signature engine, if it was used
    RSA_CLEAR = 8


class KeyOp(enum.Enum, shape=4):
    """What the key box does; none of these shows a key to the sequencer."""

    #: end the message: the MAC is made
    END = 0
    #: MAC key := 0
    ZERO_KEY = 1
    #: MAC key := root provisioning key
    RPK_KEY = 2
    #: MAC key := key slot (source)
    SLOT_KEY = 3
    #: key slot (source) into the message
    SLOT_DATA = 4
    #: root sealing key into the message
    RSK_DATA = 5
    #: the MAC into a key slot (destination)
    TAG_SLOT = 6
    #: the MAC into the fuses of the root sealing key
    TAG_RSK = 7
    #: key slot (source) to key slot (destination)
    SLOT_SLOT = 8
    #: wipe a key slot (destination)
    ZERO_SLOT = 9
