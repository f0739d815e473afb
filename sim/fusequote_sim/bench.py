"""cocotb on the same Verilator: a design built with cocotb's harness, and its benches run by one call.

For tests; needs the packages ``cocotb`` and ``find_libpython`` (extra ``dev``) beside what a build needs.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from fusequote.errors import EnvironmentProblem

from .build import Progress, build
from .design import Design
from .toolchain import Recipe

__all__ = ["run_benches"]


def run_benches(
    design: Design,
    module: str,
    *,
    cache: str | os.PathLike[str],
    seed: int | None = None,
    on_progress: Progress | None = None,
) -> dict[str, str]:
    """Run the cocotb benches in the Python module ``module`` (importable from here) on ``design``.

    Returns what failed: name of the bench to what it said; an empty dictionary when all passed. cocotb prints its log
    with the ``seed`` of its random choices (by default another one each time).

    Raises what :func:`fusequote_sim.build.build` raises, :class:`EnvironmentProblem` without cocotb, and RuntimeError
    when there is no bench, or the simulation ends before they do.
    """
    try:
        import cocotb_tools.config
        from cocotb_tools.runner import Verilator
    except ImportError as error:
        raise EnvironmentProblem("the benches need cocotb", hint="pip install 'fusequote[dev]'") from error
    libraries = cocotb_tools.config.libs_dir
    recipe = Recipe(
        clocked=False,
        verilator=("--prefix", "Vtop", "--vpi", "--public-flat-rw", "--timescale", "1ns/1ps"),
        cxx=("-DVM_TRACE=0",),
        level="-O1",  # a bench is short, and most of its time is Python's
        harness=(cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp",),
        runtime=("verilated_vpi.cpp",),
        link=(f"-Wl,-rpath,{libraries}", f"-L{libraries}", "-lcocotbvpi_verilator"),
    )
    program = build(design, cache=cache, recipe=recipe, on_progress=on_progress)
    with tempfile.TemporaryDirectory(prefix="fusequote-bench-") as folder:
        results = Path(folder, "results.xml")
        # Within pytest the runner ends the interpreter when a bench fails; what it found is in its results.
        with contextlib.suppress(SystemExit):
            Verilator().test(
                test_module=module, hdl_toplevel=program.name, hdl_toplevel_lang="verilog", build_dir=program.parent,
                test_dir=folder, results_xml=str(results), seed=seed,
            )  # fmt: skip
        return _failures(results)


def _failures(results: Path) -> dict[str, str]:
    cases = list(ElementTree.parse(results).getroot().iter("testcase")) if results.is_file() else []
    if not cases:
        raise RuntimeError("no bench was found, or the simulation ended before they did")
    failures = {}
    for case in cases:
        for problem in (*case.findall("failure"), *case.findall("error")):
            failures[case.get("name", "?")] = problem.get("message") or problem.text or "failed"
    return failures
