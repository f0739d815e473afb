"""A PostgreSQL cluster of the tests' own: from Debian's package, in a folder of its own, on a Unix socket."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

#: Set where nothing may be skipped.
CI = os.environ.get("FUSEQUOTE_CI") == "1"


def programs() -> Path:
    """The folder of initdb and pg_ctl. Skips the test when there is none, and fails it under CI."""
    found = [Path(name).resolve().parent for name in (shutil.which("initdb"), shutil.which("pg_ctl")) if name]
    found += sorted(path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    for folder in found:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    reason = "no PostgreSQL server here (Debian: apt install postgresql)"
    if CI:
        pytest.fail(reason)
    pytest.skip(reason)


class Cluster:
    """One cluster; root's runs as another user, because PostgreSQL refuses root."""

    def __init__(self) -> None:
        self._programs = programs()
        self._folder = Path(tempfile.mkdtemp(prefix="fq-pg-"))
        self._user: dict[str, object] = {}
        if os.getuid() == 0:
            names = {entry.pw_name: entry for entry in pwd.getpwall()}
            other = names.get("postgres") or names["nobody"]
            os.chown(self._folder, other.pw_uid, other.pw_gid)
            self._user = {"user": other.pw_uid, "group": other.pw_gid, "extra_groups": []}
        self._data = self._folder / "data"
        self._run("initdb", "-U", "fusequote", "-A", "trust", "-E", "UTF8", "--no-sync", "-D", self._data)
        self.start()

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self._programs / program), *map(str, arguments)]
        done = subprocess.run(
            command, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, check=False, timeout=120, **self._user,
        )  # fmt: skip
        assert done.returncode == 0, f"{program}: {done.stderr}"

    def start(self) -> None:
        options = f"-k {self._folder} -c listen_addresses= -c fsync=off"
        self._run("pg_ctl", "start", "-w", "-D", self._data, "-l", self._folder / "log", "-o", options)

    def stop(self) -> None:
        """At once, as if it had died."""
        self._run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", self._data)

    def new_database(self) -> str:
        """The URL of an empty database."""
        import psycopg

        name = f"t{secrets.token_hex(6)}"
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql://fusequote@/{name}?host={self._folder}"

    def fill_disk(self, url: str) -> None:
        """From now on the processes that serve the connections to a database can write nothing."""
        import psycopg

        name = url.partition("@/")[2].partition("?")[0]
        with psycopg.connect(self.address("postgres")) as connection:
            rows = connection.execute("SELECT pid FROM pg_stat_activity WHERE datname = %s", (name,)).fetchall()
        assert rows, "nobody is connected"
        for (pid,) in rows:
            # Their own user may do it; root without all its rights may not.
            subprocess.run(["prlimit", "--pid", str(pid), "--fsize=0:"], check=True, timeout=60, **self._user)

    def address(self, database: str) -> str:
        return f"dbname={database} user=fusequote host={self._folder}"

    def remove(self) -> None:
        with contextlib.suppress(AssertionError):
            self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    return request.getfixturevalue("cluster").new_database()
