"""``python -m fusequote_boards.postroute BOARD``: the post-route simulation on a pseudo-terminal, until interrupted.

Other programs open the path that it prints as they would open a board's serial line. What the chip burns stays burnt
for as long as this runs.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from fusequote.errors import FusequoteError
from fusequote.home import Home

from ..board import board
from .model import prepare
from .process import PlacedChip


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit codes are those of ``fusequote``."""
    parser = argparse.ArgumentParser(
        prog="python -m fusequote_boards.postroute",
        description="Simulate what would be flashed, with its serial line on a pseudo-terminal.")
    parser.add_argument("board", help="as `fusequote boards` names it")
    parser.add_argument("--bitstream", type=Path, help="default: the board's last build, with blank fuses")
    parser.add_argument("--build-dir", type=Path, help="where builds are kept; default: the home folder's cache")
    parser.add_argument("--seed", help="make the noise repeatable")
    args = parser.parse_args(argv)
    try:
        model = prepare(board(args.board), args.build_dir or Home().cache / "boards", args.bitstream,
                        on_progress=lambda line: print(line, file=sys.stderr, flush=True))
        with PlacedChip(model, seed=args.seed, pty=True) as chip:
            print(chip.address, flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                chip.wait()
    except FusequoteError as error:
        print(f"{error}\n{error.hint or ''}".rstrip(), file=sys.stderr)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
