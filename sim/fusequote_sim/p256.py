"""The P-256 signing engine's RTL as a signing unit: Verilator's model of it, a process for each call.

The engine (:class:`fusequote_hdl.engines.p256.P256Sign`) is an option that no block has built in: a unit beside the
chip. Its key is in this process, where the maker of a CPU would have fuses, and its nonces come from this system's
generator.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fusequote.errors import DeviceError, EnvironmentProblem, UsageError
from fusequote.home import Home

from .build import Progress, build
from .design import Design
from .toolchain import Recipe

__all__ = ["ENGINE", "Request", "Signature", "SimulatedSigningUnit", "run"]

#: The engine alone.
ENGINE = Design("fusequote_hdl.engines.p256:P256Sign", modules=("fusequote_hdl.engines",))
_RECIPE = Recipe(
    clocked=True,
    verilator=("--prefix", "Vchip"),
    cxx=("-DVL_TIME_CONTEXT", "-DVM_TRACE=0"),
    harness=(Path(__file__).parent / "harness_p256.cpp",),
)
_SIZE = 32
_ANSWER = 1 + 2 * _SIZE + 8
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # FIPS 186-4 D.1.2.3
#: Seconds for one signature (it takes one or so), before the process is given up.
_PATIENCE = 120.0
#: Nonces tried: each is refused once in 2^32.
_TRIES = 4


@dataclass(frozen=True, repr=False)
class Request:
    """What the engine takes for a signature: private key, nonce and hash, 32 bytes each, big-endian.

    The nonce must be random and never used again. Raises :class:`UsageError` for other sizes.
    """

    key: bytes
    nonce: bytes
    digest: bytes

    def __post_init__(self) -> None:
        for name in ("key", "nonce", "digest"):
            if len(getattr(self, name)) != _SIZE:
                raise UsageError(f"a P-256 {name} has {_SIZE} bytes, not {len(getattr(self, name))}")


@dataclass(frozen=True)
class Signature:
    """What the engine answered: ``r`` and ``s`` (None when it failed), and its clock cycles."""

    pair: tuple[int, int] | None
    cycles: int


def run(
    requests: Sequence[Request], *, cache: str | os.PathLike[str] | None = None, on_progress: Progress | None = None
) -> list[Signature]:
    """Let the engine sign, one after the other.

    ``cache`` is where its build is kept, by default in the home folder. Raises what
    :func:`fusequote_sim.build.build` raises, and :class:`DeviceError` when the process does not do it.
    """
    program = build(ENGINE, cache=cache or Home().cache, recipe=_RECIPE, on_progress=on_progress)
    given = b"".join(request.key + request.nonce + request.digest for request in requests)
    try:
        done = subprocess.run(
            [program], input=given, capture_output=True, check=False, timeout=_PATIENCE * max(1, len(requests)), cwd="/"
        )
    except subprocess.TimeoutExpired:
        # Not from the exception, which has the input.
        raise DeviceError("the simulated signing engine does not answer") from None
    except OSError as error:
        raise EnvironmentProblem(f"cannot start {program}: {error.strerror}") from error
    if done.returncode != 0 or len(done.stdout) != _ANSWER * len(requests):
        raise DeviceError(f"the simulated signing engine ended: {done.stderr.decode(errors='replace').strip()}")
    answers = (done.stdout[at : at + _ANSWER] for at in range(0, len(done.stdout), _ANSWER))
    return [_signature(answer) for answer in answers]


def _signature(answer: bytes) -> Signature:
    r, s = answer[1 : 1 + _SIZE], answer[1 + _SIZE : 1 + 2 * _SIZE]
    pair = None if answer[0] else (int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    return Signature(pair, int.from_bytes(answer[1 + 2 * _SIZE :], "little"))


class SimulatedSigningUnit:
    """ECDSA P-256 under one private key (32 bytes, big-endian), by the engine's RTL.

    ``cache`` and ``on_progress`` are as for :func:`run`; the first signature may have to build the engine, for some
    ten seconds. Raises :class:`UsageError` for a key that is not within 1 to n - 1.
    """

    def __init__(
        self, key: bytes, *, cache: str | os.PathLike[str] | None = None, on_progress: Progress | None = None
    ):
        if len(key) != _SIZE or not 0 < int.from_bytes(key, "big") < _N:
            raise UsageError("a P-256 private key is 32 bytes, big-endian, from 1 to n - 1")
        self._key, self._cache, self._on_progress = bytes(key), cache, on_progress
        #: Clock cycles of the last signature; None before it.
        self.cycles: int | None = None

    def sign(self, digest: bytes) -> tuple[int, int]:
        """r and s over a SHA-256 digest (32 bytes), each time with a fresh nonce. Raises what :func:`run` raises."""
        for _ in range(_TRIES):
            request = Request(self._key, secrets.token_bytes(_SIZE), bytes(digest))
            (signature,) = run([request], cache=self._cache, on_progress=self._on_progress)
            self.cycles = signature.cycles
            if signature.pair is not None:
                return signature.pair
        raise DeviceError(f"the simulated signing engine refused {_TRIES} random nonces: it or the generator is broken")
