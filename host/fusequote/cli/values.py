"""Arguments that are bytes in hex, and files that are read whole."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from fusequote.errors import EnvironmentProblem, UsageError

__all__ = ["check_is_file", "check_writable", "hex_bytes", "read_limited", "write_output"]


def hex_bytes(name: str, text: str, size: int | None = None, *, most: int | None = None) -> bytes:
    """The bytes that ``text`` names in hex: ``size`` of them, or ``most`` at most; else raises :class:`UsageError`."""
    try:
        value = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise UsageError(f"{name} is written in hex digits, two a byte, not {text[:80]!r}") from None
    if size is not None and len(value) != size:
        raise UsageError(f"{name} is {size} bytes, {2 * size} hex digits, not {len(value)} bytes")
    if most is not None and len(value) > most:
        raise UsageError(f"{name} is at most {most} bytes, not {len(value)}")
    return value


def read_limited(path: Path, what: str, limit: int) -> bytes:
    """The whole of a file. Raises :class:`UsageError` when it cannot be read, is no file, or has more than ``limit``
    bytes.
    """
    try:
        # Without waiting: a pipe that nobody writes to must not hang us.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UsageError(f"{path} is not a file")
            data = file.read(limit + 1)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {what} {path}: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > limit:
        raise UsageError(f"{path} is too large for {what}: the limit is {limit:,} bytes")
    return data


def check_is_file(path: Path) -> None:
    """Raises :class:`UsageError` unless ``path`` is a file: a pipe or a terminal would keep its reader waiting."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(mode):
        raise UsageError(f"{path} is not a file")


def check_writable(path: Path | None) -> None:
    """Look before a long run whether its result can be written to ``path``; None is fine. Raises EnvironmentProblem."""
    if path is None:
        return
    target = path if path.exists() else path.parent
    if path.is_dir() or not os.access(target, os.W_OK):
        raise EnvironmentProblem(f"cannot write {path}", hint="give a file in a folder that exists and is writable")


def write_output(path: Path, data: bytes) -> None:
    """Write a result to a file. Raises :class:`EnvironmentProblem` when that is not possible."""
    try:
        path.write_bytes(data)
    except OSError as error:
        hint = "check the folder and its permissions"
        raise EnvironmentProblem(f"cannot write {path}: {error.strerror}", hint=hint) from error
