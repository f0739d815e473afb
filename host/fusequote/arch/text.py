"""Values of structures in words."""

from __future__ import annotations

from enum import IntEnum, IntFlag

#: Byte strings longer than this are cut when shown; programs read the value itself.
SHOWN_BYTES = 32


def describe_bytes(value: bytes) -> str:
    """Hexadecimal, cut after 32 bytes; runs of zeros by their length."""
    if not any(value):
        return f"{len(value)} zero bytes" if len(value) else "empty"
    if len(value) > SHOWN_BYTES:
        return f"{value[: SHOWN_BYTES // 2].hex()}.. ({len(value)} bytes)"
    return value.hex()


def describe_int(value: int, bits: int, enum: type[IntEnum] | type[IntFlag] | None = None) -> str:
    """A number in hexadecimal (decimal as well up to 16 bits); names where the field has names."""
    digits = f"{int(value):#0{2 + bits // 4}x}"
    if enum is None:
        return f"{value} ({digits})" if bits <= 16 else digits
    if issubclass(enum, IntFlag):
        return f"{flag_names(int(value), enum)} ({digits})"
    return f"{value.name if isinstance(value, enum) else 'unknown'} ({digits})"


def flag_names(value: int, enum: type[IntFlag]) -> str:
    """``DEBUG | MODE64BIT``; bits without a name as one hexadecimal rest; ``none`` for 0."""
    names = [member.name or "" for member in enum if value & member]
    rest = value & ~sum(enum)
    if rest:
        names.append(f"UNKNOWN {rest:#x}")
    return " | ".join(names) or "none"
