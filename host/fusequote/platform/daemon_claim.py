"""Whose chip it is: the platform daemon's claim on a chip's URL, which lives as long as its process.

The claim is a file of the home folder under a lock of the operating system: when the daemon is gone, however it went,
so is the lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from fusequote.errors import EnvironmentProblem
from fusequote.home import Home

__all__ = ["ChipBusy", "check_free", "claim"]


class ChipBusy(EnvironmentProblem):
    """A platform daemon owns the chip; the message names it."""

    kind = "chip-busy"


def check_free(home: Home, url: str) -> None:
    """Raises :class:`ChipBusy` when a platform daemon of this home folder owns the chip at ``url``."""
    path = _path(home, url)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _busy(descriptor) from None
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def claim(home: Home, url: str, socket: Path) -> Iterator[None]:
    """Own the chip at ``url`` within. Raises :class:`ChipBusy` when another daemon does."""
    path = _path(home, url)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EnvironmentProblem(f"cannot write {path}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _busy(descriptor) from None
        text = json.dumps({"pid": os.getpid(), "socket": str(socket)}).encode()
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text, 0)
        yield
    finally:
        os.close(descriptor)


def _busy(descriptor: int) -> ChipBusy:
    try:
        owner = json.loads(os.pread(descriptor, 4096, 0))
        who, socket = f"process {int(owner['pid'])}", str(owner["socket"])
    except (ValueError, KeyError, TypeError):
        who, socket = "which is just starting", "SOCKET"
    return ChipBusy(
        f"the platform daemon ({who}) owns this chip",
        hint=f"ask it: `fusequote quote --platform {socket}`; or end it first",
    )


def _path(home: Home, url: str) -> Path:
    # Two URLs with one fuse file are one chip.
    try:
        fuses = parse_qs(urlsplit(url).query).get("fuses")
    except ValueError:
        fuses = None
    name = os.path.realpath(fuses[0]) if fuses else url
    return home.platform / f"daemon-{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"
