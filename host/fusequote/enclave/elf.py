"""The little of ELF that loading an enclave takes: segments, the metadata section, and pages with text relocations.

pyelftools knows the layouts; places and counts are checked here against the file before anything is read there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from elftools.elf.structs import ELFStructs

from fusequote.arch import PAGE_SIZE
from fusequote.enclave.errors import ImageError, ImageUnsupported

PF_X, PF_W, PF_R = 1, 2, 4
DT_PLTRELSZ, DT_RELA, DT_RELASZ, DT_TEXTREL, DT_JMPREL = (
    "DT_PLTRELSZ", "DT_RELA", "DT_RELASZ", "DT_TEXTREL", "DT_JMPREL")
#: Bytes of the entries of ELF64's tables.
EHDR_SIZE, PHDR_SIZE, SHDR_SIZE, DYN_SIZE, RELA_SIZE = 64, 56, 64, 16, 24
#: Bytes that a relocation changes.
WORD_SIZE = 8
METADATA_SECTION = b".note.sgxmeta\0"
METADATA_NOTE = b"sgx_metadata\0"
NOTE_HEADER_SIZE = 12


@dataclass(frozen=True)
class Segment:
    """A PT_LOAD: ``offset`` and ``filesz`` in the file, ``vaddr`` and ``memsz`` in the enclave, bytes."""

    offset: int
    filesz: int
    vaddr: int
    memsz: int
    flags: int

    @property
    def end(self) -> int:
        """End of its last page."""
        return -(-(self.vaddr + self.memsz) // PAGE_SIZE) * PAGE_SIZE


class EnclaveElf:
    """An x86-64 ELF64 shared object. ``segments`` are its PT_LOADs in order of the file.

    Raises :class:`ImageError` with the offset of what does not fit, :class:`ImageUnsupported` for other ELF files.
    """

    def __init__(self, data: memoryview, name: str):
        self._data, self._name = data, name
        head = bytes(data[:EHDR_SIZE])
        if head[:4] != b"\x7fELF":
            raise self.wrong(0, "not an ELF file")
        if len(head) < EHDR_SIZE:
            raise self.wrong(len(head), "the file ends inside the ELF header")
        if head[4:6] != b"\x02\x01" or head[16:20] != b"\x03\x00\x3e\x00":
            raise ImageUnsupported(f"{name}: an enclave is a 64-bit little-endian ELF shared object for x86-64")
        self._structs = ELFStructs(little_endian=True, elfclass=64)
        self._structs.create_basic_structs()
        self._structs.create_advanced_structs("ET_DYN", "EM_X86_64", "ELFOSABI_SYSV")
        self._head = self._structs.Elf_Ehdr.parse(head)
        if self._head.e_phentsize != PHDR_SIZE or self._head.e_shentsize != SHDR_SIZE:
            raise self.wrong(54, "program or section headers of a size that ELF64 does not have")
        count = self._head.e_phnum
        self._programs = list(self._table("Elf_Phdr", self._head.e_phoff, PHDR_SIZE, count, 32, "program headers"))
        self.segments = tuple(self._segment(at, p) for at, p in self._programs if p.p_type == "PT_LOAD")
        self._check_overlap()

    def wrong(self, at: int, what: str) -> ImageError:
        """The error for something at byte ``at``."""
        return ImageError(f"{self._name}: byte {at}: {what}", offset=at)

    def span(self, offset: int, size: int, at: int, what: str) -> bytes:
        """``size`` bytes at ``offset`` of the file, for which byte ``at`` of the file is to blame."""
        if offset + size > len(self._data):
            raise self.wrong(at, f"{what}: {size} bytes at {offset}, the file has {len(self._data)}")
        return bytes(self._data[offset : offset + size])

    def _table(self, kind: str, offset: int, unit: int, count: int, at: int, what: str) -> Iterator[tuple[int, Any]]:
        raw = self.span(offset, unit * count, at, what)
        parser = getattr(self._structs, kind)
        for i in range(0, len(raw), unit):
            yield offset + i, parser.parse(raw[i : i + unit])

    def _segment(self, at: int, p: Any) -> Segment:
        if p.p_filesz > p.p_memsz or p.p_vaddr + p.p_memsz >= 1 << 63:
            raise self.wrong(at, "a segment with more bytes in the file than in memory, or beyond any enclave")
        if p.p_offset + p.p_filesz > len(self._data):
            raise self.wrong(at + 8, f"a segment of {p.p_filesz} bytes at {p.p_offset} leaves the file")
        if not p.p_flags & (PF_R | PF_W | PF_X):
            raise self.wrong(at + 4, "a segment that nobody may read, write or execute")
        return Segment(p.p_offset, p.p_filesz, p.p_vaddr, p.p_memsz, p.p_flags)

    def _check_overlap(self) -> None:
        runs = sorted((s.vaddr & -PAGE_SIZE, s.end) for s in self.segments if s.memsz)
        for (_, end), (start, _) in zip(runs, runs[1:], strict=False):
            if start < end:
                raise self.wrong(self._head.e_phoff, f"two segments share the page at {start:#x}")

    def metadata_section(self) -> tuple[int, bytes]:
        """(offset in the file, bytes) of what follows the note's name in ``.note.sgxmeta``."""
        offset, count = self._head.e_shoff, self._head.e_shnum
        sections = list(self._table("Elf_Shdr", offset, SHDR_SIZE, count, 40, "section headers"))
        if self._head.e_shstrndx >= len(sections):
            raise self.wrong(62, "the table of section names is missing")
        at, names = sections[self._head.e_shstrndx]
        strings = self.span(names.sh_offset, names.sh_size, at, "section names")
        for at, section in sections:
            if strings[section.sh_name : section.sh_name + len(METADATA_SECTION)] == METADATA_SECTION:
                return self._note(section.sh_offset, section.sh_size, at)
        raise ImageError(f"{self._name}: no section .note.sgxmeta; this is not an enclave of Intel's SDK",
                         hint="load the file that sgx_sign made (*.signed.so), or an SGXS stream")

    def _note(self, offset: int, size: int, at: int) -> tuple[int, bytes]:
        note = self.span(offset, size, at, ".note.sgxmeta")
        name = note[NOTE_HEADER_SIZE : NOTE_HEADER_SIZE + len(METADATA_NOTE)]
        if int.from_bytes(note[:4], "little") != len(METADATA_NOTE) or name != METADATA_NOTE:
            raise self.wrong(offset, "the note in .note.sgxmeta is not called sgx_metadata")
        start = NOTE_HEADER_SIZE + len(METADATA_NOTE)
        return offset + start, note[start:]

    def text_relocation_pages(self) -> frozenset[int]:
        """Page numbers that relocations touch, if DT_TEXTREL says that text has any; else none. All segments'
        pages are among them, for the loader makes each of them writable."""
        dynamic: dict[Any, int] = {}
        for at, program in self._programs:
            if program.p_type == "PT_DYNAMIC":
                count = program.p_filesz // DYN_SIZE
                for _, entry in self._table("Elf_Dyn", program.p_offset, DYN_SIZE, count, at + 8, "dynamic section"):
                    if entry.d_tag == "DT_NULL":
                        break
                    dynamic[entry.d_tag] = entry.d_val
        if DT_TEXTREL not in dynamic:
            return frozenset()
        pages: set[int] = set()
        for start, size in ((DT_JMPREL, DT_PLTRELSZ), (DT_RELA, DT_RELASZ)):
            if start in dynamic:
                pages |= set(self._relocated(dynamic[start], dynamic.get(size, 0)))
        return frozenset(pages)

    def _relocated(self, address: int, size: int) -> Iterator[int]:
        home = next((s for s in self.segments if s.vaddr <= address and address + size <= s.vaddr + s.filesz), None)
        if home is None:
            raise self.wrong(self._head.e_phoff, f"a relocation table of {size} bytes at {address:#x} is in no segment")
        offset = home.offset + address - home.vaddr
        for _, entry in self._table("Elf_Rela", offset, RELA_SIZE, size // RELA_SIZE, offset, "relocations"):
            if entry.r_info_type == 0:
                continue
            first, last = entry.r_offset // PAGE_SIZE, (entry.r_offset + WORD_SIZE - 1) // PAGE_SIZE
            yield from {first, last}
