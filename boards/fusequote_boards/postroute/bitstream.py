"""More of a bitstream's text than the fuses: every look-up table, register setting and block RAM of a placed cell."""

from __future__ import annotations

from fusequote.errors import FormatError

from ..fusebits import AscText, ConfigText
from ..fusemacro import RAM_BYTES

__all__ = ["TEXTS", "Asc", "Config"]


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

    def cells(self) -> dict[str, list[str]]:
        """Logic tiles by "X Y", with the 20 bits of each of their eight cells."""
        found = {}
        for line, at in self._at.items():
            if line.startswith(".logic_tile "):
                rows = [row[self.COLUMN : self.COLUMN + self.WIDTH] for row in self._lines[at + 1 : at + 17]]
                found[line.removeprefix(".logic_tile ")] = [rows[i] + rows[i + 1] for i in range(0, 16, 2)]
        return found


class Config(ConfigText):
    """Trellis' text of an ECP5's bitstream. A table that it does not name is all ones, a block RAM all zeros."""

    def table(self, place: str) -> int:
        return super().table(place) if place in self._at else 0xFFFF

    def ram(self, place: str) -> bytes:
        return super().ram(place) if f".bram_init {place}" in self._at else bytes(RAM_BYTES)

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
