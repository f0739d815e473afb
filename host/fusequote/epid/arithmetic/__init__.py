"""Choice of the arithmetic back end.

``FUSEQUOTE_EPID_BACKEND`` names one; without it the fastest that is there is taken. Whichever it is, it must
first give Intel's pairing of the generators (:func:`self_test`), once per process.
"""

from __future__ import annotations

import hashlib
import os
from functools import cache

from fusequote.epid.arithmetic.integers import IntegerArithmetic
from fusequote.epid.arithmetic.interface import Arithmetic, NotAnElement
from fusequote.epid.params import G1_GENERATOR, G2_GENERATOR
from fusequote.errors import EnvironmentProblem

ENVIRONMENT_VARIABLE = "FUSEQUOTE_EPID_BACKEND"
#: SHA-256 of the 384 bytes of e(g1, g2) (EPID spec section 1).
PAIRING_DIGEST = "f9dff2724578ebe421c9ee8f3e6e67b60e91ac776b4ff4daf781c89c673a6e29"


def _gmpy2() -> Arithmetic:
    from fusequote.epid.arithmetic.packed import PackedFq12

    return IntegerArithmetic(PackedFq12(), "gmpy2")


def _c() -> Arithmetic:
    from fusequote.epid.kernel import KernelArithmetic

    return KernelArithmetic()


def _c_portable() -> Arithmetic:
    from fusequote.epid.kernel import KernelArithmetic

    return KernelArithmetic(portable=True)


#: Fastest first, as ``fusequote bench epid`` measures.
_MAKERS = {"c": _c, "c-portable": _c_portable, "gmpy2": _gmpy2, "int": IntegerArithmetic}
_HOW_TO_GET = {
    "c": "python -m fusequote.epid.kernel.build",
    "c-portable": "python -m fusequote.epid.kernel.build",
    "gmpy2": "pip install 'fusequote[fast]'",
}


def self_test(arithmetic: Arithmetic) -> None:
    """Intel's known answer for e(g1, g2); raises EnvironmentProblem if the back end computes something else."""
    answer = arithmetic.pairing_product([(G1_GENERATOR, G2_GENERATOR)])
    if hashlib.sha256(answer).hexdigest() != PAIRING_DIGEST:
        raise EnvironmentProblem(
            f"the EPID arithmetic {arithmetic.name!r} fails its pairing self-test on this machine",
            hint=f"set {ENVIRONMENT_VARIABLE}=int to use plain Python integers, and report this",
        )


@cache
def load(name: str) -> Arithmetic:
    """The back end called ``name``, self-tested; raises EnvironmentProblem if it is unknown or not installed."""
    if name not in _MAKERS:
        raise EnvironmentProblem(
            f"there is no EPID arithmetic called {name!r}",
            hint=f"set {ENVIRONMENT_VARIABLE} to one of: {', '.join(_MAKERS)}",
        )
    try:
        arithmetic = _MAKERS[name]()
    except ImportError as error:
        raise EnvironmentProblem(
            f"the EPID arithmetic {name!r} is not installed: {error}", hint=_HOW_TO_GET.get(name)
        ) from None
    self_test(arithmetic)
    return arithmetic


@cache
def available() -> tuple[str, ...]:
    """Names of the back ends that work here, fastest first."""
    names = []
    for name in _MAKERS:
        try:
            load(name)
        except EnvironmentProblem:
            continue
        names.append(name)
    return tuple(names)


def default() -> Arithmetic:
    """The back end that ``FUSEQUOTE_EPID_BACKEND`` names, or else the fastest one that is there."""
    wanted = os.environ.get(ENVIRONMENT_VARIABLE)
    if wanted:
        return load(wanted)
    for name in _MAKERS:
        try:
            return load(name)
        except EnvironmentProblem:
            continue
    raise EnvironmentProblem("no EPID arithmetic passes its self-test on this machine")


__all__ = ["ENVIRONMENT_VARIABLE", "Arithmetic", "NotAnElement", "available", "default", "load", "self_test"]
