"""Clock cycles of an engine's unit of work, found by running it in Amaranth's simulator.

Inputs are always there and outputs always taken, so what is found is the engine's own time. It is the distance between
the first bytes of two units in a row: loading a unit is part of it.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import prod
from typing import Any

from amaranth.sim import Simulator

__all__ = ["UNITS", "aes_block", "cmac_block", "p256_signature", "rsa_check", "sha256_block"]

#: An engine that takes longer for its unit does not work.
_LIMIT = 1 << 20


def aes_block(make: Callable[[], Any]) -> int:
    """Cycles of one block of :class:`fusequote_hdl.engines.aes.AES128`."""
    engine = make()
    return _between(engine, engine.i, beats=16, warm_up=48)


def cmac_block(make: Callable[[], Any]) -> int:
    """Cycles that one more block of a message takes :class:`fusequote_hdl.engines.cmac.CMAC`."""
    engine = make()

    async def key(ctx: Any) -> None:
        await _send(ctx, engine.key, 16)

    return _between(engine, engine.data, beats=16, warm_up=64, before=key)


def sha256_block(make: Callable[[], Any]) -> int:
    """Cycles of one block of :class:`fusequote_hdl.engines.sha256.SHA256`."""
    engine = make()

    async def start(ctx: Any) -> None:
        await ctx.tick().until(engine.idle)
        ctx.set(engine.init, 1)
        await ctx.tick()
        ctx.set(engine.init, 0)

    return _between(engine, engine.data, beats=64, warm_up=64, before=start)


def rsa_check(make: Callable[..., Any], words: int = 192) -> int:
    """Cycles of :class:`fusequote_hdl.engines.rsa.RsaCheck`, four products and their checks, from the last byte of Q2.

    They are a polynomial of second degree in the number of words (192 of 16 bits in a SIGSTRUCT), which three narrow
    engines determine: the wide one takes minutes to simulate.
    """
    value, narrow = Fraction(0), (4, 8, 12)
    for n in narrow:
        others = [other for other in narrow if other != n]
        share = Fraction(prod(words - other for other in others), prod(n - other for other in others))
        value += share * _rsa_check(make(width=16 * n))
    return int(value)


def _rsa_check(engine: Any) -> int:
    found: list[int] = []

    async def bench(ctx: Any) -> None:
        for number in (3, 2, 0, 0):  # N, S, Q1, Q2: how long it takes does not depend on them
            await _send(ctx, engine.load, 2 * engine.words, first=number)
        count = 1  # the cycle in which the last byte was taken
        while not ctx.get(engine.done):
            await ctx.tick()
            count += 1
            if count > _LIMIT:
                raise RuntimeError("the engine gives no verdict")
        found.append(count)

    _run(engine, bench)
    return found[0]


def p256_signature(make: Any) -> int:
    """Cycles of a signature of :class:`fusequote_hdl.engines.p256.P256Sign`, from the last byte of the hash.

    Nearly two million, which is too long for this simulator: it is the engine's contract, to which its test holds every
    signature that Verilator runs.
    """
    return int(make.CYCLES)


#: Part of :data:`fusequote_boards.area.PARTS`: its measurement.
UNITS: dict[str, Callable[[Any], int]] = {
    "aes": aes_block, "cmac": cmac_block, "sha256": sha256_block, "rsa": rsa_check, "p256": p256_signature,
}


def _between(engine: Any, stream: Any, *, beats: int, warm_up: int, before: Any = None) -> int:
    """Cycles from the first beat of a unit to the first of the next, after ``warm_up`` beats."""
    found: list[int] = []

    async def bench(ctx: Any) -> None:
        if before is not None:
            await before(ctx)
        await _send(ctx, stream, warm_up + 1)
        found.append(await _send(ctx, stream, beats))

    _run(engine, bench)
    return found[0]


async def _send(ctx: Any, stream: Any, count: int, *, first: int = 0) -> int:
    """``count`` beats, one a cycle but for the engine's own; the cycles that it took."""
    taken = cycles = 0
    payload = stream.payload.as_value() if hasattr(stream.payload, "as_value") else stream.payload
    ctx.set(payload, first)
    ctx.set(stream.valid, 1)
    while taken < count:
        _, _, ready = await ctx.tick().sample(stream.ready)
        cycles += 1
        if ready:
            taken += 1
            ctx.set(payload, 0)
        elif cycles > _LIMIT:
            raise RuntimeError("the engine takes nothing")
    ctx.set(stream.valid, 0)
    return cycles


def _run(engine: Any, bench: Any) -> None:
    simulator = Simulator(engine)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
