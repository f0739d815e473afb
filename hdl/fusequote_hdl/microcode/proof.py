"""Signatures with Q1 and Q2 (notes 3.2), and the signed entries that rest on them (docs/link.md 3.4)."""

from __future__ import annotations

from ..isa import Cond, Control, Dst, Fn, Port, Src, Unit
from . import map as at
from .asm import Assembler
from .fusing import need_length
from .slots import need_initialised

__all__ = ["CHAIN", "MODULUS_BYTES", "PROOF_BYTES", "emit", "end_hash"]

MODULUS_BYTES = 384
TAG = b"FQ-EMUL-ENTRY".ljust(16, b"\0")
# EENTER and ERESUME with a proof.
TCS_ADDRESS = at.BODY + at.HANDLE_BYTES
CHAIN = TCS_ADDRESS + 8
PROOF_BYTES = 32 + 4 * MODULUS_BYTES
#: what a chained command is longer by
NEXT_BYTES = 32
TICKETED_HEADER = 2 + at.TICKET_BYTES


def end_hash(asm: Assembler, size: int) -> None:
    """memory at D := the digest of a message of ``size`` bytes, a multiple of 64 below 8,192."""
    asm.control(Control.SETX, size >> 5)
    asm.call("end_hash")


def emit(asm: Assembler) -> None:
    """ECHALLENGE, and what the other leaves call."""
    asm.leaf("ECHALLENGE")
    need_length(asm, at.HANDLE_BYTES)
    asm.call("find_slot")
    need_initialised(asm)
    asm.check_byte(at.ENTRY_KEYS, 1)
    asm.unless_zero("fail_gp")
    asm.call("random")
    asm.copy(at.NONCE, at.RANDOM, 16)
    asm.fill(at.NONCE_SET, 1, 1)
    asm.copy(at.OUT_BODY, at.RANDOM, 16)
    asm.set_n(4 + 16)
    asm.jump("answer")

    _signatures(asm)
    _proof(asm)
    _ticketed(asm)


def _signatures(asm: Assembler) -> None:
    # Ends a message of whole blocks, X: its bits, high byte of two. memory at D := the digest.
    asm.label("end_hash")
    asm.send_fill(Dst.SHA, 1, 0x80)
    asm.send_fill(Dst.SHA, 61)
    asm.vec(Fn.PASSB, Src.PORT, Dst.SHA, 1, Port.X.value)
    asm.send_fill(Dst.SHA, 1)
    asm.take(None, Port.DIGEST, 32)
    asm.flags()
    asm.ret()

    # TMP_MRSIGNER := hash of the modulus at B.
    asm.label("hash_modulus")
    asm.unit(Unit.SHA_INIT)
    asm.send(Dst.SHA, None, MODULUS_BYTES)
    asm.d(at.TMP_MRSIGNER)
    asm.control(Control.SETX, MODULUS_BYTES >> 5)
    asm.jump("end_hash")

    # After the engine's verdict: RECOVERED := the signed block. Z falls unless the signature is good and the block is,
    # in all of its 384 bytes, PADDING and TMP_HASH.
    asm.label("recover")
    asm.branch(Cond.RSA_VALID, "recovered")
    asm.check_zero(at.READY, 1)
    asm.ret()
    asm.label("recovered")
    asm.d(at.RECOVERED + at.RECOVERED_BYTES - 1)
    asm.vec(Fn.PASSB, Src.PORT, Dst.MEM_DOWN, at.RECOVERED_BYTES, Port.RSA.value)
    asm.flags()
    asm.check_literal(at.RECOVERED, at.PADDING_CONSTANT[:2])
    asm.check_byte(None, 0xFF, 330)
    asm.check_literal(None, at.PADDING_CONSTANT[332:])
    asm.check_equal(None, at.TMP_HASH, 32)
    asm.ret()


def _proof(asm: Assembler) -> None:
    # A proof belongs to an enclave with an entry key, and only to one. Flags are fresh.
    asm.label("entry_form")
    asm.need_length(2 + at.HANDLE_BYTES + 8)
    asm.if_zero("entry_plain")
    asm.check_byte(at.ENTRY_KEYS, 1)
    asm.unless_zero("fail_bad_length")
    asm.ret()
    asm.label("entry_plain")
    asm.check_byte(at.ENTRY_KEYS, 1)
    asm.if_zero("fail_bad_length")
    asm.ret()

    # The proof of an entry into an enclave with an entry key, or the command ends. Keeps X.
    asm.label("check_proof")
    asm.flags()
    asm.check_byte(at.ENTRY_KEYS, 1)
    asm.if_zero("proof")
    asm.ret()
    asm.label("proof")
    asm.take(at.FOUND_TCS, Port.X, 1)
    asm.flags()
    asm.check_byte(at.NONCE_SET, 1)
    asm.unless_zero("fail_entry_proof")
    asm.b(CHAIN + 32)
    asm.call("hash_modulus")
    asm.check_equal(at.TMP_MRSIGNER, at.ENTRY_HASH, 32)
    asm.unless_zero("fail_entry_proof")
    asm.send(Dst.RSA, CHAIN + 32, 4 * MODULUS_BYTES)
    asm.unit(Unit.SHA_INIT)
    asm.send_literal(Dst.SHA, TAG)
    asm.send(Dst.SHA, at.OP, 1)
    asm.send_fill(Dst.SHA, 7)
    asm.send(Dst.SHA, at.EID, 8)
    asm.send(Dst.SHA, TCS_ADDRESS, 8)
    asm.send(Dst.SHA, at.NONCE, 16)
    asm.send(Dst.SHA, at.SECS_MRENCLAVE, 32)
    asm.send(Dst.SHA, CHAIN, 32)
    asm.send_fill(Dst.SHA, 8)
    asm.d(at.TMP_HASH)
    end_hash(asm, 128)
    wait = asm.fresh("rsa")
    asm.label(wait)
    asm.branch(Cond.RSA_BUSY, wait)
    asm.call("recover")
    asm.unless_zero("fail_entry_proof")
    asm.get(Dst.X, at.FOUND_TCS)
    asm.flags()
    asm.ret()

    # Commits a proof, if the enclave asks for one.
    asm.label("commit_proof")
    asm.flags()
    asm.check_byte(at.ENTRY_KEYS, 1)
    asm.unless_zero("no_proof")
    asm.fill(at.NONCE_SET, 1)
    asm.d(at.CHAIN_LINKS)
    asm.index("d")
    asm.copy(None, CHAIN, 32)
    asm.label("no_proof")
    asm.ret()


def _ticketed(asm: Assembler) -> None:
    # Begins a command with a ticket, N: length of its contents without ``next``. S and X := slot and TCS of the entry.
    asm.label("begin_ticketed")
    asm.take(at.TEMP, Port.N, 2)
    asm.control(Control.NLEN)
    asm.take(at.TICKETED_LENGTH, Port.N, 2)
    asm.flags()
    asm.combine(Fn.SUB, at.TICKETED_EXTRA, at.TICKETED_LENGTH, at.TEMP, 2)
    asm.flags()
    asm.check_bits(at.TICKETED_EXTRA, 0xFF & ~NEXT_BYTES)
    asm.check_zero(None, 1)
    asm.unless_zero("fail_bad_length")
    asm.call("find_ticket")
    asm.check_byte(at.ENTRY_KEYS, 1)
    asm.if_zero("chained")
    asm.check_zero(at.TICKETED_EXTRA, 1)
    asm.unless_zero("fail_bad_length")
    asm.ret()

    # The link of the command (link.md 3.4), against the one expected.
    asm.label("chained")
    asm.check_zero(at.TICKETED_EXTRA, 1)
    asm.if_zero("fail_bad_length")
    # Its bytes: all contents but op and seq, the ticket replaced. Its bits: eight times that.
    asm.combine_literal(Fn.SUB, at.TICKETED_BITS, at.TICKETED_LENGTH,
                        (TICKETED_HEADER + NEXT_BYTES).to_bytes(2, "little"))
    asm.get(Dst.N_LOW, at.TICKETED_BITS)
    asm.get(Dst.N_HIGH, None)
    asm.unit(Unit.SHA_INIT)
    asm.send(Dst.SHA, at.OP, 1)
    asm.send_fill(Dst.SHA, 15)
    # EEXIT has nothing between ticket and ``next``; a VEC of 0 bytes would take N = 0 as 8,192.
    asm.b(at.REQUEST + TICKETED_HEADER)
    asm.flags()
    asm.check_zero(at.TICKETED_BITS, 2)
    asm.if_zero("chained_next")
    asm.send(Dst.SHA, None, 0)
    asm.label("chained_next")
    asm.copy(at.NEXT_LINK, None, 32)
    asm.send(Dst.SHA, at.NEXT_LINK, 32)
    asm.flags()
    asm.combine_literal(Fn.ADD, at.TICKETED_BITS, at.TICKETED_BITS,
                        (at.TICKET_BYTES + NEXT_BYTES).to_bytes(2, "little"))
    asm.control(Control.SETY, 3)
    asm.label("chained_bits")
    asm.flags()
    asm.combine(Fn.ADD, at.TICKETED_BITS, at.TICKETED_BITS, at.TICKETED_BITS, 2)
    asm.djy("chained_bits")
    # Up to the two bytes of the length; every message ends 32 or 48 bytes into its last block.
    asm.send_fill(Dst.SHA, 1, 0x80)
    asm.send_fill(Dst.SHA, 13)
    asm.flags()
    asm.check_byte(at.OP, VERIFYREPORT)
    asm.unless_zero("chained_length")
    asm.send_fill(Dst.SHA, 16)
    asm.label("chained_length")
    asm.send(Dst.SHA, at.TICKETED_BITS + 1, 1)
    asm.send(Dst.SHA, at.TICKETED_BITS, 1)
    asm.take(at.TMP_HASH, Port.DIGEST, 32)
    asm.flags()
    asm.a(at.CHAIN_LINKS)
    asm.index("a")
    asm.check_equal(None, at.TMP_HASH, 32)
    asm.unless_zero("fail_entry_proof")
    asm.ret()

    # A command with a ticket succeeded: the next of its chain is expected.
    asm.label("advance")
    asm.flags()
    asm.check_byte(at.ENTRY_KEYS, 1)
    asm.unless_zero("not_chained")
    asm.get(Dst.X, at.FOUND_TCS)
    asm.d(at.CHAIN_LINKS)
    asm.index("d")
    asm.copy(None, at.NEXT_LINK, 32)
    asm.label("not_chained")
    asm.ret()


#: Its message is 480 bytes; those of the others end 48 bytes into a block.
VERIFYREPORT = 0x30
