"""What can be wrong with an enclave's file, before any chip sees it."""

from __future__ import annotations

from fusequote.errors import FormatError, UsageError


class ImageError(FormatError):
    """The file is not a whole, consistent enclave image. ``offset`` is where it stops making sense, when known."""

    kind = "image.format"


class ImageUnsupported(UsageError):
    """The image is well-formed, but wants more than the block (or this loader) offers."""

    kind = "image.unsupported"
