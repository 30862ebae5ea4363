"""Segments fitted by a Ray cluster: the one there is, or one of this machine's own.

A job is a Ray task. Ray's own retries are not used, since a job that is done again has to be
told from one that still runs; what it loses is handed in anew as with any other worker.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
from math import inf
from typing import Any

import ray
from ray.exceptions import RayError

from nvcodec.allocation import keep_freed_memory
from nvcodec.errors import ConfigError
from nvcodec.fitting.interface import FitProgress
from nvcodec.workers.environment import ComputeEnvironment
from nvcodec.workers.job import Job, JobFailure, JobResult, WorkerLost, run_job
from nvcodec.workers.pool import JobDone, ProgressCallback

_SECONDS = 0.2  # between two looks at the progress of jobs
_remote: Any = ray.remote


class RayPool:
    """Tasks of Ray, as many at a time as it has processors for; see `nvcodec.workers.pool.WorkerPool`.

    Args:
        environment: Of all of them. A task takes as many processors as that has threads, or a GPU.

    Raises:
        ConfigError: If no machine of the cluster has room for a task.
    """

    def __init__(self, environment: ComputeEnvironment) -> None:
        self._environment = environment
        self._own = not ray.is_initialized()
        if self._own:
            # Nothing is reported to anyone on account of an encode.
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
        self._jobs: dict[Any, int] = {}
        self._needs = {
            "num_cpus": environment.threads,
            "num_gpus": int(environment.device != "cpu"),
        }
        try:
            self.capacity = self._places()
            self._mailbox: Any = _remote(num_cpus=0)(_ProgressMailbox).remote()
        except BaseException:
            self.close()
            raise

    @property
    def free(self) -> int:
        """See `WorkerPool`."""
        return self.capacity - len(self._jobs)

    def submit(self, job_id: int, job: Job) -> None:
        """See `WorkerPool`."""
        # Pickled here: Ray would hand over arrays that cannot be written to.
        packed = ray.put(pickle.dumps((self._environment, job), protocol=5))
        task = _remote(max_retries=0, **self._needs)(_run_remote_job)
        self._jobs[task.remote(packed, job_id, self._mailbox)] = job_id

    def cancel(self, job_id: int) -> None:
        """See `WorkerPool`."""
        for reference in [one for one, known in self._jobs.items() if known == job_id]:
            del self._jobs[reference]
            ray.cancel(reference)

    def wait(self, on_progress: ProgressCallback) -> JobDone:
        """See `WorkerPool`."""
        while True:
            done, _ = ray.wait(list(self._jobs), timeout=_SECONDS)
            # A task has seen to it that its letters are here before it ends.
            mailbox: list[tuple[int, FitProgress]] = []
            with contextlib.suppress(RayError):
                mailbox = ray.get(self._mailbox.collect.remote())
            for job_id, progress in mailbox:
                on_progress(job_id, progress)
            for reference in done:
                job_id = self._jobs.pop(reference)
                try:
                    return JobDone(job_id, ray.get(reference))
                except RayError as error:
                    line = str(error).strip().splitlines() or [""]
                    return JobDone(job_id, WorkerLost(f"{type(error).__name__}: {line[0]}"))

    def close(self) -> None:
        """See `WorkerPool`."""
        for reference in self._jobs:
            ray.cancel(reference, force=True)
        self._jobs.clear()
        if self._own:
            ray.shutdown()
        elif hasattr(self, "_mailbox"):
            ray.kill(self._mailbox)

    def _places(self) -> int:
        """How many tasks the machines of the cluster have room for."""
        threads, gpus = self._needs["num_cpus"], self._needs["num_gpus"]
        places = 0
        for node in ray.nodes():  # type: ignore[no-untyped-call]
            if node["Alive"]:
                has = node["Resources"]
                most = has.get("GPU", 0) if gpus else inf
                places += int(min(has.get("CPU", 0) // threads, most))
        if not places:
            raise ConfigError(
                f"no machine of the Ray cluster has {threads} CPUs"
                + (" and a GPU" if gpus else "")
                + " for a worker; set OMP_NUM_THREADS to use fewer"
            )
        return places


class _ProgressMailbox:
    """What tasks tell of themselves until it is asked for; an actor."""

    def __init__(self) -> None:
        self._messages: list[tuple[int, FitProgress]] = []

    def post(self, job_id: int, progress: FitProgress) -> None:
        self._messages.append((job_id, progress))

    def collect(self) -> list[tuple[int, FitProgress]]:
        messages, self._messages = self._messages, []
        return messages


def _run_remote_job(packed: bytes, job_id: int, mailbox: Any) -> JobResult | JobFailure:
    """A task."""
    keep_freed_memory()
    environment, job = pickle.loads(packed)
    last = None

    def report(progress: FitProgress) -> None:
        nonlocal last
        last = mailbox.post.remote(job_id, progress)

    try:
        return run_job(job, environment.make_fitter(), environment.config, report)
    except Exception as error:  # noqa: BLE001
        return JobFailure.of(error)
    finally:
        if last is not None:
            with contextlib.suppress(RayError):
                ray.get(last)
