"""cocotb benches that fail, so that it is seen that a failure is seen."""

import cocotb
from cocotb.triggers import Timer


@cocotb.test()
async def good(dut):
    await Timer(1, "ns")


@cocotb.test()
async def bad(dut):
    await Timer(1, "ns")
    assert dut.idle.value == 2, "a bit is never two"
