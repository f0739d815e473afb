"""Builds a design into a program that runs it, once: the result is kept in a cache.

``CACHE/sim/KEY/`` holds ``chip`` (the program), ``chip.v``, ``src/`` and ``verilator.log``. KEY is a SHA-256 over the
design's sources, the harness, the versions of all tools and how they are called: whatever changes is built again, and a
cache may be shared. A build is made in a folder of its own and renamed when it is whole; a second process that wants
the same one waits for the first.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from fusequote.errors import EnvironmentProblem

from .design import BLOCK, Design, Sources
from .toolchain import PROCESS, Recipe, Toolchain

__all__ = ["build"]

#: Builds kept besides those used within the last day.
_KEEP = 8
_DAY = 86400

Progress = Callable[[str], None]


def build(
    design: Design = BLOCK,
    *,
    cache: str | os.PathLike[str],
    recipe: Recipe = PROCESS,
    native: bool = False,
    on_progress: Progress | None = None,
) -> Path:
    """The program that runs ``design``, from the cache or built now (some ten seconds).

    ``cache`` is made when it is not there. ``recipe`` says what is made of the design: a chip as a process by default.
    ``native`` optimises for this very machine. ``on_progress`` is called with one line for each step.

    Raises :class:`EnvironmentProblem` (tools missing, cache not writable) and
    :class:`fusequote_sim.toolchain.BuildError` (a tool refused the design).
    """
    say = on_progress or (lambda line: None)
    toolchain = Toolchain(recipe, native=native)
    sources = design.sources()
    key = hashlib.sha256(f"{sources.digest()}\n{toolchain.identity()}".encode()).hexdigest()
    folder = Path(cache).absolute() / "sim"
    program = folder / key / "chip"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not _touched(program):
            with _locked(folder / f"{key}.lock", say):
                if not _touched(program):  # else the process that we waited for has made it
                    _make(sources, toolchain, program, say)
                    _prune(folder)
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot build in {folder}: {error.strerror or error}",
            hint="check permissions and free space, or give another folder with cache=",
        ) from error
    return program


def _touched(program: Path) -> bool:
    """Whether the build is there; if so, it counts as used now."""
    try:
        os.utime(program.parent)
    except FileNotFoundError:
        return False
    except PermissionError:  # somebody else's cache, which we may read
        return program.exists()
    return program.exists()


@contextlib.contextmanager
def _locked(path: Path, say: Progress) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is building the same chip: waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make(sources: Sources, toolchain: Toolchain, program: Path, say: Progress) -> None:
    started = time.monotonic()
    target = program.parent
    work = Path(tempfile.mkdtemp(prefix=f".{target.name[:12]}.", dir=target.parent))
    try:
        say("building the simulated chip: Amaranth to Verilog (the first time here Yosys compiles itself: a minute)")
        sources.write(work / "src")
        (work / "chip.v").write_text(toolchain.verilog(sources, work / "src"))
        say("building the simulated chip: Verilog to C++")
        toolchain.verilate(work / "chip.v", work / "obj")
        say("building the simulated chip: C++ to a program")
        toolchain.compile(work / "obj", work / program.name)
        shutil.rmtree(work / "obj")
        shutil.rmtree(target, ignore_errors=True)  # should it be there without a program in it
        os.rename(work, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    say(f"built in {time.monotonic() - started:.0f} s")


def _prune(folder: Path) -> None:
    """Remove old builds, but none that was used within the last day: it may be starting."""
    builds = sorted((path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")),
                    key=lambda path: path.stat().st_mtime, reverse=True)
    for path in builds[_KEEP:]:
        if time.time() - path.stat().st_mtime > _DAY:
            shutil.rmtree(path, ignore_errors=True)
            path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
