"""Segments fitted by processes on this machine.

They are started afresh, neither forked nor by `multiprocessing`, which would run the caller's own
script again in each of them.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import wait

import torch

from nvcodec.fitting.interface import FitProgress
from nvcodec.subprocesses import child
from nvcodec.workers.environment import ComputeEnvironment
from nvcodec.workers.job import Job, JobFailure, JobResult, WorkerLost
from nvcodec.workers.pool import JobDone, ProgressCallback
from nvcodec.workers.process_main import receive, send

logger = logging.getLogger(__name__)


class ProcessPool:
    """Worker processes, started when there is something to do; see `nvcodec.workers.pool.WorkerPool`.

    Args:
        environment: Of all of them; where its device is any CUDA device, they share what there is.
        count: How many at most.
    """

    def __init__(self, environment: ComputeEnvironment, count: int) -> None:
        self._environment, self.capacity = environment, count
        self._processes: list[_Process] = []
        cores, threads = _cores(), environment.threads
        if environment.device == "cpu" and count * threads > cores:
            logger.warning(
                "%d workers of %d threads each share %d cores; with OMP_NUM_THREADS=%d in the "
                "environment they do not wait for each other",
                *(count, threads, cores, max(cores // count, 1)),
            )

    @property
    def free(self) -> int:
        """See `WorkerPool`."""
        return self.capacity - sum(process.busy for process in self._processes)

    def submit(self, job_id: int, job: Job) -> None:
        """See `WorkerPool`."""
        process = next((one for one in self._processes if not one.busy), None)
        if process is None:
            process = self._started()
        process.begin(job_id, job)

    def cancel(self, job_id: int) -> None:
        """See `WorkerPool`."""
        for process in self._processes:
            if process.job_id == job_id:
                process.cancel()

    def wait(self, on_progress: ProgressCallback) -> JobDone | None:
        """See `WorkerPool`."""
        while True:
            busy = {one.connection: one for one in self._processes if one.busy}
            for connection in wait(list(busy)):
                process = busy[connection]  # type: ignore[index]
                job_id = process.job_id
                try:
                    message = process.answer()
                except OSError as error:
                    self._processes.remove(process)
                    process.kill()
                    return None if job_id is None else JobDone(job_id, WorkerLost(str(error)))
                if not isinstance(message, FitProgress):
                    return None if job_id is None or message is None else JobDone(job_id, message)
                if job_id is not None:
                    on_progress(job_id, message)

    def close(self) -> None:
        """See `WorkerPool`."""
        for process in self._processes:
            process.kill()
        self._processes.clear()

    def _started(self) -> _Process:
        used = {process.place for process in self._processes}
        place = next(place for place in range(self.capacity) if place not in used)
        environment = self._environment
        if environment.device == "cuda":
            environment = replace(environment, device=f"cuda:{place % torch.cuda.device_count()}")
        process = _Process(place, environment)
        self._processes.append(process)
        return process


class _Process:
    """A worker process.

    Args:
        place: A number that no other one has at the same time.
        environment: How it is to compute.

    Attributes:
        place: As given.
        connection: To it; something can be read when there is an `answer`.
        busy: Whether it is at a job.
        job_id: Of the job; None if there is none, or it is not wanted any more.
    """

    def __init__(self, place: int, environment: ComputeEnvironment) -> None:
        self.place = place
        self.connection, theirs = Pipe()
        self.busy = False
        self.job_id: int | None = None
        start = child("nvcodec.workers.process_main", str(theirs.fileno()))
        # In a session of its own Ctrl-C does not reach it: whoever does is to end it.
        self._process = subprocess.Popen(
            start.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=start.environment,
            cwd=start.folder,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()
        self._send(environment)

    def begin(self, job_id: int, job: Job) -> None:
        """Hand it a job."""
        self.busy, self.job_id = True, job_id
        self._send(job)

    def cancel(self) -> None:
        """Let it end its job; it is busy until it answers."""
        self.job_id = None
        self._send(None)

    def answer(self) -> FitProgress | JobResult | JobFailure | None:
        """What it says next: of its job's progress, or its end; None if that is not wanted.

        Raises:
            OSError: If it died.
        """
        try:
            message = receive(self.connection)
        except (EOFError, OSError) as error:
            code = self._process.wait()
            name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            raise OSError(f"process {self._process.pid}: {name}") from error
        assert message is None or isinstance(message, FitProgress | JobResult | JobFailure)
        if not isinstance(message, FitProgress):
            self.busy, self.job_id = False, None
        return message

    def kill(self) -> None:
        """End it, now."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin
        self._process.stdin.close()
        self.connection.close()

    def _send(self, message: object) -> None:
        # That it died is noticed when it is waited for.
        with suppress(OSError):
            send(self.connection, message)


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1
