"""Opening an enclave's file, whatever its kind."""

from __future__ import annotations

from pathlib import Path

from fusequote.arch import SigStruct
from fusequote.enclave.errors import ImageError
from fusequote.enclave.image import FileImage
from fusequote.enclave.sgxs import SgxsImage
from fusequote.enclave.signedso import SignedSoImage
from fusequote.errors import UsageError


def default_sigstruct_path(path: Path) -> Path:
    """Where an SGXS file's SIGSTRUCT is looked for: the same name with ``.sig`` for its suffix."""
    return path.with_suffix(".sig")


def read_sigstruct(path: Path) -> SigStruct:
    """The SIGSTRUCT in a file of exactly 1808 bytes. Raises :class:`~fusequote.errors.FormatError` for other sizes and
    :class:`~fusequote.errors.UsageError` for a file that cannot be read. What it says is not checked."""
    try:
        with path.open("rb") as file:
            return SigStruct.from_bytes(file.read(SigStruct.SIZE + 1))
    except OSError as error:
        raise UsageError(f"cannot read the SIGSTRUCT {path}: {error.strerror}",
                         hint="give it with --sigstruct FILE") from error


def open_image(path: Path | str, sigstruct: Path | str | None = None, *, debug: bool = False) -> FileImage:
    """An SGXS stream or a ``.signed.so``, told apart by their first bytes. Close it, or use it in ``with``.

    ``sigstruct``: the SIGSTRUCT's file; an SGXS file's is :func:`default_sigstruct_path`, a ``.signed.so`` has its own
    unless one is given. ``debug`` asks for DEBUG. Raises :class:`ImageError` and its kin for what is in the file, and
    :class:`~fusequote.errors.UsageError` for files that cannot be read.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    given = None if sigstruct is None else read_sigstruct(Path(sigstruct))
    if head[:4] == b"\x7fELF":
        return SignedSoImage(path, sigstruct=given, debug=debug)
    if head[:7] in (b"ECREATE", b"UNSIZED"):
        return SgxsImage(path, given or read_sigstruct(default_sigstruct_path(path)), debug=debug)
    raise ImageError(
        f"{path.name}: neither an SGXS stream nor an ELF file",
        offset=0,
        hint="an enclave is an .sgxs file with its .sig, or a .signed.so of Intel's SDK",
    )
