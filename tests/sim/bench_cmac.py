"""cocotb bench of the CMAC engine."""

import json
import random
from pathlib import Path

import cocotb
import cryptography_vectors
from bench_streams import get, pulse, put, reset, until_idle
from cocotb.triggers import FallingEdge, RisingEdge
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.cmac import CMAC

VECTORS = Path(__file__).parents[1] / "vectors" / "aes"
NIST = Path(cryptography_vectors.__file__).parent / "CMAC" / "nist-800-38b-aes128.txt"


async def start(dut) -> None:
    await reset(dut, clear=0)


async def mac(dut, key: bytes | None, message: bytes, pauses: float = 0.0) -> bytes:
    """The tag of ``message`` under ``key``, or under the key that the engine has."""
    if key is not None:
        await put(dut, "key", key, pauses)
    beats = [byte | (n == len(message) - 1) << 8 for n, byte in enumerate(message)] or [1 << 8 | 1 << 9]
    await put(dut, "data", beats, pauses)
    return bytes(await get(dut, "tag", 16, pauses))


def reference(key: bytes, message: bytes) -> bytes:
    state = CMAC(algorithms.AES(key))
    state.update(message)
    return state.finalize()


@cocotb.test()
async def rfc_4493(dut):
    """The four examples of RFC 4493, section 4."""
    await start(dut)
    data = json.loads((VECTORS / "rfc4493.json").read_text())
    key = bytes.fromhex(data["key"])
    assert len(data["vectors"]) == 4
    for vector in data["vectors"]:
        assert await mac(dut, key, bytes.fromhex(vector["msg"])) == bytes.fromhex(vector["tag"])
        key = None  # it stays


@cocotb.test()
async def sp_800_38b(dut):
    """The examples of SP 800-38B for AES-128."""
    await start(dut)
    records = [dict(line.split(" = ") for line in block.splitlines() if " = " in line)
               for block in NIST.read_text().split("\n\n")]
    records = [record for record in records if "OUTPUT" in record]
    assert len(records) >= 4, records
    for record in records:
        key, message, tag = (bytes.fromhex(record.get(name, "")) for name in ("KEY", "MESSAGE", "OUTPUT"))
        assert await mac(dut, key, message) == tag


@cocotb.test()
async def random_messages(dut):
    """Random lengths around the block boundaries, with pauses; a new key for some of them."""
    await start(dut)
    key = random.randbytes(16)
    await put(dut, "key", key)
    for _ in range(20):
        message = random.randbytes(random.choice((0, 1, 15, 16, 17, 31, 32, 33, random.randrange(100))))
        change = random.randbytes(16) if random.random() < 0.3 else None
        key = change or key
        assert await mac(dut, change, message, random.choice((0.0, 0.3))) == reference(key, message)


@cocotb.test()
async def clear_in_the_middle(dut):
    """After ``clear``, the key is gone: the engine takes no data, and works as new with the next key."""
    await start(dut)
    await put(dut, "key", bytes(16))
    await put(dut, "data", [1, 2, 3])
    await pulse(dut, "clear")
    await until_idle(dut)
    dut.data__valid.value = 1
    for _ in range(50):
        await FallingEdge(dut.clk)
        assert not dut.data__ready.value
    await RisingEdge(dut.clk)
    dut.data__valid.value = 0
    assert await mac(dut, b"0123456789abcdef", b"message") == reference(b"0123456789abcdef", b"message")
