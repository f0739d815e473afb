"""Good Stuff Department OrangeCrab r0.2 with an LFE5U-25F. Its USB goes to the FPGA itself, where there is no UART:
a 3.3 V adapter goes to pins 0 and 1 of the header (pin 0, N17: to the FPGA; pin 1, M18: from it).
"""

from __future__ import annotations

from typing import Any

from fusequote_boards.board import Board, Loader, UsbId

__all__ = ["BOARDS"]


def platform() -> Any:
    """The board as amaranth-boards defines it, with a UART on header pins 0 (rx) and 1 (tx)."""
    from amaranth.build import Attrs
    from amaranth_boards.orangecrab_r0_2 import OrangeCrabR0_2_25FPlatform
    from amaranth_boards.resources import UARTResource

    class WithUart(OrangeCrabR0_2_25FPlatform):
        resources = [
            *OrangeCrabR0_2_25FPlatform.resources,
            UARTResource(0, rx="0", tx="1", conn=("io", 0), attrs=Attrs(IO_TYPE="LVCMOS33", PULLMODE="UP")),
        ]

    return WithUart()


BOARDS = (
    Board(
        name="orangecrab-25f",
        title="OrangeCrab r0.2 25F",
        family="ecp5",
        device="LFE5U-25F",
        price="100-150",
        platform=platform,
        oscillator="clk",
        oscillator_hz=48_000_000,
        core_hz=48_000_000,
        bridge="adapter on pins 0 (in) and 1 (out)",
        baud=3_000_000,
        max_baud=12_000_000,
        usb=(UsbId(0x1209, 0x5AF0, "OrangeCrab"),),
        loader=Loader(
            board=("--board", "orangeCrab"), flash=("--altsetting", "0"), volatile=None,
            first="hold its button while plugging it in: the bootloader answers, and takes the bitstream",
        ),
        secret="none against whoever has its USB port: its bootloader, or one put in its place, reads the flash",
        wiring="a 3.3 V USB-UART adapter: its TXD to pin 0, its RXD to pin 1, ground to ground",
    ),
)
