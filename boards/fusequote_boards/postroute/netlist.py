"""The netlist that nextpnr placed and routed (``--write``): cells with their places and wires with their routes.

Everything about a cell's contents that can be read from the bitstream is read there instead
(:mod:`fusequote_boards.postroute.families`); the wiring, and what the bitstream says in ways not known here, comes from
this file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fusequote.errors import EnvironmentProblem

__all__ = ["Cell", "Netlist", "Unmodelled", "integer", "load", "rings"]

#: Names of the ring oscillators' cells (fusequote_hdl.engines.entropy).
_RING = re.compile(r"chip\.noise\.rings\.ring(\d+)_(\d+)(_LC)?")


class Unmodelled(EnvironmentProblem):
    """The placed design has something in it that the cell library does not know."""

    kind = "boards.postroute"


@dataclass(frozen=True)
class Cell:
    """A placed cell. ``wires``: wire number by port, for ports that have one."""

    name: str
    kind: str
    parameters: Mapping[str, str]
    wires: Mapping[str, int]
    outputs: frozenset[str]
    attributes: Mapping[str, str]

    @property
    def place(self) -> str:
        """nextpnr's name of where it is."""
        return self.attributes.get("NEXTPNR_BEL", "nowhere")

    def number(self, parameter: str, default: int = 0) -> int:
        """A parameter's value as an integer."""
        return integer(self.parameters.get(parameter, f"{default:b}"))

    def pattern(self, pattern: str) -> tuple[str, ...]:
        """The groups of ``pattern`` in the place. Raises :class:`Unmodelled` when it does not fit."""
        match = re.fullmatch(pattern, self.place)
        if match is None:
            raise Unmodelled(f"the cell {self.name} was placed at {self.place}, which is not where its kind goes")
        return match.groups()


def integer(digits: str) -> int:
    """Binary digits as an integer; an undefined one is 0."""
    try:
        return int(digits.strip().removeprefix("0b").replace("x", "0") or "0", 2)
    except ValueError:
        raise Unmodelled(f"{digits!r} is no binary number") from None


@dataclass(frozen=True)
class Netlist:
    """A routed design. ``pins``: wire of each of the device's pins by the name in the constraints. ``routes``: of each
    wire, from where to where its programmable switches lead, in nextpnr's names.
    """

    cells: Mapping[str, Cell]
    pins: Mapping[str, int]
    routes: Mapping[int, tuple[tuple[str, str], ...]]
    drivers: Mapping[int, tuple[Cell, str]] = field(repr=False)

    def of_kind(self, *kinds: str) -> Iterator[Cell]:
        """The cells of some kinds."""
        return (cell for cell in self.cells.values() if cell.kind in kinds)


def load(routed: Path) -> Netlist:
    """Read nextpnr's JSON. Raises :class:`Unmodelled` for a wire with two drivers, or with users and none."""
    modules = json.loads(routed.read_text("utf-8"))["modules"]
    top = next(module for module in modules.values() if module.get("attributes", {}).get("top"))
    cells, drivers = {}, {}
    for name, made in top["cells"].items():
        outputs = frozenset(port for port, way in made["port_directions"].items() if way == "output")
        wires = {port: bits[0] for port, bits in made["connections"].items() if bits}
        cell = cells[name] = Cell(name, made["type"], made["parameters"], wires, outputs, made["attributes"])
        for port in outputs & wires.keys():
            if wires[port] in drivers:
                raise Unmodelled(f"the output {port} of {name} is connected to another output")
            drivers[wires[port]] = cell, port
    pins = {name: port["bits"][0] for name, port in top["ports"].items()}
    for cell in cells.values():
        for port, wire in cell.wires.items():
            if wire not in drivers and wire not in pins.values():
                raise Unmodelled(f"the input {port} of {cell.name} is connected to no output")
    routes = {net["bits"][0]: tuple(_switches(net["attributes"].get("ROUTING", "")))
              for net in top["netnames"].values() if len(net["bits"]) == 1}
    return Netlist(cells, pins, routes, drivers)


def _switches(routing: str) -> Iterator[tuple[str, str]]:
    """``WIRE;SWITCH;STRENGTH`` for each wire; a switch is named ``PLACE/FROM->TO``, or not at all at the source."""
    for _wire, switch, _strength in zip(*[iter(routing.split(";"))] * 3, strict=False):
        if switch:
            start, _, end = switch.replace(".->.", "->").partition("->")
            yield start, end


def rings(netlist: Netlist, through: Callable[[Cell], Mapping[str, Iterable[str]]]) -> dict[tuple[str, str], int]:
    """The ring oscillators: (cell, input) where each is to be cut, and its number.

    ``through``: of a cell, the inputs that each output depends on in the same cycle. Raises :class:`Unmodelled`
    when there is a loop of logic that is no ring oscillator of ours.
    """
    after: dict[int, list[int]] = {}
    for cell in netlist.cells.values():
        for output, inputs in through(cell).items():
            if output in cell.wires:
                for port in inputs:
                    if port in cell.wires:
                        after.setdefault(cell.wires[port], []).append(cell.wires[output])
    cuts = {}
    for loop in _loops(after):
        found = []
        for wire in loop:
            match = _RING.fullmatch(netlist.drivers[wire][0].name)
            if match is None:
                raise Unmodelled(f"{netlist.drivers[wire][0].name} is in a loop of logic, and no ring oscillator")
            found.append((int(match[2]), int(match[1]), netlist.drivers[wire][0]))
        stages = sorted(stage for stage, _, _ in found)
        if len({ring for _, ring, _ in found}) != 1 or stages != list(range(len(found))):
            raise Unmodelled(f"ring oscillator {found[0][1]} was not placed as it was made")
        _, ring, first = min(found, key=lambda each: each[0])
        ports = [port for port, wire in first.wires.items() if wire in loop and port not in first.outputs]
        cuts[first.name, ports[0]] = ring
    return cuts


def _loops(after: Mapping[int, list[int]]) -> Iterator[set[int]]:
    """Strongly connected components with an edge in them (Tarjan, without recursion: carry chains are long)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    for root in after:
        if root in index:
            continue
        work = [(root, iter(after.get(root, ())))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, edges = work[-1]
            for target in edges:
                if target not in index:
                    index[target] = low[target] = len(index)
                    stack.append(target)
                    on_stack.add(target)
                    work.append((target, iter(after.get(target, ()))))
                    break
                if target in on_stack:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    component = set()
                    while node not in component:
                        component.add(stack.pop())
                    on_stack -= component
                    if len(component) > 1 or node in after.get(node, ()):
                        yield component
