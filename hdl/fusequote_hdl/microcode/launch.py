"""EINIT (notes 3.1, in its order; docs/chip.md, section 4)."""

from __future__ import annotations

from ..isa import Cond, Control, Dst, Fn, Port, Src, Unit
from . import map as at
from . import proof
from .asm import Assembler
from .fusing import need_length, need_ready
from .slots import DEBUG, EINITTOKEN_KEY, KSS, PROVISIONKEY, need_building, unless_bits

__all__ = ["emit"]

SIGSTRUCT = at.BODY + at.HANDLE_BYTES
TOKEN = SIGSTRUCT + 1808
HEADER = bytes.fromhex("06000000E10000000000010000000000")
HEADER2 = bytes.fromhex("01010000600000006000000001000000")
VENDOR_INTEL = (0x8086).to_bytes(4, "little")
EXPONENT = (3).to_bytes(4, "little")
INIT = 0x01


def emit(asm: Assembler) -> None:
    """EINIT."""
    sig = SIGSTRUCT
    asm.leaf("EINIT")
    need_length(asm, at.HANDLE_BYTES + 1808 + 304)
    need_ready(asm)

    # 2. A well-formed SIGSTRUCT.
    asm.check_literal(sig, HEADER)
    asm.check_literal(sig + 24, HEADER2)
    asm.check_zero(sig + 44, 84)
    asm.check_literal(sig + 512, EXPONENT)
    asm.check_zero(sig + 910, 2)
    asm.check_zero(sig + 992, 16)
    asm.check_zero(sig + 1028, 12)
    asm.unless_zero("fail_sig_struct")
    vendor = asm.fresh("vendor")
    asm.check_zero(sig + 16, 4)
    asm.if_zero(vendor)
    asm.check_literal(sig + 16, VENDOR_INTEL)
    asm.unless_zero("fail_sig_struct")
    asm.label(vendor)

    # 3., 4. The signature, over the integers; while the engine works, events are looked for.
    asm.branch(Cond.EVENT, "einit_event")
    for field, numbers in ((sig + 128, 1), (sig + 516, 1), (sig + 1040, 2)):
        asm.send(Dst.RSA, field, numbers * proof.MODULUS_BYTES)
    asm.unit(Unit.SHA_INIT)
    asm.send(Dst.SHA, sig, 128)
    asm.send(Dst.SHA, sig + 900, 128)
    asm.d(at.TMP_HASH)
    proof.end_hash(asm, 256)
    wait = asm.fresh("rsa")
    asm.label(wait)
    asm.branch(Cond.EVENT, "einit_event")
    asm.branch(Cond.RSA_BUSY, wait)
    asm.call("recover")
    asm.unless_zero("fail_signature")

    # 5., 6.
    asm.call("find_slot")
    need_building(asm)

    def no_family():
        asm.check_zero(sig + 912, 16)
        asm.unless_zero("fail_sig_struct")

    unless_bits(asm, at.SECS_ATTRIBUTES, KSS, no_family)

    # 7. The measurement is finished on a copy: a refused enclave may try again.
    asm.call("finish_measurement")
    asm.flags()
    asm.check_equal(at.TMP_MRENCLAVE, sig + 960, 32)
    asm.unless_zero("fail_measurement")
    # Ours: an enclave has one entry key or none.
    asm.check_byte(at.ENTRY_KEYS, 2)
    asm.if_zero("fail_measurement")

    # 8. MRSIGNER
    asm.b(sig + 128)
    asm.call("hash_modulus")

    # 9. EINITTOKEN_KEY is for the launch enclave's signer ..
    skip = asm.fresh("no_token_key")
    asm.check_bits(at.SECS_ATTRIBUTES, EINITTOKEN_KEY)
    asm.if_zero(skip)
    asm.check_equal(at.TMP_MRSIGNER, at.LEPUBKEYHASH, 32)
    asm.unless_zero("fail_attribute")
    asm.label(skip)
    # .. and PROVISIONKEY, our rule, for the two fused signers.
    skip = asm.fresh("no_provision_key")
    asm.check_bits(at.SECS_ATTRIBUTES, PROVISIONKEY)
    asm.if_zero(skip)
    for fuse in (0x20, 0x40):
        asm.control(Control.FUSEL, fuse)
        asm.a(at.TMP_MRSIGNER)
        asm.vec(Fn.XOR, Src.PORT, Dst.NONE, 32, Port.FUSE.value)
        asm.if_zero(skip)
    asm.jump("fail_attribute")
    asm.label(skip)

    # 10., 11. What the signer demands of attributes, under his masks.
    for field, value, mask, size in (
        (at.SECS_ATTRIBUTES, 928, 944, 16),
        (at.SECS_MISCSELECT, 900, 904, 4),
        (at.SECS_CET_ATTRIBUTES, 908, 909, 1),
    ):
        asm.combine(Fn.XOR, at.TEMP, field, sig + value, size)
        asm.flags()
        asm.a(at.TEMP)
        asm.b(sig + mask)
        asm.vec(Fn.AND, Src.MEM, Dst.NONE, size)
        asm.unless_zero("fail_attribute")

    # 12. Without a token only LEPUBKEYHASH's owner may launch.
    asm.check_bits(TOKEN, 0x01)
    asm.unless_zero("einit_token")
    asm.check_equal(at.TMP_MRSIGNER, at.LEPUBKEYHASH, 32)
    asm.unless_zero("fail_einittoken")

    # 18. Commit.
    asm.label("einit_commit")
    asm.copy(at.SECS_MRENCLAVE, at.TMP_MRENCLAVE, 32)
    asm.copy(at.SECS_MRSIGNER, at.TMP_MRSIGNER, 32)
    asm.copy(at.SECS_ISVPRODID, sig + 1024, 4)
    asm.copy(at.ISVFAMILYID, sig + 912, 16)
    asm.copy(at.ISVEXTPRODID, sig + 1008, 16)
    asm.copy(at.PADDING, at.RECOVERED, at.PADDING_BYTES)
    asm.a(at.SECS_ATTRIBUTES)
    asm.d(at.SECS_ATTRIBUTES)
    asm.vec(Fn.OR, Src.IMM, Dst.MEM, 1, INIT)
    asm.fill(at.OPEN_TYPE, 1)
    asm.fill(at.STATE, 1, at.INITIALISED)
    asm.jump("answer_empty")

    asm.label("einit_event")
    asm.jump("fail_event")

    _token(asm)
    _finish_measurement(asm)


def _token(asm: Assembler) -> None:
    token = TOKEN
    asm.label("einit_token")
    # 13. A debug launch enclave launches no production enclave.
    good = asm.fresh("debug")
    asm.check_bits(token + 240, DEBUG)
    asm.if_zero(good)
    asm.check_bits(at.SECS_ATTRIBUTES, DEBUG)
    asm.if_zero("fail_einittoken")
    asm.label(good)
    # 14.
    asm.check_bits(token, 0xFE)
    for first, last in ((1, 3), (4, 47), (96, 127), (160, 191), (213, 235)):
        asm.check_zero(token + first, last - first + 1)
    asm.unless_zero("fail_einittoken")
    # 15.
    asm.any_above(token + 192, at.CPUSVN, 16)
    asm.branch(Cond.C, "fail_cpusvn")
    # 16. The EINITTOKEN key as the launch enclave had it (KEYNAME 0).
    asm.copy(at.KD_ISVPRODID, token + 208, 4)
    asm.copy(at.KD_CET, token + 212, 1)
    asm.copy(at.KD_MISCSELECT, token + 236, 4)
    asm.copy(at.KD_ATTRIBUTES, token + 240, 16)
    asm.copy(at.KD_OWNEREPOCH, at.OWNEREPOCH, 16)
    asm.copy(at.KD_CPUSVN, token + 192, 16)
    asm.copy(at.KD_MRSIGNER, at.LEPUBKEYHASH, 32)
    asm.copy(at.KD_KEYID, token + 256, 32)
    asm.fill(at.KD_WITH_FUSES, 1, 1)
    asm.call("derive")
    asm.call("key_from_tag")
    asm.send(Dst.CMAC, token, 192)
    asm.a(token + 288)
    asm.call("check_mac")
    asm.unless_zero("fail_einittoken")
    # 17.
    asm.check_equal(token + 64, at.TMP_MRENCLAVE, 32)
    asm.check_equal(token + 128, at.TMP_MRSIGNER, 32)
    asm.unless_zero("fail_measurement")
    asm.check_equal(token + 48, at.SECS_ATTRIBUTES, 16)
    asm.unless_zero("fail_attribute")
    asm.jump("einit_commit")


def _finish_measurement(asm: Assembler) -> None:
    """TMP_MRENCLAVE := the finished measurement: one more block, 80, zeros, 64-bit big-endian bit length."""
    asm.label("finish_measurement")
    # 512 x blocks = 2 x blocks, one byte further left.
    asm.flags()
    asm.combine(Fn.ADD, at.TEMP, at.BLOCKS, at.BLOCKS, 8)
    asm.call("measurement_load")
    asm.send_fill(Dst.SHA, 1, 0x80)
    asm.send_fill(Dst.SHA, 55)
    for byte in reversed(range(7)):
        asm.send(Dst.SHA, at.TEMP + byte, 1)
    asm.send_fill(Dst.SHA, 1)
    asm.take(at.TMP_MRENCLAVE, Port.DIGEST, 32)
    asm.ret()
