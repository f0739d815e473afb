"""Fuses in a finished bitstream: where they are, what they say, and how to write others.

The design is placed once, with :func:`fusequote_boards.fusemacro.marker` for fuses. :func:`locate` finds the cells that
hold them in what nextpnr wrote, and how it permuted the inputs of each look-up table, and compares every bit with the
marker: a tool that lays bits out in another way is found out here and not on a board. From then on any fuses can be
written into the text that icepack or ecppack makes a bitstream of, in no time.

Formats: Project IceStorm's .asc (logic tile and RAM pages), Project Trellis' .config.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from fusequote.errors import EnvironmentProblem, FormatError

from .fusemacro import KEY_BYTES, KEYS, RAM_BYTES, key_bits, marker, reordered

__all__ = ["FORMATS", "AscText", "ConfigText", "FuseMap", "Table", "locate"]

#: The fuse macro's place in the design, as :mod:`fusequote_boards.top` names it.
MACRO = "chip.fuses"
RAM = f"{MACRO}.ram.memory.0.0"


@dataclass(frozen=True)
class Table:
    """One look-up table: its place, and which of its inputs each address bit arrives at."""

    place: str
    inputs: tuple[int, ...]

    def scramble(self, contents: int) -> int:
        """Contents by address -> contents as the cell holds them."""
        return reordered(contents, self.inputs)

    def order(self, held: int) -> int:
        """Contents as the cell holds them -> contents by address."""
        return reordered(held, tuple(self.inputs.index(pin) for pin in range(4)))


class Text(Protocol):
    """A bitstream as text, whose look-up tables and block RAMs can be read and written."""

    def table(self, place: str) -> int: ...
    def set_table(self, place: str, held: int) -> None: ...
    def ram(self, place: str) -> bytes: ...
    def set_ram(self, place: str, contents: bytes) -> None: ...
    def text(self) -> str: ...


class AscText:
    """IceStorm's text. A table's place is "X Y N", a RAM's "X Y". A RAM is one of 512 bytes."""

    #: Bits of a logic cell, 20 in two lines from column 36, in the order of the table's addresses.
    LUT = (4, 14, 15, 5, 6, 16, 17, 7, 3, 13, 12, 2, 1, 11, 10, 0)
    COLUMN, WIDTH = 36, 10

    def __init__(self, text: str):
        self._lines = text.splitlines()
        self._at = {line: i for i, line in enumerate(self._lines) if line.startswith((".logic_tile", ".ram_data"))}

    def _section(self, name: str) -> int:
        if name not in self._at:
            raise FormatError(f"the bitstream's text has no section {name}")
        return self._at[name] + 1

    def _cell(self, place: str) -> tuple[int, int]:
        x, y, cell = place.split()
        start = self._section(f".logic_tile {x} {y}")
        return start + 2 * int(cell), start + 2 * int(cell) + 1

    def table(self, place: str) -> int:
        bits = "".join(self._lines[row][self.COLUMN : self.COLUMN + self.WIDTH] for row in self._cell(place))
        if len(bits) != 2 * self.WIDTH or set(bits) - {"0", "1"}:
            raise FormatError(f"the bitstream's text is damaged at logic cell {place}")
        return sum(int(bits[at]) << i for i, at in enumerate(self.LUT))

    def set_table(self, place: str, held: int) -> None:
        rows = self._cell(place)
        for i, at in enumerate(self.LUT):
            row, column = rows[at // self.WIDTH], self.COLUMN + at % self.WIDTH
            line = self._lines[row]
            self._lines[row] = f"{line[:column]}{held >> i & 1}{line[column + 1 :]}"

    @staticmethod
    def _ram_bit(address: int, bit: int) -> int:
        # Words of 16 bits; two bytes in one, bit by bit, the bits of a byte in the order 0 4 2 6 1 5 3 7.
        reverse = (bit & 1) << 2 | bit & 2 | bit >> 2
        return (address >> 1) * 16 + 2 * reverse + (address & 1)

    def ram(self, place: str) -> bytes:
        start = self._section(f".ram_data {place}")
        try:
            value = sum(int(line, 16) << 256 * i for i, line in enumerate(self._lines[start : start + 16]))
        except ValueError:
            raise FormatError(f"the bitstream's text is damaged at block RAM {place}") from None
        return bytes(sum((value >> self._ram_bit(address, bit) & 1) << bit for bit in range(8))
                     for address in range(RAM_BYTES))

    def set_ram(self, place: str, contents: bytes) -> None:
        start = self._section(f".ram_data {place}")
        value = sum((byte >> bit & 1) << self._ram_bit(address, bit)
                    for address, byte in enumerate(contents) for bit in range(8))
        for i in range(16):
            self._lines[start + i] = f"{value >> 256 * i & (1 << 256) - 1:064x}"

    def text(self) -> str:
        return "\n".join(self._lines) + "\n"

    @staticmethod
    def cells(cells: Mapping[str, Any], table: str) -> str:
        """Place of a look-up table's logic cell, by its name."""
        x, y, cell = _bel(cells, f"{table}_LC", r"X(\d+)/Y(\d+)/lc(\d)")
        return f"{x} {y} {cell}"

    @staticmethod
    def ram_cell(cells: Mapping[str, Any], ram: str) -> str:
        """Place of a block RAM, by its name."""
        return " ".join(_bel(cells, f"{ram}_RAM", r"X(\d+)/Y(\d+)/ram"))


class ConfigText:
    """Trellis' text. A table's place is "TILE WORD", a RAM's its number. A RAM is one of 2048 words of 9 bits."""

    PER_LINE, LINES = 8, 256

    def __init__(self, text: str):
        self._lines = text.splitlines()
        self._at: dict[str, int] = {}
        tile = ""
        for i, line in enumerate(self._lines):
            if line.startswith(".tile "):
                tile = line[6:]
            elif line.startswith("word: SLICE"):
                self._at[f"{tile} {line.split()[1]}"] = i
            elif line.startswith(".bram_init "):
                self._at[line] = i

    def _line(self, name: str) -> int:
        if name not in self._at:
            raise FormatError(f"the bitstream's text has no {name}")
        return self._at[name]

    def table(self, place: str) -> int:
        bits = self._lines[self._line(place)].split()[-1]
        if len(bits) != 16 or set(bits) - {"0", "1"}:
            raise FormatError(f"the bitstream's text is damaged at {place}")
        return int(bits, 2)

    def set_table(self, place: str, held: int) -> None:
        self._lines[self._line(place)] = f"word: {place.split()[1]} {held:016b}"

    def ram(self, place: str) -> bytes:
        start = self._line(f".bram_init {place}") + 1
        words = " ".join(self._lines[start : start + RAM_BYTES // self.PER_LINE]).split()
        try:
            return bytes(int(word, 16) & 0xFF for word in words[:RAM_BYTES])
        except ValueError:
            raise FormatError(f"the bitstream's text is damaged at block RAM {place}") from None

    def set_ram(self, place: str, contents: bytes) -> None:
        start = self._line(f".bram_init {place}") + 1
        for i in range(0, RAM_BYTES, self.PER_LINE):
            self._lines[start + i // self.PER_LINE] = " ".join(
                f"{byte:03x}" for byte in contents[i : i + self.PER_LINE]) + " "

    def text(self) -> str:
        return "\n".join(self._lines) + "\n"

    @staticmethod
    def cells(cells: Mapping[str, Any], table: str) -> str:
        """Place of a look-up table, by its cell's name."""
        x, y, name = _bel(cells, table, r"X(\d+)/Y(\d+)/(SLICE[A-D]\.K[01])")
        return f"R{y}C{x}:PLC2 {name}.INIT"

    @staticmethod
    def ram_cell(cells: Mapping[str, Any], ram: str) -> str:
        """Number of a block RAM, by its cell's name."""
        return str(int(_cell(cells, ram)["attributes"]["WID"], 2))


#: Family -> its text.
FORMATS: dict[str, type[AscText] | type[ConfigText]] = {"up5k": AscText, "ecp5": ConfigText}


@dataclass(frozen=True)
class FuseMap:
    """Where the fuses of a placed design are."""

    family: str
    tables: Mapping[str, Sequence[Table]]
    ram: str

    def read(self, text: Text) -> bytes:
        """All 512 bytes behind the fuse macro: 384 fuses, and what is never read."""
        contents = bytearray(text.ram(self.ram))
        for name, row in KEYS.items():
            bits = [table.order(text.table(table.place)) for table in self.tables[name]]
            burnt = contents[row : row + KEY_BYTES]
            contents[row : row + KEY_BYTES] = bytes(
                sum((bits[bit] >> i & 1) << bit for bit in range(8)) | burnt[i] for i in range(KEY_BYTES))
        return bytes(contents)

    def write(self, text: Text, fuses: bytes) -> None:
        """Write fuses, at most 384 bytes; what is not given is 0. The root keys go into look-up tables only."""
        contents = bytearray(fuses.ljust(RAM_BYTES, b"\0"))
        for name, row in KEYS.items():
            key = bytes(contents[row : row + KEY_BYTES])
            for bit, table in enumerate(self.tables[name]):
                text.set_table(table.place, table.scramble(key_bits(key, bit)))
            contents[row : row + KEY_BYTES] = bytes(KEY_BYTES)
        text.set_ram(self.ram, bytes(contents))

    def to_json(self) -> str:
        """As text."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> FuseMap:
        """Of :meth:`to_json`. Raises :class:`FormatError`."""
        try:
            fields = json.loads(text)
            tables = {name: [Table(table["place"], tuple(table["inputs"])) for table in fields["tables"][name]]
                      for name in KEYS}
            found = cls(fields["family"], tables, fields["ram"])
            if found.family not in FORMATS or any(len(table) != 8 for table in tables.values()):
                raise ValueError
            return found
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError("this is no map of fuses", hint="build the board again") from error


def _cell(cells: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if name not in cells:
        raise EnvironmentProblem(f"the placed design has no cell {name}: the tools have taken the fuses apart",
                                 hint="build with the versions of the tools that fusequote[fpga] names")
    return cells[name]


def _bel(cells: Mapping[str, Any], name: str, pattern: str) -> tuple[str, ...]:
    place = _cell(cells, name)["attributes"].get("NEXTPNR_BEL", "nowhere")
    match = re.fullmatch(pattern, place)
    if match is None:
        raise EnvironmentProblem(f"the cell {name} was placed at {place}, which is not where its kind goes",
                                 hint="build with the versions of the tools that fusequote[fpga] names")
    return match.groups()


def locate(family: str, routed: Path, text: Text) -> FuseMap:
    """The fuses of a design that was placed with the marker: ``routed`` is nextpnr's ``--write``.

    Raises :class:`EnvironmentProblem` when the tools did something else than what is known here.
    """
    kind = FORMATS[family]
    modules = json.loads(routed.read_text("utf-8"))["modules"]
    cells = next(module for module in modules.values() if module.get("attributes", {}).get("top"))["cells"]
    expected = marker()
    tables = {}
    for name, row in KEYS.items():
        key = expected[row : row + KEY_BYTES]
        tables[name] = tuple(_table(text, kind.cells(cells, f"{MACRO}.{name}{bit}"), key_bits(key, bit))
                             for bit in range(8))
    found = FuseMap(family, tables, kind.ram_cell(cells, RAM))
    if text.ram(found.ram) != expected:
        raise EnvironmentProblem("the tools have laid out block RAM in a way that is not known here",
                                 hint="build with the versions of the tools that fusequote[fpga] names")
    return found


def _table(text: Text, place: str, contents: int) -> Table:
    held = text.table(place)
    fits = [table for inputs in itertools.permutations(range(4))
            if (table := Table(place, inputs)).scramble(contents) == held]
    if len(fits) != 1:
        raise EnvironmentProblem(f"the look-up table at {place} does not hold what it was placed with",
                                 hint="build with the versions of the tools that fusequote[fpga] names")
    return fits[0]
