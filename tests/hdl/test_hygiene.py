"""KEY.SEC_WIPE: what is left in the block after a command. Every register and memory cell is looked at."""

import hashlib

import pytest
from block_bench import DEVICE_ID, ENTROPY, LAST_CPUSVN, RPK, RSK, BlockBench, locked_fuses
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from fusequote_hdl.microcode import map as at

pytestmark = pytest.mark.timeout(600)
SLOT = 1
BASE = SLOT * at.SLOT_BYTES
TICKET = hashlib.sha256(b"ticket").digest()[:16]
MRENCLAVE, MRSIGNER = hashlib.sha256(b"enclave").digest(), hashlib.sha256(b"signer").digest()
KEYID = hashlib.sha256(b"keyid").digest()
#: Bytes of a secret that must not turn up in a row.
WINDOW = 4


def cmac(key, message):
    mac = CMAC(AES(key))
    mac.update(message)
    return mac.finalize()


def chains(svn):
    """The ratchet of docs/chip.md, section 2, at a CPUSVN of 16 equal bytes."""
    out = []
    for i in range(16):
        key = cmac(RPK, b"FQ-SVN" + bytes([i]))
        for _ in range(255 - svn):
            key = cmac(key, b"FQ-STEP" + bytes([i]))
        out.append(key)
    return out


def base_key(svn):
    first, *rest = chains(svn)
    return cmac(first, b"".join(rest))


def seal_key(svn):
    """EGETKEY(SEAL) by MRENCLAVE of the enclave below, after KD1 of the instruction notes, 5.2."""
    kd1 = bytearray(656)
    kd1[0], kd1[2] = 4, 1
    kd1[16:20] = b"\xff" * 4
    kd1[32] = 1
    kd1[80:96] = bytes([svn]) * 16
    kd1[96:128] = MRENCLAVE
    kd1[160:192] = KEYID
    kd1[288:304] = RSK
    kd1[304:656] = at.PADDING_CONSTANT
    return cmac(base_key(svn), bytes(kd1))


def preload_enclave(bench):
    """An initialised enclave with an entry, as EINIT and EENTER leave it."""
    for address, content in (
        (at.SECS_SIZE, (0x10000).to_bytes(8, "little")),
        (at.SECS_ATTRIBUTES, bytes([0x05]) + bytes(7) + bytes([3])),
        (at.SECS_MRENCLAVE, MRENCLAVE),
        (at.SECS_MRSIGNER, MRSIGNER),
        (at.STATE, bytes([at.INITIALISED])),
        (at.EID, b"\1\2\3\4\5\6\7\x08"),
        (at.TCS + at.TCS_STATE, bytes([at.TCS_ACTIVE])),
        (at.TCS + at.TCS_TICKET, TICKET),
        (at.PADDING, at.PADDING_CONSTANT),
    ):
        bench.preload(BASE + address, content)


def keyrequest(svn):
    request = bytearray(512)
    request[0], request[2] = 4, 1
    request[8:24] = bytes([svn]) * 16
    request[40:72] = KEYID
    return bytes(request)


def assert_gone(bench, *secrets):
    for memory in bench.memories():
        for secret in secrets:
            for i in range(len(secret) - WINDOW + 1):
                assert secret[i:i + WINDOW] not in memory, secret.hex()


def assert_scratch_is_clean(bench, kept=b""):
    """Scratch and answer area in the workspace, and both request banks, hold nothing."""
    workspace = next(memory for memory in bench.memories() if len(memory) == 0x4000)
    scratch = 0x2000 + (at.SCRATCH & 0xFFF)
    assert not any(workspace[scratch:scratch + at.SCRATCH_BYTES])
    out = 0x2000 + (at.OUT & 0xFFF)
    assert workspace[out:out + at.OUT_BYTES] == kept.ljust(at.OUT_BYTES, b"\0")
    for bank in [memory for memory in bench.memories() if len(memory) == 0x2000]:
        # The bytes of a frame check sequence may lie behind the contents of a frame.
        assert sum(map(bool, bank)) <= 4


def test_after_each_command():
    """Boot, EGETKEY at an older CPUSVN, EREPORT: nothing secret stays but what the slots hold."""
    async def scenario(bench):
        generator = cmac(bytes(16), ENTROPY + DEVICE_ID)
        assert_gone(bench, RPK, RSK, generator)
        preload_enclave(bench)

        answer = await bench.ask(bytes([0x28, 1]) + TICKET + keyrequest(0xFE))
        key = seal_key(0xFE)
        assert answer == bytes([0xA8, 1, 0, 0]) + key
        # The key, the chains that were walked to, the key made of them, and where all came from.
        assert_gone(bench, key, base_key(0xFE), *chains(0xFE), RPK, RSK)
        assert_scratch_is_clean(bench)
        # Nothing is kept: a repeat gets no key.
        assert await bench.ask(bytes([0x28, 1]) + bytes(528)) == bytes([0xA8, 1, 0x06, 0x40])

        target = MRENCLAVE + bytes([5]) + bytes(7) + bytes([3])
        answer = await bench.ask(bytes([0x27, 2]) + TICKET + target.ljust(512, b"\0") + b"data".ljust(64, b"\0"))
        assert answer[:4] == bytes([0xA7, 2, 0, 0]) and len(answer) == 436
        assert_gone(bench, RPK, RSK, cmac(base_key(0xFF), report_kd1(answer[4 + 384:4 + 416])))
        assert_scratch_is_clean(bench, kept=answer)

        # The ticket lives where its entry does, and nowhere else.
        memories = b"".join(bench.memories())
        assert memories.count(TICKET) == 1

    BlockBench(bytes(locked_fuses())).run(scenario)


def report_kd1(keyid):
    kd1 = bytearray(656)
    kd1[0] = 3
    kd1[32], kd1[40] = 5, 3
    kd1[80:96] = LAST_CPUSVN
    kd1[96:128] = MRENCLAVE
    kd1[160:192] = keyid
    kd1[288:304] = RSK
    kd1[304:656] = at.PADDING_CONSTANT
    return bytes(kd1)


def test_the_search_finds_what_is_there():
    """The fuses' copy of the device id is public and in the workspace: the search has to see it."""
    async def scenario(bench):
        with pytest.raises(AssertionError):
            assert_gone(bench, DEVICE_ID)
        with pytest.raises(AssertionError):
            assert_gone(bench, chains(0xFF)[3])

    BlockBench(bytes(locked_fuses())).run(scenario)


def test_what_the_maker_authorises_leaves_nothing_and_takes_the_same_time():
    """FUSE_RAISE_SVN with wrong MACs: the right one is made inside and stays there, and where a MAC is wrong does not
    show in time. The maker's key is in its slot of the key box, once, and nowhere else."""
    async def scenario(bench):
        maker = cmac(RPK, b"FQ-MAKER".ljust(16, b"\0"))
        right = cmac(maker, b"FQ-RAISE-SVN".ljust(16, b"\0") + DEVICE_ID + LAST_CPUSVN)
        cycles = set()
        for seq, wrong_at in enumerate((0, 7, 15), 1):
            mac = bytearray(right)
            mac[wrong_at] ^= 1 << wrong_at % 8
            assert await bench.ask(bytes([0x13, seq]) + LAST_CPUSVN + mac) == bytes([0x93, seq, 8, 0])
            cycles.add((await bench.ask(bytes([0x02, 0])))[4:])
            assert_gone(bench, right, RPK, RSK)
            assert_scratch_is_clean(bench, kept=bytes([0x93, seq, 8, 0]))
            assert sum(memory.count(maker) for memory in bench.memories()) == 1
        assert len(cycles) == 1
        # The right MAC, of a CPUSVN that is not above the current one: refused later, and as clean.
        assert await bench.ask(bytes([0x13, 4]) + LAST_CPUSVN + right) == bytes([0x93, 4, 0x20, 0])
        assert_gone(bench, right, RPK, RSK)

    BlockBench(bytes(locked_fuses())).run(scenario)
