"""Worker processes: every core verifies, and a worker that dies or hangs costs its own job a second try at most.

The server's event loop hands each worker one job at a time; no thread stands between them. A worker whose server is
gone sees the end of its socket and ends; nothing else stops it.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from fusequote.errors import EnvironmentProblem
from fusequote.services.http.worker import Inbox, open_worker_services, packed, rebuild, work, worker_services

__all__ = ["WorkerPool", "WorkersBusy", "WorkerLost", "WorkerTimeout", "open_worker_services", "worker_services"]

#: How often a job is given to a worker before it counts as what kills them.
TRIES = 2
#: Seconds that a worker has for the end of its job when the server ends.
_PATIENCE = 5
# Not fork: the server has threads, and a forked worker would hold its siblings' ends of sockets open.
_SPAWN = multiprocessing.get_context("spawn")


class WorkersBusy(EnvironmentProblem):
    """More jobs are waiting than the pool takes."""

    kind = "busy"


class WorkerLost(EnvironmentProblem):
    """Workers died at this job, one after the other."""

    kind = "worker-lost"


class WorkerTimeout(EnvironmentProblem):
    """The job took longer than one may; its worker was ended."""

    kind = "worker-timeout"


class _Job:
    """``call`` is the packed message; ``future`` belongs to the loop that waits for it."""

    __slots__ = ("call", "future", "tries")

    def __init__(self, call: bytes, future: asyncio.Future[Any]):
        self.call, self.future, self.tries = call, future, 0

    def fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class WorkerPool:
    """``count`` processes, each having called ``initializer(*arguments)``; 0 processes is one thread of this one.

    ``waiting`` jobs may wait; one may take ``timeout`` seconds. ``lost`` is called when a worker died or was ended.
    Processes belong to the event loop that asks first.
    """

    def __init__(
        self,
        count: int,
        initializer: Callable[..., Any] | None = None,
        arguments: Sequence[Any] = (),
        *,
        waiting: int = 256,
        timeout: float = 30.0,
        lost: Callable[[], None] | None = None,
    ):
        self.count = count
        self._limit, self._timeout, self._lost = waiting, timeout, lost
        self._waiting: deque[_Job] = deque()
        self._closing = False
        first = (initializer, tuple(arguments))
        self._here = None if count else _Here(first)
        self._workers = [_Worker(first, self._free, self._gone) for _ in range(count)]
        self._idle = list(self._workers)

    @property
    def waiting(self) -> int:
        """How many jobs no worker has taken yet."""
        return self._here.waiting if self._here is not None else len(self._waiting)

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Have a worker call a module's function, and give what it gives. A job that nobody awaits any more is not
        begun.

        Raises what the function raises, :class:`WorkersBusy`, :class:`WorkerLost`, :class:`WorkerTimeout`.
        """
        if self._closing:
            raise WorkersBusy("the server is shutting down", hint="try again in a moment")
        if self.waiting >= self._limit and not self._idle:
            raise WorkersBusy("too many requests wait for a worker", hint="try again in a moment")
        if self._here is not None:
            return await asyncio.wrap_future(self._here.submit(function, arguments))
        job = _Job(packed((function, arguments)), asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._hand_out()
        good, value = await job.future
        if not good:
            raise rebuild(*value)
        return value

    def close(self) -> None:
        """End the workers, each after the job that it has begun; jobs that wait are refused."""
        self._closing = True
        while self._waiting:
            self._waiting.popleft().fail(WorkersBusy("the server is shutting down"))
        if self._here is not None:
            self._here.close()
        for worker in self._workers:
            worker.end()
        for worker in self._workers:
            worker.join()

    def _hand_out(self) -> None:
        while self._idle and self._waiting:
            job = self._waiting.popleft()
            if not job.future.done():
                self._idle.pop().begin(job, self._timeout)

    def _free(self, worker: _Worker) -> None:
        self._idle.append(worker)
        self._hand_out()

    def _gone(self, worker: _Worker, job: _Job | None) -> None:
        """A process is no more; its place is idle, and the next job that comes there starts another."""
        if self._closing:
            return
        if self._lost is not None:
            self._lost()
        if job is not None:
            if job.tries < TRIES and not job.future.done():
                self._waiting.appendleft(job)
            else:
                job.fail(WorkerLost("the workers died at this request", hint="the log says more"))
            self._free(worker)


class _Worker:
    """The place of one process: the process, our end of the sockets, the job that it works on."""

    def __init__(
        self,
        first: tuple[Callable[..., Any] | None, tuple[Any, ...]],
        free: Callable[[_Worker], None],
        gone: Callable[[_Worker, _Job | None], None],
    ):
        self._first, self._free, self._gone = first, free, gone
        self._job: _Job | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._rest = b""
        self._start()

    def _start(self) -> None:
        self._end, theirs = socket.socketpair()
        self._end.setblocking(False)
        self._inbox, self._alive, self._loop = Inbox(), True, None
        with theirs:
            self._process = _SPAWN.Process(target=work, args=(theirs, *self._first), daemon=True)
            self._process.start()

    def begin(self, job: _Job, timeout: float) -> None:
        """Have the process do a job."""
        if not self._alive:
            self._start()
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._end, self._read)
        self._job = job
        job.tries += 1
        self._timer = self._loop.call_later(timeout, self._late, timeout)
        self._rest = job.call
        self._write()

    def end(self) -> None:
        """Let the process end; nobody waits for its job."""
        with contextlib.suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)

    def join(self) -> None:
        """Wait a little for the end of its job, then kill it."""
        if self._job is not None:
            self._process.join(_PATIENCE)
        self._process.kill()
        self._process.join()
        if self._timer is not None:
            self._timer.cancel()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._end)
            self._loop.remove_writer(self._end)
        if self._job is not None and not self._job.future.get_loop().is_closed():
            self._job.fail(WorkersBusy("the server is shutting down"))
        self._end.close()

    def _write(self) -> None:
        assert self._loop is not None
        try:
            sent = self._end.send(self._rest)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._died()
            return
        writing = len(self._rest) < (len(self._job.call) if self._job is not None else 0)
        self._rest = self._rest[sent:]
        if self._rest:
            self._loop.add_writer(self._end, self._write)
        elif writing:
            self._loop.remove_writer(self._end)

    def _read(self) -> None:
        try:
            self._inbox.read(self._end)
            found, answer = self._inbox.take()
        except BlockingIOError:
            return
        except Exception:  # the end; or what it says cannot be read, and then it is not ours any more
            self._died()
            return
        if found and self._job is not None and self._timer is not None:
            self._timer.cancel()
            job, self._job = self._job, None
            if not job.future.done():
                job.future.set_result(answer)
            self._free(self)

    def _late(self, timeout: float) -> None:
        if self._job is not None:
            said = f"the work took longer than {timeout:g} s"
            self._job.fail(WorkerTimeout(said, hint="try again in a moment"))
        self._died()

    def _died(self) -> None:
        assert self._loop is not None
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._end)
        self._loop.remove_writer(self._end)
        self._end.close()
        self._process.kill()  # what is left of it is cleared away when the next process starts
        self._alive, self._loop = False, None
        job, self._job, self._rest = self._job, None, b""
        self._gone(self, job)


class _Here:
    """One thread of this process in the place of workers; it may be asked from several loops, one after the other."""

    def __init__(self, first: tuple[Callable[..., Any] | None, tuple[Any, ...]]):
        self._first = first
        self._ready = first[0] is None
        self._count = threading.Lock()
        self.waiting = 0
        self._thread = ThreadPoolExecutor(1, "worker")

    def submit(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Future[Any]:
        self._add(1)
        future = self._thread.submit(self._call, function, arguments)
        # One that was given up before it began does not call.
        future.add_done_callback(lambda done: self._add(-1) if done.cancelled() else None)
        return future

    def _call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        self._add(-1)
        if not self._ready and self._first[0] is not None:
            self._first[0](*self._first[1])
        self._ready = True
        return function(*arguments)

    def _add(self, number: int) -> None:
        with self._count:
            self.waiting += number

    def close(self) -> None:
        self._thread.shutdown(cancel_futures=True)
