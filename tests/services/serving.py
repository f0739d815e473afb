"""Servers as processes of their own, by `fusequote serve`, with the routes of store_app or the real ones."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
from fusequote.home import Home

HERE = Path(__file__).parent


class Server:
    """A server that is ready, or is on its way to that after :meth:`launch`. ``log`` is the file with its stderr."""

    #: What its options are given to.
    program: Sequence[str] = (sys.executable, str(HERE / "store_app.py"), "serve", "provisioning")

    def __init__(
        self, home: Home, *options: str, log: Path, environment: dict[str, str] | None = None, wait: bool = True
    ):
        self.home, self.options, self.log, self._environment = home, options, log, environment or {}
        self.facts: dict = {}
        self.launch()
        if wait:
            self.wait()

    def launch(self) -> None:
        command = [*self.program, *self.options]
        environment = {**os.environ, "FUSEQUOTE_HOME": str(self.home.root), **self._environment}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=environment, text=True
            )

    def wait(self) -> None:
        """Until it is ready."""
        line = self.process.stdout.readline()
        assert line, f"no ready line: {self.log.read_text()}"
        self.facts = json.loads(line)

    @property
    def ready(self) -> bool:
        """Whether it has said that it is."""
        if not self.facts and select.select([self.process.stdout], [], [], 0)[0]:
            self.wait()
        return bool(self.facts)

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


def compiled_once(folder: Path) -> dict[str, str]:
    """For servers that start again and again, wherever Python is told to keep no bytecode: a fifth of a start."""
    if not os.environ.get("PYTHONDONTWRITEBYTECODE"):
        return {}
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}


class Siblings:
    """``count`` servers of one service on one port. Those that were killed are followed by others, which start while
    their siblings serve: a start takes seconds, and a kill none.

    ``make(options, wait)`` starts one.
    """

    def __init__(self, make: Callable[[tuple[str, ...], bool], Server], count: int):
        self._make = make
        self.killed = self.killed_early = 0
        self.all = [make(("--set", "reuse_port=true"), True)]
        self.url = self.all[0].url
        while len(self.all) < count:
            self._follow()

    def _follow(self) -> None:
        port = self.url.rpartition(":")[2]
        self.all.append(self._make(("--set", "reuse_port=true", "--port", port), False))

    def serving(self) -> list[Server]:
        """Those that are ready."""
        return [server for server in self.all if server.ready]

    def kill_one(self) -> bool:
        """Kill one that serves; now and then one more, that does not yet. False when none serves."""
        if not (serving := self.serving()):
            return False
        victims = [secrets.choice(serving)]
        self.killed += 1
        if (starting := [server for server in self.all if not server.ready]) and not secrets.randbelow(10):
            victims.append(secrets.choice(starting))
            self.killed_early += 1
        for server in victims:
            server.kill()
            self.all.remove(server)
            self._follow()
        return True

    def end(self) -> list[int]:
        """End all, in order; their exit codes."""
        for server in self.all:
            server.ready or server.wait()
        return [server.end() for server in self.all]

    def kill_all(self) -> None:
        for server in self.all:
            if server.process.poll() is None:
                server.kill()
