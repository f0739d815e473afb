"""MRENCLAVE: SHA-256 over a stream of 64-byte blocks, one for each instruction (instruction notes 2)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from fusequote.arch import CHUNK_SIZE, SecInfo, Secs
from fusequote.enclave.image import AddPage, Image

#: Bytes of a block of the stream, and of SHA-256.
BLOCK_SIZE = 64

#: The first eight bytes of each kind of block.
TAG_ECREATE = b"ECREATE\0"
TAG_EADD = b"EADD\0\0\0\0"
TAG_EEXTEND = b"EEXTEND\0"


def ecreate_block(secs: Secs) -> bytes:
    """Tag, SSAFRAMESIZE u32, SIZE u64 (at byte 12), CET_LEG_BITMAP_OFFSET u64, 36 zeros. Nothing else is measured."""
    fields = secs.ssaframesize.to_bytes(4, "little") + secs.size.to_bytes(8, "little")
    return TAG_ECREATE + fields + secs.cet_leg_bitmap_offset.to_bytes(8, "little") + bytes(36)


def eadd_block(offset: int, secinfo: SecInfo) -> bytes:
    """Tag, offset of the page u64, the first 48 bytes of SECINFO; a TCS is measured without R, W and X."""
    return TAG_EADD + offset.to_bytes(8, "little") + secinfo.measured()


def eextend_block(offset: int) -> bytes:
    """Tag, offset of the chunk u64, 48 zeros. The chunk's 256 bytes follow as four blocks."""
    return TAG_EEXTEND + offset.to_bytes(8, "little") + bytes(48)


def stream(image: Image, progress: Callable[[int], None] | None = None) -> Iterator[bytes]:
    """The measured stream in pieces that are multiples of 64 bytes; its SHA-256 is MRENCLAVE.

    ``progress`` is called with the number of pages begun, each time one begins.
    """
    pages = 0
    yield ecreate_block(image.secs)
    for operation in image.operations():
        if isinstance(operation, AddPage):
            pages += 1
            if progress is not None:
                progress(pages)
            yield eadd_block(operation.offset, SecInfo(flags=operation.flags))
            continue
        for at in range(0, len(operation.data), CHUNK_SIZE):
            yield eextend_block(operation.offset + at)
            yield operation.data[at : at + CHUNK_SIZE]


def mrenclave(image: Image, progress: Callable[[int], None] | None = None) -> bytes:
    """MRENCLAVE of an image, 32 bytes. Raises what reading the image raises."""
    digest = hashlib.sha256()
    for piece in stream(image, progress):
        digest.update(piece)
    return digest.digest()
