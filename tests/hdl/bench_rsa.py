"""cocotb bench of the signature check at 3072 bits: real keys, known answers, and every forgery."""

import json
import random
from pathlib import Path

import cocotb
from bench_streams import get, pulse, put, reset, until_idle
from cocotb.triggers import FallingEdge, RisingEdge
from cocotb.utils import get_sim_time
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from rsa_cases import Case, fooled, forgeries, honest, just_negative, modulus, out_of_range

WIDTH, SIZE, WORDS = 3072, 384, 192
VECTORS = Path(__file__).parents[1] / "vectors" / "rsa" / "sigstruct.json"
#: The contract of the docstring, with one multiplier and two, and 1.2 times the multiplications.
CYCLES, LIMIT = (151_879, 77_383), (176_947, 88_473)


def pkcs1(message: bytes) -> int:
    """EMSA-PKCS1-v1_5 with SHA-256, 384 bytes (RFC 8017 section 9.2)."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(message)
    tail = bytes.fromhex("003031300d060960864801650304020105000420") + digest.finalize()
    return int.from_bytes(b"\0\1" + b"\xff" * (SIZE - 2 - len(tail)) + tail, "big")


async def check(dut, case: Case, pauses: float = 0.0) -> int | None:
    """t2 if the engine finds the signature valid; its time is checked, and that nothing but t2 comes out."""
    await put(dut, "load", case.encode(WIDTH), pauses)
    began = get_sim_time("ns")
    if not dut.done.value:
        await RisingEdge(dut.done)
    cycles = round(get_sim_time("ns") - began) // 10 + 1
    assert cycles in CYCLES and cycles <= LIMIT[CYCLES.index(cycles)]
    await FallingEdge(dut.clk)
    if not dut.valid.value:
        dut.result__ready.value = 1
        for _ in range(10):
            await FallingEdge(dut.clk)
            assert dut.idle.value and dut.done.value
            assert not (dut.valid.value or dut.result__valid.value or int(dut.result__payload.value))
        await RisingEdge(dut.clk)
        dut.result__ready.value = 0
        return None
    await RisingEdge(dut.clk)
    block = int.from_bytes(bytes(await get(dut, "result", SIZE, pauses)), "little")
    assert await until_idle(dut) == 0 and dut.valid.value
    return block


@cocotb.test()
async def known_answers(dut):
    """Signatures by keys that nobody has any more, with the quotients and blocks that belong to them."""
    await reset(dut, clear=0)
    for vector in json.loads(VECTORS.read_text())["vectors"]:
        case = Case(*(int(vector[name], 16) for name in ("modulus", "signature", "q1", "q2", "block")))
        assert case == honest(case.n, case.s) and case.block == pkcs1(vector["message"].encode())
        assert await check(dut, case) == case.block


@cocotb.test()
async def fresh_key(dut):
    """What the library signs; with pauses; and with a bit turned over in each operand."""
    await reset(dut, clear=0)
    key = rsa.generate_private_key(public_exponent=3, key_size=WIDTH)
    message = random.randbytes(100)
    signature = key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    case = honest(key.public_key().public_numbers().n, int.from_bytes(signature, "big"))
    assert await check(dut, case) == pkcs1(message) == case.block
    assert await check(dut, case, 0.3) == case.block
    for field in ("n", "s", "q1", "q2"):
        flipped = case._replace(**{field: getattr(case, field) ^ 1 << random.randrange(WIDTH)})
        assert flipped.expected() is None
        assert await check(dut, flipped) is None
    assert await check(dut, case) == case.block


@cocotb.test()
async def forged_for_every_shortcut(dut):
    """Any message under any modulus, with no private key: each forgery fools a verifier that leaves a part out."""
    await reset(dut, clear=0)
    seed = random.randrange(1 << 32)
    dut._log.info("forgeries from seed %d", seed)
    rng = random.Random(seed)
    found = forgeries(rng, WIDTH, modulus(rng, WIDTH), pkcs1(b"I am whoever I like")) | out_of_range(rng, WIDTH)
    assert len(found) == 14
    for name, (case, without) in found.items():
        assert fooled(case, WIDTH, without) and not fooled(case, WIDTH, set()), name
        assert case.expected() is None and await check(dut, case) is None, name
    for case in just_negative(rng, WIDTH):
        assert case.expected() is None and await check(dut, case) is None


@cocotb.test()
async def cube_root_of_a_lax_block(dut):
    """A cube that begins like a block, hash and garbage behind too short a padding: valid, and all of it comes out.

    A caller that parses t2 rather than compare it with the whole constant is fooled, without any private key.
    """
    await reset(dut, clear=0)
    wanted = pkcs1(b"forged").to_bytes(SIZE, "big")
    short = wanted[:10] + wanted[-52:]  # 8 bytes of padding, the prefix and the hash
    floor = int.from_bytes(short + bytes(SIZE - len(short)), "big")
    low, high = 0, 1 << WIDTH // 3 + 1
    while low < high:  # the least number whose cube is not below
        middle = (low + high) // 2
        low, high = (middle + 1, high) if middle**3 < floor else (low, middle)
    case = honest(modulus(random, WIDTH), low)
    block = await check(dut, case)
    assert block == low**3 and block.to_bytes(SIZE, "big").startswith(short)
    assert block.to_bytes(SIZE, "big") != wanted


@cocotb.test()
async def clear_in_the_middle(dut):
    """Of a load, of the check and of the result; after 770 cycles the next check is right."""
    await reset(dut, clear=0)
    n = modulus(random, WIDTH)
    case = honest(n, random.randrange(n))
    for moment in range(3):
        await put(dut, "load", case.encode(WIDTH)[: 700 if moment == 0 else None])
        if moment == 1:
            for _ in range(random.randrange(5000)):
                await RisingEdge(dut.clk)
        if moment == 2:
            await get(dut, "result", 100)
        await pulse(dut, "clear")
        assert await until_idle(dut) == 4 * WORDS + 2
        assert not (dut.done.value or dut.valid.value or dut.result__valid.value)
    assert await check(dut, case) == case.block
