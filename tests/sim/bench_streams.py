"""What the cocotb benches share: clock, reset, and transfers on ``amaranth.lib.stream`` ports.

Inputs change right after a rising edge; outputs are looked at on the falling edge, when all has settled. So what is
seen there is what counts at the next rising edge.
"""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge


async def power_on(dut, **inputs: int) -> None:
    """Start the clock and hold reset for three cycles, with all handshakes low and ``inputs`` as given."""
    for handle in dut:
        if handle._name.endswith(("__valid", "__ready")):
            handle.value = 0
    for name, value in inputs.items():
        getattr(dut, name).value = value
    dut.rst.value = 1
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.rst.value = 0


async def reset(dut, **inputs: int) -> None:
    """:func:`power_on`, and wait for ``idle``."""
    await power_on(dut, **inputs)
    await until_idle(dut)


async def until_idle(dut) -> int:
    """Wait for ``idle``; the cycles that it took."""
    cycles = 0
    await FallingEdge(dut.clk)
    while not dut.idle.value:
        await FallingEdge(dut.clk)
        cycles += 1
    await RisingEdge(dut.clk)
    return cycles


async def pulse(dut, name: str) -> None:
    """One cycle of an input."""
    getattr(dut, name).value = 1
    await RisingEdge(dut.clk)
    getattr(dut, name).value = 0


async def put(dut, name: str, payloads, pauses: float = 0.0) -> None:
    """Give ``payloads`` (integers) to the stream ``name``, with pauses of that probability before each cycle."""
    valid, ready = getattr(dut, f"{name}__valid"), getattr(dut, f"{name}__ready")
    for payload in payloads:
        while random.random() < pauses:
            await RisingEdge(dut.clk)
        getattr(dut, f"{name}__payload").value = payload
        valid.value = 1
        taken = False
        while not taken:
            await FallingEdge(dut.clk)
            taken = bool(ready.value)
            await RisingEdge(dut.clk)
        valid.value = 0


async def get(dut, name: str, count: int, pauses: float = 0.0) -> list[int]:
    """Take ``count`` payloads from the stream ``name``."""
    valid, ready = getattr(dut, f"{name}__valid"), getattr(dut, f"{name}__ready")
    payloads = []
    while len(payloads) < count:
        ready.value = int(random.random() >= pauses)
        await FallingEdge(dut.clk)
        if valid.value and ready.value:
            payloads.append(int(getattr(dut, f"{name}__payload").value))
        await RisingEdge(dut.clk)
        ready.value = 0
    return payloads
