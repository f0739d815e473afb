"""Type-length-value containers, of which provisioning messages are made (remote attestation notes 4.1).

``type`` u8 (bit 7: the size has four bytes) ‖ ``version`` u8 ‖ ``size`` u16 or u32 ‖ payload, all big-endian. A message
is a class with one line per container, in order, that parses, prints and builds::

    class ProvMsg4(TlvMessage, title="ProvMsg4"):
        nonce = Item(TlvType.NONCE, 8)
        content = Item(TlvType.BLOCK_CIPHER_TEXT, BlockCipherText)
        mac = Item(TlvType.MAC, 16)

There is one right way to write a message: the long header is for the types that always have it, and for payloads that
the short one cannot hold. Everything else is refused, as Intel's client refuses it where it looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Any, ClassVar, Generic, Self, TypeVar, overload

from fusequote.arch.layout import FieldView, Struct
from fusequote.arch.text import describe_bytes
from fusequote.errors import FormatError

__all__ = ["Item", "Tlv", "TlvMessage", "TlvType", "header_size", "parse_tlvs"]

T = TypeVar("T")

LONG = 0x80
SHORT_HEADER, LONG_HEADER = 4, 6
#: No message has more: a guard against a message that is nothing but empty containers.
MOST_CONTAINERS = 16


class TlvType(IntEnum):
    """What is in a container."""

    CIPHER_TEXT = 0
    BLOCK_CIPHER_TEXT = 1
    BLOCK_CIPHER_INFO = 2
    MAC = 3
    NONCE = 4
    EPID_GID = 5
    EPID_SIG_RL = 6
    EPID_GROUP_CERT = 7
    DEVICE_ID = 8
    PS_ID = 9
    EPID_JOIN_PROOF = 10
    EPID_SIG = 11
    EPID_MEMBERSHIP_CREDENTIAL = 12
    EPID_PSVN = 13
    QUOTE = 14
    X509_CERT = 15
    X509_CSR = 16
    ES_SELECTOR = 17
    ES_INFORMATION = 18
    FLAGS = 19
    QUOTE_SIG = 20
    PLATFORM_INFO_BLOB = 21
    SIGNATURE = 22
    PEK = 23
    PLATFORM_INFO = 24
    PWK2 = 25
    SE_REPORT = 26


#: Types with the six-byte header whatever their size.
_ALWAYS_LONG = frozenset({TlvType.EPID_SIG_RL, TlvType.EPID_SIG, TlvType.SE_REPORT})


def header_size(kind: TlvType, size: int) -> int:
    """Bytes of the header before a payload of ``size`` bytes."""
    return LONG_HEADER if kind in _ALWAYS_LONG or size > 0xFFFF else SHORT_HEADER


class Tlv:
    """One container as it was found: ``offset`` is where its payload starts in what was parsed."""

    __slots__ = ("kind", "offset", "payload", "version")

    def __init__(self, kind: TlvType, payload: bytes, version: int = 1, offset: int = 0):
        self.kind, self.payload, self.version, self.offset = kind, payload, version, offset

    def to_bytes(self) -> bytes:
        """Header and payload."""
        size = len(self.payload)
        if header_size(self.kind, size) == LONG_HEADER:
            return bytes((self.kind | LONG, self.version)) + size.to_bytes(4, "big") + self.payload
        return bytes((self.kind, self.version)) + size.to_bytes(2, "big") + self.payload


def parse_tlvs(data: bytes, what: str) -> list[Tlv]:
    """All containers of ``data``, which must hold nothing else.

    Raises :class:`~fusequote.errors.FormatError` for an unknown type, a header in the form that its type or size does
    not have, a size beyond the end, or more containers than any message has.
    """
    found: list[Tlv] = []
    at = 0
    while at < len(data):
        if len(found) == MOST_CONTAINERS:
            raise FormatError(f"{what}: more than {MOST_CONTAINERS} containers", offset=at)
        long = bool(data[at] & LONG)
        head = LONG_HEADER if long else SHORT_HEADER
        if len(data) - at < head:
            raise FormatError(f"{what}: cut within a container's header", offset=len(data))
        try:
            kind = TlvType(data[at] & ~LONG)
        except ValueError:
            raise FormatError(f"{what}: container type {data[at] & ~LONG} is not known", offset=at) from None
        size = int.from_bytes(data[at + 2 : at + head], "big")
        if size > len(data) - at - head:
            left = len(data) - at - head
            raise FormatError(f"{what}: {kind.name} announces {size} bytes, {left} are left", offset=at + 2)
        if header_size(kind, size) != head:
            raise FormatError(f"{what}: {kind.name} of {size} bytes has a header of {head} bytes", offset=at)
        start = at + head
        found.append(Tlv(kind, data[start : start + size], data[at + 1], start))
        at = start + size
    return found


class Item(Generic[T]):
    """One container of a message. ``form`` is the size of its payload, a structure, or None for any bytes.

    ``optional`` ones of a message are all there or none. ``version`` is the only one accepted.
    """

    def __init__(self, kind: TlvType, form: int | type[Struct] | None = None, doc: str = "", *,
                 version: int = 1, optional: bool = False, secret: bool = False):
        self.kind, self.form, self.doc, self.version = kind, form, doc, version
        self.optional, self.secret = optional, secret
        self.name = "?"

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, obj: None, owner: type) -> Self: ...
    @overload
    def __get__(self, obj: TlvMessage, owner: type) -> Any: ...
    def __get__(self, obj: TlvMessage | None, owner: type) -> Any:
        return self if obj is None else obj._values[self.name]

    def read(self, tlv: Tlv, what: str) -> Any:
        """The value in a container. Raises :class:`FormatError` for another type, version or size."""
        if tlv.kind != self.kind:
            raise FormatError(f"{what}: {self.kind.name} ({self.name}) wanted, not {tlv.kind.name}", offset=tlv.offset)
        if tlv.version != self.version:
            raise FormatError(f"{what}: {self.kind.name} has version {tlv.version}, not {self.version}",
                              offset=tlv.offset)
        try:
            return self.value(tlv.payload)
        except FormatError as error:
            raise FormatError(f"{what}: {self.name}: {error}", offset=tlv.offset + (error.offset or 0)) from None

    def value(self, given: Any) -> Any:
        """A value of this item, from one or from its bytes. Raises :class:`FormatError`."""
        if isinstance(self.form, type):
            return given if isinstance(given, self.form) else self.form.from_bytes(bytes(given))
        data = bytes(given)
        if self.form is not None and len(data) != self.form:
            raise FormatError(f"{self.form} bytes wanted, not {len(data)}")
        return data

    def meaning(self, value: Any) -> str:
        """The value in words."""
        if self.secret:
            return "(secret)"
        return value.summary() if isinstance(value, Struct) else describe_bytes(value)


class TlvMessage:
    """Base of all messages; see the module's docstring. Immutable; a missing optional container is None."""

    TITLE: ClassVar[str] = ""
    _items: ClassVar[tuple[Item[Any], ...]] = ()

    def __init_subclass__(cls, *, title: str, **kw: Any):
        super().__init_subclass__(**kw)
        cls.TITLE = title
        cls._items = tuple(item for item in vars(cls).values() if isinstance(item, Item))

    def __init__(self, **values: Any):
        """One value per item (or its bytes). Raises :class:`FormatError` for a wrong size, ``TypeError`` for a name."""
        given = {name: value for name, value in values.items() if value is not None}
        wanted = [item for item in self._items if not item.optional or self._has_optional(given)]
        if set(given) != {item.name for item in wanted}:
            raise TypeError(f"{type(self).__name__} takes {', '.join(item.name for item in wanted)}")
        made = {item.name: None for item in self._items}
        for item in wanted:
            try:
                made[item.name] = item.value(given[item.name])
            except FormatError as error:
                raise FormatError(f"{self.TITLE}: {item.name}: {error}") from None
        self.__dict__["_values"] = made

    @classmethod
    def _has_optional(cls, given: dict[str, Any]) -> bool:
        return any(item.optional and item.name in given for item in cls._items)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: use replace({name}=...)")

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Parse exactly ``data``. Raises :class:`~fusequote.errors.FormatError`."""
        found = parse_tlvs(bytes(data), cls.TITLE)
        items = list(cls._items)
        if len(found) != len(items):
            items = [item for item in items if not item.optional]
        if len(found) != len(items):
            most = "" if len(items) == len(cls._items) else f" or {len(cls._items)}"
            raise FormatError(f"{cls.TITLE}: {len(items)}{most} containers wanted, not {len(found)}", offset=len(data))
        pairs = zip(items, found, strict=True)
        return cls(**{item.name: item.read(tlv, cls.TITLE) for item, tlv in pairs})

    def to_bytes(self) -> bytes:
        """All containers, in order."""
        return b"".join(tlv.to_bytes() for _, tlv in self._containers())

    def __len__(self) -> int:
        return len(self.to_bytes())

    def replace(self, **values: Any) -> Self:
        """A copy with other values."""
        return type(self)(**{**self._values, **values})

    def _containers(self) -> Iterator[tuple[Item[Any], Tlv]]:
        for item in self._items:
            value = self._values[item.name]
            if value is not None:
                raw = value.to_bytes() if isinstance(value, Struct) else value
                yield item, Tlv(item.kind, raw, item.version)

    def fields(self) -> Iterator[FieldView]:
        """The payloads in order, with their offsets in the message."""
        at = 0
        for item, tlv in self._containers():
            at += header_size(tlv.kind, len(tlv.payload))
            value = self._values[item.name]
            shown = None if item.secret else value
            doc = item.doc or item.kind.name
            yield FieldView(item.name, at, len(tlv.payload), shown, item.meaning(value), doc)
            at += len(tlv.payload)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{view.name} {view.size}" for view in self.fields())
        return f"<{self.TITLE}: {sizes}>"

    def __eq__(self, other: object) -> bool:
        return self.to_bytes() == other.to_bytes() if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), self.to_bytes()))
