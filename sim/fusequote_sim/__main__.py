"""``python -m fusequote_sim``: a simulated chip for any client, on a TCP port of this machine or a pseudo-terminal.

Prints one line, ``listening PORT`` or ``pty PATH``, when the chip is on, and runs until it is interrupted. Whoever can
reach the port (every user of this machine, with ``--listen``) talks to the chip.
"""

from __future__ import annotations

import argparse
import signal
import sys

from fusequote.errors import ExitCode, FusequoteError
from fusequote.home import Home

from .build import build
from .process import SimulatedChip
from .toolchain import PROCESS, PROCESS_WITH_WAVES


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code is one of :class:`fusequote.errors.ExitCode`."""
    parser = argparse.ArgumentParser(prog="python -m fusequote_sim", description=__doc__.split("\n\n")[0])
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--listen", dest="serve", action="store_const", const="--listen", help="on 127.0.0.1, any port")
    where.add_argument("--pty", dest="serve", action="store_const", const="--pty", help="on a pseudo-terminal")
    parser.add_argument("--fuses", metavar="FILE", help="fuse file; made when it is not there (default: none is kept)")
    parser.add_argument("--seed", metavar="TEXT", help="make the simulated entropy repeatable")
    parser.add_argument("--waves", metavar="FILE", help="write a VCD file")
    parser.add_argument("--cache", metavar="FOLDER", help="where builds are kept (default: in the home folder)")
    parser.add_argument("--native", action="store_true", help="optimise for this very machine")
    options = parser.parse_args(arguments)
    try:
        program = build(
            cache=options.cache or Home().cache,
            recipe=PROCESS if options.waves is None else PROCESS_WITH_WAVES,
            native=options.native,
            on_progress=lambda line: print(line, file=sys.stderr, flush=True),
        )
        chip = SimulatedChip(
            program, fuses=options.fuses, seed=options.seed, waves=options.waves, serve=options.serve
        )
    except FusequoteError as error:
        print(f"error: {error}" + (f"\n  {error.hint}" if error.hint else ""), file=sys.stderr)
        return error.exit_code
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with chip:
        print(chip.address, flush=True)
        try:
            print(f"error: {chip.failure(patience=None)}", file=sys.stderr)
            return ExitCode.DEVICE
        except KeyboardInterrupt:
            print(f"{chip.cycles()} cycles", file=sys.stderr)
            return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
