"""Builds the optional C kernel of fusequote.epid; everything else is in pyproject.toml.

The kernel has no Python API: it is one shared library for every Python, and an installation without a compiler goes
without it.
"""

from pathlib import Path

from setuptools import Extension, setup

KERNEL = Path("host/fusequote/epid/kernel")

setup(
    ext_modules=[
        Extension(
            "fusequote.epid._kernel",
            sources=[str(KERNEL / name) for name in ("kernel.c", "kernel_adx.c")],
            depends=[str(path) for path in sorted(KERNEL.glob("*.h"))],
            extra_compile_args=["-std=c11", "-O3", "-fvisibility=hidden"],
            py_limited_api=True,
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
