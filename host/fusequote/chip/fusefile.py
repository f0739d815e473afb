"""A simulated chip's fuses: 384 bytes whose bits go from 0 to 1 once, in memory or in a file.

The file (docs/link.md section 4) is the same for every simulated chip: 416 bytes, ``FUSEQUOTE-FUSES\\n``
(16) || version u32 = 1 || size u32 = 384 || boot counter u64 || 384 bytes of fuses. It holds the chip's
root keys, so it is made with mode 0600, and it is held under an exclusive ``flock`` for as long as the chip
is on. Every change is written to a new file that takes the old one's place, so that a power cut leaves
either the old fuses or the new ones; the lock moves along. This module knows nothing of what the fuses
mean.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
import struct
from collections.abc import Callable
from pathlib import Path

from ..errors import EnvironmentProblem, FormatError, UsageError

__all__ = [
    "FILE_SIZE",
    "FUSE_BYTES",
    "FuseBank",
    "FuseFile",
    "FuseFileBusy",
    "FuseFileError",
    "FuseFileMisfit",
    "FuseFileProblem",
]

#: Bytes of fuses in a chip.
FUSE_BYTES = 384
_MAGIC = b"FUSEQUOTE-FUSES\n"
_VERSION = 1
_HEAD = struct.Struct("<16sIIQ")
#: Bytes of a fuse file.
FILE_SIZE = _HEAD.size + FUSE_BYTES


class FuseFileError(FormatError):
    """The file is not a fuse file, or not a whole one."""

    kind = "fuses.format"


class FuseFileMisfit(FuseFileError):
    """A fuse file, but of another version or of a chip with more or fewer fuses."""

    kind = "fuses.misfit"


class FuseFileBusy(EnvironmentProblem):
    """Another process has this chip powered on."""

    kind = "fuses.busy"


class FuseFileProblem(EnvironmentProblem):
    """The file cannot be opened or written: permission, missing folder, full disk."""

    kind = "fuses.access"


class FuseBank:
    """One-time-programmable memory of :data:`FUSE_BYTES` bytes: burning ORs bits in, nothing takes one out.

    ``image`` are the fuses to start from (default: a blank chip). ``on_burn`` is called with the whole new
    image before the burn takes effect; when it raises, nothing is burnt. The representation shows no fuse.

    Raises ValueError when the image has another size.
    """

    def __init__(self, image: bytes = bytes(FUSE_BYTES), *, on_burn: Callable[[bytes], None] | None = None):
        if len(image) != FUSE_BYTES:
            raise ValueError(f"a chip has {FUSE_BYTES} bytes of fuses, not {len(image)}")
        self._fuses = bytes(image)
        self._on_burn = on_burn

    def read(self, offset: int, size: int) -> bytes:
        """``size`` bytes from ``offset``. Raises ValueError outside the bank."""
        self._check(offset, size)
        return self._fuses[offset : offset + size]

    def burn(self, offset: int, data: bytes) -> None:
        """OR ``data`` into the fuses from ``offset`` on. Raises ValueError outside the bank."""
        self._check(offset, len(data))
        burnt = bytearray(self._fuses)
        for i, byte in enumerate(data, offset):
            burnt[i] |= byte
        image = bytes(burnt)
        if image == self._fuses:
            return
        if self._on_burn is not None:
            self._on_burn(image)
        self._fuses = image

    def image(self) -> bytes:
        """All 384 bytes, root keys included: for whoever carries them to a chip, never to be shown."""
        return self._fuses

    @staticmethod
    def _check(offset: int, size: int) -> None:
        if offset < 0 or size < 0 or offset + size > FUSE_BYTES:
            raise ValueError(f"{size} bytes at {offset} are not within {FUSE_BYTES} bytes of fuses")

    def __repr__(self) -> str:
        return f"FuseBank({FUSE_BYTES} bytes)"


class FuseFile:
    """The fuse file of a chip that is powered on: locked, and its boot counter already increased.

    Make one with :meth:`power_on`; :meth:`close` (or leaving the ``with`` block) powers the chip off.
    ``bank`` writes each burn through to the file. A closed file refuses further burns with
    :class:`UsageError`.
    """

    def __init__(self, path: Path, fd: int, boot_counter: int, fuses: bytes):
        self._path = path
        self._fd = fd
        #: Power-ons of this chip so far, this one included.
        self.boot_counter = boot_counter
        #: The chip's fuses.
        self.bank = FuseBank(fuses, on_burn=self._store)

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> None:
        """Write the file of a blank chip that was never powered on, mode 0600.

        Raises UsageError when something is there already, :class:`FuseFileProblem` when it cannot be written.
        """
        path = _resolve(path)
        image = _HEAD.pack(_MAGIC, _VERSION, FUSE_BYTES, 0) + bytes(FUSE_BYTES)
        with _explained(path, "create"):
            fd, temporary = _write_beside(path, image)
            try:
                os.link(temporary, path)  # unlike a rename, fails when the name is taken
                _sync_folder(path)
            except FileExistsError:
                raise UsageError(
                    f"{path} exists already", hint="a chip is made once; choose another name for a new one"
                ) from None
            finally:
                os.unlink(temporary)
                os.close(fd)

    @classmethod
    def power_on(cls, path: str | os.PathLike[str], *, create: bool = False) -> FuseFile:
        """Lock the file, check it, and add one to its boot counter.

        With ``create`` a missing file is made first, that of a blank chip.

        Raises :class:`FuseFileError` (not a fuse file, truncated), :class:`FuseFileMisfit` (another version
        or size), :class:`FuseFileBusy` (another process has the chip on), :class:`FuseFileProblem`
        (missing, unreadable, not writable).
        """
        path = _resolve(path)
        if create and not path.exists():
            with contextlib.suppress(UsageError):  # another process was quicker: its file will do
                cls.create(path)
        fd = _open_locked(path)
        try:
            boot_counter, fuses = _parse(path, _read_all(path, fd))
            if boot_counter == 2**64 - 1:
                raise FuseFileMisfit(f"{path}: the boot counter is used up", offset=24)
            chip = cls(path, fd, boot_counter + 1, fuses)
            chip._store(fuses)
            return chip
        except BaseException:
            os.close(fd)
            raise

    def close(self) -> None:
        """Power off: the lock is released. Doing it twice is allowed."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _store(self, fuses: bytes) -> None:
        """Put a new file in the old one's place; the new one is locked before the old one is let go."""
        if self._fd < 0:
            raise UsageError(f"{self._path}: this chip is powered off")
        with _explained(self._path, "write"):
            head = _HEAD.pack(_MAGIC, _VERSION, FUSE_BYTES, self.boot_counter)
            fd, temporary = _write_beside(self._path, head + fuses)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.replace(temporary, self._path)
            except BaseException:
                os.close(fd)
                os.unlink(temporary)
                raise
            os.close(self._fd)
            self._fd = fd
            _sync_folder(self._path)

    def __enter__(self) -> FuseFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"FuseFile({str(self._path)!r}, boot {self.boot_counter})"


@contextlib.contextmanager
def _explained(path: Path, verb: str):
    """Turn what the operating system says into one of our errors."""
    try:
        yield
    except OSError as problem:
        hint = "the file and its folder must be there and writable for this user"
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            hint = "free some space: the chip counts its power-ons in this file"
        raise FuseFileProblem(f"cannot {verb} fuse file {path}: {problem.strerror}", hint=hint) from problem


def _resolve(path: str | os.PathLike[str]) -> Path:
    # A link stays a link: it is the file behind it that is replaced.
    try:
        return Path(os.path.realpath(path))
    except ValueError as problem:  # a zero byte in the name
        raise UsageError(f"not a file name: {os.fspath(path)!r}") from problem


def _write_beside(path: Path, data: bytes) -> tuple[int, Path]:
    """A new file beside ``path``, mode 0600, that holds ``data`` and is on the disk; still open."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        if os.write(fd, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(fd)
    except BaseException:
        os.close(fd)
        os.unlink(temporary)
        raise
    return fd, temporary


def _sync_folder(path: Path) -> None:
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _open_locked(path: Path) -> int:
    """The file open and locked; the one that has the name now, not one that has been replaced meanwhile."""
    while True:
        with _explained(path, "open"):
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise FuseFileError(f"{path} is not a regular file")
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise FuseFileBusy(
                    f"{path}: another process has this chip powered on",
                    hint="close the other program, or use another fuse file",
                ) from None
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(fd), os.stat(path)):
                    return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _read_all(path: Path, fd: int) -> bytes:
    with _explained(path, "read"):
        return os.pread(fd, FILE_SIZE + 1, 0)


def _parse(path: Path, data: bytes) -> tuple[int, bytes]:
    """Boot counter and fuses."""
    if data[: len(_MAGIC)] != _MAGIC[: len(data)] or not data:
        hint = "it should start with FUSEQUOTE-FUSES"
        raise FuseFileError(f"{path} is not a fuse file", offset=0, hint=hint)
    if len(data) < _HEAD.size:
        raise FuseFileError(f"{path} is truncated: {len(data)} of {FILE_SIZE} bytes", offset=len(data))
    _, version, size, boot_counter = _HEAD.unpack_from(data)
    misfit = f"{path} does not fit this chip"
    if version != _VERSION:
        raise FuseFileMisfit(f"{misfit}: version {version}, not {_VERSION}", offset=16)
    if size != FUSE_BYTES:
        raise FuseFileMisfit(f"{misfit}: {size} bytes of fuses, not {FUSE_BYTES}", offset=20)
    if len(data) < FILE_SIZE:
        raise FuseFileError(f"{path} is truncated: {len(data)} of {FILE_SIZE} bytes", offset=len(data))
    if len(data) > FILE_SIZE:
        raise FuseFileError(f"{path} is longer than a fuse file ({FILE_SIZE} bytes)", offset=FILE_SIZE)
    return boot_counter, data[_HEAD.size :]
