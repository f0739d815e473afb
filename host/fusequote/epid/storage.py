"""Files of the EPID commands: read whole, replaced at once."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from fusequote.errors import EnvironmentProblem, UsageError


def write_file(path: Path, data: bytes, secret: bool = False) -> None:
    """Replaces a file at once; a secret one is readable for its owner only. Raises EnvironmentProblem."""
    try:
        handle, scratch = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.chmod(scratch, 0o600 if secret else 0o644)
            os.replace(scratch, path)
        except BaseException:
            Path(scratch).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise EnvironmentProblem(f"cannot write {path}: {error.strerror}", hint="check the folder") from None


def read_file(path: Path, limit: int = 1 << 28) -> bytes:
    """The whole of a regular file; raises UsageError."""
    try:
        if not path.is_file():
            raise UsageError(f"there is no file {path}")
        if path.stat().st_size > limit:
            raise UsageError(f"{path} has more than {limit:,} bytes")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
