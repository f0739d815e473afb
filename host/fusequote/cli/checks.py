"""What `fusequote doctor` looks at. Each check finds one thing, and never raises."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from fusequote.cli.registry import entry_points, load, missing_package
from fusequote.cli.settings import Settings
from fusequote.errors import FusequoteError

__all__ = ["Check", "Health", "run_checks"]

#: Entry points of further checks.
GROUP = "fusequote.doctor"
LEAST_PYTHON = (3, 11)
#: What each extra is for.
EXTRAS = {
    "sim": "the simulated RTL, sim://",
    "fpga": "bitstreams for boards",
    "fast": "faster EPID arithmetic (GMP)",
    "server": "services over HTTP",
}


class Health(StrEnum):
    """Of one thing. OPTIONAL: missing, and only some commands need it."""

    GOOD = "ok"
    OPTIONAL = "missing"
    BROKEN = "broken"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. ``hint`` says how to mend it."""

    name: str
    health: Health
    detail: str
    hint: str | None = None


def run_checks(settings: Settings) -> Iterator[Check]:
    """All checks, in the order in which things are needed."""
    yield _python()
    for extra, purpose in EXTRAS.items():
        yield _extra(extra, purpose)
    yield _tool("g++", os.environ.get("CXX", "g++"), "builds the simulated RTL", "apt install g++")
    yield _tool("make", "make", "runs the Makefile of a clone", "apt install make")
    yield from _home(settings)
    yield from _commands()
    yield from _contributed()
    yield from _chips(settings)


def _python() -> Check:
    found = platform.python_version()
    if sys.version_info < LEAST_PYTHON:
        return Check("python", Health.BROKEN, found, f"install Python {'.'.join(map(str, LEAST_PYTHON))} or newer")
    return Check("python", Health.GOOD, f"{found}, {platform.machine()}")


def _extra(extra: str, purpose: str) -> Check:
    missing, versions = [], []
    for requirement in importlib.metadata.requires("fusequote") or ():
        name = re.match(r"[A-Za-z0-9._-]+", requirement)
        if name and re.search(rf"extra\s*==\s*['\"]{extra}['\"]", requirement):
            try:
                versions.append(f"{name[0]} {importlib.metadata.version(name[0])}")
            except importlib.metadata.PackageNotFoundError:
                missing.append(name[0])
    if missing:
        detail = f"{purpose}: without {', '.join(missing)}"
        return Check(f"extra-{extra}", Health.OPTIONAL, detail, f"pip install 'fusequote[{extra}]'")
    return Check(f"extra-{extra}", Health.GOOD, f"{purpose}: {', '.join(dict.fromkeys(versions))}")


def _tool(name: str, command: str, purpose: str, hint: str) -> Check:
    words = shlex.split(command)
    path = shutil.which(words[0]) if words else None
    if path is None:
        if name == "g++":
            hint += ", or use the reference model instead: --chip model://"
        return Check(name, Health.OPTIONAL, f"{purpose}: not found", hint)
    try:
        said = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(name, Health.OPTIONAL, f"{path} does not run: {error}", hint)
    return Check(name, Health.GOOD, said.partition("\n")[0] or path)


def _home(settings: Settings) -> Iterator[Check]:
    try:
        home = settings.home
    except FusequoteError as error:
        yield Check("home", Health.BROKEN, str(error), error.hint)
        return
    yield Check("home", Health.GOOD, str(home.root))
    private = [home.keys, home.maker, home.chips, home.platform, home.relying]
    open_to_others = [path.name for path in private if stat.S_IMODE(path.stat().st_mode) & 0o077]
    if open_to_others:
        yield Check(
            "home-permissions",
            Health.BROKEN,
            f"other users may enter {', '.join(open_to_others)}",
            f"chmod -R go= {shlex.quote(str(home.root))}",
        )
    else:
        yield Check("home-permissions", Health.GOOD, "keys, records and fuses are for this user alone")
    free = shutil.disk_usage(home.root).free >> 20
    used, files = _size(home.cache)
    detail = f"{used >> 20} MiB in {files} files, {free:,} MiB free"
    if free < 64:
        yield Check("cache", Health.BROKEN, detail, "free some space: a built chip takes some MiB")
    else:
        yield Check("cache", Health.GOOD, detail)


def _size(folder: Path) -> tuple[int, int]:
    sizes = []
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                sizes.append(os.lstat(os.path.join(root, name)).st_size)
            except OSError:  # gone meanwhile
                continue
    return sum(sizes), len(sizes)


def _commands() -> Iterator[Check]:
    good = []
    for name, point in entry_points().items():
        try:
            load(point)
            good.append(name)
        except FusequoteError as error:
            yield Check(f"command-{name}", Health.OPTIONAL, str(error), error.hint)
    yield Check("commands", Health.GOOD if good else Health.BROKEN, ", ".join(good))


def _contributed() -> Iterator[Check]:
    """What other packages look at: entry points of the group ``fusequote.doctor``, functions that give checks."""
    for point in sorted(importlib.metadata.entry_points(group=GROUP)):
        try:
            yield from point.load()()
        except ModuleNotFoundError as error:
            missing = missing_package(error, f"the check of {point.name}")
            yield Check(point.name, Health.OPTIONAL, str(missing), missing.hint)
        except Exception as error:  # a check that fails is itself something that was found
            yield Check(point.name, Health.BROKEN, f"cannot be checked: {error}", "install fusequote again")


def _chips(settings: Settings) -> Iterator[Check]:
    from serial.tools.list_ports import comports

    from fusequote.chip.transport import schemes

    known = schemes()
    hint = None if "model" in known else "install fusequote again: model:// belongs to it"
    yield Check("chip-urls", Health.BROKEN if hint else Health.GOOD, ", ".join(f"{s}://" for s in known), hint)
    try:
        fuses = sorted(path.stem for path in settings.home.chips.glob("*.fuses"))
        yield Check("simulated-chips", Health.GOOD, ", ".join(fuses) or "none yet: attest makes one")
    except FusequoteError:
        pass  # said above
    for port in sorted(comports()):
        if port.vid is None and not port.device.startswith(("/dev/ttyUSB", "/dev/ttyACM")):
            continue
        usable = os.access(port.device, os.R_OK | os.W_OK)
        yield Check(
            f"port-{port.device}",
            Health.GOOD if usable else Health.OPTIONAL,
            f"{port.description}" + ("" if usable else ": no permission to open it"),
            None if usable else "sudo usermod -aG dialout $USER, then log in again",
        )
    if settings.chip is not None:
        yield _chip(settings)


def _chip(settings: Settings) -> Check:
    from fusequote.chip import open_chip

    try:
        with open_chip(settings.chip_url) as chip:
            identity = chip.identity
    except FusequoteError as error:
        return Check("chip", Health.BROKEN, str(error), error.hint)
    about = f"block version {identity.block_version}, {identity.slots} slots, {identity.life_cycle.name.lower()}"
    device = f", device {identity.device_id.hex()}" if any(identity.device_id) else ""
    return Check("chip", Health.GOOD, about + device)
