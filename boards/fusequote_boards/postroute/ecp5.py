"""LFE5U: the cells that nextpnr packs for it, and what Trellis' text says of them."""

from __future__ import annotations

import re
from fractions import Fraction

from .bitstream import Config
from .family import Family, Instance
from .netlist import Cell, Unmodelled, integer

__all__ = ["Ecp5"]


class Ecp5(Family):
    """LFE5U."""

    library, ram_bits, idle, pll, pad = "ecp5.v", 18432, "1'b1", "EHXPLLL", "B"
    pins = ("A", "B", "C", "D")
    kinds = frozenset({"TRELLIS_COMB", "TRELLIS_FF", "DP16KD", "MULT18X18D", "TRELLIS_IO", "IOLOGIC", "DCCA",
                       "EHXPLLL"})
    through = {
        "TRELLIS_COMB": {"F": ("A", "B", "C", "D", "FCI"), "OFX": ("A", "B", "C", "D", "M", "F1", "FXA", "FXB"),
                         "FCO": ("A", "B", "C", "D", "FCI")},
        "MULT18X18D": {f"P{i}": tuple(f"{port}{j}" for port in "AB" for j in range(18)) for i in range(36)},
        "DCCA": {"CLKO": ("CLKI",)},
    }

    def muxed(self, cell: Cell, port: str) -> str:
        """An input behind its multiplexer: as it is, inverted, or constant."""
        mux = cell.parameters.get(f"{port}MUX", port).strip()
        if mux in "01":
            return f"1'b{mux}"
        if mux not in (port, "INV"):
            raise Unmodelled(f"{cell.name}: {cell.kind} with {port}MUX = {mux} has no model")
        return self.input(cell, port) if mux == port else f"~{self.input(cell, port)}"

    def buses(self, cell: Cell, **widths: int) -> dict[str, list[str]]:
        """Inputs of several bits behind their multiplexers."""
        return {port: [self.muxed(cell, f"{port}{i}") for i in reversed(range(width))]
                for port, width in widths.items()}

    def instance(self, cell: Cell, text: Config) -> Instance:
        made = Instance()
        if cell.kind == "TRELLIS_COMB":
            mode = cell.parameters.get("MODE", "LOGIC")
            if mode not in ("LOGIC", "CCU2"):
                raise Unmodelled(f"{cell.name}: a slice in mode {mode} has no model")
            upper = cell.place.endswith("K1")
            inject = cell.parameters.get("CCU2_INJECT1", "NO") == "YES"
            made.parameters = {"CARRY": str(int(mode == "CCU2")), "INJECT": str(int(inject))}
            made.inputs = {port: [self.input(cell, port)]
                           for port in ("M", "F1", "FXA", "FXB", "FCI")}
            made.inputs["is_upper"] = [f"1'b{int(upper)}"]
            made.outputs = {port: [port] for port in ("F", "OFX", "FCO")}
            inputs = self.table(cell, text, made, cell.number("INITVAL"))
            if mode == "CCU2":
                made.tables["pair"] = [*inputs[:2], "1'b0", "1'b0"]
        elif cell.kind == "TRELLIS_FF":
            if cell.parameters.get("SRMODE", "LSR_OVER_CE") not in ("LSR_OVER_CE", "ASYNC"):
                raise Unmodelled(f"{cell.name}: SRMODE = {cell.parameters['SRMODE']} has no model")
            made.parameters = {
                "FROM_M": str(int(cell.parameters["SD"].strip() == "0")),
                "SET": str(int(cell.parameters["REGSET"] == "SET")),
                "ASYNC": str(int(cell.parameters.get("SRMODE") == "ASYNC")), "LSR_OVER_CE": "1"}
            made.inputs = {port: [self.muxed(cell, port)] for port in ("CE", "CLK")}
            made.inputs |= {port: [self.input(cell, port)] for port in ("DI", "M")}
            made.inputs["LSR"] = [self.muxed(cell, "LSR") if "LSR" in cell.wires else "1'b0"]
            made.outputs = {"Q": ["Q"]}
        elif cell.kind == "DP16KD":
            self._ram_instance(cell, text, made)
        elif cell.kind == "MULT18X18D":
            if any(cell.parameters.get(f"REG_{name}_CLK", "NONE") != "NONE"
                   for name in ("INPUTA", "INPUTB", "PIPELINE", "OUTPUT")):
                raise Unmodelled(f"{cell.name}: a multiplier with registers has no model")
            made.inputs = self.buses(cell, A=18, B=18) | {port: [self.muxed(cell, port)]
                                                          for port in ("SIGNEDA", "SIGNEDB")}
            made.outputs = {"P": [f"P{i}" for i in reversed(range(36))]}
        elif cell.kind == "TRELLIS_IO":
            output = self.is_output(cell)
            made.parameters = {"REGISTERED": str(int("DATAMUX_OREG" in cell.parameters))}
            made.inputs = {port: [self.input(cell, port)] for port in ("I", "IOLDO", "IOLTO")}
            made.inputs["T"] = [self.input(cell, "T", "1'b0")]
            made.inputs["PAD_IN"] = ["1'b1" if output else self.input(cell, "B")]
            made.outputs = {"PAD_OUT": ["B"]} if output else {"O": ["O"]}
        elif cell.kind == "IOLOGIC":
            if cell.parameters.get("OUTREG.OUTREGMODE") != "FF":
                raise Unmodelled(f"{cell.name}: only output flip-flops are modelled at the pins")
            made.parameters = {"SET": str(int(cell.parameters["OUTREG.REGSET"] == "SET"))}
            made.inputs = {port: [self.input(cell, port)] for port in ("TXDATA0", "TSDATA0", "CE", "LSR", "CLK")}
            made.outputs = {"IOLDO": ["IOLDO"], "IOLTO": ["IOLTO"]}
        elif cell.kind == "DCCA":
            made.inputs = {port: [self.input(cell, port)] for port in ("CLKI", "CE")}
            made.outputs = {"CLKO": ["CLKO"]}
        else:
            made.inputs = {"pll_clock": ["clk"], "RST": [self.input(cell, "RST")], "STDBY": [self.input(cell, "STDBY")]}
            made.outputs = {"CLKOP": ["CLKOP"], "LOCK": ["LOCK"]}
        return made

    def _ram_instance(self, cell: Cell, text: Config, made: Instance) -> None:
        for side in "AB":
            if cell.parameters.get(f"REGMODE_{side}", "NOREG") != "NOREG":
                raise Unmodelled(f"{cell.name}: a block RAM with an output register has no model")
            mode = cell.parameters.get(f"WRITEMODE_{side}", "NORMAL")
            if mode not in ("NORMAL", "READBEFOREWRITE"):
                raise Unmodelled(f"{cell.name}: WRITEMODE_{side} = {mode} has no model")
            made.parameters |= {f"WIDTH_{side}": str(cell.number(f"DATA_WIDTH_{side}", 18)),
                                f"KEEP_{side}": str(int(mode == "NORMAL"))}
            made.inputs |= self.buses(cell, **{f"AD{side}": 14, f"DI{side}": 18, f"CS{side}": 3})
            made.inputs |= {f"{port}{side}": [self.muxed(cell, f"{port}{side}")] for port in ("CLK", "CE", "WE", "RST")}
        if made.inputs["WEB"] not in (["1'b0"], ["~1'b1"]):
            raise Unmodelled(f"{cell.name}: a block RAM that is written through port B has no model")
        made.outputs = {f"DO{side}": [f"DO{side}{i}" for i in reversed(range(18))] for side in "AB"}
        made.ram, made.fuse = self.ram(cell, text), self.fuse_number(cell)
        placed = 0
        for word in range(2048):
            line = cell.number(f"INITVAL_{word // 32:02X}")
            placed |= (line >> word % 32 // 2 * 20 + word % 2 * 9 & 0x1FF) << 9 * word
        if made.fuse is None and made.ram != placed:
            raise Unmodelled(f"the block RAM {cell.name} does not hold in the bitstream what was placed",
                             hint="the bitstream is of another build")

    @staticmethod
    def is_output(cell: Cell) -> bool:
        return cell.parameters["DIR"] == "OUTPUT"

    def pll_rate(self, cell: Cell, hz: int) -> Fraction:
        if cell.parameters.get("FEEDBK_PATH") != "CLKOP":
            raise Unmodelled(f"{cell.name}: a PLL whose feedback is not from CLKOP has no model")
        return Fraction(hz * cell.number("CLKFB_DIV"), cell.number("CLKI_DIV"))

    def ram(self, cell: Cell, text: Config) -> int:
        return text.ram_value(str(integer(cell.attributes["WID"])))

    _PLACE = r"X(\d+)/Y(\d+)/SLICE([A-D])\.K([01])"

    def held(self, cell: Cell, text: Config) -> int:
        x, y, letter, half = cell.pattern(self._PLACE)
        return text.table(f"R{y}C{x}:PLC2 SLICE{letter}.K{half}.INIT")

    def check_wiring(self, text: Config) -> None:
        """Every switch that is on in the bitstream is one that the netlist was routed through, and the other way round
        for all kinds of switches that can be off.
        """
        used = {switch for route in self.netlist.routes.values() for switch in map(_switch, route)}
        on = set(text.arcs())
        strange = next(iter(on - used), None)
        if strange is not None:
            raise Unmodelled(f"the bitstream connects {strange[1]} to {strange[2]} at {strange[0]}, which "
                             "the netlist does not", hint="the bitstream is of another build")
        switchable = set(map(_kind, on))
        lost = next((switch for switch in used - on if _kind(switch) in switchable), None)
        if lost is not None:
            raise Unmodelled(f"the netlist connects {lost[1]} to {lost[2]} at {lost[0]}, which the bitstream does not",
                             hint="the bitstream is of another build")

    def routed(self, cell: Cell) -> dict[int, int]:
        x, y, letter, half = cell.pattern(self._PLACE)
        number = 2 * "ABCD".index(letter) + int(half)
        routed = {}
        for pin, port in enumerate("ABCD"):
            if port not in cell.wires:
                continue
            end = f"{port}{number}_SLICE"
            starts = [start for start, to in self.netlist.routes[cell.wires[port]]
                      if to.endswith(f"_{end}") and start.startswith(f"X{x}/Y{y}/")]
            match = re.search(rf"_([ABCD]){number}$", starts[0]) if len(starts) == 1 else None
            if match is None:
                raise Unmodelled(f"the input {port} of {cell.name} has no route")
            routed["ABCD".index(match[1])] = pin
        return routed


def _switch(route: tuple[str, str]) -> tuple[tuple[int, int], str, str]:
    """A switch of nextpnr's ("X1/Y2/0_0_FROM", "0_-1_TO") as Trellis' text names it: ((1, 2), "FROM", "N1_TO")."""
    x, y, start = route[0].split("/", 2)
    return (int(x[1:]), int(y[1:])), _wire(start), _wire(route[1])


def _wire(name: str) -> str:
    """A wire of a tile so many columns and rows away."""
    dx, dy, wire = name.split("_", 2)
    column, row = int(dx), int(dy)
    away = (f"N{-row}" if row < 0 else f"S{row}" if row else "") + (
        f"W{-column}" if column < 0 else f"E{column}" if column else "")
    return f"{away}_{wire}" if away else wire


def _kind(switch: tuple[tuple[int, int], str, str]) -> tuple[str, str]:
    """A switch without its numbers. Of a kind, all can be off or none."""
    return re.sub(r"\d+", "#", switch[1]), re.sub(r"\d+", "#", switch[2])
