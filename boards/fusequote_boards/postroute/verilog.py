"""The placed design as Verilog: one instance of the cell library for each cell, one wire for each routed net.

The module ``chip`` has a clock (``clk``: what the PLL makes, or the oscillator itself), a port for each pin, a bit of
noise for each ring oscillator, and what is known only when a chip's own bitstream is: ``fuse_tables``, the sixteen
look-up tables of the root keys, and ``fuse_ram``, taken over while ``configure`` is 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from .bitstream import Asc, Config
from .ecp5 import Ecp5
from .family import Family
from .ice40 import Ice40
from .netlist import Netlist, Unmodelled, rings

__all__ = ["Contents", "Placed", "logic", "pin_port"]

#: Family -> what is known of its cells.
FAMILIES: dict[str, type[Family]] = {"up5k": Ice40, "ecp5": Ecp5}


@dataclass(frozen=True)
class Contents:
    """What a chip's own bitstream adds to the design: 16 tables of 16 bits (256 in all), and the fuses' block RAM."""

    tables: int
    ram: int

    def __repr__(self) -> str:
        return "Contents()"  # they are keys


class Placed:
    """A routed design of a family. Raises :class:`Unmodelled` for what the cell library does not have."""

    def __init__(self, netlist: Netlist, family: str):
        kind = FAMILIES[family]
        self.netlist = netlist
        #: Cuts of the ring oscillators, by cell and input.
        self.rings = rings(netlist, kind.combinational)
        self.family = kind(netlist, self.rings)
        unknown = {cell.kind for cell in netlist.cells.values()} - kind.kinds
        if unknown:
            raise Unmodelled(f"there is no model of {', '.join(sorted(unknown))}")

    def contents(self, text: Asc | Config) -> Contents:
        """The fuses of a bitstream. All else in it must be what was placed: :class:`Unmodelled` when it is not."""
        tables = ram = 0
        for cell in self.netlist.cells.values():
            made = self.family.instance(cell, text)
            if made.fuse == -1:
                ram = made.ram
            elif made.fuse is not None:
                tables |= made.contents << 16 * made.fuse
        return Contents(tables, ram)

    def verilog(self, text: Asc | Config) -> str:
        """The module. ``text`` is what the design's bitstream was packed of, with any fuses: one that was unpacked has
        other names for switches of the same bits. Raises :class:`Unmodelled` for another design's.
        """
        self.family.check_wiring(text)
        return "\n".join(self._lines(text)) + "\n"

    def _lines(self, text: Asc | Config) -> Iterator[str]:
        pins = {wire: name for name, wire in self.netlist.pins.items()}
        outputs = self._outputs()
        yield "module chip ("
        yield "    input clk, configure,"
        yield f"    input [{max(len(self.rings), 1) - 1}:0] noise,"
        yield "    input [255:0] fuse_tables,"
        yield f"    input [{self.family.ram_bits - 1}:0] fuse_ram" + "".join(
            f",\n    {'output' if wire in outputs else 'input'} {pin_port(name)}" for wire, name in pins.items())
        yield ");"
        yield "wire pll_out;"
        wires = set(self.netlist.drivers) | set(pins)
        yield from (f"wire n{wire};" for wire in sorted(wires))
        yield from (f"assign {pin_port(name)} = n{wire};" if wire in outputs else f"assign n{wire} = {pin_port(name)};"
                    for wire, name in pins.items())
        for number, cell in enumerate(self.netlist.cells.values()):
            made = self.family.instance(cell, text)
            ports = [f".{port}({_joined(bits)})" for port, bits in made.inputs.items()]
            for port, placed in made.outputs.items():
                bits = [each[1:] if each.startswith("=") else f"n{cell.wires[each]}" if each in cell.wires else ""
                        for each in placed]
                if all(bits) or len(bits) == 1:
                    ports.append(f".{port}({_joined(bits)})")
                elif any(bits):  # some bits of it go nowhere
                    yield f"wire [{len(bits) - 1}:0] c{number}_{port};"
                    yield from (f"assign {bit} = c{number}_{port}[{len(bits) - 1 - i}];"
                                for i, bit in enumerate(bits) if bit)
                    ports.append(f".{port}(c{number}_{port})")
            parameters = dict(made.parameters)
            if made.fuse == -1:
                parameters["LOADED"] = "1"
                ports += [".configure(configure)", ".contents(fuse_ram)"]
            elif made.ram is not None:
                parameters["INIT"] = f"{self.family.ram_bits}'h{made.ram:x}"
                ports += [".configure(1'b0)", f".contents({self.family.ram_bits}'h0)"]
            for port, inputs in made.tables.items():
                ports.append(f".{port}({_fuse(made.fuse, inputs)})" if made.fuse is not None else
                             f".{port}({logic(made.contents, inputs)})")
            given = ", ".join(f".{name}({value})" for name, value in parameters.items())
            yield f"{cell.kind} #({given}) c{number} ({', '.join(ports)});  // {_comment(cell.name)} at {cell.place}"
        yield "endmodule"

    def _outputs(self) -> set[int]:
        """Wires of the pins that are the device's outputs."""
        return {cell.wires[self.family.pad] for cell in self.netlist.of_kind("SB_IO", "TRELLIS_IO")
                if self.family.is_output(cell)}


def pin_port(pin: str) -> str:
    """The port of a pin: its name without what Verilator would spell differently in C++."""
    return re.sub(r"_+", "_", re.sub(r"\W", "_", pin))


def logic(contents: int, inputs: Sequence[str]) -> str:
    """The expression for what a table of four inputs (lowest first) gives."""
    template = _expression(contents, 4)[1]
    return template.format(*inputs)


@cache
def _expression(contents: int, inputs: int) -> tuple[int, str]:
    """Cost and expression of a table of so many inputs: the cheapest by Shannon's expansion."""
    whole = (1 << (1 << inputs)) - 1
    if contents in (0, whole):
        return 0, f"1'b{int(contents != 0)}"
    found = []
    for pin in range(inputs):
        low = sum((contents >> _spread(i, pin) & 1) << i for i in range(1 << inputs - 1))
        high = sum((contents >> (_spread(i, pin) | 1 << pin) & 1) << i for i in range(1 << inputs - 1))
        half = whole >> (1 << inputs - 1)
        (cost_0, if_0), (cost_1, if_1) = (_without(table, inputs, pin) for table in (low, high))
        this = f"{{{pin}}}"
        if low == high:
            return cost_0, if_0
        if (low, high) == (0, half):
            return 1, this
        if (low, high) == (half, 0):
            return 2, f"!{this}"
        if low == 0:
            found.append((cost_1 + 1, f"({this} & {if_1})"))
        elif high == 0:
            found.append((cost_0 + 2, f"(!{this} & {if_0})"))
        elif low == half:
            found.append((cost_1 + 2, f"(!{this} | {if_1})"))
        elif high == half:
            found.append((cost_0 + 1, f"({this} | {if_0})"))
        elif low == half ^ high:
            found.append((cost_0 + 1, f"({this} ^ {if_0})"))
        else:
            found.append((cost_0 + cost_1 + 2, f"({this} ? {if_1} : {if_0})"))
    return min(found)


def _spread(index: int, pin: int) -> int:
    """An index with a 0 put in at bit ``pin``."""
    return index >> pin << pin + 1 | index & (1 << pin) - 1


def _without(table: int, inputs: int, pin: int) -> tuple[int, str]:
    """A table of all inputs but ``pin``."""
    cost, template = _expression(table, inputs - 1)
    return cost, template.format(*(f"{{{i}}}" for i in range(inputs) if i != pin))


def _fuse(number: int, inputs: Sequence[str]) -> str:
    return f"fuse_tables[{{4'd{number}, {', '.join(reversed(inputs))}}}]"


def _joined(bits: list[str]) -> str:
    return bits[0] if len(bits) == 1 else "{" + ", ".join(bits) + "}"


def _comment(name: str) -> str:
    return name.replace("\n", " ").replace("\\", "/")
