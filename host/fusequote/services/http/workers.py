"""Worker processes: every core verifies, and a worker that dies or hangs costs its own job a second try at most.

Each worker has a thread in the server that hands it one job at a time through a pipe. A worker whose server is gone
sees the end of the pipe and ends; nothing else stops it, so that a signal to all processes of a service leaves the
jobs of its last requests to be finished.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import queue
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from fusequote.errors import EnvironmentProblem

__all__ = ["WorkerPool", "WorkersBusy", "WorkerLost", "WorkerTimeout", "open_worker_services", "worker_services"]

#: How often a job is given to a worker before it counts as what kills them.
TRIES = 2
# Not fork: the server has threads, and a forked worker would hold its siblings' ends of pipes open.
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


@dataclass
class _Job:
    call: tuple[Callable[..., Any], Sequence[Any]]
    future: Future[Any] = field(default_factory=Future)
    tries: int = 0


class WorkerPool:
    """``count`` processes, each having called ``initializer(*arguments)``; 0 processes is one thread of this one.

    ``waiting`` jobs may wait; one may take ``timeout`` seconds. ``lost`` is called when a worker had to be replaced.
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
        self._first = (initializer, tuple(arguments))
        self._timeout, self._lost = timeout, lost
        self._jobs: queue.Queue[_Job | None] = queue.Queue(waiting)
        self._closing = threading.Event()
        target = self._serve if count else self._serve_here
        self._threads = [
            threading.Thread(target=target, name=f"worker-{index}", daemon=True) for index in range(count or 1)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """How many jobs no worker has taken yet."""
        return self._jobs.qsize()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Have a worker call a module's function. The future raises what it raises, :class:`WorkerLost` or
        :class:`WorkerTimeout`; this raises :class:`WorkersBusy`.
        """
        if self._closing.is_set():
            raise WorkersBusy("the server is shutting down", hint="try again in a moment")
        job = _Job((function, arguments))
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            raise WorkersBusy("too many requests wait for a worker", hint="try again in a moment") from None
        return job.future

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """As :meth:`submit`, awaited. A job that nobody awaits any more is not begun."""
        return await asyncio.wrap_future(self.submit(function, *arguments))

    def close(self) -> None:
        """End the workers after the jobs they have begun; jobs that wait are refused."""
        self._closing.set()
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is not None and job.future.set_running_or_notify_cancel():
                job.future.set_exception(WorkersBusy("the server is shutting down"))
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _take(self) -> _Job | None:
        while True:
            job = self._jobs.get()
            if job is None or job.tries or job.future.set_running_or_notify_cancel():
                return job

    def _serve_here(self) -> None:
        ready = False
        while (job := self._take()) is not None:
            try:
                if not ready and self._first[0] is not None:
                    self._first[0](*self._first[1])
                ready = True
                result = job.call[0](*job.call[1])
            except Exception as error:
                job.future.set_exception(error)
            else:
                job.future.set_result(result)

    def _serve(self) -> None:
        worker = _Worker(self._first)
        try:
            while (job := self._take()) is not None:
                while not job.future.done():
                    job.tries += 1
                    if not self._one(worker, job):
                        worker.kill()
                        if self._lost is not None:
                            self._lost()
                        worker = _Worker(self._first)
        finally:
            worker.end()

    def _one(self, worker: _Worker, job: _Job) -> bool:
        """Whether the worker is good for another job; without an outcome in the future the job is tried again."""
        try:
            worker.pipe.send(job.call)
            if not worker.pipe.poll(self._timeout):
                job.future.set_exception(
                    WorkerTimeout(f"the work took longer than {self._timeout:g} s", hint="try again in a moment")
                )
                return False
            good, value = worker.pipe.recv()
        except (EOFError, OSError):
            if job.tries >= TRIES:
                job.future.set_exception(WorkerLost("the workers died at this request", hint="the log says more"))
            return False
        except Exception as error:  # what cannot be pickled; the worker has seen nothing of it, or all
            job.future.set_exception(error)
            return True
        if good:
            job.future.set_result(value)
        else:
            job.future.set_exception(_rebuild(*value))
        return True


class _Worker:
    """One process and our end of its pipe."""

    def __init__(self, first: tuple[Callable[..., Any] | None, tuple[Any, ...]]):
        self.pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_work, args=(theirs, *first), daemon=True)
        self._process.start()
        theirs.close()

    def end(self) -> None:
        self.pipe.close()
        self._process.join(5)
        self.kill()

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _work(pipe: Any, initializer: Callable[..., Any] | None, arguments: tuple[Any, ...]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    ready = initializer is None
    # Before the first job, which then takes no longer than others. What fails now is tried again with that job.
    with contextlib.suppress(Exception):
        if initializer is not None:
            initializer(*arguments)
            ready = True
    while True:
        try:
            function, values = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            if not ready and initializer is not None:
                initializer(*arguments)
                ready = True
            answer = (True, function(*values))
        except Exception as error:
            # Not the object: pickle calls a class with its positional arguments only.
            answer = (False, (type(error), error.args, dict(error.__dict__)))
        try:
            _send(pipe, answer)
        except OSError:
            return


def _send(pipe: Any, answer: tuple[bool, Any]) -> None:
    try:
        pipe.send(answer)
    except OSError:
        raise
    except Exception as error:
        pipe.send((False, (RuntimeError, (f"the result cannot be sent: {type(error).__name__}",), {})))


def _rebuild(kind: type[BaseException], arguments: tuple[Any, ...], attributes: dict[str, Any]) -> BaseException:
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(attributes)
    return error


_services: Any = None


def open_worker_services(home_folder: str, store_url: str | None) -> None:
    """The initializer of a server's workers: opens the services of its home folder and store for this process."""
    from fusequote.home import Home
    from fusequote.services.services import Services

    global _services
    _services = Services(Home(home_folder), store_url)


def worker_services() -> Any:
    """The :class:`fusequote.services.services.Services` of this worker process."""
    if _services is None:
        raise RuntimeError("only a worker has worker_services")
    return _services
