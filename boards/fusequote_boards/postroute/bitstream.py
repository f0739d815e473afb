"""More of a bitstream's text than the fuses: every look-up table, register setting and block RAM of a placed cell."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fusequote.errors import FormatError

from ..fusebits import AscText, ConfigText
from ..fusemacro import RAM_BYTES

__all__ = ["TEXTS", "Asc", "Config"]

_TILE = re.compile(r"R(\d+)C(\d+)")
_CLOCKS = re.compile(r":(CMUX_|[LRTB]MID_)")


class Asc(AscText):
    """IceStorm's text of an iCE40's bitstream."""

    #: Other bits of a logic cell, as AscText.LUT counts them.
    FLAGS = {"CARRY_ENABLE": 8, "DFF_ENABLE": 9, "SET_NORESET": 18, "ASYNC_SR": 19}

    def flags(self, place: str) -> dict[str, int]:
        """Settings of the logic cell at "X Y N"."""
        bits = "".join(self._lines[row][self.COLUMN : self.COLUMN + self.WIDTH] for row in self._cell(place))
        return {name: int(bits[at]) for name, at in self.FLAGS.items()}

    def ram_value(self, place: str) -> int:
        """4096 bits of the block RAM at "X Y": words of 16 bits, the first in the lowest bits. 0 when it has none."""
        name = f".ram_data {place}"
        if name not in self._at:
            return 0
        start = self._section(name)
        return sum(int(line, 16) << 256 * i for i, line in enumerate(self._lines[start : start + 16]))


class Config(ConfigText):
    """Trellis' text of an ECP5's bitstream. A table that it does not name is all ones, a block RAM all zeros."""

    def table(self, place: str) -> int:
        return super().table(place) if place in self._at else 0xFFFF

    def ram(self, place: str) -> bytes:
        return super().ram(place) if f".bram_init {place}" in self._at else bytes(RAM_BYTES)

    def arcs(self) -> Iterator[tuple[tuple[int, int], str, str]]:
        """The switches that are on: column and row of the tile, wire from and wire to. Not those of the tiles in the
        middle that hand clocks out: they are named otherwise.
        """
        place = None
        for line in self._lines:
            if line.startswith(".tile "):
                tile = _TILE.search(line)
                place = (int(tile[2]), int(tile[1])) if tile and not _CLOCKS.search(line) else None
            elif line.startswith("arc: ") and place is not None:
                end, start = line.split()[1:]
                yield place, start, end

    def ram_value(self, place: str) -> int:
        """18432 bits of the block RAM with this number: words of 9 bits, the first in the lowest bits."""
        name = f".bram_init {place}"
        if name not in self._at:
            return 0
        start = self._line(name) + 1
        words = " ".join(self._lines[start : start + self.LINES]).split()
        if len(words) != self.LINES * self.PER_LINE:
            raise FormatError(f"the bitstream's text is damaged at block RAM {place}")
        return sum(int(word, 16) << 9 * i for i, word in enumerate(words))


#: Family -> its text.
TEXTS: dict[str, type[Asc] | type[Config]] = {"up5k": Asc, "ecp5": Config}
