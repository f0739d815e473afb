"""Random numbers the way Intel's SDK draws them: 48 bytes, big endian, reduced (EPID spec section 3).

48 bytes for a 256-bit modulus leave a bias of 2^-128. Every function takes the source of bytes, so that known
answers that come with their random tape can be rebuilt; outside tests the source is the operating system's.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from fusequote.epid.arithmetic import Arithmetic
from fusequote.epid.errors import EpidError, EpidStatus
from fusequote.epid.params import P, Q

#: Gives that many random bytes. Anything but :func:`secrets.token_bytes` is for tests only.
Draw = Callable[[int], bytes]

DRAW_SIZE = 48
system_random: Draw = secrets.token_bytes


def _draw(draw: Draw) -> int:
    data = draw(DRAW_SIZE)
    if len(data) != DRAW_SIZE:
        raise EpidError("the random source ran dry", status=EpidStatus.kEpidBitSupplierErr)
    return int.from_bytes(data, "big")


def random_scalar(draw: Draw = system_random) -> int:
    """Uniform in [1, p-1]; one draw."""
    return _draw(draw) % (P - 1) + 1


def random_point(arithmetic: Arithmetic, draw: Draw = system_random) -> bytes:
    """A random point of G1, its logarithm known to nobody: x at random until there is one, the root as it comes."""
    while True:
        point = arithmetic.g1_from_x(_draw(draw) % Q)
        if point is not None:
            return point
