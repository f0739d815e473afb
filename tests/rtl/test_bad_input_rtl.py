"""Bad input on the RTL: each command at each length, cut off in the middle, and where it is not allowed.

After each, the slots are as before and the link lives.
"""

import os
import random
import secrets

import commands_shadow as ops
import pytest
from commands_make import PT_REG, R, W, le, manufacture, secinfo
from fusequote.chip import framing
from fusequote_hdl.link.wire import MAX_CONTENTS
from model_driver import Driver, build, einit_body, enter, launch

pytestmark = [pytest.mark.rtl, pytest.mark.timeout(900)]
MOST = MAX_CONTENTS - 2
BAD_LENGTH = bytes.fromhex("0240")
NAK_TOO_LONG = bytes.fromhex("80000440")
NAK_BAD_FRAME = bytes.fromhex("80000340")
#: Lengths of the body that are right in one situation or another (docs/link.md, section 3); EEXTEND's is by count.
RIGHT = {
    ops.IDENTIFY: {0}, ops.CYCLES: {0}, ops.RESET: {0}, ops.EVENT: {0}, ops.FUSE_STATUS: {0},
    ops.FUSE_MANUFACTURE: {192}, ops.FUSE_LOCK: {0}, ops.FUSE_RAISE_SVN: {32}, ops.SET_LEPUBKEYHASH: {32},
    ops.SET_OWNEREPOCH: {16}, ops.SLOT_INFO: {9}, ops.FUSE_SCRAP: {16}, ops.ECREATE: {4160}, ops.EADD: {81, 4177},
    ops.EEXTEND: {274}, ops.EINIT: {2121}, ops.EREMOVE: {9}, ops.EENTER: {17, 1585}, ops.EEXIT: {16, 48},
    ops.EREPORT: {592, 624}, ops.EGETKEY: {528, 560}, ops.AEX: {17}, ops.ERESUME: {17, 1585}, ops.ECHALLENGE: {9},
    ops.VERIFYREPORT: {448, 480},
}  # fmt: skip


class Scene:
    """A locked chip with an enclave that is entered, and one that is being built and has a page open."""

    def __init__(self, chip):
        self.chip = chip
        self.driver = driver = Driver(chip)
        driver.do(ops.FUSE_MANUFACTURE, manufacture())
        driver.do(ops.FUSE_LOCK)
        driver.do(ops.RESET)
        self.ready = launch(driver)
        self.ticket = enter(driver, self.ready)
        self.building = build(driver, content=b"other")
        self.info = driver.do(ops.SLOT_INFO, self.ready.handle)
        page, next_page = (le(self.building.tcs + at, 8) for at in (0x1000, 0x2000))
        #: Bodies that are right but for their size, as far as they go.
        self.starts = {
            ops.EEXTEND: self.building.handle + page + b"\1",
            ops.EADD: self.building.handle + next_page + secinfo(PT_REG, R | W),
            ops.EINIT: einit_body(self.building),
            ops.EREMOVE: self.building.handle, ops.SLOT_INFO: self.ready.handle, ops.ECHALLENGE: self.ready.handle,
            **dict.fromkeys((ops.EENTER, ops.AEX, ops.ERESUME), self.ready.handle + le(self.ready.tcs, 8)),
            **dict.fromkeys(ops.OF_AN_ENTRY, self.ticket),
        }  # fmt: skip

    def contents(self, op, size):
        """A request with the next number and a body of this size."""
        seq = self.driver.seq % 255 + 1
        return bytes([op, seq]) + self.starts.get(op, b"")[:size].ljust(size, b"\0")

    def refuse(self, op, size):
        """Send ``op`` with a body of a wrong size."""
        contents = self.contents(op, size)
        answer = self.chip.execute(contents)
        if size > MOST:
            assert answer == NAK_TOO_LONG, (ops.OP_NAMES[op], size)
            return
        self.driver.seq = contents[1] if op >= 0x10 else self.driver.seq
        assert answer == bytes([op | 0x80, contents[1]]) + BAD_LENGTH, (ops.OP_NAMES[op], size, answer.hex())

    def check(self):
        """Nothing has changed: the entered enclave is entered, the other one is not ready; the link counts right."""
        driver = self.driver
        assert driver.do(ops.IDENTIFY)[23] == driver.seq
        assert driver.do(ops.SLOT_INFO, self.ready.handle) == self.info
        assert driver.status(ops.EREMOVE, self.ready.handle) == "SGX_ENCLAVE_ACT"
        assert driver.status(ops.SLOT_INFO, self.building.handle) == "FAULT_GP"

    def finish(self):
        """The ticket is good, and the measurement of the other enclave is what its good commands made it."""
        self.driver.do(ops.EEXIT, self.ticket)
        self.driver.do(ops.EINIT, einit_body(self.building))


@pytest.fixture
def scene(rtl):
    return Scene(rtl(seed="bad%20input"))


def around(sizes):
    """Where lengths are mistaken: about the right ones, powers of two and their neighbours, the ends."""
    near = {size + by for size in sizes for by in (-33, -32, -17, -16, -2, -1, 1, 2, 16, 32, 256)}
    near |= {(1 << bit) + by for bit in range(13) for by in (-1, 0, 1)} | {0, MOST - 1, MOST, MOST + 1}
    return {size for size in near if 0 <= size <= MOST + 1}


def test_lengths_about_the_right_ones(scene):
    seed = os.environ.get("FUSEQUOTE_SEED") or secrets.token_hex(8)
    print(f"seed {seed!r}")
    rng = random.Random(seed)
    for op, right in RIGHT.items():
        for size in sorted((around(right) | {rng.randrange(MOST) for _ in range(8)}) - right):
            scene.refuse(op, size)
        scene.check()
    scene.finish()


@pytest.mark.slow
@pytest.mark.timeout(2 * 3600)
@pytest.mark.parametrize("op", RIGHT, ids=ops.OP_NAMES.get)
def test_every_length(scene, op):
    for size in set(range(MOST + 2)) - RIGHT[op]:
        scene.refuse(op, size)
    scene.check()
    scene.finish()


@pytest.mark.parametrize("op", RIGHT, ids=ops.OP_NAMES.get)
def test_cut_off_in_the_middle(scene, op):
    """A frame that ends too early is a NAK, and nothing of it is run; with ``7D 7E`` too."""
    frame = framing.encode(scene.contents(op, max(RIGHT[op])))[:-1]
    rng = random.Random(op)
    # Two bytes of contents are the least there can be without being empty or noise.
    for cut in sorted({2, 3, 5, 6, len(frame) - 4, len(frame) - 1, *(rng.randrange(2, len(frame)) for _ in range(4))}):
        for end in (b"\x7e", b"\x7d\x7e"):
            if frame[:cut].endswith(b"\x7d"):
                continue
            scene.chip.port.write(frame[:cut] + end)
            assert scene.chip.receive() == NAK_BAD_FRAME, (cut, end)
    scene.check()
    scene.finish()


def test_where_it_is_not_allowed(rtl):
    """Blank, manufactured, locked but not yet booted as locked: no leaf runs; and no fuse is burnt twice."""
    chip = rtl(seed="not%20allowed")
    driver = Driver(chip)
    leaves = [op for op in RIGHT if op >= ops.SET_LEPUBKEYHASH and op != ops.FUSE_SCRAP]

    def refused(*also):
        before = driver.do(ops.FUSE_STATUS)
        for op in (*leaves, *also):
            for size in RIGHT[op]:
                assert driver.status(op, bytes(size)) == "BLOCK_LIFE_CYCLE", ops.OP_NAMES[op]
        assert driver.do(ops.FUSE_STATUS) == before

    refused(ops.FUSE_LOCK, ops.FUSE_RAISE_SVN, ops.FUSE_SCRAP)
    driver.do(ops.FUSE_MANUFACTURE, manufacture())
    refused(ops.FUSE_MANUFACTURE, ops.FUSE_RAISE_SVN)
    driver.do(ops.FUSE_LOCK)
    refused(ops.FUSE_MANUFACTURE, ops.FUSE_LOCK, ops.FUSE_RAISE_SVN, ops.FUSE_SCRAP)
    driver.do(ops.RESET)
    before = driver.do(ops.FUSE_STATUS)
    assert driver.status(ops.FUSE_MANUFACTURE, manufacture()) == "BLOCK_LIFE_CYCLE"
    assert driver.status(ops.FUSE_LOCK) == "BLOCK_LIFE_CYCLE"
    assert driver.do(ops.FUSE_STATUS) == before


def test_leaves_in_states_of_an_enclave_where_they_are_not_allowed(scene):
    """Building leaves after EINIT, entry leaves before it, entering twice, leaving twice."""
    driver, ready, building = scene.driver, scene.ready, scene.building
    page = le(ready.tcs + 0x1000, 8)
    tcs, other = (enclave.handle + le(enclave.tcs, 8) for enclave in (ready, building))
    for op, body, status in (
        (ops.EADD, ready.handle + page + secinfo(PT_REG, R | W), "FAULT_GP"),
        (ops.EEXTEND, ready.handle + page + b"\1" + bytes(256), "FAULT_GP"),
        (ops.EINIT, einit_body(ready), "FAULT_GP"),
        (ops.EENTER, tcs, "FAULT_GP"),
        (ops.ERESUME, tcs, "FAULT_GP"),
        (ops.ECHALLENGE, ready.handle, "FAULT_GP"),
        *((op, other, "FAULT_GP") for op in (ops.EENTER, ops.ERESUME, ops.AEX)),
        (ops.ECHALLENGE, building.handle, "FAULT_GP"),
        *((op, bytes(min(RIGHT[op])), "FAULT_GP") for op in ops.OF_AN_ENTRY),
        (ops.EREMOVE, bytes(9), "FAULT_PF"),
    ):
        assert driver.status(op, body) == status, ops.OP_NAMES[op]
    scene.check()
    scene.finish()
    assert driver.status(ops.EEXIT, scene.ticket) == "FAULT_GP"
    assert driver.status(ops.AEX, tcs) == "FAULT_GP"
    assert driver.status(ops.ERESUME, tcs) == "FAULT_GP"  # no AEX came before
