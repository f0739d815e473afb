"""The metadata that Intel's SDK leaves in a ``.signed.so``: what beside the ELF segments becomes enclave memory.

Instruction notes 2.1. One blob per metadata version, back to back; every offset in a blob counts from its own start.
No count, size or offset is believed: all are checked before anything is done with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag

from fusequote.arch import PAGE_SIZE, Attributes, SigStruct
from fusequote.arch.flags import bit_flags
from fusequote.arch.layout import U16, U32, U64, Bytes, Reserved, Struct, Sub
from fusequote.enclave.errors import ImageError
from fusequote.enclave.image import check_size

MAGIC = 0x86A80294635D0E4C
#: Major versions above this carry an ELRANGE; what counts otherwise is the version modulo 10.
MAJOR_GAP = 10
#: Bit of a layout entry's id that makes it a group.
GROUP_FLAG = 1 << 12
#: Most layout entries a file may come to, groups unrolled. Intel's largest have a few hundred.
MAX_ENTRIES = 1 << 16


class Directory(Struct, size=8, title="metadata directory"):
    """Where a table is: offset from the start of the blob, and bytes."""

    offset = U32(0)
    size = U32(4)


class MetadataHead(Struct, size=1888, title="metadata"):
    """The fixed part of a metadata blob."""

    magic = U64(0, "86A80294635D0E4C", default=MAGIC)
    version = U64(8, "major << 32 | minor")
    size = U32(16, "bytes of the blob")
    tcs_policy = U32(20)
    ssaframesize = U32(24, "pages")
    max_save_buffer_size = U32(28)
    desired_misc_select = U32(32)
    tcs_min_pool = U32(36)
    enclave_size = U64(40, "bytes")
    attributes = Sub(48, Attributes)
    sigstruct = Sub(64, SigStruct)
    patches = Sub(1872, Directory)
    layout = Sub(1880, Directory)


class ElrangeEntry(Struct, size=24, title="metadata ELRANGE"):
    """Where in a larger linear range the image lies."""

    image_address = U64(0)
    start = U64(8)
    size = U64(16)


class PatchEntry(Struct, size=32, title="metadata patch"):
    """Bytes of the blob that replace bytes of the file before it is loaded."""

    dst = U64(0, "offset in the file")
    src = U32(8, "offset in the blob")
    size = U32(12)
    unused = Bytes(16, 16)


@bit_flags
class EntryAttributes(IntFlag):
    """What is done with the pages of a layout entry; only EADD and EEXTEND matter before EINIT."""

    EADD = 0x01
    EEXTEND = 0x02
    EREMOVE = 0x04
    POST_ADD = 0x08
    POST_REMOVE = 0x10
    DYN_THREAD = 0x20
    GROW_DOWN = 0x40


class LayoutEntry(Struct, size=32, title="layout entry"):
    """A run of pages: heap, stack, TCS, SSA, guard."""

    id = U16(0)
    attributes = U16(2, enum=EntryAttributes)
    page_count = U32(4)
    rva = U64(8, "offset in the enclave")
    content_size = U32(16, "bytes of content; the fill word when content_offset is 0")
    content_offset = U32(20, "offset in the blob, or 0")
    si_flags = U64(24, "SECINFO.FLAGS")

    @property
    def size(self) -> int:
        """Bytes of enclave memory."""
        return self.page_count * PAGE_SIZE


class LayoutGroup(Struct, size=32, title="layout group"):
    """Replays the ``entry_count`` entries before it ``load_times`` times, each time ``load_step`` bytes further on."""

    id = U16(0, "with bit 12")
    entry_count = U16(2)
    load_times = U32(4)
    load_step = U64(8)
    unused = Reserved(16, 16)


@dataclass(frozen=True)
class Placed:
    """A layout entry at the place where it is loaded: ``rva`` with the group's step in it."""

    entry: LayoutEntry
    rva: int


@dataclass(frozen=True)
class Metadata:
    """One checked blob. ``at``: its offset in the file. ``delta``: what ELRANGE adds to every offset in the enclave."""

    at: int
    blob: bytes
    head: MetadataHead
    patches: tuple[PatchEntry, ...]
    placed: tuple[Placed, ...]
    size: int
    delta: int

    @property
    def version(self) -> tuple[int, int]:
        """(major, minor)."""
        return split_version(self.head.version)

    def content(self, entry: LayoutEntry) -> bytes:
        """The bytes that an entry with content_offset brings."""
        return self.blob[entry.content_offset : entry.content_offset + entry.content_size]


def split_version(version: int) -> tuple[int, int]:
    """(major, minor) of a metadata version."""
    return version >> 32, version & 0xFFFFFFFF


class _Reader:
    """One blob under examination."""

    def __init__(self, blob: bytes, at: int, name: str):
        self.blob, self.at, self.name = blob, at, name
        self.head = MetadataHead.unpack_from(blob)

    def wrong(self, at: int, what: str) -> ImageError:
        return ImageError(f"{self.name}: byte {self.at + at}: {what}", offset=self.at + at)

    def inside(self, offset: int, size: int) -> bool:
        return offset >= MetadataHead.SIZE and offset + size <= len(self.blob)

    def table(self, directory: Directory, at: int, unit: int) -> Iterator[int]:
        """Offsets in the blob of the entries of a table whose directory stands at ``at``."""
        if directory.size == 0:
            return
        if directory.size % unit or not self.inside(directory.offset, directory.size):
            where = f"{directory.size} bytes at {directory.offset} of a blob of {len(self.blob)}"
            raise self.wrong(at, f"a table of {where}: not {unit}-byte entries inside the blob")
        yield from range(directory.offset, directory.offset + directory.size, unit)

    def patches(self, file_size: int) -> Iterator[PatchEntry]:
        for at in self.table(self.head.patches, MetadataHead.patches.offset, PatchEntry.SIZE):
            patch = PatchEntry.unpack_from(self.blob, at)
            if not self.inside(patch.src, patch.size) or patch.dst + patch.size > file_size:
                where = f"{patch.size} bytes from {patch.src} to {patch.dst}"
                raise self.wrong(at, f"a patch of {where} leaves blob or file")
            yield patch

    def elrange(self) -> tuple[int, int]:
        """(SIZE of the enclave, what is added to every offset)."""
        major, _ = split_version(self.head.version)
        check_size(self.head.enclave_size, self.name, self.at + MetadataHead.enclave_size.offset)
        if major <= MAJOR_GAP:
            return self.head.enclave_size, 0
        where = Directory.unpack_from(self.blob, MetadataHead.SIZE)
        if not self.inside(where.offset, ElrangeEntry.SIZE):
            raise self.wrong(MetadataHead.SIZE, f"ELRANGE at {where.offset} of a {len(self.blob)}-byte blob")
        entry = ElrangeEntry.unpack_from(self.blob, where.offset)
        check_size(entry.size, self.name, self.at + where.offset + 16)
        delta = entry.image_address - entry.start
        if entry.start % entry.size or delta < 0 or delta % PAGE_SIZE or delta + self.head.enclave_size > entry.size:
            raise self.wrong(where.offset, "the image does not lie in its ELRANGE, or ELRANGE is not aligned")
        return entry.size, delta

    def placed(self) -> Iterator[Placed]:
        """Layout entries in loading order, groups unrolled."""
        seen: list[LayoutEntry | LayoutGroup] = []
        budget = MAX_ENTRIES
        for at in self.table(self.head.layout, MetadataHead.layout.offset, LayoutEntry.SIZE):
            entry = LayoutEntry.unpack_from(self.blob, at)
            replayed: list[tuple[LayoutEntry, int]] = [(entry, 0)]
            if entry.id & GROUP_FLAG:
                group = LayoutGroup.unpack_from(self.blob, at)
                replayed = self._replayed(group, at, seen, budget)
                seen.append(group)
            else:
                seen.append(entry)
            budget -= len(replayed)
            if budget < 0:
                raise self.wrong(at, f"the layout comes to more than {MAX_ENTRIES} entries")
            for one, step in replayed:
                yield self._place(one, step, at)

    def _replayed(self, group: LayoutGroup, at: int, seen: list[LayoutEntry | LayoutGroup], budget: int
                  ) -> list[tuple[LayoutEntry, int]]:
        count, times = group.entry_count, group.load_times
        if count > len(seen):
            raise self.wrong(at, f"a group replays {count} entries, {len(seen)} stand before it")
        if count * times > budget:
            raise self.wrong(at, f"a group replays {count} entries {times} times: too many")
        body = seen[len(seen) - count :]
        entries = [entry for entry in body if isinstance(entry, LayoutEntry)]
        if len(entries) != len(body):
            raise self.wrong(at, "a group replays another group")
        return [(entry, k * group.load_step) for k in range(1, times + 1) for entry in entries]

    def _place(self, entry: LayoutEntry, step: int, at: int) -> Placed:
        rva = entry.rva + step
        if rva % PAGE_SIZE or rva + entry.size > self.head.enclave_size:
            raise self.wrong(at, f"layout entry: {entry.page_count} pages at {rva:#x} are not pages of the enclave")
        if entry.content_offset:
            limit = PAGE_SIZE if entry.si_flags == 0x100 else entry.size
            if not self.inside(entry.content_offset, entry.content_size) or entry.content_size > limit:
                raise self.wrong(
                    at, f"layout entry: {entry.content_size} bytes of content at {entry.content_offset} do not fit"
                )
        return Placed(entry, rva)


def parse_metadata(blob: bytes, at: int, name: str, file_size: int) -> Metadata:
    """Check one blob and take it apart. ``at`` is its offset in a file of ``file_size`` bytes called ``name``.

    Raises :class:`ImageError` with the offset in the file of whatever does not fit.
    """
    reader = _Reader(blob, at, name)
    size, delta = reader.elrange()
    placed = tuple(reader.placed())
    runs = sorted((p.rva, p.rva + p.entry.size) for p in placed if p.entry.page_count)
    for (_, end), (start, _) in zip(runs, runs[1:], strict=False):
        if start < end:
            raise reader.wrong(MetadataHead.layout.offset, f"layout entries overlap at {start:#x}")
    return Metadata(at, blob, reader.head, tuple(reader.patches(file_size)), placed, size, delta)


def split_blobs(section: bytes, at: int, name: str) -> list[tuple[int, bytes]]:
    """(offset in the file, blob) of each blob in a metadata section whose first blob is at ``at`` in the file.

    Raises :class:`ImageError` when there is none, or one leaves the section.
    """
    blobs: list[tuple[int, bytes]] = []
    place = 0
    while int.from_bytes(section[place : place + 8], "little") == MAGIC:
        if place + MetadataHead.SIZE + Directory.SIZE > len(section):
            raise ImageError(f"{name}: byte {at + place}: metadata is cut off", offset=at + place)
        size = MetadataHead.unpack_from(section, place).size
        if size < MetadataHead.SIZE + Directory.SIZE or place + size > len(section):
            raise ImageError(
                f"{name}: byte {at + place + 16}: a metadata blob of {size} bytes in a section with "
                f"{len(section) - place} left", offset=at + place + 16)
        blobs.append((at + place, section[place : place + size]))
        place += size
    if not blobs:
        raise ImageError(f"{name}: byte {at}: no metadata; was the enclave signed?", offset=at,
                         hint="load the file that sgx_sign made (*.signed.so)")
    return blobs
