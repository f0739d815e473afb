"""Builds the C kernel beside the package: ``python -m fusequote.epid.kernel.build``.

Needs a C compiler (``cc``, or what ``CC`` names) and nothing else, no Python headers. setup.py uses the same
sources and flags, so that an installation with a compiler builds it by itself.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from fusequote.epid.kernel import PACKAGE, KernelArithmetic
from fusequote.errors import EnvironmentProblem, FusequoteError

SOURCES = [Path(__file__).parent / name for name in ("kernel.c", "kernel_adx.c")]
FLAGS = ["-std=c11", "-O3", "-Wall", "-Wextra", "-fPIC", "-shared", "-fvisibility=hidden"]


def build(target: Path | None = None, extra: list[str] | None = None) -> Path:
    """Compiles the kernel to ``target`` (beside the package by default) and loads it once.

    ``CC`` and ``CFLAGS`` are honoured. Raises EnvironmentProblem without a compiler or when it fails.
    """
    target = target or PACKAGE / "_kernel.abi3.so"
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if not compiler or shutil.which(compiler[0]) is None:
        raise EnvironmentProblem(
            f"there is no C compiler {' '.join(compiler)!r}",
            hint="apt install gcc, or go without: EPID then runs on gmpy2 or plain integers",
        )
    scratch = target.with_suffix(f".{os.getpid()}.tmp")
    flags = [*FLAGS, *shlex.split(os.environ.get("CFLAGS", "")), *(extra or [])]
    run = subprocess.run(
        [*compiler, *flags, "-o", str(scratch), *map(str, SOURCES)], capture_output=True, text=True
    )
    if run.returncode:
        scratch.unlink(missing_ok=True)
        raise EnvironmentProblem(f"the C kernel does not compile: {run.stderr.strip() or run.returncode}")
    scratch.replace(target)  # at once: another process may be loading the old one
    KernelArithmetic(target)
    return target


def main() -> int:
    """Builds, and says where."""
    try:
        print(build())
    except FusequoteError as error:
        print(f"{error}\n{error.hint or ''}".strip(), file=sys.stderr)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
