"""What is this file? Structures, quotes, enclaves and recordings taken apart: offset, bytes, meaning, and what protects
them.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import dataclasses
import re
from pathlib import Path

from fusequote.arch import PlatformInfoBlob
from fusequote.errors import FormatError, UsageError
from fusequote.inspect.description import Description, Item, Section
from fusequote.inspect.images import describe_sgxs, describe_signed_so
from fusequote.inspect.recordings import HEAD, describe_recording
from fusequote.inspect.structures import WORDS, describe_structure, recognise

__all__ = ["KIND_WORDS", "Description", "Item", "Section", "describe"]

#: Kinds that ``describe(kind=...)`` takes.
KIND_WORDS = ("sgxs", "signed-so", "recording", *WORDS)
#: Files larger than this are images, or nothing that is known here. Bytes.
MAX_STRUCTURE = 1 << 20

_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2}\s*)+")
_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]\s*)+={0,2}\s*")
#: What is read as a file of any length, and not decoded first.
_FILES = {"sgxs": describe_sgxs, "signed-so": describe_signed_so, "recording": describe_recording}


def describe(source: Path | str | bytes, kind: str | None = None) -> Description:
    """Recognise a file (a path) or bytes and take it apart; ``kind`` (of :data:`KIND_WORDS`) says what it is instead.

    Text in hexadecimal or base64 is decoded first, as attestation reports and their requests carry such. Raises
    :class:`~fusequote.errors.UsageError` for an unknown kind or an unreadable file, and
    :class:`~fusequote.errors.FormatError` for what is of no known kind, or not of the one given; for enclaves also
    :class:`~fusequote.enclave.errors.ImageUnsupported`.
    """
    if kind is not None and kind not in KIND_WORDS:
        raise UsageError(f"no kind is called {kind!r}", hint="one of: " + ", ".join(KIND_WORDS))
    source = Path(source) if isinstance(source, str) else source
    file = _file_kind(_read(source, len(HEAD))) if kind is None else kind
    if file in _FILES:
        return _FILES[file](source)
    data = _read(source, MAX_STRUCTURE + 1)
    if len(data) > MAX_STRUCTURE:
        raise FormatError(f"more than {MAX_STRUCTURE} bytes: too long for any structure, and no enclave image")
    for encoding, raw in ((None, data), *_decodings(data)):
        base, raw = _without_tlv(raw)
        found = recognise(raw) if kind is None else [WORDS[kind]]
        if found and found[0].fits(len(raw)):
            others = tuple(other.word for other in found[1:])
            return dataclasses.replace(describe_structure(found[0], raw, base, others), encoding=encoding)
    if kind is not None:
        return describe_structure(WORDS[kind], data)
    raise FormatError(f"{len(data)} bytes of no kind that is known here", hint=_no_kind(data))


def _without_tlv(raw: bytes) -> tuple[int, bytes]:
    """(where it begins, a platform info blob without its TLV header), or the bytes as they are."""
    header = PlatformInfoBlob.TLV_HEADER
    is_tlv = raw.startswith(header) and len(raw) == len(header) + PlatformInfoBlob.SIZE
    return (len(header), raw[len(header) :]) if is_tlv else (0, raw)


def _decodings(data: bytes) -> list[tuple[str, bytes]]:
    found = []
    text = data.strip()
    if _HEX.fullmatch(text):
        found.append(("hexadecimal", bytes.fromhex(text.decode())))
    if _BASE64.fullmatch(text):
        with contextlib.suppress(binascii.Error):
            found.append(("base64", base64.b64decode(b"".join(text.split()), validate=True)))
    return found


def _file_kind(head: bytes) -> str | None:
    if head == HEAD:
        return "recording"
    if head[:4] == b"\x7fELF":
        return "signed-so"
    return "sgxs" if head[:8] in (b"ECREATE\0", b"UNSIZED\0") else None


def _read(source: Path | bytes, limit: int) -> bytes:
    """The first ``limit`` bytes."""
    if isinstance(source, bytes):
        return source[:limit]
    try:
        with source.open("rb") as file:
            return file.read(limit)
    except OSError as error:
        raise UsageError(f"cannot read {source}: {error.strerror}") from error


def _no_kind(data: bytes) -> str:
    if data[:2] == b"\3\0" and len(data) > 436:
        return "this looks like a version 3 (ECDSA) quote; EPID quotes have version 2"
    return "say what it should be: " + ", ".join(KIND_WORDS)
