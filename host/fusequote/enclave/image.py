"""An enclave image: what ECREATE is given, and the EADDs and EEXTENDs in the order of the file.

An image is read as a stream: a big file is mapped, and one page of it at a time is in memory.
"""

from __future__ import annotations

import mmap
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from fusequote.arch import (
    CHUNK_SIZE,
    CHUNKS_PER_PAGE,
    PAGE_SIZE,
    XFRM_LEGACY,
    AttributeFlags,
    Attributes,
    PageType,
    Secs,
    SigStruct,
    Tcs,
    secinfo_text,
)
from fusequote.enclave.errors import ImageError
from fusequote.errors import UsageError

#: A page of zeros, shared by all who need one.
ZERO_PAGE = bytes(PAGE_SIZE)


@dataclass(frozen=True)
class AddPage:
    """EADD of one page. ``offset`` from the enclave's base in bytes, ``flags`` as in SECINFO.

    ``content`` is the 4096 bytes of a TCS as they are before EADD clears fields; None for other pages, which the block
    does not store, and for a TCS that the file does not show whole.
    """

    offset: int
    flags: int
    content: bytes | None = field(default=None, repr=False)

    @property
    def is_tcs(self) -> bool:
        """Whether SECINFO's page type is PT_TCS."""
        return self.flags >> 8 & 0xFF == PageType.PT_TCS

    def __str__(self) -> str:
        return f"EADD {self.offset:#x} {secinfo_text(self.flags)}"


@dataclass(frozen=True)
class ExtendChunks:
    """EEXTEND of ``count`` consecutive chunks of one page, 1 to 16, from byte ``offset`` of the enclave on.

    ``data`` is what is measured, 256 x count bytes; of a TCS, as EADD leaves it (so it need not be sent).
    """

    offset: int
    count: int
    data: bytes = field(repr=False)

    @property
    def page(self) -> int:
        """Offset of the page that the chunks are in."""
        return self.offset & -PAGE_SIZE

    def __post_init__(self) -> None:
        last = self.offset + self.count * CHUNK_SIZE - 1
        if self.offset % CHUNK_SIZE or self.count < 1 or last & -PAGE_SIZE != self.page:
            raise UsageError(f"EEXTEND: {self.count} chunks from {self.offset:#x} on are not chunks of one page")
        if len(self.data) != self.count * CHUNK_SIZE:
            raise UsageError(f"EEXTEND: {self.count} chunks are {self.count * CHUNK_SIZE} bytes, not {len(self.data)}")


Operation = AddPage | ExtendChunks


class Image(ABC):
    """One enclave image.

    ``secs`` is ECREATE's operand with BASEADDR 0 (a loader may replace BASEADDR: it is not measured). ``sigstruct`` is
    the SIGSTRUCT that came with it, or None. ``name`` is for messages.
    """

    name: str
    secs: Secs
    sigstruct: SigStruct | None

    @property
    @abstractmethod
    def page_count(self) -> int:
        """EADDs in :meth:`operations`."""

    @property
    @abstractmethod
    def chunk_count(self) -> int:
        """Chunks that :meth:`operations` extends, repeats counted."""

    @abstractmethod
    def operations(self) -> Iterator[Operation]:
        """EADDs and EEXTENDs in the order of the file. May be called again."""

    @property
    def compressions(self) -> int:
        """SHA-256 compressions of the measurement: 1 + pages + 5 x chunks + 1."""
        return 2 + self.page_count + 5 * self.chunk_count

    def close(self) -> None:  # noqa: B027  nothing to let go of here
        """Let go of the file. The image is of no use afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class MemoryImage(Image):
    """An image made here: a list of operations."""

    def __init__(self, name: str, secs: Secs, operations: list[Operation], sigstruct: SigStruct | None = None):
        self.name, self.secs, self.sigstruct = name, secs, sigstruct
        self._operations = tuple(operations)

    @property
    def page_count(self) -> int:
        return sum(isinstance(op, AddPage) for op in self._operations)

    @property
    def chunk_count(self) -> int:
        return sum(op.count for op in self._operations if isinstance(op, ExtendChunks))

    def operations(self) -> Iterator[Operation]:
        return iter(self._operations)

    def signed(self, sigstruct: SigStruct) -> MemoryImage:
        """The same image with this SIGSTRUCT."""
        return MemoryImage(self.name, self.secs, list(self._operations), sigstruct)


class FileImage(Image):
    """Base of images in a file: the bytes of the file, mapped. ``writable`` maps a private copy for patches."""

    def __init__(self, source: Path | str | bytes, *, writable: bool = False):
        self._map: mmap.mmap | None = None
        if isinstance(source, bytes):
            self.name = "image"
            self._data: memoryview = memoryview(bytearray(source) if writable else source)
            return
        self.name = Path(source).name
        try:
            with Path(source).open("rb") as file:
                access = mmap.ACCESS_COPY if writable else mmap.ACCESS_READ
                self._map = mmap.mmap(file.fileno(), 0, access=access)
        except OSError as error:
            raise UsageError(f"cannot read {source}: {error.strerror}") from error
        except ValueError:
            raise ImageError(f"{self.name}: the file is empty", offset=0) from None
        self._data = memoryview(self._map)

    def close(self) -> None:
        self._data.release()
        if self._map is not None:
            self._map.close()


def whole_page(offset: int, flags: int, page: bytes, *, extend: bool = True) -> Iterator[Operation]:
    """EADD of a page and, if asked for, EEXTEND of all of it, in order. ``page`` is the source page, 4096 bytes."""
    add = AddPage(offset, flags, page if flags >> 8 & 0xFF == PageType.PT_TCS else None)
    yield add
    if extend:
        yield ExtendChunks(offset, CHUNKS_PER_PAGE, as_measured(add, page))


def as_measured(add: AddPage, page: bytes) -> bytes:
    """A source page as EEXTEND sees it: a TCS has fields cleared by EADD."""
    return Tcs.from_bytes(page).as_added().to_bytes() if add.is_tcs else page


def make_secs(size: int, ssaframesize: int, sigstruct: SigStruct | None, *, debug: bool = False) -> Secs:
    """ECREATE's operand for an enclave of ``size`` bytes: what the SIGSTRUCT allows, else a plain 64-bit enclave.

    XFRM always has the two legacy bits. ``debug`` sets DEBUG; raises :class:`~fusequote.errors.UsageError` when the
    SIGSTRUCT forbids it.
    """
    flags, xfrm, misc, cet = AttributeFlags.MODE64BIT, XFRM_LEGACY, 0, 0
    if sigstruct is not None:
        flags, xfrm = sigstruct.attributes.flags, sigstruct.attributes.xfrm | XFRM_LEGACY
        misc, cet = sigstruct.miscselect, sigstruct.cet_attributes
        if debug and not flags & AttributeFlags.DEBUG and sigstruct.attributemask.flags & AttributeFlags.DEBUG:
            raise UsageError(
                "the SIGSTRUCT does not let this enclave run with DEBUG",
                hint="sign it with DEBUG left out of ATTRIBUTEMASK, or run it without DEBUG",
            )
    # As plain integers: inverting a Python flag forgets the bits that have no name.
    flags = int(flags) & ~int(AttributeFlags.INIT)
    if debug:
        flags |= int(AttributeFlags.DEBUG)
    return Secs(
        size=size,
        ssaframesize=ssaframesize,
        miscselect=misc,
        cet_attributes=cet,
        attributes=Attributes(flags=flags, xfrm=xfrm),
    )


def check_size(size: int, name: str, offset: int | None = None) -> None:
    """Raises :class:`~fusequote.enclave.errors.ImageError` unless ``size`` is what ECREATE takes as SIZE."""
    if size < 2 * PAGE_SIZE or size & size - 1:
        raise ImageError(f"{name}: SIZE is {size:#x}; it has to be a power of two, at least 0x2000", offset=offset)
