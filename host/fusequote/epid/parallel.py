"""Work on long lists over all cores, where the arithmetic lets go of the interpreter's lock (the C kernel
does).

The integer back ends hold the lock, so threads would not help them; they run in order.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from fusequote.epid.arithmetic import Arithmetic

Item = TypeVar("Item")
Answer = TypeVar("Answer")
#: Called with (done, total) now and then.
Progress = Callable[[int, int], None]

#: Items that a thread takes at once, and the length from which on threads pay.
CHUNK = 16


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_in_order(
    function: Callable[[Sequence[Item]], Sequence[Answer]],
    items: Sequence[Item],
    arithmetic: Arithmetic,
    progress: Progress | None = None,
    workers: int | None = None,
) -> Iterator[Answer]:
    """The answers for all items, in their order; ``function`` answers for a run of up to :data:`CHUNK` items.

    Closing the iterator early leaves the rest undone.
    """
    workers = workers or (cores() if arithmetic.parallel else 1)
    total, done = len(items), 0
    starts = iter(range(0, total, CHUNK))

    def work(start: int) -> Sequence[Answer]:
        return function(items[start : start + CHUNK])

    if workers == 1 or total <= CHUNK:
        for start in starts:
            answers = work(start)
            yield from answers
            done += len(answers)
            if progress:
                progress(done, total)
        return
    with ThreadPoolExecutor(workers) as pool:
        # Only a few runs ahead: a failure at the front must not wait for the whole list.
        ahead = [pool.submit(work, start) for start in islice(starts, 2 * workers)]
        while ahead:
            answers = ahead.pop(0).result()
            start = next(starts, None)
            if start is not None:
                ahead.append(pool.submit(work, start))
            yield from answers
            done += len(answers)
            if progress:
                progress(done, total)
