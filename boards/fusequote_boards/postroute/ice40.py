"""iCE40UP5K: the cells that nextpnr packs for it, and what IceStorm's text says of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from .bitstream import Asc
from .family import Family, Instance
from .netlist import Cell, Unmodelled

__all__ = ["Ice40"]


class Ice40(Family):
    """iCE40UP5K."""

    library, ram_bits, idle, pll, pad = "ice40.v", 4096, "1'b0", "ICESTORM_PLL", "PACKAGE_PIN"
    pins = ("I0", "I1", "I2", "I3")
    kinds = frozenset({"ICESTORM_LC", "ICESTORM_RAM", "ICESTORM_SPRAM", "ICESTORM_DSP", "SB_IO", "SB_GB",
                       "ICESTORM_PLL"})
    through = {
        "SB_GB": {"GLOBAL_BUFFER_OUTPUT": ("USER_SIGNAL_TO_GLOBAL_BUFFER",)},
    }
    @classmethod
    def combinational(cls, cell: Cell) -> Mapping[str, tuple[str, ...]]:
        if cell.kind != "ICESTORM_LC":
            return super().combinational(cell)
        inputs = tuple(f"I{pin}" for pin in cls._matters(cell))
        return {"LO": inputs, "COUT": ("I1", "I2", "CIN")} | ({} if cell.number("DFF_ENABLE") else {"O": inputs})

    @staticmethod
    def _matters(cell: Cell) -> list[int]:
        """The inputs that a table depends on. Carry logic shares inputs with a table that may not look at them, and
        what looks like a loop through both is none.
        """
        contents = cell.number("LUT_INIT")
        return [pin for pin in range(4)
                if any((contents >> i ^ contents >> (i ^ 1 << pin)) & 1 for i in range(16))]

    _LC_FLAGS = ("NEG_CLK", "CARRY_ENABLE", "DFF_ENABLE", "SET_NORESET", "ASYNC_SR", "CIN_CONST", "CIN_SET")
    _DSP = ("NEG_TRIGGER", "A_REG", "B_REG", "TOP_8x8_MULT_REG", "BOT_8x8_MULT_REG", "PIPELINE_16x16_MULT_REG1",
            "PIPELINE_16x16_MULT_REG2", "A_SIGNED", "B_SIGNED")

    def instance(self, cell: Cell, text: Asc) -> Instance:
        made = Instance()
        if cell.kind == "ICESTORM_LC":
            made.parameters = {flag: str(cell.number(flag)) for flag in self._LC_FLAGS}
            made.inputs = {port: [self.input(cell, port, "1'b1" if port == "CEN" else None)]
                           for port in ("CIN", "CLK", "CEN", "SR")}
            made.inputs |= {f"I{pin}": [self.input(cell, f"I{pin}")] for pin in (1, 2)}
            made.outputs = {port: [port] for port in ("LO", "O", "COUT")}
            self.table(cell, text, made, cell.number("LUT_INIT"))
            self._flags(cell, text)
        elif cell.kind == "ICESTORM_RAM":
            made.parameters = {flag: str(cell.number(flag))
                               for flag in ("READ_MODE", "WRITE_MODE", "NEG_CLK_R", "NEG_CLK_W")}
            made.inputs = {port: [self.input(cell, port, "1'b1" if port.endswith("CLKE") else None)]
                           for port in ("RCLK", "RCLKE", "RE", "WCLK", "WCLKE", "WE")}
            made.inputs |= {port: self.vector(cell, port, width, "_")
                            for port, width in (("RADDR", 11), ("WADDR", 11), ("MASK", 16), ("WDATA", 16))}
            made.outputs = {"RDATA": [f"RDATA_{i}" for i in reversed(range(16))]}
            made.ram, made.fuse = self.ram(cell, text), self.fuse_number(cell)
            if made.fuse == -1 and "WCLK" not in cell.wires:
                made.inputs["WCLK"] = ["clk"]  # nothing writes; its contents have to come in all the same
            placed = sum(cell.number(f"INIT_{i:X}") << 256 * i for i in range(16))
            if made.fuse is None and made.ram != placed:
                raise Unmodelled(f"the block RAM {cell.name} does not hold in the bitstream what was placed",
                                 hint="the bitstream is of another build")
        elif cell.kind == "ICESTORM_SPRAM":
            made.inputs = {port: self.vector(cell, port, width, "_")
                           for port, width in (("ADDRESS", 14), ("DATAIN", 16), ("MASKWREN", 4))}
            made.inputs |= {port: [self.input(cell, port)]
                            for port in ("WREN", "CHIPSELECT", "CLOCK", "STANDBY", "SLEEP", "POWEROFF")}
            made.outputs = {"DATAOUT": [f"DATAOUT_{i}" for i in reversed(range(16))]}
        elif cell.kind == "ICESTORM_DSP":
            self.refuse(cell, {"TOPOUTPUT_SELECT": (3,), "BOTOUTPUT_SELECT": (3,), "MODE_8x8": (0,)})
            made.parameters = {flag: str(cell.number(flag)) for flag in self._DSP}
            made.inputs = {port: [self.input(cell, port, "1'b1" if port == "CE" else None)]
                           for port in ("CLK", "CE", "AHOLD", "BHOLD", "IRSTTOP", "IRSTBOT")}
            made.inputs |= {port: self.vector(cell, port, 16, "_") for port in "AB"}
            made.outputs = {"O": [f"O_{i}" for i in reversed(range(32))]}
        elif cell.kind == "SB_IO":
            self.refuse(cell, {"PIN_TYPE": (0b000001, 0b010101, 0b110101)})
            made.parameters = {flag: str(cell.number(flag)) for flag in ("PIN_TYPE", "NEG_TRIGGER")}
            made.inputs = {port: [self.input(cell, port, "1'b1" if port == "CLOCK_ENABLE" else None)]
                           for port in ("CLOCK_ENABLE", "OUTPUT_CLK", "OUTPUT_ENABLE", "D_OUT_0")}
            output = self.is_output(cell)
            made.inputs["PAD_IN"] = ["1'b1" if output else self.input(cell, "PACKAGE_PIN")]
            made.outputs = {"PAD_OUT": ["PACKAGE_PIN"]} if output else {"D_IN_0": ["D_IN_0"]}
        elif cell.kind == "SB_GB":
            # The PLL's clock comes to its buffer without a wire of the fabric.
            made.inputs = {"USER_SIGNAL_TO_GLOBAL_BUFFER": [
                self.input(cell, "USER_SIGNAL_TO_GLOBAL_BUFFER", "pll_out" if ".pll" in cell.name else None)]}
            made.outputs = {"GLOBAL_BUFFER_OUTPUT": ["GLOBAL_BUFFER_OUTPUT"]}
        else:
            made.inputs = {"pll_clock": ["clk"], "RESETB": [self.input(cell, "RESETB")],
                           "BYPASS": [self.input(cell, "BYPASS")]}
            made.outputs = {"PLLOUT_A": ["=pll_out"], "LOCK": ["LOCK"]}
        return made

    @staticmethod
    def is_output(cell: Cell) -> bool:
        return cell.number("PIN_TYPE") >> 2 != 0

    def pll_rate(self, cell: Cell, hz: int) -> Fraction:
        self.refuse(cell, {"FEEDBACK_PATH": (1,)})
        return Fraction(hz * (cell.number("DIVF") + 1), (1 << cell.number("DIVQ")) * (cell.number("DIVR") + 1))

    def ram(self, cell: Cell, text: Asc) -> int:
        return text.ram_value(" ".join(cell.pattern(r"X(\d+)/Y(\d+)/ram")))

    def _place(self, cell: Cell) -> tuple[str, str, str]:
        x, y, number = cell.pattern(r"X(\d+)/Y(\d+)/lc(\d)")
        return x, y, number

    def check_wiring(self, text: Asc) -> None:
        """Cannot be told: IceStorm's text has routing bits, and no names of what they connect."""

    def held(self, cell: Cell, text: Asc) -> int:
        return text.table(" ".join(self._place(cell)))

    def routed(self, cell: Cell) -> dict[int, int]:
        x, y, number = self._place(cell)
        routed = {}
        for pin in range(4):
            if f"I{pin}" not in cell.wires:
                continue
            end = f"{x}.{y}.lutff_{number}:in_{pin}_lut"
            starts = [start for start, to in self.netlist.routes[cell.wires[f"I{pin}"]] if to == end]
            match = re.search(r":in_(\d)$", starts[0]) if len(starts) == 1 else None
            if match is None:
                raise Unmodelled(f"the input I{pin} of {cell.name} has no route")
            routed[int(match[1])] = pin
        return routed

    def _flags(self, cell: Cell, text: Asc) -> None:
        """The register's settings are the bitstream's, too."""
        for flag, bit in text.flags(" ".join(self._place(cell))).items():
            if cell.number(flag) != bit and (flag == "DFF_ENABLE" or cell.number("DFF_ENABLE")):
                raise Unmodelled(f"{cell.name}: {flag} is {bit} in the bitstream",
                                 hint="the bitstream is of another build")
