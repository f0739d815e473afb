"""The command line: ``fusequote COMMAND``. Results on stdout, talk on stderr, exit codes in docs/cli.md.

What a command does is below, in :mod:`fusequote.api` and its neighbours; here arguments come in and results are shown.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command (default: this process's arguments); the exit code, for ``sys.exit``."""
    from fusequote.cli.run import run

    return run(arguments)
