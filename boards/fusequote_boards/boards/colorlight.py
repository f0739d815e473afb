"""Colorlight 5A-75B revision 7.0, a receiver card for LED walls: LFE5U-25F, no USB. UART at J19, JTAG at J27 to J30."""

from __future__ import annotations

from typing import Any

from fusequote_boards.board import Board, Loader

__all__ = ["BOARDS"]


def platform() -> Any:
    """The board as amaranth-boards defines it."""
    from amaranth_boards.colorlight_5a75b_r7_0 import Colorlight_5A75B_R70Platform

    return Colorlight_5A75B_R70Platform()


BOARDS = (
    Board(
        name="colorlight-5a75b",
        title="Colorlight 5A-75B R7.0",
        family="ecp5",
        device="LFE5U-25F",
        price="15-25",
        platform=platform,
        oscillator="clk25",
        oscillator_hz=25_000_000,
        core_hz=45_000_000,
        bridge="adapter on J19 (KEY+ in, DATA_LED- out)",
        baud=3_000_000,
        max_baud=12_000_000,
        loader=Loader(board=("--board", "colorlight", "--cable", "ft232"), idcode=0x41111043),
        secret="none against whoever opens the case: JTAG and flash are on pads",
        wiring="a 3.3 V USB-UART adapter: its TXD to J19 KEY+, its RXD to J19 DATA_LED-; an FT232H on the JTAG pads",
    ),
)
