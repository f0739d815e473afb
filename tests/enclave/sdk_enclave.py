"""Writes ``.signed.so`` files and says what hardware would measure, both from the specification alone."""

import struct
from dataclasses import dataclass, field, replace

import measured_blocks as blocks
from measured_blocks import PAGE

R, W, X = 4, 2, 1  # p_flags
SI_R, SI_W, SI_X, SI_TCS, SI_REG = 1, 2, 4, 0x100, 0x200
EADD, EEXTEND, POST_ADD = 1, 2, 8
MAGIC = 0x86A80294635D0E4C
BLOB_DATA = 1904  # where our blobs keep tables and contents: after four directories


@dataclass
class Segment:
    vaddr: int
    data: bytes
    memsz: int
    flags: int
    offset: int = 0


@dataclass
class Entry:
    """A layout entry; ``content`` None means content_offset 0, and then ``fill`` is content_size."""

    id: int
    attributes: int
    pages: int
    rva: int
    si_flags: int
    content: bytes | None = None
    fill: int = 0


@dataclass
class Group:
    count: int
    times: int
    step: int
    id: int = 0x1009


@dataclass
class Patch:
    """Overwrites bytes of segment ``segment`` from byte ``at`` on."""

    segment: int
    at: int
    data: bytes


def tcs_template(ossa=PAGE, ofsbase=3 * PAGE, ogsbase=3 * PAGE, oentry=0x1234, nssa=2):
    return struct.pack("<QQQIIQQQQII", 0, 0, ossa, 0, nssa, oentry, 0, ofsbase, ogsbase, 0xFFFFFFFF, 0xFFFFFFFF)


def bytes_of(label, size):
    return bytes((label * 89 + i * 7 + (i >> 8)) & 0xFF for i in range(size))


@dataclass
class Blob:
    """One metadata version of an enclave."""

    version: tuple[int, int]
    size: int = 0x80 * PAGE
    ssaframesize: int = 1
    layout: list = field(default_factory=list)
    patches: list = field(default_factory=list)
    elrange: tuple[int, int, int] | None = None  # image address, start, size
    sigstruct: bytes = bytes(1808)
    padding: int = 0


@dataclass
class Enclave:
    segments: list
    blobs: list
    relocations: list = field(default_factory=list)  # (offset, type)
    jump_relocations: list = field(default_factory=list)
    textrel: bool = False
    dynamic_vaddr: int = 0x3C000


def standard_layout():
    return [
        Entry(1, EADD, 2, 0x10000, SI_REG | SI_R | SI_W),  # heap: not measured
        Entry(10, 0, 16, 0x12000, 0),  # guard
        Entry(7, EADD | EEXTEND, 2, 0x22000, SI_REG | SI_R | SI_W, fill=0xCCCCCCCC),  # stack
        Entry(10, 0, 1, 0x24000, 0),
        Entry(4, EADD | EEXTEND, 1, 0x25000, SI_TCS, content=tcs_template()),
        Entry(6, EADD | EEXTEND, 2, 0x26000, SI_REG | SI_R | SI_W),  # SSA
        Entry(5, EADD | EEXTEND, 2, 0x28000, SI_REG | SI_R | SI_W, content=bytes_of(5, 300)),  # thread data
        Group(5, 2, 0x8000),
        Entry(3, POST_ADD, 4, 0x40000, SI_REG | SI_R | SI_W),  # heap to come: not loaded
    ]


def standard_segments():
    return [
        Segment(0, bytes_of(1, 0x2345), 0x2345, R | X),
        Segment(0x4800, bytes_of(2, 0x900), 0x3100, R | W),
    ]


def standard(version=(1, 4), **changes):
    elrange = (0x7000_0010_0000, 0x7000_0000_0000, 0x400000) if version[0] > 10 else None
    blob = Blob(version, layout=standard_layout(), patches=[Patch(0, 0x123, b"patched!" * 40)], elrange=elrange)
    return replace(Enclave(standard_segments(), [blob]), **changes)


def write(enclave):
    """The file's bytes."""
    segments = list(enclave.segments)
    base, tables = enclave.dynamic_vaddr, write_tables(enclave)
    segments.append(Segment(base, tables, len(tables), R))
    headers = 64 + 56 * (len(segments) + 1)
    out = bytearray(headers)
    for segment in segments:
        out += bytes(-len(out) % 16)
        segment.offset = len(out)
        out += segment.data
    program = b"".join(
        struct.pack("<IIQQQQQQ", 1, s.flags, s.offset, s.vaddr, s.vaddr, len(s.data), s.memsz, PAGE) for s in segments
    )
    skipped = 24 * (len(enclave.relocations) + len(enclave.jump_relocations))
    at, size = segments[-1].offset + skipped, len(tables) - skipped
    program += struct.pack("<IIQQQQQQ", 2, R, at, base + skipped, base + skipped, size, size, 8)
    note_at = len(out)
    content = b"".join(write_blob(enclave, blob) for blob in enclave.blobs)
    note = struct.pack("<III", 13, len(content), 1) + b"sgx_metadata\0" + content + bytes(64)
    out += note
    names = b"\0.shstrtab\0.note.sgxmeta\0"
    names_at = len(out)
    out += names
    sections_at = len(out)
    out += bytes(64)
    out += struct.pack("<IIQQQQIIQQ", 1, 3, 0, 0, names_at, len(names), 0, 0, 1, 0)
    out += struct.pack("<IIQQQQIIQQ", 11, 7, 0, 0, note_at, len(note), 0, 0, 1, 0)
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    out[:64] = struct.pack(
        "<16sHHIQQQIHHHHHH", ident, 3, 62, 1, 0, 64, sections_at, 0, 64, 56, len(segments) + 1, 64, 3, 1
    )
    out[64 : 64 + len(program)] = program
    return bytes(out)


def write_blob(enclave, blob):
    tables_size = 32 * (len(blob.patches) + len(blob.layout))
    data_at = BLOB_DATA + tables_size + 24
    data = bytearray()

    def put(content):
        place = data_at + len(data)
        data.extend(content)
        return place

    patches = b""
    for patch in blob.patches:
        dst = enclave.segments[patch.segment].offset + patch.at
        patches += struct.pack("<QII16x", dst, put(patch.data), len(patch.data))
    layout = b""
    for entry in blob.layout:
        if isinstance(entry, Group):
            layout += struct.pack("<HHIQ16x", entry.id, entry.count, entry.times, entry.step)
            continue
        place, size = (0, entry.fill) if entry.content is None else (put(entry.content), len(entry.content))
        layout += struct.pack(
            "<HHIQIIQ", entry.id, entry.attributes, entry.pages, entry.rva, size, place, entry.si_flags
        )
    patches_at, layout_at = BLOB_DATA, BLOB_DATA + len(patches)
    elrange_at = layout_at + len(layout)
    elrange = struct.pack("<QQQ", *(blob.elrange or (0, 0, 0)))
    total = data_at + len(data) + blob.padding
    version = blob.version[0] << 32 | blob.version[1]
    head = struct.pack("<QQIIIIIIQ16x", MAGIC, version, total, 0, blob.ssaframesize, 0, 0, 0, blob.size)
    head += blob.sigstruct
    head += struct.pack("<IIII", patches_at, len(patches), layout_at, len(layout))
    head += struct.pack("<IIII", *((elrange_at, 24) if blob.elrange else (0, 0)), 0, 0)
    assert len(head) == BLOB_DATA
    return head + patches + layout + elrange + bytes(data) + bytes(blob.padding)


def expected_stream(enclave, blob):
    """What is measured, block by block, from the same description and without looking at the file."""
    size, delta = blob.size, 0
    if blob.elrange:
        image, start, size = blob.elrange
        delta = image - start
    pieces = [blocks.ecreate(size, blob.ssaframesize)]

    def add(rva, flags, content, extend=True):
        pieces.append(blocks.page(delta + rva, flags, content, extend))

    extra = extra_pages(enclave, blob)
    tables = [t for t in (enclave.relocations, enclave.jump_relocations) if enclave.textrel]
    touched = {(offset + reach) // PAGE for table in tables for offset, kind in table if kind for reach in (0, 7)}
    for index, (segment, data) in enumerate(loaded(enclave, blob)):
        for rva, flags in extra.get(index, []):
            add(rva, flags, blocks.ZEROS)
        flags = si_flags(segment)
        start = segment.vaddr - segment.vaddr % PAGE
        end = up(segment.vaddr + segment.memsz)
        memory = bytes(segment.vaddr - start) + data
        memory += bytes(end - start - len(memory))
        for rva in range(start, end, PAGE):
            from_file = rva < segment.vaddr + len(data)
            here = flags | (SI_W if from_file and rva // PAGE in touched else 0)
            add(rva, here, memory[rva - start : rva - start + PAGE])
    for rva, flags in extra.get(len(enclave.segments) + 1, []):
        add(rva, flags, blocks.ZEROS)

    def load(entry, step):
        if not entry.attributes & EADD or not (entry.si_flags or entry.content):
            return
        for i in range(entry.pages):
            extend = bool(entry.attributes & EEXTEND)
            if entry.content is None:
                content = struct.pack("<I", entry.fill) * 1024
            elif entry.si_flags == SI_TCS:
                rva = entry.rva + step
                template = bytearray(entry.content + bytes(PAGE - len(entry.content)))
                for at in (16, 48, 56):  # OSSA, OFSBASE, OGSBASE
                    (value,) = struct.unpack_from("<Q", template, at)
                    struct.pack_into("<Q", template, at, (value + rva) % 2**64)
                content = bytes(template)
            else:
                content = (entry.content + bytes(entry.pages * PAGE))[i * PAGE : (i + 1) * PAGE]
                extend = True
            add(entry.rva + step + i * PAGE, entry.si_flags, content, extend)

    for index, entry in enumerate(blob.layout):
        if isinstance(entry, Group):
            for k in range(1, entry.times + 1):
                for earlier in blob.layout[index - entry.count : index]:
                    load(earlier, k * entry.step)
        else:
            load(entry, 0)
    return b"".join(pieces)


def loaded(enclave, blob):
    """(segment, file bytes after patching), the tables' segment last."""
    datas = [bytearray(s.data) for s in enclave.segments]
    for patch in blob.patches:
        datas[patch.segment][patch.at : patch.at + len(patch.data)] = patch.data
    result = [(s, bytes(d)) for s, d in zip(enclave.segments, datas, strict=True)]
    raw = write_tables(enclave)
    result.append((Segment(enclave.dynamic_vaddr, raw, len(raw), R), raw))
    return result


def write_tables(enclave):
    """Relocations, jump relocations, dynamic section: the content of the segment at dynamic_vaddr."""
    rela = b"".join(struct.pack("<QQq", offset, kind, 0) for offset, kind in enclave.relocations)
    jmprel = b"".join(struct.pack("<QQq", offset, kind, 0) for offset, kind in enclave.jump_relocations)
    base = enclave.dynamic_vaddr
    tags = [(7, base), (8, len(rela)), (9, 24), (23, base + len(rela)), (2, len(jmprel))]
    tags += [(22, 0)] if enclave.textrel else []
    return rela + jmprel + b"".join(struct.pack("<QQ", tag, value) for tag, value in [*tags, (0, 0)])


def extra_pages(enclave, blob):
    """Version 1.3: {index of the segment before which it comes: [(rva, flags)]}, one past the last for the end."""
    if blob.version != (1, 3):
        return {}
    found = {}
    spans = [(s.vaddr, s.memsz, si_flags(s)) for s in enclave.segments]
    tables = len(write_tables(enclave))
    spans.append((enclave.dynamic_vaddr, tables, SI_REG | SI_R))
    last = None
    for index, span in enumerate([*spans, None]):
        if last:
            vaddr, memsz, flags = last
            short, long = up(vaddr + memsz), up(up(memsz) + vaddr)
            if short < long and (span is None or short < span[0] - span[0] % PAGE):
                found.setdefault(index, []).append((short, flags))
        if span and span[0] > (last[0] if last else 0):
            last = span
    return found


def si_flags(segment):
    pairs = ((R, SI_R), (W, SI_W), (X, SI_X))
    return SI_REG | sum(si for pf, si in pairs if segment.flags & pf)


def up(value):
    return (value + PAGE - 1) // PAGE * PAGE
