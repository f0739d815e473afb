"""docs/chip.md sections 1 to 3 on the reference model: fuses, boot, random generator, registers."""

import hashlib
import struct

import commands_shadow as ops
import pytest
from commands_make import MRSIGNERS, NO_TOKEN, SIGNERS, cmac, keyrequest, le, manufacture, patched, sigstruct
from fusequote.chip.entropy import SimulatedEntropy
from fusequote.chip.fusefile import FuseBank
from fusequote.chip.model import ModelChip
from model_driver import Driver, blank, build, enter, launch, locked

DEVICE = b"test device 0001"
CPUSVN = bytes([255, 254, 253, 252, 251, 250, 249, 248] * 2)


class Generator:
    """docs/chip.md section 2, step 1, written a second time."""

    def __init__(self, seed, counter, boot, device_id):
        s = hashlib.sha256(
            b"fusequote simulated entropy" + hashlib.sha256(seed.encode()).digest() + struct.pack("<Q", counter)
        ).digest()
        e = s[:24] + struct.pack("<Q", (struct.unpack("<Q", s[24:])[0] + boot) % 2**64)
        self.key = cmac(bytes(16), e + device_id)

    def draw(self):
        out = cmac(self.key, b"FQ-RNG-OUT\0\0\0\0\0\0")
        self.key = cmac(self.key, b"FQ-RNG-NEXT\0\0\0\0\0")
        return out


def test_a_blank_chip_identifies_itself():
    info = blank().do(ops.IDENTIFY)
    assert info == (
        b"FQ-EMUL\0" + b"\1\0" + b"\2\0" + le(5, 4) + b"\x01\x04\x04\x02" + b"\x00\x12" + b"\0\0" + bytes(32) + bytes(8)
    )


def test_a_locked_chip_identifies_itself():
    driver = locked()
    driver.do(ops.FUSE_STATUS)
    info = driver.do(ops.IDENTIFY)
    assert info == (
        b"FQ-EMUL\0" + b"\1\0" + b"\2\0" + le(5, 4) + b"\x01\x04\x04\x02" + b"\x00\x12" + b"\x02\x01"
        + DEVICE + CPUSVN + b"\x01\x01" + bytes(6)
    )  # fmt: skip
    assert locked(options=1).do(ops.IDENTIFY)[12:16] == le(21, 4)


def test_manufacture_lock_and_reset():
    driver = blank()
    assert driver.do(ops.FUSE_STATUS) == bytes(144)
    driver.do(ops.FUSE_MANUFACTURE, manufacture(options=3, p256_key=b"p" * 32))
    head = b"\x03\x01\x01".ljust(13, b"\0")
    rest = DEVICE + MRSIGNERS[0] + MRSIGNERS[1] + MRSIGNERS[2] + CPUSVN
    assert driver.do(ops.FUSE_STATUS) == b"\x01\x03\x01\x01" + bytes(12) + rest
    assert driver.status(ops.FUSE_MANUFACTURE, manufacture()) == "BLOCK_LIFE_CYCLE"
    driver.do(ops.FUSE_LOCK)
    assert driver.do(ops.FUSE_STATUS) == b"\x02" + head[:3] + bytes(12) + rest
    assert driver.do(ops.IDENTIFY)[22] == 2 and driver.do(ops.IDENTIFY)[56] == 0
    assert driver.status(ops.FUSE_LOCK) == "BLOCK_LIFE_CYCLE"
    driver.do(ops.RESET)
    assert driver.do(ops.IDENTIFY)[22] == 2 and driver.do(ops.IDENTIFY)[56] == 1
    assert driver.status(ops.FUSE_LOCK) == "BLOCK_LIFE_CYCLE"
    assert driver.status(ops.FUSE_MANUFACTURE, manufacture()) == "BLOCK_LIFE_CYCLE"


def test_the_fuses_lie_where_the_map_says():
    fuses = FuseBank()
    driver = blank("seed", 5, fuses)
    driver.do(ops.FUSE_MANUFACTURE, manufacture(rpk=b"R" * 16, options=2, p256_key=b"p" * 32))
    generator = Generator("seed", 5, 0, bytes(16))
    generator.draw(), generator.draw()  # KEYID and EID
    generator.key = cmac(generator.key, DEVICE)
    assert fuses.image() == (
        b"\x01\x01\x02\x01" + bytes(12) + DEVICE + MRSIGNERS[0] + MRSIGNERS[1] + MRSIGNERS[2]
        + CPUSVN.ljust(128, b"\0") + b"R" * 16 + generator.draw() + b"p" * 32 + bytes(64)
    )  # fmt: skip
    driver.do(ops.FUSE_LOCK)
    assert fuses.read(0, 4) == b"\x03\x01\x02\x01"


@pytest.mark.parametrize(
    "body",
    [
        manufacture(rpk=bytes(16)),
        manufacture(device_id=bytes(16)),
        *[patched(manufacture(), at, b"\x80") for at in range(145, 160)],
        *[manufacture(options=1 << bit) for bit in range(2, 8)],
        manufacture(options=2),
        manufacture(options=3),
        manufacture(p256_key=b"\1" + bytes(31)),
        manufacture(p256_key=bytes(31) + b"\1", options=1),
    ],
)
def test_fuses_that_are_refused(body):
    fuses = FuseBank()
    driver = blank(fuses=fuses)
    assert driver.status(ops.FUSE_MANUFACTURE, body) == "FAULT_GP"
    assert fuses.image() == bytes(384)
    driver.do(ops.FUSE_MANUFACTURE, manufacture())


def test_lock_needs_a_manufactured_chip():
    fuses = FuseBank()
    assert blank(fuses=fuses).status(ops.FUSE_LOCK) == "BLOCK_LIFE_CYCLE"
    assert fuses.image() == bytes(384)


def test_a_scrapped_chip_tells_its_fuses_and_nothing_else():
    driver = locked()
    driver.chip._fuses.burn(0, b"\x80")
    driver.do(ops.RESET)
    assert driver.do(ops.FUSE_STATUS)[0] == 3 and driver.do(ops.IDENTIFY)[22] == 3
    assert driver.status(ops.FUSE_MANUFACTURE, manufacture()) == "BLOCK_LIFE_CYCLE"
    assert driver.status(ops.FUSE_LOCK) == "BLOCK_LIFE_CYCLE"
    assert driver.status(ops.SLOT_INFO, bytes(9)) == "BLOCK_LIFE_CYCLE"


def test_the_last_generation_of_cpusvn_counts():
    fuses = FuseBank()
    driver = blank(fuses=fuses)
    driver.do(ops.FUSE_MANUFACTURE, manufacture(cpusvn=bytes([200] * 16)))
    fuses.burn(1, b"\x07")
    fuses.burn(0x80 + 16, bytes([201] * 16) + bytes([210] * 16))
    assert driver.do(ops.FUSE_STATUS)[2] == 3
    assert driver.do(ops.FUSE_STATUS)[128:] == bytes([210] * 16)


def test_random_numbers_are_those_of_the_document():
    driver = locked("random", 3)
    generator = Generator("random", 3, 1, DEVICE)
    keyid, eid = generator.draw(), generator.draw()
    first, second = build(driver), build(driver)
    assert first.handle == b"\0" + eid[:8]
    assert second.handle == b"\1" + le((int.from_bytes(eid[:8], "little") + 1) % 2**64, 8)
    driver.do(ops.EREMOVE, first.handle)
    driver.do(ops.EREMOVE, second.handle)
    enclave = launch(driver)
    assert enclave.handle[1:] == le((int.from_bytes(eid[:8], "little") + 2) % 2**64, 8)
    ticket = enter(driver, enclave)
    assert ticket == generator.draw()
    assert driver.do(ops.EREPORT, ticket + bytes(576))[384:416] == keyid + bytes(16)
    driver.do(ops.EEXIT, ticket)
    assert enter(driver, enclave) == generator.draw()


def observed(driver):
    """KEYID, a ticket, and a SEAL key bound to neither identity nor SVN."""
    ticket = enter(driver, launch(driver))
    keyid = driver.do(ops.EREPORT, ticket + bytes(576))[384:416]
    return {keyid, ticket, driver.do(ops.EGETKEY, ticket + keyrequest(4))}


def test_two_chips_with_one_seed_share_no_seal_key_keyid_or_ticket():
    one, other = locked("seed", device_id=b"d" * 16), locked("seed", device_id=b"e" * 16)
    same = locked("seed", device_id=b"d" * 16)
    assert not observed(one) & observed(other)
    assert observed(locked("seed", device_id=b"d" * 16)) == observed(same)


def test_chips_made_at_two_power_ons_with_one_seed_share_nothing_either():
    assert not observed(locked("seed", 1)) & observed(locked("seed", 2))


def test_two_boots_of_one_chip_share_its_seal_key_and_nothing_else():
    fuses = FuseBank()
    driver = Driver(ModelChip(fuses, SimulatedEntropy("seed", 1)))
    driver.do(ops.FUSE_MANUFACTURE, manufacture())
    driver.do(ops.FUSE_LOCK)
    seen = []
    driver.do(ops.RESET)
    seen.append(observed(driver))
    driver.do(ops.RESET)
    seen.append(observed(driver))
    again = Driver(ModelChip(fuses, SimulatedEntropy("seed", 2)))
    seen.append(observed(again))
    for i, one in enumerate(seen):
        for other in seen[i + 1 :]:
            assert len(one & other) == 1  # sealed data outlives a reset


def test_the_slowest_boot_there_is():
    fuses = FuseBank()
    driver = blank(fuses=fuses)
    driver.do(ops.FUSE_MANUFACTURE, manufacture(cpusvn=bytes(16)))
    driver.do(ops.FUSE_LOCK)
    driver.do(ops.RESET)
    chains = driver.chip._machine.chains._chains
    for i in (0, 15):
        key = cmac(bytes(range(1, 17)), b"FQ-SVN" + bytes([i]))
        for _ in range(255):
            key = cmac(key, b"FQ-STEP" + bytes([i]))
        assert chains[i] == key


def test_registers():
    driver = locked()
    assert driver.do(ops.SET_OWNEREPOCH, b"e" * 16) == b""
    assert driver.status(ops.SET_OWNEREPOCH, b"f" * 16) == "FAULT_GP"
    driver.do(ops.SET_LEPUBKEYHASH, bytes(32))
    driver.do(ops.RESET)
    driver.do(ops.SET_OWNEREPOCH, bytes(16))
    assert driver.status(ops.SET_OWNEREPOCH, b"f" * 16) == "FAULT_GP"
    assert locked(options=1).status(ops.SET_LEPUBKEYHASH, bytes(32)) == "FAULT_GP"


def test_lepubkeyhash_comes_back_with_a_reset():
    driver = locked()
    driver.do(ops.SET_LEPUBKEYHASH, MRSIGNERS[3])
    driver.do(ops.RESET)
    enclave = build(driver)
    sig = [sigstruct(SIGNERS[i], enclave.mrenclave, enclave.attributes) for i in (3, 2)]
    assert driver.status(ops.EINIT, enclave.handle + sig[0] + NO_TOKEN) == "SGX_INVALID_EINITTOKEN"
    driver.do(ops.EINIT, enclave.handle + sig[1] + NO_TOKEN)
