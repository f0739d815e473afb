"""How a structure of the architecture is written down: once, as a table, that parses, prints and builds.

A structure is a class with one line per field, in the order of the manual's table::

    class SecInfo(Struct, size=64, align=64):
        flags = U64(0, "permissions and page type", enum=SecInfoFlags)
        reserved = Reserved(8, 56)

The table must cover every byte exactly once; a gap or an overlap is a ``TypeError`` at import. An instance is
immutable and *is* its bytes, so a structure that breaks rules survives parsing and printing unchanged; rules are asked
for with :meth:`Struct.check_reserved`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any, ClassVar, Generic, Self, TypeVar, overload

from fusequote.arch.text import describe_bytes, describe_int
from fusequote.errors import FormatError

T = TypeVar("T")
Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True)
class FieldView:
    """One field of one structure, for people: ``meaning`` is the value in words, ``doc`` what the field is.

    ``covered_by`` names the signature or MAC that protects the field. ``value`` is None for a secret field.
    """

    name: str
    offset: int
    size: int
    value: Any
    meaning: str
    doc: str = ""
    covered_by: str | None = None
    reserved: bool = False

    def __iter__(self) -> Iterator[Any]:
        return iter((self.name, self.offset, self.size, self.value, self.meaning))


class Field(Generic[T]):
    """``size`` bytes at ``offset``. ``default`` is the raw content when a structure is built without this field."""

    reserved = False

    def __init__(self, offset: int, size: int, doc: str = "", *, default: bytes | None = None, secret: bool = False):
        self.offset, self.size, self.doc, self.secret = offset, size, doc, secret
        self.default = bytes(size) if default is None else default
        self.name = "?"

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, obj: None, owner: type) -> Self: ...
    @overload
    def __get__(self, obj: Struct, owner: type) -> T: ...
    def __get__(self, obj: Struct | None, owner: type) -> Self | T:
        return self if obj is None else self.decode(self.slice(obj.to_bytes()))

    def slice(self, raw: bytes) -> bytes:
        """The field's own bytes out of the structure's."""
        return raw[self.offset : self.offset + self.size]

    def decode(self, raw: bytes) -> T:
        """The value of these bytes."""
        raise TypeError(f"{type(self).__name__} declares no decoding")

    def encode(self, value: Any) -> bytes:
        """The bytes of this value; raises :class:`~fusequote.errors.FormatError` when it does not fit."""
        raise TypeError(f"{type(self).__name__} declares no encoding")

    def meaning(self, value: T) -> str:
        """The value in words."""
        return str(value)

    def misfit(self, why: str) -> FormatError:
        """The error for a value that does not fit this field."""
        return FormatError(f"{self.name}: {why}", offset=self.offset)


class Bytes(Field[bytes]):
    """A byte string of fixed length, in natural order."""

    def decode(self, raw: bytes) -> bytes:
        return raw

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, Buffer):
            raise self.misfit(f"{self.size} bytes wanted, not {type(value).__name__}")
        if len(value) != self.size:
            raise self.misfit(f"{self.size} bytes wanted, not {len(value)}")
        return bytes(value)

    def meaning(self, value: bytes) -> str:
        return describe_bytes(value)


class Reserved(Bytes):
    """Bytes that the manual reserves: zero unless somebody breaks the rule."""

    reserved = True

    def __init__(self, offset: int, size: int, doc: str = "reserved, 0"):
        super().__init__(offset, size, doc)

    def meaning(self, value: bytes) -> str:
        return "0" if not any(value) else f"NOT ZERO: {describe_bytes(value)}"


class UInt(Field[int]):
    """An unsigned integer, little-endian unless ``big``. With ``enum`` known values decode to its members."""

    def __init__(self, offset: int, size: int, doc: str = "", *, enum: type[IntEnum] | type[IntFlag] | None = None,
                 big: bool = False, default: int = 0):
        self.order = "big" if big else "little"
        super().__init__(offset, size, doc, default=default.to_bytes(size, self.order))
        self.enum = enum

    def decode(self, raw: bytes) -> int:
        number = int.from_bytes(raw, self.order)
        try:
            return number if self.enum is None else self.enum(number)
        except ValueError:
            return number

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, int):
            raise self.misfit(f"an integer wanted, not {type(value).__name__}")
        if not 0 <= value < 1 << 8 * self.size:
            raise self.misfit(f"{value:#x} does not fit {self.size} bytes")
        return int(value).to_bytes(self.size, self.order)

    def meaning(self, value: int) -> str:
        return describe_int(value, 8 * self.size, self.enum)


def U8(offset: int, doc: str = "", **kw: Any) -> UInt:
    """One byte, unsigned."""
    return UInt(offset, 1, doc, **kw)


def U16(offset: int, doc: str = "", **kw: Any) -> UInt:
    """Two bytes, unsigned, little-endian unless ``big=True``."""
    return UInt(offset, 2, doc, **kw)


def U32(offset: int, doc: str = "", **kw: Any) -> UInt:
    """Four bytes, unsigned, little-endian unless ``big=True``."""
    return UInt(offset, 4, doc, **kw)


def U64(offset: int, doc: str = "", **kw: Any) -> UInt:
    """Eight bytes, unsigned, little-endian unless ``big=True``."""
    return UInt(offset, 8, doc, **kw)


S = TypeVar("S", bound="Struct")


class Sub(Field[S]):
    """A structure inside a structure. Builds from an instance or from its bytes."""

    def __init__(self, offset: int, kind: type[S], doc: str = ""):
        super().__init__(offset, kind.SIZE, doc or kind.TITLE, default=kind().to_bytes())
        self.kind = kind

    def decode(self, raw: bytes) -> S:
        return self.kind.from_bytes(raw)

    def encode(self, value: Any) -> bytes:
        if isinstance(value, Struct) and not isinstance(value, self.kind):
            raise self.misfit(f"{self.kind.TITLE} wanted, not {value.TITLE}")
        return (value if isinstance(value, Struct) else self.kind.from_bytes(value)).to_bytes()

    def meaning(self, value: S) -> str:
        return value.summary()


class Tail(Field[bytes]):
    """The variable end: ``unit`` x the value of ``length_field`` + ``extra`` bytes; all the rest if that is None."""

    def __init__(self, offset: int, doc: str = "", *, length_field: str | None = None, unit: int = 1, extra: int = 0):
        super().__init__(offset, 0, doc, default=bytes(extra))
        self.length_field, self.unit, self.extra = length_field, unit, extra

    def slice(self, raw: bytes) -> bytes:
        return raw[self.offset :]

    def decode(self, raw: bytes) -> bytes:
        return raw

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, Buffer):
            raise self.misfit(f"bytes wanted, not {type(value).__name__}")
        if len(value) < self.extra or (len(value) - self.extra) % self.unit:
            raise self.misfit(f"{self.unit} x n + {self.extra} bytes wanted, not {len(value)}")
        return bytes(value)

    def count(self, tail: bytes) -> int:
        """What ``length_field`` has to say for this tail."""
        return (len(tail) - self.extra) // self.unit

    def expected(self, head: Struct) -> int | None:
        """How many bytes the head announces, or None when any number will do."""
        return None if self.length_field is None else getattr(head, self.length_field) * self.unit + self.extra

    def meaning(self, value: bytes) -> str:
        return describe_bytes(value)


class Struct:
    """Base of all structures; see the module's docstring.

    ``SIZE``: bytes, without the tail where there is one. ``ALIGN``: what the instructions demand of its address.
    ``TITLE``: the manual's name. ``COVER``: ((first byte, byte after, by what), ...) for signatures and MACs.
    """

    SIZE: ClassVar[int] = 0
    ALIGN: ClassVar[int] = 1
    TITLE: ClassVar[str] = ""
    COVER: ClassVar[tuple[tuple[int, int, str], ...]] = ()
    _fields: ClassVar[tuple[Field[Any], ...]] = ()
    _tails: ClassVar[tuple[Tail, ...]] = ()
    __slots__ = ("_raw",)
    _raw: bytes

    def __init_subclass__(cls, *, size: int, align: int = 1, title: str | None = None, **kw: Any):
        super().__init_subclass__(**kw)
        table = [f for f in vars(cls).values() if isinstance(f, Field)]
        cls.SIZE, cls.ALIGN, cls.TITLE = size, align, title or cls.__name__.upper()
        cls._fields = tuple(f for f in table if not isinstance(f, Tail))
        cls._tails = tuple(f for f in table if isinstance(f, Tail))
        at = 0
        for field in cls._fields:
            if field.offset != at:
                raise TypeError(f"{cls.__name__}.{field.name} is at {field.offset}, the table has reached {at}")
            at += field.size
        if at != size or any(tail.offset != size for tail in cls._tails) or len(cls._tails) > 1:
            raise TypeError(f"{cls.__name__}: the table ends at {at}, not at {size}")

    def __init__(self, **values: Any):
        object.__setattr__(self, "_raw", b"".join(f.default for f in self._table()))
        if values:
            object.__setattr__(self, "_raw", self._with(values))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: use replace({name}=...)")

    @classmethod
    def _table(cls) -> tuple[Field[Any], ...]:
        return cls._fields + cls._tails

    @classmethod
    def _wrap(cls, raw: bytes) -> Self:
        self = object.__new__(cls)
        object.__setattr__(self, "_raw", raw)
        return self

    def _with(self, values: dict[str, Any]) -> bytes:
        known = {f.name: f for f in self._table()}
        for name in values:
            if name not in known:
                raise TypeError(f"{type(self).__name__} has no field {name!r}")
        head, tail = bytearray(self._raw[: self.SIZE]), self._raw[self.SIZE :]
        for end in self._tails:
            if end.name in values:
                tail = end.encode(values.pop(end.name))
                if end.length_field is not None:
                    values.setdefault(end.length_field, end.count(tail))
        for name, value in values.items():
            field = known[name]
            try:
                head[field.offset : field.offset + field.size] = field.encode(value)
            except FormatError as error:
                raise FormatError(f"{self.TITLE}.{error}", offset=error.offset) from None
        return bytes(head) + tail

    @classmethod
    def from_bytes(cls, data: Buffer, *, check_reserved: bool = False, check_tail: bool = True) -> Self:
        """Parse exactly ``data``; raises :class:`~fusequote.errors.FormatError` for any other length.

        Contents are taken as they are, unless ``check_reserved`` asks for the reserved bytes to be zero. Without
        ``check_tail`` a tail may be longer or shorter than announced, so that a broken structure can be shown.
        """
        size = len(data)
        if size < cls.SIZE or (not cls._tails and size != cls.SIZE):
            least = "at least " if cls._tails else ""
            raise FormatError(f"{cls.TITLE}: {least}{cls.SIZE} bytes wanted, not {size}", offset=min(size, cls.SIZE))
        self = cls._wrap(bytes(data))
        for tail in cls._tails:
            wanted = tail.expected(self) if check_tail else None
            if wanted is not None and size != cls.SIZE + wanted:
                raise FormatError(
                    f"{cls.TITLE}: {tail.length_field} announces {cls.SIZE + wanted} bytes in all, not {size}",
                    offset=getattr(cls, tail.length_field or "").offset,
                )
        if check_reserved:
            self.check_reserved()
        return self

    @classmethod
    def unpack_from(cls, data: Buffer, offset: int = 0) -> Self:
        """Parse the fixed part at ``offset`` of something longer (structures without a tail only)."""
        if offset < 0 or offset + cls.SIZE > len(data):
            raise FormatError(f"{cls.TITLE}: {cls.SIZE} bytes wanted at offset {offset}, the input ends at {len(data)}",
                              offset=len(data))
        return cls.from_bytes(data[offset : offset + cls.SIZE])

    def to_bytes(self) -> bytes:
        """The bytes, in Intel's layout."""
        return self._raw

    def __bytes__(self) -> bytes:
        return self._raw

    def __len__(self) -> int:
        return len(self._raw)

    def replace(self, **values: Any) -> Self:
        """A copy with other values; the length field of a tail follows the tail unless it is given too."""
        return self._wrap(self._with(values))

    def fields(self) -> Iterator[FieldView]:
        """The fields in order, one level deep."""
        for field in self._table():
            raw = field.slice(self._raw)
            value = None if field.secret else field.decode(raw)
            text = f"({field.size} secret bytes)" if field.secret else field.meaning(value)
            yield FieldView(field.name, field.offset, len(raw), value, text, field.doc,
                            self._covered(field.offset, len(raw)), field.reserved)

    def leaves(self, prefix: str = "", base: int = 0) -> Iterator[FieldView]:
        """The fields in order, structures inside structures taken apart (``body.attributes.flags``)."""
        for view in self.fields():
            name, at = prefix + view.name, base + view.offset
            if isinstance(view.value, Struct):
                for inner in view.value.leaves(name + ".", at):
                    yield FieldView(inner.name, inner.offset, inner.size, inner.value, inner.meaning, inner.doc,
                                    inner.covered_by or view.covered_by, inner.reserved)
            else:
                yield FieldView(name, at, view.size, view.value, view.meaning, view.doc, view.covered_by, view.reserved)

    def _covered(self, offset: int, size: int) -> str | None:
        return next((by for first, end, by in self.COVER if first <= offset and offset + size <= end), None)

    def reserved_in_use(self) -> Iterator[tuple[str, int]]:
        """(name, offset) of the first byte that is not zero, for each reserved field that breaks the rule."""
        for view in self.leaves():
            if view.reserved and any(view.value):
                yield view.name, view.offset + next(i for i, b in enumerate(view.value) if b)

    def check_reserved(self) -> None:
        """Raises :class:`~fusequote.errors.FormatError` at the first reserved byte that is not zero."""
        for name, offset in self.reserved_in_use():
            raise FormatError(f"{self.TITLE}: reserved byte {offset} ({name}) is not 0", offset=offset)

    def summary(self) -> str:
        """One line: the fields that are not all zero."""
        shown = (v for v in self.fields() if not v.reserved and (v.value is None or any(self._raw_of(v))))
        return ", ".join(f"{v.name}={v.meaning}" for v in shown) or "all zero"

    def _raw_of(self, view: FieldView) -> bytes:
        return self._raw[view.offset : view.offset + view.size]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.summary()})"

    def __eq__(self, other: object) -> bool:
        return self._raw == other._raw if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), self._raw))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self)._wrap, (self._raw,)
