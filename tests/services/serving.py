"""Servers as processes of their own, by `fusequote serve`, with the routes of store_app or the real ones."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
from fusequote.home import Home

HERE = Path(__file__).parent


class Server:
    """A server that is ready. ``log`` is the file with its stderr."""

    #: What its options are given to.
    program: Sequence[str] = (sys.executable, str(HERE / "store_app.py"), "serve", "provisioning")

    def __init__(self, home: Home, *options: str, log: Path, environment: dict[str, str] | None = None):
        self.home, self.options, self.log, self._environment = home, options, log, environment or {}
        self.start()

    def start(self) -> None:
        command = [*self.program, *self.options]
        environment = {**os.environ, "FUSEQUOTE_HOME": str(self.home.root), **self._environment}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=environment, text=True
            )
        line = self.process.stdout.readline()
        assert line, f"no ready line: {self.log.read_text()}"
        self.facts = json.loads(line)

    @property
    def url(self) -> str:
        return self.facts["url"]

    def client(self, **options: object) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, **options)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(60)
        self.process.stdout.close()
        return code

    def lines(self) -> list[dict]:
        """The log so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line]


@contextlib.contextmanager
def serving(home: Home, *options: str, log: Path, environment: dict[str, str] | None = None) -> Iterator[Server]:
    server = Server(home, *(options or ("--workers", "0")), log=log, environment=environment)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.kill()
