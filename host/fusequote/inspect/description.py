"""What inspection says: sections of fields, facts that were computed from them, and warnings. As JSON or as text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fusequote.arch import FieldView, Struct

#: Fields longer than this are cut in :meth:`Description.to_dict`; the whole is in the file, at their offset.
SHOWN_BYTES = 1024


@dataclass(frozen=True)
class Item:
    """One field: where it is in the file, its bytes (None when not shown), what they mean, and what covers them."""

    name: str
    offset: int
    size: int
    data: bytes | None
    meaning: str
    doc: str = ""
    covered_by: str | None = None
    reserved: bool = False

    @classmethod
    def of(cls, view: FieldView, raw: bytes, base: int, covered_by: str | None = None) -> Item:
        """The item for one field of a structure ``raw`` that begins at byte ``base`` of the file."""
        data = None if view.value is None else raw[view.offset : view.offset + view.size]
        return cls(view.name, base + view.offset, view.size, data, view.meaning, view.doc,
                   view.covered_by or covered_by, view.reserved)

    @property
    def broken(self) -> bool:
        """A reserved field that is not zero."""
        return self.reserved and bool(self.data) and any(self.data or b"")

    def to_dict(self) -> dict[str, Any]:
        """``bytes`` is hexadecimal, of the first 1024 bytes at most (then ``cut`` is true), or null when not shown."""
        shown = None if self.data is None else self.data[:SHOWN_BYTES]
        return {
            "name": self.name,
            "offset": self.offset,
            "size": self.size,
            "bytes": None if shown is None else shown.hex(),
            "cut": shown is not None and len(shown) < self.size,
            "meaning": self.meaning,
            "what": self.doc,
            "covered_by": self.covered_by,
            "reserved": self.reserved,
        }


@dataclass(frozen=True)
class Section:
    """A structure, or a run of like things, in the file."""

    title: str
    items: tuple[Item, ...]

    @classmethod
    def of(cls, structure: Struct, base: int = 0, title: str | None = None, covered_by: str | None = None) -> Section:
        """The fields of a structure, structures inside it taken apart."""
        raw = structure.to_bytes()
        items = (Item.of(view, raw, base, covered_by) for view in structure.leaves())
        return cls(title or structure.TITLE, tuple(items))


@dataclass(frozen=True)
class Description:
    """What a file is. ``kind``: a word for programs. ``facts``: (name, value) pairs that were computed.
    ``warnings``: what is wrong with it, in words. ``alternatives``: kinds that it could be as well."""

    kind: str
    title: str
    size: int
    sections: tuple[Section, ...]
    facts: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()
    encoding: str | None = field(default=None)

    def to_dict(self) -> dict[str, Any]:
        """For ``json.dumps``."""
        return {
            "kind": self.kind,
            "title": self.title,
            "size": self.size,
            "encoding": self.encoding,
            "facts": dict(self.facts),
            "warnings": list(self.warnings),
            "alternatives": list(self.alternatives),
            "sections": [
                {"title": section.title, "fields": [item.to_dict() for item in section.items]}
                for section in self.sections
            ],
        }

    def to_text(self) -> str:
        """For people: one line per field, reserved fields only when they are not zero."""
        encoded = f", from {self.encoding}" if self.encoding else ""
        lines = [f"{self.title} ({self.size} bytes{encoded})"]
        lines += [f"  could also be: {', '.join(self.alternatives)}"] if self.alternatives else []
        lines += [f"  {name}: {value}" for name, value in self.facts]
        lines += [f"  WARNING: {warning}" for warning in self.warnings]
        for section in self.sections:
            shown = [item for item in section.items if not item.reserved or item.broken]
            width = max((len(item.name) for item in shown), default=0)
            lines += ["", section.title]
            lines += [_line(item, width) for item in shown]
        return "\n".join(lines) + "\n"


def _line(item: Item, width: int) -> str:
    what = f"  ({item.doc})" if item.doc else ""
    covered = f"  [{item.covered_by}]" if item.covered_by else ""
    return f"  {item.offset:#07x} {item.size:5}  {item.name:{width}}  {item.meaning}{what}{covered}"
