"""Key derivation, EREPORT, EGETKEY, VERIFYREPORT, SLOT_INFO (notes 4 to 6; docs/chip.md, sections 2 and 4)."""

from __future__ import annotations

from ..isa import Cond, Dst, Fn, KeyOp, Port, Src
from . import keys_simulation
from . import map as at
from .asm import Assembler
from .boot import emit_walk, for_x
from .fusing import need_length
from .slots import EINITTOKEN_KEY, KSS, PROVISIONKEY, need_initialised, unless_bits

__all__ = ["emit"]

# KEYNAME, KEYPOLICY (notes 1.7).
EINITTOKEN, PROVISION, PROVISION_SEAL, REPORT, SEAL = range(5)
POLICY_MRENCLAVE, POLICY_MRSIGNER, POLICY_NOISVPRODID = 0x01, 0x02, 0x04
POLICY_CONFIGID, POLICY_ISVFAMILYID, POLICY_ISVEXTPRODID = 0x08, 0x10, 0x20
POLICY_NEEDS_KSS = 0x3C
#: ATTRIBUTES that no mask can take away: INIT, DEBUG
NEVER_MASKED = bytes([0x03]) + bytes(15)

ARGUMENT = at.BODY + at.TICKET_BYTES
REQUEST_ISVSVN, REQUEST_CETMASK, REQUEST_CPUSVN = ARGUMENT + 4, ARGUMENT + 6, ARGUMENT + 8
REQUEST_POLICY, REQUEST_ATTRIBUTEMASK, REQUEST_KEYID = ARGUMENT + 2, ARGUMENT + 24, ARGUMENT + 40
REQUEST_MISCMASK, REQUEST_CONFIGSVN = ARGUMENT + 72, ARGUMENT + 76

BODY_BYTES = 384
REPORT_BYTES = 432
MAC_BYTES = 16
#: of a REPORT up to REPORTDATA
IDENTITY_BYTES = 320


def emit(asm: Assembler, *, simulation: bool = False) -> None:
    """The leaves that make and check keys and MACs. ``simulation``: keys of the profile linux-sgx-sim, not KD1."""
    _ereport(asm)
    _egetkey(asm)
    _verifyreport(asm)

    asm.leaf("SLOT_INFO")
    need_length(asm, at.HANDLE_BYTES)
    asm.call("find_slot")
    need_initialised(asm)
    asm.call("report_body")
    asm.set_n(4 + IDENTITY_BYTES)
    asm.jump("answer")

    if simulation:
        keys_simulation.emit(asm, isvsvn=REQUEST_ISVSVN, cpusvn=REQUEST_CPUSVN)
    else:
        _svns(asm)
        _derivation(asm)
    _macs(asm)


def _begin(asm: Assembler, name: str, argument: int) -> None:
    asm.leaf(name)
    asm.set_n(2 + at.TICKET_BYTES + argument)
    asm.call("begin_ticketed")


def _ereport(asm: Assembler) -> None:
    target = ARGUMENT
    _begin(asm, "EREPORT", 512 + 64)
    asm.check_zero(target + 49, 1)
    asm.check_zero(target + 56, 8)
    asm.check_zero(target + 128, 384)
    asm.unless_zero("fail_gp")
    asm.call("report_body")
    asm.copy(at.OUT_BODY + 320, target + 512, 64)
    asm.copy(at.OUT_BODY + 384, at.REPORT_KEYID, 32)
    # The report key of the target (notes 4, first column).
    asm.fill(at.KD_KEYNAME, 1, REPORT)
    asm.copy(at.KD_CONFIGSVN, target + 50, 2)
    asm.copy(at.KD_CET, target + 48, 1)
    asm.copy(at.KD_MISCSELECT, target + 52, 4)
    asm.copy(at.KD_ATTRIBUTES, target + 32, 16)
    asm.copy(at.KD_OWNEREPOCH, at.OWNEREPOCH, 16)
    asm.copy(at.KD_CPUSVN, at.CPUSVN, 16)
    asm.copy(at.KD_MRENCLAVE, target, 32)
    asm.copy(at.KD_KEYID, at.REPORT_KEYID, 32)
    asm.copy(at.KD_CONFIGID, target + 64, 64)
    asm.fill(at.KD_WITH_FUSES, 1, 1)
    asm.fill(at.KD_OWN_PADDING, 1, 1)
    # All checks have passed: all but the MAC goes on its way while that is made.
    asm.send(Dst.TX, at.OUT, 4 + REPORT_BYTES - MAC_BYTES)
    asm.call("derive")
    asm.call("key_from_tag")
    asm.send(Dst.CMAC, at.OUT_BODY, BODY_BYTES)
    asm.key(KeyOp.END)
    asm.take(at.OUT_BODY + REPORT_BYTES - MAC_BYTES, Port.TAG, MAC_BYTES)
    asm.call("advance")
    asm.literal(at.KEPT_LENGTH, (4 + REPORT_BYTES).to_bytes(2, "little"))
    asm.b(at.OUT_BODY + REPORT_BYTES - MAC_BYTES)
    asm.set_n(MAC_BYTES)
    asm.jump("answer_rest")

    # OUT_BODY := what a REPORT says of the enclave in this slot (notes 1.6); the rest of OUT is zero already.
    asm.label("report_body")
    asm.copy(at.OUT_BODY, at.CPUSVN, 16)
    asm.copy(None, at.SECS_MISCSELECT, 4)
    asm.copy(None, at.SECS_CET_ATTRIBUTES, 1)
    asm.copy(at.OUT_BODY + 32, at.ISVEXTPRODID, 16)
    asm.copy(None, at.SECS_ATTRIBUTES, 16)
    asm.copy(None, at.SECS_MRENCLAVE, 32)
    asm.copy(at.OUT_BODY + 128, at.SECS_MRSIGNER, 32)
    asm.copy(at.OUT_BODY + 192, at.SECS_CONFIGID, 64)
    asm.copy(None, at.SECS_ISVPRODID, 6)
    asm.copy(at.OUT_BODY + 304, at.ISVFAMILYID, 16)
    asm.ret()


def _verifyreport(asm: Assembler) -> None:
    _begin(asm, "VERIFYREPORT", REPORT_BYTES)
    asm.call("own_report_key")
    asm.copy(at.KD_KEYID, ARGUMENT + 384, 32)
    asm.call("derive")
    asm.call("key_from_tag")
    asm.send(Dst.CMAC, ARGUMENT, BODY_BYTES)
    asm.a(ARGUMENT + 416)
    asm.call("check_mac")
    # A report dies with the boot that it was made in.
    asm.check_equal(ARGUMENT + 384, at.REPORT_KEYID, 32)
    done = asm.fresh("verdict")
    asm.unless_zero(done)
    asm.fill(at.OUT_BODY, 1, 1)
    asm.label(done)
    asm.call("advance")
    asm.set_n(4 + 1)
    asm.jump("answer")

    # KD := EGETKEY(REPORT) of the active enclave, but for KEYID (notes 4, second column).
    asm.label("own_report_key")
    asm.fill(at.KD_KEYNAME, 1, REPORT)
    asm.copy(at.KD_CONFIGSVN, at.SECS_CONFIGSVN, 2)
    asm.copy(at.KD_CET, at.SECS_CET_ATTRIBUTES, 1)
    asm.copy(at.KD_MISCSELECT, at.SECS_MISCSELECT, 4)
    asm.copy(at.KD_ATTRIBUTES, at.SECS_ATTRIBUTES, 16)
    asm.copy(at.KD_OWNEREPOCH, at.OWNEREPOCH, 16)
    asm.copy(at.KD_CPUSVN, at.CPUSVN, 16)
    asm.copy(at.KD_MRENCLAVE, at.SECS_MRENCLAVE, 32)
    asm.copy(at.KD_CONFIGID, at.SECS_CONFIGID, 64)
    asm.fill(at.KD_WITH_FUSES, 1, 1)
    asm.ret()


def _egetkey(asm: Assembler) -> None:
    _begin(asm, "EGETKEY", 512)
    asm.check_bits(REQUEST_POLICY, 0xC0)
    asm.check_zero(REQUEST_POLICY + 1, 1)
    asm.check_zero(ARGUMENT + 7, 1)
    asm.check_zero(ARGUMENT + 78, 512 - 78)
    asm.unless_zero("fail_gp")

    def no_kss():
        asm.check_bits(REQUEST_POLICY, POLICY_NEEDS_KSS)
        asm.check_zero(REQUEST_CONFIGSVN, 2)
        asm.unless_zero("fail_gp")

    unless_bits(asm, at.SECS_ATTRIBUTES, KSS, no_kss)
    asm.check_zero(ARGUMENT + 1, 1)
    asm.unless_zero("fail_keyname")
    for keyname, label in ((EINITTOKEN, "key_einittoken"), (PROVISION, "key_provision"),
                           (PROVISION_SEAL, "key_provision_seal"), (REPORT, "key_report"), (SEAL, "key_seal")):
        asm.check_byte(ARGUMENT, keyname)
        asm.if_zero(label)
    asm.jump("fail_keyname")

    # The table of notes 5, a column each. KD starts as zeros.
    asm.label("key_einittoken")
    _need_attribute(asm, EINITTOKEN_KEY)
    asm.call("key_svns")
    asm.call("key_masked")
    asm.copy(at.KD_ISVPRODID, at.SECS_ISVPRODID, 2)
    asm.copy(at.KD_MRSIGNER, at.SECS_MRSIGNER, 32)
    asm.call("key_of_owner")
    asm.jump("key_out")

    asm.label("key_provision")
    _need_attribute(asm, PROVISIONKEY)
    asm.call("key_svns")
    asm.call("key_masked")
    asm.call("key_masks")
    asm.copy(at.KD_ISVPRODID, at.SECS_ISVPRODID, 2)
    asm.copy(at.KD_MRSIGNER, at.SECS_MRSIGNER, 32)
    asm.jump("key_out")

    asm.label("key_provision_seal")
    _need_attribute(asm, PROVISIONKEY)
    asm.call("key_svns")
    asm.call("key_configsvn")
    asm.call("key_masked")
    asm.call("key_masks")
    asm.call("key_policy")
    asm.copy(at.KD_MRSIGNER, at.SECS_MRSIGNER, 32)
    asm.fill(at.KD_WITH_FUSES, 1, 1)
    asm.jump("key_out")

    asm.label("key_seal")
    asm.call("key_svns")
    asm.call("key_configsvn")
    asm.call("key_masked")
    asm.call("key_masks")
    asm.copy(at.KD_CETMASK, REQUEST_CETMASK, 1)
    asm.call("key_policy")
    _by_policy(asm, POLICY_MRENCLAVE, at.KD_MRENCLAVE, at.SECS_MRENCLAVE, 32)
    _by_policy(asm, POLICY_MRSIGNER, at.KD_MRSIGNER, at.SECS_MRSIGNER, 32)
    asm.call("key_of_owner")

    asm.label("key_out")
    asm.copy(at.KD_KEYNAME, ARGUMENT, 1)
    asm.fill(at.KD_OWN_PADDING, 1, 1)
    asm.label("key_answer")
    asm.call("derive")
    # The only place where a derived key leaves the key box.
    asm.take(at.OUT_BODY, Port.TAG, 16)
    asm.call("advance")
    asm.set_n(4 + 16)
    asm.jump("answer_once")

    asm.label("key_report")
    asm.call("own_report_key")
    asm.copy(at.KD_KEYID, REQUEST_KEYID, 32)
    asm.jump("key_answer")

    _egetkey_parts(asm)


def _need_attribute(asm: Assembler, bit: int) -> None:
    asm.check_bits(at.SECS_ATTRIBUTES, bit)
    asm.if_zero("fail_attribute")


def _by_policy(asm: Assembler, bit: int, dst: int, src: int, size: int) -> None:
    skip = asm.fresh("policy")
    asm.flags()
    asm.check_bits(REQUEST_POLICY, bit)
    asm.if_zero(skip)
    asm.copy(dst, src, size)
    asm.label(skip)


def _svns(asm: Assembler) -> None:
    # CPUSVN and ISVSVN of the request, not above the current ones.
    asm.label("key_svns")
    asm.any_above(REQUEST_CPUSVN, at.CPUSVN, 16)
    asm.branch(Cond.C, "fail_cpusvn")
    asm.compare(at.SECS_ISVSVN, REQUEST_ISVSVN, 2)
    asm.branch(Cond.C, "fail_isvsvn")
    asm.copy(at.KD_CPUSVN, REQUEST_CPUSVN, 16)
    asm.copy(at.KD_ISVSVN, REQUEST_ISVSVN, 2)
    asm.flags()
    asm.ret()


def _egetkey_parts(asm: Assembler) -> None:
    asm.label("key_configsvn")
    asm.compare(at.SECS_CONFIGSVN, REQUEST_CONFIGSVN, 2)
    asm.branch(Cond.C, "fail_isvsvn")
    asm.ret()

    # TMP_ATTRIBUTES, TMP_MISC, TMP_CET
    asm.label("key_masked")
    asm.combine_literal(Fn.OR, at.TEMP, REQUEST_ATTRIBUTEMASK, NEVER_MASKED)
    asm.combine(Fn.AND, at.KD_ATTRIBUTES, at.TEMP, at.SECS_ATTRIBUTES, 16)
    asm.combine(Fn.AND, at.KD_MISCSELECT, REQUEST_MISCMASK, at.SECS_MISCSELECT, 4)
    asm.combine(Fn.AND, at.KD_CET, REQUEST_CETMASK, at.SECS_CET_ATTRIBUTES, 1)
    asm.ret()

    # ATTRIBUTEMASK and the complement of MISCMASK
    asm.label("key_masks")
    asm.copy(at.KD_ATTRIBUTEMASK, REQUEST_ATTRIBUTEMASK, 16)
    asm.a(REQUEST_MISCMASK)
    asm.d(at.KD_MISCMASK)
    asm.vec(Fn.XOR, Src.IMM, Dst.MEM, 4, 0xFF)
    asm.ret()

    # KEYPOLICY, and what it lets in, but for the two measurements
    asm.label("key_policy")
    asm.copy(at.KD_KEYPOLICY, REQUEST_POLICY, 2)
    no_prodid = asm.fresh("no_prodid")
    asm.flags()
    asm.check_bits(REQUEST_POLICY, POLICY_NOISVPRODID)
    asm.unless_zero(no_prodid)
    asm.copy(at.KD_ISVPRODID, at.SECS_ISVPRODID, 2)
    asm.label(no_prodid)
    _by_policy(asm, POLICY_CONFIGID, at.KD_CONFIGID, at.SECS_CONFIGID, 64)
    _by_policy(asm, POLICY_CONFIGID, at.KD_CONFIGSVN, REQUEST_CONFIGSVN, 2)
    _by_policy(asm, POLICY_ISVFAMILYID, at.KD_ISVFAMILYID, at.ISVFAMILYID, 16)
    _by_policy(asm, POLICY_ISVEXTPRODID, at.KD_ISVEXTPRODID, at.ISVEXTPRODID, 16)
    asm.ret()

    # OWNEREPOCH, KEYID of the request, sealing fuses
    asm.label("key_of_owner")
    asm.copy(at.KD_OWNEREPOCH, at.OWNEREPOCH, 16)
    asm.copy(at.KD_KEYID, REQUEST_KEYID, 32)
    asm.fill(at.KD_WITH_FUSES, 1, 1)
    asm.ret()


def _derivation(asm: Assembler) -> None:
    # The MAC becomes the key that KD asks for: AES-CMAC(K(KD.CPUSVN), KD1). No component may be above the current one.
    asm.label("derive")
    asm.flags()
    asm.combine(Fn.SUB, at.STEPS, at.CPUSVN, at.KD_CPUSVN, 16)
    asm.flags()
    asm.check_zero(at.STEPS, 16)
    asm.if_zero("derive_current")
    asm.b(at.STEPS)

    def walk():
        asm.key(KeyOp.SLOT_SLOT, src=at.CHAIN, dst=at.WALKED, src_x=True, dst_x=True)
        emit_walk(asm, at.WALKED)

    for_x(asm, at.CHAINS, walk)
    asm.key(KeyOp.SLOT_KEY, src=at.WALKED)
    for_x(asm, at.CHAINS, lambda: asm.key(KeyOp.SLOT_DATA, src=at.WALKED, src_x=True), first=1)
    asm.key(KeyOp.END)
    for_x(asm, at.CHAINS, lambda: asm.key(KeyOp.ZERO_SLOT, dst=at.WALKED, dst_x=True))
    asm.call("key_from_tag")
    asm.jump("derive_kd1")
    asm.label("derive_current")
    asm.key(KeyOp.SLOT_KEY, src=at.KEY_CURRENT)

    asm.label("derive_kd1")
    asm.send(Dst.CMAC, at.KD, at.KD_BYTES)
    asm.flags()
    no_fuses, padding, constant, done = (asm.fresh(n) for n in ("no_fuses", "padding", "constant", "done"))
    asm.check_zero(at.KD_WITH_FUSES, 1)
    asm.if_zero(no_fuses)
    asm.key(KeyOp.RSK_DATA)
    asm.jump(padding)
    asm.label(no_fuses)
    asm.send_fill(Dst.CMAC, 16)
    asm.label(padding)
    asm.flags()
    asm.check_zero(at.KD_OWN_PADDING, 1)
    asm.if_zero(constant)
    asm.send(Dst.CMAC, at.PADDING, at.PADDING_BYTES)
    asm.jump(done)
    asm.label(constant)
    asm.send_literal(Dst.CMAC, at.PADDING_CONSTANT[:2])
    asm.send_fill(Dst.CMAC, 330, 0xFF)
    asm.send_literal(Dst.CMAC, at.PADDING_CONSTANT[332:])
    asm.label(done)
    asm.key(KeyOp.END)
    asm.flags()
    asm.ret()


def _macs(asm: Assembler) -> None:
    # The MAC just made becomes the MAC key, inside the key box.
    asm.label("key_from_tag")
    asm.key(KeyOp.TAG_SLOT, dst=at.KEY_TEMP)
    asm.key(KeyOp.SLOT_KEY, src=at.KEY_TEMP)
    asm.key(KeyOp.ZERO_SLOT, dst=at.KEY_TEMP)
    asm.ret()

    # Ends the message; Z falls unless the MAC is the 16 bytes at A. All bytes are compared.
    asm.label("check_mac")
    asm.key(KeyOp.END)
    asm.flags()
    asm.vec(Fn.XOR, Src.PORT, Dst.NONE, 16, Port.TAG.value)
    asm.ret()
