"""The services' clock: refuses a time that cannot be right, and notices when the clock was set."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable

from fusequote.errors import EnvironmentProblem

__all__ = ["ClockProblem", "SystemClock"]

#: The time in which our certificates are valid: outside it the clock is wrong, whatever it says.
EARLIEST = datetime.datetime(2024, 1, 1)
LATEST = datetime.datetime(2049, 12, 31)
#: By how many seconds the clock may drift between two looks before it counts as set.
TOLERANCE = 2.0


class ClockProblem(EnvironmentProblem):
    """This machine's clock is certainly wrong. The same call succeeds when it has been set."""

    kind = "clock"


class SystemClock:
    """UTC now, without a zone, when it is called. ``jumped`` is told by how many seconds the clock was set.

    Raises :class:`ClockProblem` outside the years for which the services' roots are made. ``wall`` and ``steady`` are
    the two clocks of the machine, in seconds.
    """

    def __init__(
        self,
        jumped: Callable[[float], None] | None = None,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ):
        self.jumped = jumped
        self._wall, self._steady = wall, steady
        self._lock = threading.Lock()
        self._offset = wall() - steady()

    def __call__(self) -> datetime.datetime:
        now = self._wall()
        with self._lock:
            jump, self._offset = now - self._steady() - self._offset, now - self._steady()
        if abs(jump) > TOLERANCE and self.jumped is not None:
            self.jumped(jump)
        try:
            shown = datetime.datetime.fromtimestamp(now, datetime.UTC).replace(tzinfo=None)
        except (OverflowError, ValueError, OSError):
            shown = None
        if shown is None or not EARLIEST <= shown < LATEST:
            raise ClockProblem(
                f"this machine's clock says {shown or now}, which cannot be", hint="set the clock; no restart is needed"
            )
        return shown
