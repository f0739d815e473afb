"""The parties of the scripted run that are processes of their own, on free ports of 127.0.0.1."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import IO, Any

from fusequote.errors import EnvironmentProblem
from fusequote.home import Home

__all__ = ["Server", "serving"]

_RUN = "import sys; from fusequote.cli import main; sys.argv[0] = 'fusequote'; sys.exit(main())"
#: Seconds that a server may take to end.
PATIENCE = 60


class Server:
    """A server that said that it is ready."""

    def __init__(self, url: str, lines: IO[str]):
        self.url = url
        self._lines = lines

    def next_line(self) -> dict[str, Any]:
        """The next line of JSON on its stdout, waited for. Raises :class:`EnvironmentProblem` when it has ended."""
        line = self._lines.readline()
        if not line:
            raise EnvironmentProblem(f"the server at {self.url} ended")
        return json.loads(line)


@contextlib.contextmanager
def serving(home: Home, *arguments: str, secrets: Mapping[str, str] | None = None) -> Iterator[Server]:
    """``fusequote ARGUMENTS`` as a process of its own, ended by SIGTERM. ``secrets`` go by environment.

    Its stderr is in the home folder, in a file of the command's name. Raises :class:`EnvironmentProblem` when it does
    not start, or does not end in order.
    """
    name = "-".join(word for word in arguments[:2] if not word.startswith("-"))
    # Settings of the user's own servers are not for these.
    kept = {key: value for key, value in os.environ.items() if not key.startswith("FUSEQUOTE_SERVE_")}
    command = [sys.executable, "-c", _RUN, *arguments, "--home", str(home.root)]
    log_path = home.root / f"{name}.log"
    with (
        open(log_path, "wb") as log,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**kept, **(secrets or {})},
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                said = log_path.read_text("utf-8", "replace").strip().splitlines()
                raise EnvironmentProblem(f"{name} did not start: {said[-1] if said else 'it said nothing'}")
            yield Server(json.loads(line)["url"].rstrip("/"), process.stdout)
            process.terminate()
            code = process.wait(PATIENCE)
            if code != 0:
                raise EnvironmentProblem(f"{name} ended with exit code {code}")
        finally:
            if process.poll() is None:
                process.kill()
