"""tinyVision UPduino 3.0 and 3.1: iCE40UP5K, FT232H.

Its one FTDI channel is on the wires of the flash: pins 14 and 15 are the UART once the FPGA runs, with the flash
deselected (pin 16 high). The oscillator is connected to pin 20 by a solder jumper.
"""

from __future__ import annotations

from typing import Any

from fusequote_boards.board import Board, Loader, UsbId

__all__ = ["BOARDS"]


def platform() -> Any:
    """The board as amaranth-boards defines it, with the UART, which it leaves out."""
    from amaranth.build import Attrs, Pins, Resource
    from amaranth_boards.resources import UARTResource
    from amaranth_boards.upduino_v3 import UpduinoV3Platform

    class WithUart(UpduinoV3Platform):
        resources = [
            *(resource for resource in UpduinoV3Platform.resources if not resource.name.startswith("spi_flash")),
            UARTResource(0, rx="15", tx="14", attrs=Attrs(IO_STANDARD="SB_LVCMOS")),
            Resource("flash_select_n", 0, Pins("16", dir="o"), Attrs(IO_STANDARD="SB_LVCMOS")),
        ]

    return WithUart()


BOARDS = (
    Board(
        name="upduino3",
        title="UPduino 3",
        family="up5k",
        device="iCE40UP5K",
        price="25-40",
        platform=platform,
        oscillator="clk12",
        oscillator_hz=12_000_000,
        core_hz=18_000_000,
        bridge="FT232H",
        baud=3_000_000,
        max_baud=12_000_000,
        usb=(UsbId(0x0403, 0x6014, "UPduino"),),
        loader=Loader(board=("--board", "ice40_generic", "--cable", "ft232"), volatile=None),
        secret="none against whoever has its USB port: the FTDI chip reads the flash",
        wiring="close the solder jumper OSC: it brings the 12 MHz oscillator to pin 20",
        levels={"flash_select_n": 1},
    ),
)
