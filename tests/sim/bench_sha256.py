"""cocotb bench of the SHA-256 engine."""

import hashlib
import random
from pathlib import Path

import cocotb
import cryptography_vectors
from bench_streams import get, pulse, put, reset, until_idle

NIST = Path(cryptography_vectors.__file__).parent / "hashes" / "SHA2" / "SHA256ShortMsg.rsp"


def padded(message: bytes) -> bytes:
    """With the padding of FIPS 180-4, section 5.1.1."""
    zeros = -(len(message) + 9) % 64
    return message + b"\x80" + bytes(zeros) + (8 * len(message)).to_bytes(8, "big")


async def start(dut) -> None:
    await reset(dut, init=0, read=0, clear=0)


async def digest(dut, pauses: float = 0.0) -> bytes:
    """The chaining value."""
    await until_idle(dut)
    await pulse(dut, "read")
    return bytes(await get(dut, "digest", 32, pauses))


async def sha256(dut, message: bytes, pauses: float = 0.0) -> bytes:
    """The hash of ``message``."""
    await until_idle(dut)
    await pulse(dut, "init")
    await put(dut, "data", padded(message), pauses)
    return await digest(dut, pauses)


def nist() -> list[tuple[bytes, bytes]]:
    records, fields = [], {}
    for line in NIST.read_text().splitlines():
        name, equals, value = line.partition(" = ")
        if equals:
            fields[name] = value
        if name == "MD":
            records.append((bytes.fromhex(fields["Msg"])[: int(fields["Len"]) // 8], bytes.fromhex(value)))
    return records


@cocotb.test()
async def fips_180(dut):
    """NIST's short messages (SHA256ShortMsg.rsp), 0 to 64 bytes."""
    await start(dut)
    records = nist()
    assert len(records) == 65
    for message, expected in records:
        assert await sha256(dut, message) == expected


@cocotb.test()
async def random_messages(dut):
    """Random messages of several blocks, with pauses."""
    await start(dut)
    for _ in range(8):
        message = random.randbytes(random.randrange(300))
        assert await sha256(dut, message, random.choice((0.0, 0.3))) == hashlib.sha256(message).digest()


@cocotb.test()
async def two_hashes_in_turn(dut):
    """H is read and loaded between blocks, so that several hashes can be in work at once."""
    await start(dut)
    messages = [random.randbytes(64 * 3), random.randbytes(64 * 3)]
    states = [None, None]
    for block in range(4):
        for which, message in enumerate(messages):
            await until_idle(dut)
            if states[which] is None:
                await pulse(dut, "init")
            else:
                await put(dut, "load", states[which])
            await until_idle(dut)
            await put(dut, "data", padded(message)[64 * block : 64 * block + 64])
            states[which] = await digest(dut)
    assert states == [hashlib.sha256(message).digest() for message in messages]
