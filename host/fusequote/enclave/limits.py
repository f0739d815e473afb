"""What an image may ask of the block, checked before anything is sent (docs/chip.md sections 4 and 5).

The block stores no pages: EADD opens a page and carries content only for a TCS; EEXTEND extends the page opened last,
chunks in any order, repeats allowed; a slot holds a limited number of TCS. Real SGX offers more; the error says so.
"""

from __future__ import annotations

from collections.abc import Iterator

from fusequote.arch import PAGE_SIZE, PageType, SecInfoFlags, secinfo_text
from fusequote.enclave.errors import ImageError, ImageUnsupported
from fusequote.enclave.image import AddPage, Image, Operation

#: TCS that every block has room for, per slot; IDENTIFY says how many a block really has.
LEAST_TCS_SLOTS = 4
#: Largest enclave the block takes, in bytes.
MAX_SIZE = 1 << 36

_NARROWING = "docs/chip.md names what the block leaves out of the architecture"


def check_for_chip(image: Image, *, tcs_slots: int = LEAST_TCS_SLOTS) -> None:
    """Go through the whole image once. Raises :class:`ImageUnsupported` for what the block does not offer and
    :class:`ImageError` for what no SGX hardware takes; returns when every operation can be sent."""
    for _ in operations_for_chip(image, tcs_slots=tcs_slots):
        pass


def operations_for_chip(image: Image, *, tcs_slots: int = LEAST_TCS_SLOTS) -> Iterator[Operation]:
    """The image's operations, each checked before it is handed out; raises as :func:`check_for_chip`."""
    size, name = image.secs.size, image.name
    if size > MAX_SIZE:
        raise ImageUnsupported(f"{name}: an enclave of {size:#x} bytes, the block takes {MAX_SIZE:#x}", hint=_NARROWING)
    open_page: int | None = None
    tcs_seen = 0
    for operation in image.operations():
        if operation.offset >= size:
            raise ImageError(f"{name}: offset {operation.offset:#x} is outside the enclave of {size:#x} bytes")
        if isinstance(operation, AddPage):
            _check_page(operation, name)
            tcs_seen += operation.is_tcs
            if tcs_seen > tcs_slots:
                raise ImageUnsupported(
                    f"{name}: {tcs_seen} or more TCS, and a slot of the block holds {tcs_slots}",
                    hint="build the enclave with fewer threads (TCSNum, TCSMinPool)",
                )
            open_page = operation.offset
        elif operation.page != open_page:
            raise ImageUnsupported(
                f"{name}: EEXTEND of {operation.offset:#x}, but the page added last is "
                + ("none" if open_page is None else f"{open_page:#x}"),
                hint=f"the block extends the page added last only; {_NARROWING}",
            )
        yield operation


def _check_page(add: AddPage, name: str) -> None:
    text = f"{name}: EADD of {add.offset:#x} as {secinfo_text(add.flags)}"
    kind, permissions = add.flags >> 8 & 0xFF, add.flags & 0xFF
    if add.offset % PAGE_SIZE:
        raise ImageError(f"{text}: a page starts at a multiple of 4096")
    if add.flags >> 16 or permissions & ~0x07:
        raise ImageError(f"{text}: EADD takes R, W, X and a page type, nothing else")
    if kind not in (PageType.PT_TCS, PageType.PT_REG):
        raise ImageUnsupported(f"{text}: the block takes PT_REG and PT_TCS", hint=_NARROWING)
    if kind == PageType.PT_REG and permissions & SecInfoFlags.W and not permissions & SecInfoFlags.R:
        raise ImageError(f"{text}: a writable page must be readable")
    if kind == PageType.PT_TCS and add.content is None:
        raise ImageUnsupported(
            f"{text}: the content of this TCS is not in the file",
            hint="an SGXS stream has to measure the first 256 bytes of each TCS right after its EADD",
        )


