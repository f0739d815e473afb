"""1BitSquared iCEBreaker 1.0: iCE40UP5K, FT2232H (interface 0 programs the flash, interface 1 is the UART)."""

from __future__ import annotations

from typing import Any

from fusequote_boards.board import Board, Loader, UsbId

__all__ = ["BOARDS"]


def platform() -> Any:
    """The board as amaranth-boards defines it."""
    from amaranth_boards.icebreaker import ICEBreakerPlatform

    return ICEBreakerPlatform()


BOARDS = (
    Board(
        name="icebreaker",
        title="iCEBreaker 1.0",
        family="up5k",
        device="iCE40UP5K",
        price="60-80",
        platform=platform,
        oscillator="clk12",
        oscillator_hz=12_000_000,
        pll_pad=True,
        core_hz=18_000_000,
        bridge="FT2232H",
        baud=3_000_000,
        max_baud=12_000_000,
        usb=(UsbId(0x0403, 0x6010, "iCEBreaker", interface=1),),
        loader=Loader(
            board=("--board", "ice40_generic"),
            first="--volatile needs the jumpers next to the flash set for CRAM (board guide, \"CRAM programming\")",
        ),
        secret="none against whoever has its USB port: the FTDI chip reads the flash",
    ),
)
