"""What is known of a family's cells: how the library's models are instantiated, and what the bitstream says of them.

A cell's description is an :class:`Instance`: parameters, and an expression for each input. Contents of look-up tables
and block RAMs come from the bitstream's text, at the place of the cell, and a table's wires are where they were routed
to. Both together must be what nextpnr says it placed, for all but the fuses.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import ClassVar

from ..fusebits import MACRO, RAM
from .bitstream import Asc, Config
from .netlist import Cell, Netlist, Unmodelled

__all__ = ["Family", "Instance"]

#: A look-up table of the fuse macro: a root key's bits.
_FUSE_TABLE = re.compile(re.escape(MACRO) + r"\.(rpk|rsk)([0-7])(_LC)?")


@dataclass
class Instance:
    """A cell as the library has it.

    ``inputs``: an expression for a port (several bits, highest first). ``outputs``: the placed cell's ports of a port,
    likewise. ``contents``: of a look-up table, or None; ``tables``: ports for what it gives at four inputs, lowest
    first. ``ram``: contents of a block RAM. ``fuse``: number of the fuse table, -1 for the fuses' block RAM, None for
    all others.
    """

    parameters: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, list[str]] = field(default_factory=dict)
    outputs: dict[str, list[str]] = field(default_factory=dict)
    contents: int | None = None
    tables: dict[str, list[str]] = field(default_factory=dict)
    ram: int | None = None
    fuse: int | None = None


class Family(ABC):
    """One family's cells. ``idle`` is what an input without a wire is."""

    library: ClassVar[str]
    kinds: ClassVar[frozenset[str]]
    #: By kind, the inputs that an output depends on in the same cycle.
    through: ClassVar[Mapping[str, Mapping[str, tuple[str, ...]]]]
    ram_bits: ClassVar[int]
    idle: ClassVar[str]
    pll: ClassVar[str]
    pad: ClassVar[str]
    pins: ClassVar[tuple[str, ...]]  #: of a look-up table

    def __init__(self, netlist: Netlist, cuts: Mapping[tuple[str, str], int]):
        self.netlist, self.cuts = netlist, cuts

    @abstractmethod
    def instance(self, cell: Cell, text: Asc | Config) -> Instance:
        """The library's model of a cell. Raises :class:`Unmodelled`."""

    @abstractmethod
    def pll_rate(self, cell: Cell, hz: int) -> Fraction:
        """Hz that a PLL makes of ``hz``."""

    @abstractmethod
    def ram(self, cell: Cell, text: Asc | Config) -> int:
        """Contents of a block RAM in the bitstream, as the library's model counts its bits."""

    @abstractmethod
    def routed(self, cell: Cell) -> dict[int, int]:
        """Where a look-up table's wires arrive: physical input -> input of the placed cell."""

    @abstractmethod
    def held(self, cell: Cell, text: Asc | Config) -> int:
        """The 16 bits of a look-up table in the bitstream, by the address at its physical inputs."""

    def table(self, cell: Cell, text: Asc | Config, made: Instance, placed: int) -> list[str]:
        """Put a look-up table into ``made``. Returns the expressions at its physical inputs, the lowest first.

        Raises :class:`Unmodelled` when it is no fuse, and the bitstream has not what was ``placed``.
        """
        routed = self.routed(cell)
        made.contents, made.fuse = self.held(cell, text), self.fuse_number(cell)
        if made.fuse is None:
            idle = int(self.idle[-1])
            for address in range(16):
                at = sum((address >> routed[pin] & 1 if pin in routed else idle) << pin for pin in range(4))
                free = any(pin not in routed.values() and address >> pin & 1 != idle for pin in range(4))
                if not free and (made.contents >> at ^ placed >> address) & 1:
                    raise Unmodelled(f"the look-up table {cell.name} does not hold in the bitstream what was placed",
                                     hint="the bitstream is of another build")
        made.tables["lut"] = [self.input(cell, self.pins[routed[pin]]) if pin in routed else self.idle
                              for pin in range(4)]
        return made.tables["lut"]

    @classmethod
    def combinational(cls, cell: Cell) -> Mapping[str, tuple[str, ...]]:
        """For each output of a cell, the inputs that it depends on in the same cycle."""
        return cls.through.get(cell.kind, {})

    @staticmethod
    @abstractmethod
    def is_output(cell: Cell) -> bool:
        """Whether a pin's cell drives the pin."""

    @abstractmethod
    def check_wiring(self, text: Asc | Config) -> None:
        """Raises :class:`Unmodelled` when the bitstream has another wiring than the netlist, where that can be told."""

    def input(self, cell: Cell, port: str, idle: str | None = None) -> str:
        """The expression for an input."""
        if (cell.name, port) in self.cuts:
            return f"noise[{self.cuts[cell.name, port]}]"
        wire = cell.wires.get(port)
        return f"n{wire}" if wire is not None else idle or self.idle

    def vector(self, cell: Cell, port: str, width: int, separator: str = "") -> list[str]:
        """Expressions for an input of several bits."""
        return [self.input(cell, f"{port}{separator}{i}") for i in reversed(range(width))]

    @staticmethod
    def refuse(cell: Cell, allowed: Mapping[str, tuple[int, ...]]) -> None:
        """Raises :class:`Unmodelled` when a parameter has a value that the library does not know."""
        for parameter, values in allowed.items():
            if cell.number(parameter, values[0]) not in values:
                raise Unmodelled(
                    f"{cell.name}: {cell.kind} with {parameter} = {cell.parameters[parameter]} has no model")

    def fuse_number(self, cell: Cell) -> int | None:
        """Which of the sixteen fuse tables this is, or -1 for the fuses' block RAM."""
        if cell.name.removesuffix("_RAM") == RAM:
            return -1
        match = _FUSE_TABLE.fullmatch(cell.name)
        return None if match is None else 8 * (match[1] == "rsk") + int(match[2])
