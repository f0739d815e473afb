"""Enclaves of Intel's SDK, ``.signed.so``, all metadata versions (instruction notes 2.1).

Order of the measurement: every PT_LOAD page by page, then the layout entries (heap, stacks, TCS, SSA, guard pages).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fusequote.arch import CHUNKS_PER_PAGE, PAGE_SIZE, PT_REG_FLAGS, PT_TCS_FLAGS, SecInfoFlags, SigStruct, Tcs
from fusequote.enclave.elf import PF_R, PF_W, PF_X, EnclaveElf, Segment
from fusequote.enclave.errors import ImageError
from fusequote.enclave.image import ZERO_PAGE, FileImage, Operation, make_secs, whole_page
from fusequote.enclave.sdkmeta import MAJOR_GAP, EntryAttributes, Metadata, Placed, parse_metadata, split_blobs

#: Highest major version (modulo 10) for hardware without dynamic memory, which the block has not.
SGX1_MAJOR = 1
#: The version whose loader adds the extra zero page.
VERSION_1_3 = (1, 3)
_M64 = (1 << 64) - 1


class SignedSoImage(FileImage):
    """A ``.signed.so``, from a path or from bytes.

    ``version`` picks a metadata blob by (major, minor); else the newest for hardware without dynamic memory is taken,
    as Intel's runtime does there, or the first one. ``versions`` lists all. ``sigstruct`` replaces the metadata's own.
    Raises :class:`ImageError` with the offset of what does not fit,
    :class:`~fusequote.enclave.errors.ImageUnsupported` for other kinds of ELF file, and
    :class:`~fusequote.errors.UsageError` for a file that cannot be read.
    """

    def __init__(self, source: Path | str | bytes, *, version: tuple[int, int] | None = None,
                 sigstruct: SigStruct | None = None, debug: bool = False):
        super().__init__(source, writable=True)
        try:
            elf = EnclaveElf(self._data, self.name)
            place, section = elf.metadata_section()
            blobs = split_blobs(section, place, self.name)
            found = [parse_metadata(blob, at, self.name, len(self._data)) for at, blob in blobs]
            self.versions = tuple(metadata.version for metadata in found)
            self.metadata = self._choose(found, version)
            self._segments = elf.segments
            self._writable = elf.text_relocation_pages()
            self._check_segments()
            self._patch()
        except BaseException:
            self.close()
            raise
        self.sigstruct = sigstruct or self.metadata.head.sigstruct
        self.secs = make_secs(self.metadata.size, self.metadata.head.ssaframesize, self.sigstruct, debug=debug)

    def _choose(self, found: list[Metadata], version: tuple[int, int] | None) -> Metadata:
        if version is not None:
            for metadata in found:
                if metadata.version == version:
                    return metadata
            have = ", ".join(f"{major}.{minor}" for major, minor in self.versions)
            raise ImageError(f"{self.name}: no metadata of version {version[0]}.{version[1]}; there is {have}")
        usable = [metadata for metadata in found if metadata.version[0] % MAJOR_GAP <= SGX1_MAJOR]
        return max(usable, key=lambda metadata: metadata.version) if usable else found[0]

    def _check_segments(self) -> None:
        limit = self.metadata.head.enclave_size
        for segment in self._segments:
            if segment.end > limit:
                raise ImageError(f"{self.name}: a segment ends at {segment.end:#x}, the enclave at {limit:#x}")

    def _patch(self) -> None:
        for patch in self.metadata.patches:
            self._data[patch.dst : patch.dst + patch.size] = self.metadata.blob[patch.src : patch.src + patch.size]

    @property
    def page_count(self) -> int:
        return sum(run.count for run in self._runs())

    @property
    def chunk_count(self) -> int:
        return CHUNKS_PER_PAGE * sum(run.count for run in self._runs() if run.extend)

    def operations(self) -> Iterator[Operation]:
        for run in self._runs():
            for i in range(run.count):
                flags, page = run.page(i)
                offset = self.metadata.delta + run.rva + i * PAGE_SIZE
                yield from whole_page(offset, flags, page, extend=run.extend)

    def _runs(self) -> Iterator[_Run]:
        yield from self._segment_runs()
        for placed in self.metadata.placed:
            yield from self._layout_runs(placed)

    def _segment_runs(self) -> Iterator[_Run]:
        """PT_LOADs; version 1.3 adds a zero page where SIZE, rounded before it is placed, would reach further."""
        highest: Segment | None = None
        old = self.metadata.version == VERSION_1_3
        for segment in self._segments:
            if old and highest and _reaches_further(highest) and highest.end < segment.vaddr & -PAGE_SIZE:
                yield _constant(highest.end, 1, _flags(highest), ZERO_PAGE)
            if segment.vaddr > (highest.vaddr if highest else 0):
                highest = segment
            yield self._segment_run(segment)
        if old and highest and _reaches_further(highest):
            yield _constant(highest.end, 1, _flags(highest), ZERO_PAGE)

    def _segment_run(self, segment: Segment) -> _Run:
        start, flags = segment.vaddr & -PAGE_SIZE, _flags(segment)
        data_end = segment.vaddr + segment.filesz

        def page(i: int) -> tuple[int, bytes]:
            here = start + i * PAGE_SIZE
            first, last = max(here, segment.vaddr), min(here + PAGE_SIZE, data_end)
            if first >= last:
                return flags, ZERO_PAGE
            at = segment.offset + first - segment.vaddr
            content = bytes(first - here) + self._data[at : at + last - first]
            written = SecInfoFlags.W if here // PAGE_SIZE in self._writable else 0
            return flags | written, content.ljust(PAGE_SIZE, b"\0")

        return _Run(start, (segment.end - start) // PAGE_SIZE if segment.memsz else 0, True, page)

    def _layout_runs(self, placed: Placed) -> Iterator[_Run]:
        entry, rva = placed.entry, placed.rva
        if not entry.attributes & EntryAttributes.EADD:
            return
        extend = bool(entry.attributes & EntryAttributes.EEXTEND)
        if entry.content_offset and entry.si_flags == PT_TCS_FLAGS:
            template = self.metadata.content(entry).ljust(PAGE_SIZE, b"\0")
            yield _constant(rva, entry.page_count, entry.si_flags, _moved(template, rva), extend)
        elif entry.content_offset:
            content = self.metadata.content(entry)

            def page(i: int) -> tuple[int, bytes]:
                return entry.si_flags, content[i * PAGE_SIZE : (i + 1) * PAGE_SIZE].ljust(PAGE_SIZE, b"\0")

            yield _Run(rva, entry.page_count, True, page)
        elif entry.si_flags:
            fill = entry.content_size.to_bytes(4, "little") * (PAGE_SIZE // 4)
            yield _constant(rva, entry.page_count, entry.si_flags, fill, extend)


@dataclass(frozen=True)
class _Run:
    """``count`` consecutive pages from ``rva`` on; ``page(i)`` gives SECINFO.FLAGS and content of the i-th."""

    rva: int
    count: int
    extend: bool
    page: Callable[[int], tuple[int, bytes]]


def _constant(rva: int, count: int, flags: int, content: bytes, extend: bool = True) -> _Run:
    return _Run(rva, count, extend, lambda _: (flags, content))


def _flags(segment: Segment) -> int:
    """SECINFO.FLAGS of a segment: ELF's bits are in the other order."""
    pairs = ((PF_R, SecInfoFlags.R), (PF_W, SecInfoFlags.W), (PF_X, SecInfoFlags.X))
    return PT_REG_FLAGS | sum(bit for pf, bit in pairs if segment.flags & pf)


def _reaches_further(segment: Segment) -> bool:
    """Whether rounding memsz to pages before adding vaddr gives a page more than rounding the sum."""
    rounded = -(-segment.memsz // PAGE_SIZE) * PAGE_SIZE
    return segment.end < -(-(segment.vaddr + rounded) // PAGE_SIZE) * PAGE_SIZE


def _moved(template: bytes, rva: int) -> bytes:
    """A TCS template at its place: OSSA, OFSBASE and OGSBASE count from the TCS itself."""
    tcs = Tcs.from_bytes(template)
    return tcs.replace(
        ossa=tcs.ossa + rva & _M64, ofsbase=tcs.ofsbase + rva & _M64, ogsbase=tcs.ogsbase + rva & _M64
    ).to_bytes()
