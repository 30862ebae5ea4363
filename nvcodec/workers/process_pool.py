"""A worker pool of processes on this machine.

The processes are started as new programs. They are not forked, nor started by `multiprocessing`,
which would run the script of the caller again in each of them.
"""

from __future__ import annotations

import logging
import signal
import subprocess
from contextlib import suppress
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import wait

import torch

from nvcodec.device import cpu_cores
from nvcodec.fitting.interface import FitProgress
from nvcodec.host.subprocesses import child
from nvcodec.workers.environment import ComputeEnvironment
from nvcodec.workers.job import Job, JobFailure, JobResult, WorkerLost
from nvcodec.workers.pool import JobDone, ProgressCallback
from nvcodec.workers.process_main import receive, send

logger = logging.getLogger(__name__)


class ProcessPool:
    """A `WorkerPool` of processes.

    As many are started at once as jobs are expected, so that they import what they need while the
    encoder reads the first segments. Others are started when a job needs them.

    Args:
        environment: Compute environment of all workers. If its device is `"cuda"` without a number,
            the workers are distributed over all CUDA devices.
        capacity: Largest number of processes.
        expected: Number of jobs that are expected at a time.
    """

    def __init__(self, environment: ComputeEnvironment, capacity: int, expected: int = 0) -> None:
        self._environment, self.capacity = environment, capacity
        self._processes: list[_WorkerProcess] = []
        cores, threads = cpu_cores(), environment.threads
        if environment.device == "cpu" and capacity * threads > cores:
            logger.warning(
                "%d workers of %d threads each share %d cores; with OMP_NUM_THREADS=%d in the "
                "environment they do not wait for each other",
                *(capacity, threads, cores, max(cores // capacity, 1)),
            )
        for _ in range(min(capacity, expected)):
            self._start()

    @property
    def free(self) -> int:
        """Number of further jobs that can be submitted now."""
        return self.capacity - sum(process.busy for process in self._processes)

    def submit(self, job_id: int, job: Job) -> None:
        """Send a job to an idle process, or to a new one."""
        process = next((process for process in self._processes if not process.busy), None)
        if process is None:
            process = self._start()
        process.begin(job_id, job)

    def cancel(self, job_id: int) -> None:
        """Tell the process of a job to end it. The process is busy until it answers."""
        for process in self._processes:
            if process.job_id == job_id:
                process.cancel()

    def wait(self, on_progress: ProgressCallback) -> JobDone | None:
        """Wait for messages of busy processes until a job ends or a process dies."""
        while True:
            busy = {process.connection: process for process in self._processes if process.busy}
            for connection in wait(list(busy)):
                process = busy[connection]  # type: ignore[index]
                job_id = process.job_id
                try:
                    message = process.receive()
                except OSError as error:
                    self._processes.remove(process)
                    process.kill()
                    return None if job_id is None else JobDone(job_id, WorkerLost(str(error)))
                if not isinstance(message, FitProgress):
                    return None if job_id is None or message is None else JobDone(job_id, message)
                if job_id is not None:
                    on_progress(job_id, message)

    def close(self) -> None:
        """Kill all processes."""
        for process in self._processes:
            process.kill()
        self._processes.clear()

    def _start(self) -> _WorkerProcess:
        """Start a process."""
        used = {process.place for process in self._processes}
        place = next(place for place in range(self.capacity) if place not in used)
        environment = self._environment
        if environment.device == "cuda":
            environment = replace(environment, device=f"cuda:{place % torch.cuda.device_count()}")
        process = _WorkerProcess(place, environment)
        self._processes.append(process)
        return process


class _WorkerProcess:
    """A worker process.

    Args:
        place: Number in the pool, from 0, which no other process has at the same time.
        environment: Compute environment of the process.

    Attributes:
        place: Number in the pool.
        connection: Connection to the process, readable when it has sent a message.
        busy: Whether it runs a job.
        job_id: Id of the job; None if there is none, or it is cancelled.
    """

    def __init__(self, place: int, environment: ComputeEnvironment) -> None:
        self.place = place
        self.connection, theirs = Pipe()
        self.busy = False
        self.job_id: int | None = None
        start = child("nvcodec.workers.process_main", str(theirs.fileno()))
        # Ctrl-C does not reach a session of its own: the encoder ends its workers itself.
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
        """Send a job to the process.

        Args:
            job_id: Id of the job.
            job: Job to run.
        """
        self.busy, self.job_id = True, job_id
        self._send(job)

    def cancel(self) -> None:
        """Tell the process to end its job. It is busy until it answers."""
        self.job_id = None
        self._send(None)

    def receive(self) -> FitProgress | JobResult | JobFailure | None:
        """Wait for the next message.

        Returns:
            Progress or result of the job; None if the job is cancelled.

        Raises:
            OSError: If the process has died.
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
        """Kill the process."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin
        self._process.stdin.close()
        self.connection.close()

    def _send(self, message: object) -> None:
        """Send a message. If the process has died, `receive` reports it."""
        with suppress(OSError):
            send(self.connection, message)
