"""What can be said of the program by reading it: where keys move, what can be reached, how much room is left."""

import re

import pytest
from fusequote_hdl import isa
from fusequote_hdl.microcode import Assembler, assemble, dispatch
from fusequote_hdl.microcode import map as at
from fusequote_hdl.sequencer import CALL_DEPTH, PC_BITS

PROGRAM = assemble()


def moves(kind):
    """Leaves in which a MAC or key moves this way."""
    return [leaf for _, what, leaf in PROGRAM.key_moves if what == kind]


def test_a_derived_key_leaves_the_key_box_in_egetkey_alone():
    """KEY.SW_UNREADABLE: MACs reach memory in three places: the generator, EREPORT's MAC and EGETKEY's key."""
    assert moves("VEC MEM") == ["boot", "EREPORT", "EGETKEY"]
    assert not moves("VEC TX") and not moves("VEC TX_LAST") and not moves("VEC FUSE")


def test_the_root_provisioning_key_is_used_at_boot_alone():
    """FUSE.RPK_BOOT_ONLY: and it is closed before the first request is waited for."""
    # The chains of the ratchet, and the key that the maker authorises with.
    assert moves("KEY RPK_KEY") == ["boot", "boot"]
    close = isa.Control.UNIT.value << 8 | isa.Unit.CLOSE_RPK.value
    assert close in PROGRAM.words[PROGRAM.labels["boot_end"]:PROGRAM.labels["random"]]
    waits = [i for i in instructions() if PROGRAM.words[i] >> 8 == isa.Control.WAIT.value]
    assert waits == [PROGRAM.labels["main"]]


def test_the_root_sealing_key_is_made_in_manufacture_alone():
    assert moves("KEY TAG_RSK") == ["FUSE_MANUFACTURE"]
    assert len(moves("KEY RSK_DATA")) == 1


def instructions():
    """Address -> (words of the instruction, addresses it may go on to)."""
    found = {}
    todo = [0]
    while todo:
        address = todo.pop()
        if address in found:
            continue
        found[address] = step = following(address)
        todo += step
    return found


def following(address):
    """Addresses that the instruction here may be followed by; RET by none (its CALL names the next)."""
    word = PROGRAM.words[address]
    if word >> 14:
        return [address + 1]
    if word >> 13:
        source = isa.Src(word >> 8 & 3)
        count = PROGRAM.words[address + 1] & 0xFFF
        return [address + 2 + ((count + 1) // 2 if source is isa.Src.LIT else 0)]
    control = isa.Control(word >> 8 & 31)
    if control is isa.Control.RET:
        return []
    if control is isa.Control.TRAP:
        return [isa.TRAP_VECTOR]
    if control in (isa.Control.TRAP_Z, isa.Control.TRAP_NZ, isa.Control.TRAP_C, isa.Control.TRAP_NC):
        return [isa.TRAP_VECTOR, address + 1]
    if control is isa.Control.BR:
        target = PROGRAM.words[address + 1]
        return [target] if word & 15 == isa.Cond.ALWAYS.value else [target, address + 2]
    if control in (isa.Control.CALL, isa.Control.DJY):
        return [PROGRAM.words[address + 1], address + 2]
    if control in (isa.Control.KEY, isa.Control.LEN, isa.Control.SETN):
        return [address + 2]
    if control is isa.Control.UNIT and word & 15 == isa.Unit.REBOOT.value:
        return [0]
    return [address + 1]


def test_every_word_is_an_instruction_that_can_be_reached():
    reached = set()
    for address, _ in instructions().items():
        word = PROGRAM.words[address]
        size = 1
        if word >> 13 == 1:
            size = following(address)[0] - address
        elif word >> 13 == 0 and isa.Control(word >> 8 & 31) in (
                isa.Control.BR, isa.Control.CALL, isa.Control.DJY, isa.Control.KEY, isa.Control.LEN,
                isa.Control.SETN):
            size = 2
        reached.update(range(address, address + size))
    assert reached == set(range(len(PROGRAM.words)))


def test_calls_nest_no_deeper_than_the_stack():
    """Each leaf, by the deepest chain of calls below it. One that ends a command inside a call forgets the call."""

    def depth(address, seen):
        if address in seen:
            return 0
        seen = seen | {address}
        deepest = 0
        todo, visited = [address], set()
        while todo:
            here = todo.pop()
            if here in visited:
                continue
            visited.add(here)
            word = PROGRAM.words[here]
            is_call = word >> 13 == 0 and isa.Control(word >> 8 & 31) is isa.Control.CALL
            for target in following(here):
                if is_call and target == PROGRAM.words[here + 1]:
                    deepest = max(deepest, 1 + depth(target, seen))
                elif target != PROGRAM.labels["main"]:
                    todo.append(target)
        return deepest

    for name in dispatch.NUMBERED.values():
        assert depth(PROGRAM.labels[name], frozenset()) <= CALL_DEPTH, name
    assert depth(0, frozenset()) <= CALL_DEPTH


def test_every_command_and_status_of_the_link_has_its_place():
    for name in [*dispatch.NUMBERED.values(), *dispatch.UNNUMBERED.values()]:
        assert name in PROGRAM.labels
    assert len(PROGRAM.words) <= 1 << PC_BITS


def test_regions_of_the_map_do_not_overlap():
    """Fields of the slot and of the globals, in order of address, end before the next begins."""
    slot = [(at.STATE, 1), (at.OPEN_TYPE, 1), (at.ENTRY_KEYS, 1), (at.EID, 8), (at.OPEN_PAGE, 8), (at.MEASUREMENT, 32),
            (at.BLOCKS, 8),
            (at.ISVFAMILYID, 16), (at.ISVEXTPRODID, 16), (at.TCS_COPY, at.TCS_COPY_BYTES),
            (at.ENTRY_HASH, 32), (at.NONCE, 16), (at.NONCE_SET, 1),
            (at.TCS, at.TCS_PER_SLOT * at.TCS_BYTES), (at.PADDING, at.PADDING_BYTES),
            (at.CHAIN_LINKS, at.TCS_PER_SLOT * 64), (at.SLOT_BYTES, 0)]
    scratch = [(at.KD, at.KD_BYTES), (at.KD_WITH_FUSES, 1), (at.KD_OWN_PADDING, 1), (at.FOUND_SLOT, 1),
               (at.FOUND_TCS, 1), (at.FOUND, 1), (at.TEMP, at.TEMP_BYTES), (at.STEPS, 16), (at.OPEN_LENGTH, 2),
               (at.TICKETED_LENGTH, 2), (at.TICKETED_EXTRA, 2), (at.TICKETED_BITS, 2), (at.RANDOM, 16),
               (at.GENERATIONS_NOW, 1), (at.TMP_MRENCLAVE, 32), (at.TMP_MRSIGNER, 32),
               (at.SVN_NOW, 16), (at.SVN_NUMBER, 1), (at.SVN_BIT, 1), (at.SVN_ROW, 16),
               (at.RECOVERED, at.RECOVERED_BYTES), (at.TMP_HASH, 32), (at.NEXT_LINK, 32),
               (at.SCRATCH + at.SCRATCH_BYTES, 0)]
    globals_ = [(at.LEPUBKEYHASH, 32), (at.OWNEREPOCH, 16), (at.CPUSVN, 16), (at.REPORT_KEYID, 32), (at.NEXT_EID, 8),
                (at.DEVICE_ID, 16), (at.LAST_SEQ, 1), (at.OWNEREPOCH_SET, 1), (at.READY, 1), (at.LIFE_CYCLE, 1),
                (at.GENERATIONS, 1), (at.OPTIONS, 1), (at.MAP_VERSION, 1), (at.BOOT_FAILED, 1), (at.KEPT_LENGTH, 2),
                (at.SCRATCH, at.SCRATCH_BYTES), (at.OUT, at.OUT_BYTES), (at.SIDE, at.SIDE_BYTES), (0x2000, 0)]
    for fields in (slot, scratch, globals_):
        for (first, size), (following_field, _) in zip(fields, fields[1:], strict=False):
            assert first + size <= following_field, (hex(first), hex(following_field))


def test_padding_constant_is_the_manuals():
    assert len(at.PADDING_CONSTANT) == at.PADDING_BYTES
    assert re.fullmatch(rb"\x00\x01\xff{330}\x00\x30\x31.{17}", at.PADDING_CONSTANT, re.DOTALL)


@pytest.mark.parametrize("mistake", [
    lambda asm: asm.a(0x4000),
    lambda asm: asm.vec(isa.Fn.AND, isa.Src.IMM, isa.Dst.NONE, 4096),
    lambda asm: asm.vec(isa.Fn.AND, isa.Src.IMM, isa.Dst.NONE, 1, 256),
    lambda asm: (asm.label("x"), asm.label("x")),
    lambda asm: (asm.jump("nowhere"), asm.program()),
])
def test_the_assembler_refuses(mistake):
    with pytest.raises(ValueError):
        mistake(Assembler())
