"""What `fusequote doctor` looks at for boards: tools, the flasher, and the boards that are plugged in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator

from fusequote.cli.checks import Check, Health
from fusequote.errors import FusequoteError

from .board import board
from .flash import loader
from .tools import NATIVE, WHEELS, wheel_version
from .usb import Found, find, latency_timer, udev_rules

__all__ = ["checks"]

RULES = "/etc/udev/rules.d/70-fusequote.rules"


def checks(found: Callable[[], Iterable[Found]] = find) -> Iterator[Check]:
    """Each of these only some commands need: nothing here is broken, at worst it is missing."""
    for distribution in sorted({wheel[0] for wheel in WHEELS.values()}):
        program = next(name for name, wheel in WHEELS.items() if wheel[0] == distribution)
        version = wheel_version(program)
        yield Check(distribution, Health.GOOD if version else Health.OPTIONAL, version or "not installed",
                    None if version else "pip install 'fusequote[fpga]'")
    yield _native()
    try:
        tool = loader()
        yield Check("openFPGALoader", Health.GOOD, f"{tool.version()} ({tool.command[-1]})")
    except FusequoteError as error:
        yield Check("openFPGALoader", Health.OPTIONAL, str(error), error.hint)
    plugged = list(found())
    if not plugged:
        yield Check("boards", Health.OPTIONAL, "none on USB; a board without a USB bridge shows as its adapter's port",
                    "`fusequote boards` lists those that are known")
    for each in plugged:
        alike = sum(other.board.name == each.board.name for other in plugged)
        yield _board(each, f"board-{each.board.name}" + (f"-{os.path.basename(each.port)}" if alike > 1 else ""))
    if len(plugged) > 1:
        yield Check("boards", Health.GOOD, f"{len(plugged)} on USB: serial:// alone does not say which one; "
                                           f"--chip serial://{plugged[0].port} does, and --port for flash")


def _native() -> Check:
    """Programs of the system, for --native."""
    found = {name: path for name in NATIVE if (path := shutil.which(name))}
    missing = sorted(set(NATIVE) - set(found))
    if not found:
        return Check("native-tools", Health.OPTIONAL, "none: the wheels need none", "only --native wants them")
    detail = ", ".join(f"{name}{_version(path, NATIVE[name])}" for name, path in sorted(found.items()))
    return Check("native-tools", Health.GOOD, detail + (f"; not here: {', '.join(missing)}" if missing else ""))


def _version(path: str, option: str | None) -> str:
    if option is None:
        return ""
    try:
        said = subprocess.run([path, option], capture_output=True, text=True, timeout=20, check=False,
                              stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return " (does not run)"
    match = re.search(r"\d+\.\d[\w.+-]*", said.stdout + said.stderr)
    return f" {match[0]}" if match else ""


def _board(found: Found, name: str) -> Check:
    shown = f"{found.board.title} at {found.port}, {found.board.baud:,} baud"
    if found.usb_device and not os.access(found.usb_device, os.R_OK | os.W_OK):
        rules = udev_rules().strip().replace("\n", "\\n")
        return Check(name, Health.OPTIONAL, f"{shown}: no permission to flash it",
                     f"printf '{rules}\\n' | sudo tee {RULES}; sudo udevadm control --reload; then plug it in again")
    if not os.access(found.port, os.R_OK | os.W_OK):
        return Check(name, Health.OPTIONAL, f"{shown}: no permission to open it",
                     "sudo usermod -aG dialout $USER, then log in again")
    # Whoever opens the line asks for low latency; this is for drivers that do not listen to that.
    latency = latency_timer(found.port)
    notes = [f"its driver waits {latency} ms when nobody asks for low latency"] if (latency or 0) > 1 else []
    notes += filter(None, [board(found.board.name).wiring])
    return Check(name, Health.GOOD, "; ".join([f"{shown}, --chip serial://{found.port}", *notes]))
