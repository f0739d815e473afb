"""A chip's own fuses in a board's finished bitstream: what `fusequote manufacture --board` asks of this package.

The host gives every fuse but one. The root sealing key is made here, goes into the bitstream, and nowhere else.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path

from fusequote.errors import EnvironmentProblem, UsageError

from . import fusebits
from .board import board as board_named
from .build import Built, bitstream_name, build, pack
from .flash import check_bitstream
from .fusemacro import KEY_BYTES, KEYS
from .tools import Tools

__all__ = ["device_fuses", "personalize", "write_fuses"]

FUSE_BYTES = 384


def personalize(board: str, fuses: bytes, out: Path, builds: Path, *, baud: int | None = None,
                watch: Callable[[str, float, str], None] | None = None) -> dict[str, str | int | bool]:
    """Write ``fuses`` (384 bytes, the sealing key's all zero) and a fresh sealing key into the board's bitstream, to
    the new file ``out``, mode 0600. Builds the board first when ``builds`` has no build of just this design. ``baud``
    is the link's rate, the board's own by default.

    Returns facts to tell the user. Raises :class:`UsageError` for an unknown board, fuses that hold a sealing key, or
    a file that exists, and what :func:`fusequote_boards.build.build` raises.
    """
    chosen = board_named(board)
    if os.path.lexists(out):
        raise UsageError(f"{out} exists", hint="give another --out, or remove it: it may hold keys of another chip")
    built = build(chosen.target(baud=baud), builds, watch=watch)
    contents = device_fuses(fuses)
    write_fuses(built, contents, out)
    check_bitstream(chosen, out)
    return {"board": chosen.name, "bitstream": str(out), "baud": built.report.baud,
            "bitstream_secret": chosen.secret, "design_sha256": built.report.sha256}


def device_fuses(fuses: bytes) -> bytes:
    """``fuses`` with a fresh root sealing key. Raises :class:`UsageError` for a wrong size, or a key that is there."""
    row = KEYS["rsk"]
    if len(fuses) != FUSE_BYTES or any(fuses[row : row + KEY_BYTES]):
        raise UsageError(f"{FUSE_BYTES} bytes of fuses are wanted, without a root sealing key")
    return fuses[:row] + secrets.token_bytes(KEY_BYTES) + fuses[row + KEY_BYTES :]


def write_fuses(built: Built, fuses: bytes, out: Path) -> None:
    """The bitstream of ``built`` with these fuses, in the new file ``out``, mode 0600.

    What is packed is read back before: :class:`EnvironmentProblem` when it does not say these fuses.
    """
    chosen = board_named(built.report.board)
    fuse_map, text = built.fuse_map(), built.fuse_text()
    fuse_map.write(text, fuses)
    # On the way it is text in a folder of ours, mode 0700, that goes away with the keys in it.
    with tempfile.TemporaryDirectory(prefix="fusequote-") as folder:
        source = Path(folder) / built.text.name
        source.write_text(text.text(), "utf-8")
        again = fusebits.FORMATS[fuse_map.family](source.read_text("utf-8"))
        if fuse_map.read(again)[:FUSE_BYTES] != fuses:
            raise EnvironmentProblem("the fuses in the bitstream are not those that were written",
                                     hint=f"`fusequote build {chosen.name} --again` makes it anew")
        packed = Path(folder) / bitstream_name(fuse_map.family)
        # The wheels' packers give the same bytes as the system's.
        pack(fuse_map.family, source, packed, Tools(fuse_map.family))
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(packed.read_bytes())
