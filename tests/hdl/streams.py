"""Helpers for tests of components with `amaranth.lib.stream` ports, in Amaranth's simulator.

`simulate` runs testbenches under a watchdog, `put` and `get` move payloads with or without pauses, `state_of`
and `no_collisions` look inside.
"""

import random
from collections.abc import Awaitable, Callable, Iterable

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.sim import Simulator


class Pauses:
    """Idle cycles before each transfer: none in half of the cases, else up to `most`."""

    def __init__(self, seed: int, most: int = 5):
        self.random, self.most = random.Random(seed), most

    def next(self) -> int:
        return max(0, self.random.randint(-self.most, self.most))


async def put(ctx, stream, payloads: Iterable, pauses: Pauses | None = None) -> int:
    """Give `payloads` to a stream, one a cycle but for `pauses` and the stream's own; cycles that it took."""
    cycles = 0
    for payload in payloads:
        if pauses and (pause := pauses.next()):
            await ctx.tick().repeat(pause)
            cycles += pause
        ctx.set(stream.payload, payload)
        ctx.set(stream.valid, 1)
        taken = False
        while not taken:
            _, _, taken = await ctx.tick().sample(stream.ready)
            cycles += 1
        ctx.set(stream.valid, 0)
    return cycles


async def get(ctx, stream, count: int, pauses: Pauses | None = None) -> tuple[list, int]:
    """Take `count` payloads; also the cycles before the first of them came (without pauses)."""
    payloads, cycles = [], 0
    while len(payloads) < count:
        if pauses and (pause := pauses.next()):
            await ctx.tick().repeat(pause)
        ctx.set(stream.ready, 1)
        valid = False
        while not valid:
            _, _, valid, payload = await ctx.tick().sample(stream.valid, stream.payload)
            cycles += not valid and not payloads
        payloads.append(payload)
        ctx.set(stream.ready, 0)
    return payloads, cycles


def simulate(dut, *testbenches: Callable[..., Awaitable], cycles: int = 200_000, reset: Signal | None = None,
             watch: Callable | None = None) -> Simulator:
    """Run `testbenches` (async functions of a context) side by side on `dut` until all are done.

    Fails when they are not after `cycles`: nothing hangs. `reset`, when given, resets `dut`. `watch` is a
    testbench that runs beside the others for as long as they do.
    """
    m = Module()
    m.submodules.dut = dut if reset is None else ResetInserter(reset)(dut)
    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    pending = set(range(len(testbenches)))

    def wrapped(number, testbench):
        async def run(ctx):
            await testbench(ctx)
            pending.discard(number)
        return run

    async def watchdog(ctx):
        for _ in range(cycles):
            await ctx.tick()
        raise AssertionError(f"testbenches {sorted(pending)} are not done after {cycles} cycles")

    for number, testbench in enumerate(testbenches):
        simulator.add_testbench(wrapped(number, testbench))
    for background in (watchdog, watch):
        if background is not None:
            simulator.add_testbench(background, background=True)
    simulator.run()
    assert not pending
    return simulator


def no_collisions(*memories):
    """A `watch` for `simulate`: no `BlockRAM` reads a cell in the cycle in which it is written."""
    async def watch(ctx):
        ports = [port for ram in memories
                 for port in (ram.read_en, ram.read_addr, ram.write_en, ram.write_addr)]
        while True:
            _, _, *values = await ctx.tick().sample(*ports)
            for number, ram in enumerate(memories):
                read_en, read_addr, write_en, write_addr = values[4 * number:4 * number + 4]
                assert not (read_en and write_en and read_addr == write_addr), (ram, read_addr)
    return watch


def cells_of(ctx, ram) -> list[int]:
    """The words of a `BlockRAM`."""
    return [ctx.get(ram.memory.data[row]) for row in range(ram.memory.depth)]


def state_of(simulator: Simulator) -> dict[str, list]:
    """Every signal and memory that the simulator holds, by name, so that no register can be forgotten.

    Amaranth has no public way to list them; the version is pinned (see pyproject.toml).
    """
    state: dict[str, list] = {}
    for slot in simulator._engine._state.slots:
        if hasattr(slot, "memory"):
            state.setdefault("memory", []).append(tuple(slot.data))
        else:
            state.setdefault(slot.signal.name, []).append(slot.curr)
    return state
