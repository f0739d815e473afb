"""SGXS: a file that is the measured stream itself, so that its SHA-256 is MRENCLAVE (Fortanix's format).

Blocks of 64 bytes: ECREATE first, then EADD, EEXTEND (each followed by its 256 bytes), and UNMEASRD, which has
the shape of an EEXTEND, is loaded but not measured, and makes the file an "enhanced" one. What a stream does not carry:
attributes (they are the SIGSTRUCT's), and the content of pages that it adds without extending them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from fusequote.arch import CHUNK_SIZE, CHUNKS_PER_PAGE, PAGE_SIZE, PageType, SigStruct
from fusequote.enclave import measure
from fusequote.enclave.errors import ImageError, ImageUnsupported
from fusequote.enclave.image import AddPage, ExtendChunks, FileImage, Image, Operation, check_size, make_secs

#: Tags beside those of the measured stream.
TAG_UNMEASRD = b"UNMEASRD"
TAG_UNSIZED = b"UNSIZED\0"

BLOCK = measure.BLOCK_SIZE


class SgxsImage(FileImage):
    """An SGXS stream, from a path or from bytes.

    The whole stream is checked when it is opened: raises :class:`ImageError` with the place of the block that is
    wrong, :class:`ImageUnsupported` for a stream without a size, and :class:`~fusequote.errors.UsageError` for an
    unreadable file.
    """

    def __init__(self, source: Path | str | bytes, sigstruct: SigStruct | None = None, *, debug: bool = False):
        super().__init__(source)
        self.sigstruct = sigstruct
        try:
            size, ssaframesize, cet = self._ecreate()
            self.secs = make_secs(size, ssaframesize, sigstruct, debug=debug).replace(cet_leg_bitmap_offset=cet)
            self._pages, self._chunks = self._scan()
        except BaseException:
            self.close()
            raise

    @property
    def page_count(self) -> int:
        return self._pages

    @property
    def chunk_count(self) -> int:
        return self._chunks

    def _wrong(self, at: int, what: str) -> ImageError:
        return ImageError(f"{self.name}: byte {at}: {what}", offset=at)

    def _number(self, at: int, size: int = 8) -> int:
        return int.from_bytes(self._data[at : at + size], "little")

    def _ecreate(self) -> tuple[int, int, int]:
        head = bytes(self._data[:BLOCK])
        if head[:8] == TAG_UNSIZED:
            raise ImageUnsupported(
                f"{self.name}: an SGXS stream whose enclave size is still open (UNSIZED)",
                hint="give the enclave a size first (sgxs-append, sgxs-sign)",
            )
        if head[:8] != measure.TAG_ECREATE:
            raise self._wrong(0, "an SGXS stream begins with an ECREATE block")
        if len(head) < BLOCK:
            raise self._wrong(len(head), "the file ends inside the ECREATE block")
        if any(head[28:]):
            raise self._wrong(28, "reserved bytes of the ECREATE block are not 0")
        check_size(self._number(12), self.name, 12)
        return self._number(12), self._number(8, 4), self._number(20)

    def _blocks(self) -> Iterator[tuple[int, bytes, int]]:
        """(place in the file, tag, offset in the enclave) of each block after ECREATE, with its shape checked."""
        at, end, size = BLOCK, len(self._data), self.secs.size
        while at < end:
            head = bytes(self._data[at : at + BLOCK])
            tag = head[:8]
            if tag == measure.TAG_EADD:
                length, unit = BLOCK, PAGE_SIZE
            elif tag in (measure.TAG_EEXTEND, TAG_UNMEASRD):
                length, unit = BLOCK + CHUNK_SIZE, CHUNK_SIZE
            elif len(tag) < 8:
                raise self._wrong(end, "the file ends inside a block")
            else:
                raise self._wrong(at, f"no block begins with {tag.hex()}")
            if at + length > end:
                raise self._wrong(end, f"the file ends inside the block at {at}")
            offset = int.from_bytes(head[8:16], "little")
            if offset % unit or offset >= size:
                kind = "page" if unit == PAGE_SIZE else "chunk"
                raise self._wrong(at + 8, f"offset {offset:#x} is no {kind} of the enclave")
            zeros = 24 if tag == measure.TAG_EADD else 16
            if any(head[zeros:]):
                raise self._wrong(at + zeros, "reserved bytes of the block are not 0")
            yield at, tag, offset
            at += length

    def _scan(self) -> tuple[int, int]:
        pages = chunks = 0
        for _, tag, _ in self._blocks():
            pages += tag == measure.TAG_EADD
            chunks += tag == measure.TAG_EEXTEND
        return pages, chunks

    def operations(self) -> Iterator[Operation]:
        run: list[tuple[int, int]] = []
        for at, tag, offset in self._blocks():
            follows = run and offset == run[-1][1] + CHUNK_SIZE and offset % PAGE_SIZE
            if run and (tag != measure.TAG_EEXTEND or not follows):
                yield self._extend(run)
                run = []
            if tag == measure.TAG_EADD:
                flags = self._number(at + 16)
                yield AddPage(offset, flags, self._tcs(at, offset) if flags >> 8 & 0xFF == PageType.PT_TCS else None)
            elif tag == measure.TAG_EEXTEND:
                run.append((at, offset))
        if run:
            yield self._extend(run)

    def _chunk(self, at: int) -> bytes:
        return bytes(self._data[at + BLOCK : at + BLOCK + CHUNK_SIZE])

    def _extend(self, run: list[tuple[int, int]]) -> ExtendChunks:
        return ExtendChunks(run[0][1], len(run), b"".join(self._chunk(at) for at, _ in run))

    def _tcs(self, at: int, page: int) -> bytes | None:
        """The TCS added at ``at``, from the chunks that follow. Only its first chunk can be anything but zeros."""
        content: dict[int, bytes] = {}
        step = BLOCK + CHUNK_SIZE
        for place in range(at + BLOCK, len(self._data), step):
            if self._data[place : place + 8] not in (measure.TAG_EEXTEND, TAG_UNMEASRD):
                break
            chunk = self._number(place + 8) - page
            if not 0 <= chunk < PAGE_SIZE:
                break
            if content.setdefault(chunk, self._chunk(place)) != self._chunk(place):
                raise self._wrong(place, f"two contents for one chunk of the TCS at {page:#x}")
        if 0 not in content:
            return None
        return b"".join(content.get(i * CHUNK_SIZE, bytes(CHUNK_SIZE)) for i in range(CHUNKS_PER_PAGE))


def write_sgxs(image: Image, file: BinaryIO) -> None:
    """Write any image as an SGXS stream. What the image does not measure is not in it."""
    for piece in measure.stream(image):
        file.write(piece)
