"""cocotb bench of the AES engine."""

import json
import random
from pathlib import Path

import cocotb
from bench_streams import get, put, reset
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

VECTORS = Path(__file__).parents[1] / "vectors" / "aes"


async def encrypt(dut, key: bytes, plain: bytes, *, chain: bool = False, pauses: float = 0.0) -> bytes:
    """One block through the engine, ``chain`` as its port of that name."""
    await put(dut, "i", [k | d << 8 | chain << 16 for k, d in zip(key, plain, strict=True)], pauses)
    return bytes(await get(dut, "o", 16, pauses))


async def start(dut) -> None:
    await reset(dut, clear=0)


@cocotb.test()
async def fips_197(dut):
    """The worked examples of FIPS 197."""
    await start(dut)
    vectors = json.loads((VECTORS / "fips197.json").read_text())["vectors"]
    assert vectors
    for vector in vectors:
        key, plain, cipher = (bytes.fromhex(vector[name]) for name in ("key", "plain", "cipher"))
        assert await encrypt(dut, key, plain) == cipher


@cocotb.test()
async def random_blocks(dut):
    """Random keys and blocks, chained and not, with pauses on both sides."""
    await start(dut)
    last = bytes(16)
    for _ in range(30):
        key, plain, chain = random.randbytes(16), random.randbytes(16), random.random() < 0.5
        mixed = bytes(a ^ b for a, b in zip(plain, last, strict=True)) if chain else plain
        encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
        last = await encrypt(dut, key, plain, chain=chain, pauses=random.choice((0.0, 0.5)))
        assert last == encryptor.update(mixed)
