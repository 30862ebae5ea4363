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
from nvcodec.workers.environment import Setting
from nvcodec.workers.job import Failed, Fitted, Job, Lost
from nvcodec.workers.pool import Ended, Listener
from nvcodec.workers.process_main import receive, send

logger = logging.getLogger(__name__)


class Processes:
    """Worker processes, started when there is something to do; see `nvcodec.workers.pool.Workers`.

    Args:
        setting: Of all of them; where its device is any CUDA device, they share what there is.
        count: How many at most.
    """

    def __init__(self, setting: Setting, count: int) -> None:
        self._setting, self.slots = setting, count
        self._processes: list[_Process] = []
        cores, threads = _cores(), setting.threads
        if setting.device == "cpu" and count * threads > cores:
            logger.warning(
                "%d workers of %d threads each share %d cores; with OMP_NUM_THREADS=%d in the "
                "environment they do not wait for each other",
                *(count, threads, cores, max(cores // count, 1)),
            )

    @property
    def free(self) -> int:
        """See `Workers`."""
        return self.slots - sum(process.busy for process in self._processes)

    def submit(self, ticket: int, job: Job) -> None:
        """See `Workers`."""
        process = next((one for one in self._processes if not one.busy), None)
        if process is None:
            process = self._started()
        process.begin(ticket, job)

    def withdraw(self, ticket: int) -> None:
        """See `Workers`."""
        for process in self._processes:
            if process.ticket == ticket:
                process.withdraw()

    def wait(self, listener: Listener) -> Ended | None:
        """See `Workers`."""
        while True:
            busy = {one.connection: one for one in self._processes if one.busy}
            for connection in wait(list(busy)):
                process = busy[connection]  # type: ignore[index]
                ticket = process.ticket
                try:
                    message = process.answer()
                except OSError as error:
                    self._processes.remove(process)
                    process.kill()
                    return None if ticket is None else Ended(ticket, Lost(str(error)))
                if not isinstance(message, FitProgress):
                    return None if ticket is None or message is None else Ended(ticket, message)
                if ticket is not None:
                    listener(ticket, message)

    def close(self) -> None:
        """See `Workers`."""
        for process in self._processes:
            process.kill()
        self._processes.clear()

    def _started(self) -> _Process:
        used = {process.place for process in self._processes}
        place = next(place for place in range(self.slots) if place not in used)
        setting = self._setting
        if setting.device == "cuda":
            setting = replace(setting, device=f"cuda:{place % torch.cuda.device_count()}")
        process = _Process(place, setting)
        self._processes.append(process)
        return process


class _Process:
    """A worker process.

    Args:
        place: A number that no other one has at the same time.
        setting: How it is to compute.

    Attributes:
        place: As given.
        connection: To it; something can be read when there is an `answer`.
        busy: Whether it is at a job.
        ticket: Of the job; None if there is none, or it is not wanted any more.
    """

    def __init__(self, place: int, setting: Setting) -> None:
        self.place = place
        self.connection, theirs = Pipe()
        self.busy = False
        self.ticket: int | None = None
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
        self._send(setting)

    def begin(self, ticket: int, job: Job) -> None:
        """Hand it a job."""
        self.busy, self.ticket = True, ticket
        self._send(job)

    def withdraw(self) -> None:
        """Let it end its job; it is busy until it answers."""
        self.ticket = None
        self._send(None)

    def answer(self) -> FitProgress | Fitted | Failed | None:
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
        assert message is None or isinstance(message, FitProgress | Fitted | Failed)
        if not isinstance(message, FitProgress):
            self.busy, self.ticket = False, None
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
