"""Radiona ULX3S with 12, 25 or 85 thousand look-up tables: ECP5, FT231X for JTAG and UART on one interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fusequote_boards.board import Board, Loader, UsbId

__all__ = ["BOARDS"]


def _platform(size: str) -> Callable[[], Any]:
    def platform() -> Any:
        from amaranth_boards import ulx3s

        return getattr(ulx3s, f"ULX3S_{size}_Platform")()

    return platform


BOARDS = tuple(
    Board(
        name=f"ulx3s-{size.lower()}",
        title=f"ULX3S {size}",
        family="ecp5",
        device=f"LFE5U-{size}",
        price=price,
        platform=_platform(size),
        oscillator="clk25",
        oscillator_hz=25_000_000,
        core_hz=45_000_000,
        bridge="FT231X",
        baud=3_000_000,
        max_baud=3_000_000,
        usb=(UsbId(0x0403, 0x6015, f"ULX3S FPGA {size[:-1]}K"),),
        loader=Loader(board=("--board", "ulx3s"), idcode=idcode),
        secret="none against whoever has its USB port: JTAG through it reads the flash",
    )
    for size, price, idcode in (
        ("12F", "110-140", 0x21111043), ("25F", "120-150", 0x41111043), ("85F", "160-220", 0x41113043))
)
