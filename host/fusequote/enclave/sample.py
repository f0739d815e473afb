"""Enclaves that this project makes itself: a sample application, and programs whose own source is what is measured.

The bytes depend on the arguments alone, so the same arguments give the same MRENCLAVE everywhere.

======================  ========================================================================
page 0 ..               header: who this is, and a list of the files in it (R)
then                    code: the entry stub, then the files one after the other (R X)
then                    data (R W)
then                    one TCS, its NSSA x SSAFRAMESIZE pages of SSA, measured (R W)
then                    heap: added, not extended, so its content is not measured (R W)
======================  ========================================================================
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from fusequote.arch import (
    PAGE_SIZE,
    PT_REG_FLAGS,
    PT_TCS_FLAGS,
    XFRM_LEGACY,
    AttributeFlags,
    Attributes,
    SecInfoFlags,
    Secs,
    Tcs,
)
from fusequote.arch.layout import U16, U32, Bytes, Reserved, Struct
from fusequote.enclave.image import ZERO_PAGE, MemoryImage, Operation, whole_page
from fusequote.errors import UsageError

#: First bytes of page 0. Says whose this is, so that nobody takes it for anybody else's.
MAGIC = b"FUSEQUOTE EMULATED ENCLAVE".ljust(32, b"\0")
#: x86-64 at the entry point: mov rbx, rcx; mov eax, 4; enclu. That is EEXIT to where EENTER came from.
ENTRY_STUB = bytes.fromhex("4889cbb8040000000f01d7").ljust(64, b"\xcc")
NAME_SIZE = 64

_R = PT_REG_FLAGS | SecInfoFlags.R
_RX = _R | SecInfoFlags.X
_RW = _R | SecInfoFlags.W


class ProgramHeader(Struct, size=128, title="fusequote program header"):
    """Start of page 0. The list of files follows: for each the name's length u16, the name, the size u32."""

    magic = Bytes(0, 32, default=MAGIC)
    format = U16(32, "1", default=1)
    files = U16(34, "files in the list")
    version = U32(36, "of the program")
    code_size = U32(40, "bytes of stub and files")
    reserved1 = Reserved(44, 20)
    name = Bytes(64, NAME_SIZE, "of the program, UTF-8, zero-padded")


def _paged(content: bytes) -> list[bytes]:
    return [content[i : i + PAGE_SIZE].ljust(PAGE_SIZE, b"\0") for i in range(0, len(content), PAGE_SIZE)]


def image_from_files(
    name: str,
    files: Mapping[str, bytes],
    *,
    version: int = 1,
    data: bytes = ZERO_PAGE,
    nssa: int = 1,
    ssaframesize: int = 1,
    heap_pages: int = 4,
    attributes: AttributeFlags = AttributeFlags.MODE64BIT,
) -> MemoryImage:
    """An image whose measured code pages are these files, in the order given; ``files`` maps names to contents.

    ``name`` (at most 64 bytes of UTF-8) and ``version`` stand in the measured header. ``nssa`` and ``ssaframesize`` are
    the TCS's and SECS's; SIZE is the smallest power of two that fits. Raises :class:`~fusequote.errors.UsageError` for
    a name that is too long or a TCS without SSA.
    """
    title = name.encode()
    if not title or len(title) > NAME_SIZE:
        raise UsageError(f"a program's name has 1 to {NAME_SIZE} bytes, {name!r} has {len(title)}")
    if nssa < 1 or ssaframesize < 1 or heap_pages < 0:
        raise UsageError("a TCS needs an SSA frame of at least one page, and a heap cannot have less than no pages")
    entries = [(key.encode(), content) for key, content in files.items()]
    listed = b"".join(len(n).to_bytes(2, "little") + n + len(c).to_bytes(4, "little") for n, c in entries)
    code = ENTRY_STUB + b"".join(content for _, content in entries)
    header = ProgramHeader(
        files=len(entries), version=version, code_size=len(code), name=title.ljust(NAME_SIZE, b"\0")
    ).to_bytes()

    pages = [(_R, page) for page in _paged(header + listed)]
    oentry = len(pages) * PAGE_SIZE
    pages += [(_RX, page) for page in _paged(code)]
    pages += [(_RW, page) for page in _paged(data)]
    ossa = (len(pages) + 1) * PAGE_SIZE
    pages.append((PT_TCS_FLAGS, Tcs(ossa=ossa, nssa=nssa, oentry=oentry).to_bytes()))
    pages += [(_RW, ZERO_PAGE)] * (nssa * ssaframesize)

    operations: list[Operation] = []
    for i, (flags, page) in enumerate(pages):
        operations += whole_page(i * PAGE_SIZE, flags, page)
    for i in range(len(pages), len(pages) + heap_pages):
        operations += whole_page(i * PAGE_SIZE, _RW, ZERO_PAGE, extend=False)
    size = max(2, 1 << (len(pages) + heap_pages - 1).bit_length()) * PAGE_SIZE
    secs = Secs(size=size, ssaframesize=ssaframesize, attributes=Attributes(flags=attributes, xfrm=XFRM_LEGACY))
    return MemoryImage(name, secs, operations)


def image_from_sources(
    name: str, files: Iterable[Path], *, root: Path | None = None, version: int = 1,
    attributes: AttributeFlags = AttributeFlags.MODE64BIT,
) -> MemoryImage:
    """An image that measures these source files, in the order given: the enclave *is* the program that plays it.

    Files are listed by their path below ``root`` (by name without one), with ``/`` between its parts. Raises
    :class:`~fusequote.errors.UsageError` for a file that cannot be read, is listed twice, or is not below ``root``.
    """
    contents: dict[str, bytes] = {}
    for path in files:
        try:
            listed = path.relative_to(root).as_posix() if root else path.name
            content = path.read_bytes()
        except ValueError:
            raise UsageError(f"{path} is not below {root}") from None
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from error
        if listed in contents:
            raise UsageError(f"two files are called {listed}", hint="give the folder that they differ below as root")
        contents[listed] = content
    return image_from_files(name, contents, version=version, attributes=attributes)


#: What the sample application measures, in bytes.
SAMPLE_SIZE = 64 * 1024


def sample_image(name: str = "fusequote sample", *, version: int = 1) -> MemoryImage:
    """The sample application: 64 KiB of measured content (16 pages) and 4 pages of heap, in an enclave of 128 KiB.

    Its code after the entry stub and its data are SHA-256 in counter mode over the name: bytes that differ everywhere,
    so that any bit of them that changes shows.
    """
    # 16 pages: header, 8 of code, 4 of data, TCS, 2 of SSA.
    code = _filler(name + " code", 8 * PAGE_SIZE - len(ENTRY_STUB))
    data = _filler(name + " data", 4 * PAGE_SIZE)
    return image_from_files(name, {"sample.bin": code}, version=version, data=data, nssa=2)


def _filler(label: str, size: int) -> bytes:
    blocks = (hashlib.sha256(f"{label} {i}".encode()).digest() for i in range(-(-size // 32)))
    return b"".join(blocks)[:size]
