"""The profile ``linux-sgx-sim``: keys as Intel's SDK derives them in simulation mode (notes 5.2 (1); docs/chip.md 6).

It stands in for KD1 in :mod:`.keys`: the same leaves fill the same fields, and here they are checked, packed and keyed
as Intel's simulator does. Every key here is public. Neither fuses nor the ratchet enter: this profile is for the test
bench, and :class:`fusequote_hdl.block.Block` refuses it for a board.
"""

from __future__ import annotations

from ..isa import Cond, Dst, Fn, KeyOp, Src
from . import map as at
from .asm import Assembler

__all__ = ["BASE_KEYS", "BASE_KEY_MESSAGES", "CPUSVNS", "LAYOUTS", "REPORT_KEYID", "emit"]

EINITTOKEN, PROVISION, PROVISION_SEAL, REPORT, SEAL = range(5)

#: Intel's base keys by KEYNAME.
BASE_KEYS = {
    EINITTOKEN: bytes.fromhex("aa55" * 8),
    PROVISION: bytes.fromhex("bbaabbeeff0000dd" * 2),
    PROVISION_SEAL: b"PROVISIONSEALKEY",
    REPORT: bytes.fromhex("ff00" * 8),
    SEAL: bytes.fromhex("00112233445566778899aabbccddeeff"),
}
#: The key box takes no key from the program. But it makes MACs, and for one block M there is
#: AES-CMAC(0, M) = base key: M = AES^-1(0, base key) xor K1(0).
BASE_KEY_MESSAGES = {
    EINITTOKEN: bytes.fromhex("3551fec26f1a32cd16f8d088cb05cefe"),
    PROVISION: bytes.fromhex("3b5fe92bd5cfbb0a645727d5ddeb32c1"),
    PROVISION_SEAL: bytes.fromhex("629bf0f78c708bbb0d7ccb6c2e82059c"),
    REPORT: bytes.fromhex("2045608d9716371470f90682211a284d"),
    SEAL: bytes.fromhex("cc628915ef58e623775d2330e2913241"),
}
#: CR_REPORT_KEYID: not random there.
REPORT_KEYID = BASE_KEYS[REPORT] + bytes(16)
OWNEREPOCH = b"THISISOWNEREPOCH"
#: Downgraded, default, upgraded.
CPUSVNS = tuple(bytes.fromhex(svn) for svn in (
    "64ea4f3fa0030c36383c322d4f3a8d4f", "4820f3376ae6b2f2034d3b7a4b48a778", "5339ae8c93ae8f3ce432db924d0f0733"))

_NAME, _POLICY = (at.KD_KEYNAME, 2), (at.KD_KEYPOLICY, 2)
_ATTRIBUTES, _ATTRIBUTEMASK = (at.KD_ATTRIBUTES, 16), (at.KD_ATTRIBUTEMASK, 16)
_MISC, _MISCMASK = (at.KD_MISCSELECT, 4), (at.KD_MISCMASK, 4)
_EPOCH = OWNEREPOCH
_CPUSVN, _ISVSVN, _PRODID = (at.KD_CPUSVN, 16), (at.KD_ISVSVN, 2), (at.KD_ISVPRODID, 2)
_CONFIG = ((at.KD_CONFIGSVN, 2), (at.KD_CONFIGID, 64))
_PRODUCT = ((at.KD_ISVFAMILYID, 16), (at.KD_ISVEXTPRODID, 16))
_MRENCLAVE, _MRSIGNER, _KEYID = (at.KD_MRENCLAVE, 32), (at.KD_MRSIGNER, 32), (at.KD_KEYID, 32)

#: What is MACed, by KEYNAME: (address, bytes) of a field, bytes as such, or how many zero bytes. These are C structures
#: with the alignment of x86-64: ATTRIBUTES stand at a multiple of 8, and the whole is one.
LAYOUTS: dict[int, tuple[tuple[int, int] | bytes | int, ...]] = {
    EINITTOKEN: (_NAME, 6, _ATTRIBUTES, _MISC, _EPOCH, _CPUSVN, _ISVSVN, _PRODID, _MRSIGNER, _KEYID),
    PROVISION: (_NAME, 6, _ATTRIBUTES, _ATTRIBUTEMASK, _MISC, _MISCMASK, _CPUSVN, _ISVSVN, _PRODID, _MRSIGNER, 4),
    PROVISION_SEAL: (_NAME, _POLICY, 4, _ATTRIBUTES, _ATTRIBUTEMASK, _MISC, _MISCMASK, _CPUSVN, _ISVSVN, _PRODID,
                     *_CONFIG, *_PRODUCT, _MRSIGNER, 2),
    REPORT: (_NAME, 6, _ATTRIBUTES, _MISC, _EPOCH, _MRENCLAVE, _CPUSVN, *_CONFIG, _KEYID, 2),
    SEAL: (_NAME, _POLICY, 4, _ATTRIBUTES, _ATTRIBUTEMASK, _MISC, _MISCMASK, _EPOCH, _CPUSVN, _ISVSVN, _PRODID,
           *_CONFIG, *_PRODUCT, _MRENCLAVE, _MRSIGNER, _KEYID, 2),
}


def emit(asm: Assembler, *, isvsvn: int, cpusvn: int) -> None:
    """The subroutines ``key_svns`` and ``derive`` of this profile; ``isvsvn`` and ``cpusvn``: where the KEYREQUEST has
    them.
    """
    _svns(asm, isvsvn, cpusvn)
    _derive(asm)


def _svns(asm: Assembler, isvsvn: int, cpusvn: int) -> None:
    # ISVSVN before CPUSVN. CPUSVN 0 is the default one; the three have an order of their own, any other is refused.
    downgraded, default, upgraded = CPUSVNS
    asm.label("key_svns")
    asm.flags()
    asm.compare(at.SECS_ISVSVN, isvsvn, 2)
    asm.branch(Cond.C, "fail_isvsvn")
    asm.copy(at.KD_ISVSVN, isvsvn, 2)
    asm.copy(at.KD_CPUSVN, cpusvn, 16)
    asm.flags()
    given, good = asm.fresh("svn_given"), asm.fresh("svn_good")
    asm.check_zero(at.KD_CPUSVN, 16)
    asm.unless_zero(given)
    asm.literal(at.KD_CPUSVN, default)
    asm.flags()
    asm.label(given)
    asm.check_literal(at.KD_CPUSVN, downgraded)
    asm.if_zero(good)
    asm.check_literal(at.CPUSVN, downgraded)
    asm.if_zero("fail_cpusvn")
    asm.check_literal(at.KD_CPUSVN, default)
    asm.if_zero(good)
    asm.check_literal(at.CPUSVN, default)
    asm.if_zero("fail_cpusvn")
    asm.check_literal(at.KD_CPUSVN, upgraded)
    asm.unless_zero("fail_cpusvn")
    asm.label(good)
    asm.flags()
    asm.ret()


def _derive(asm: Assembler) -> None:
    # The MAC becomes the key that KD asks for.
    asm.label("derive")
    asm.flags()
    for name in LAYOUTS:
        asm.check_byte(at.KD_KEYNAME, name)
        asm.if_zero(f"derive_{name}")
    for name, layout in LAYOUTS.items():
        asm.label(f"derive_{name}")
        asm.key(KeyOp.ZERO_KEY)
        asm.send_literal(Dst.CMAC, BASE_KEY_MESSAGES[name])
        asm.key(KeyOp.END)
        asm.call("key_from_tag")
        for part in layout:
            if isinstance(part, int):
                asm.vec(Fn.PASSB, Src.IMM, Dst.CMAC, part)
            elif isinstance(part, bytes):
                asm.send_literal(Dst.CMAC, part)
            else:
                asm.send(Dst.CMAC, *part)
        asm.key(KeyOp.END)
        asm.flags()
        asm.ret()
