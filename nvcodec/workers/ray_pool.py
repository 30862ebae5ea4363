"""A worker pool on a Ray cluster: the one this process is connected to, or a local one.

A job is a Ray task. Ray's own retries are off, because the scheduler has to tell a repeated job
from one that still runs. It submits lost jobs again, as for any other pool.
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

_POLL_SECONDS = 0.2  # between two reads of the progress of jobs
_remote: Any = ray.remote


class RayPool:
    """A `WorkerPool` of Ray tasks, as many at a time as the cluster has resources for.

    Args:
        environment: Compute environment of all tasks. A task takes one CPU per thread, and a GPU if
            the device is not the CPU.

    Raises:
        ConfigError: If no machine of the cluster has the resources for a task.
    """

    def __init__(self, environment: ComputeEnvironment) -> None:
        self._environment = environment
        self._owns_cluster = not ray.is_initialized()
        if self._owns_cluster:
            # An encode must not send usage statistics.
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
        self._jobs: dict[Any, int] = {}
        self._resources = {
            "num_cpus": environment.threads,
            "num_gpus": int(environment.device != "cpu"),
        }
        try:
            self.capacity = self._cluster_capacity()
            self._mailbox: Any = _remote(num_cpus=0)(_ProgressMailbox).remote()
        except BaseException:
            self.close()
            raise

    @property
    def free(self) -> int:
        """Number of further jobs that can be submitted now."""
        return self.capacity - len(self._jobs)

    def submit(self, job_id: int, job: Job) -> None:
        """Submit a job as a Ray task."""
        # The job is pickled here, because arrays that Ray passes are read-only.
        packed = ray.put(pickle.dumps((self._environment, job), protocol=5))
        task = _remote(max_retries=0, **self._resources)(_run_remote_job)
        self._jobs[task.remote(packed, job_id, self._mailbox)] = job_id

    def cancel(self, job_id: int) -> None:
        """Cancel the task of a job."""
        references = [task for task, task_job_id in self._jobs.items() if task_job_id == job_id]
        for reference in references:
            del self._jobs[reference]
            ray.cancel(reference)

    def wait(self, on_progress: ProgressCallback) -> JobDone:
        """Poll the tasks and the mailbox until a task ends."""
        while True:
            done, _ = ray.wait(list(self._jobs), timeout=_POLL_SECONDS)
            # A task ends only after its last message has arrived in the mailbox.
            messages: list[tuple[int, FitProgress]] = []
            with contextlib.suppress(RayError):
                messages = ray.get(self._mailbox.collect.remote())
            for job_id, progress in messages:
                on_progress(job_id, progress)
            for reference in done:
                job_id = self._jobs.pop(reference)
                try:
                    return JobDone(job_id, ray.get(reference))
                except RayError as error:
                    line = str(error).strip().splitlines() or [""]
                    return JobDone(job_id, WorkerLost(f"{type(error).__name__}: {line[0]}"))

    def close(self) -> None:
        """Cancel all tasks, and shut the cluster down if this pool has started it."""
        for reference in self._jobs:
            ray.cancel(reference, force=True)
        self._jobs.clear()
        if self._owns_cluster:
            ray.shutdown()
        elif hasattr(self, "_mailbox"):
            ray.kill(self._mailbox)

    def _cluster_capacity(self) -> int:
        """Return the number of tasks that the machines of the cluster can run at a time."""
        threads, gpus = self._resources["num_cpus"], self._resources["num_gpus"]
        capacity = 0
        for node in ray.nodes():  # type: ignore[no-untyped-call]
            if node["Alive"]:
                resources = node["Resources"]
                most = resources.get("GPU", 0) if gpus else inf
                capacity += int(min(resources.get("CPU", 0) // threads, most))
        if not capacity:
            raise ConfigError(
                f"no machine of the Ray cluster has {threads} CPUs"
                + (" and a GPU" if gpus else "")
                + " for a worker; set OMP_NUM_THREADS to use fewer"
            )
        return capacity


class _ProgressMailbox:
    """A Ray actor that keeps the progress of tasks until the encoder collects it."""

    def __init__(self) -> None:
        self._messages: list[tuple[int, FitProgress]] = []

    def post(self, job_id: int, progress: FitProgress) -> None:
        """Add the progress of a job."""
        self._messages.append((job_id, progress))

    def collect(self) -> list[tuple[int, FitProgress]]:
        """Remove and return all progress so far, with the ids of the jobs."""
        messages, self._messages = self._messages, []
        return messages


def _run_remote_job(packed: bytes, job_id: int, mailbox: Any) -> JobResult | JobFailure:
    """Run a job as a Ray task.

    Args:
        packed: Compute environment and job, pickled.
        job_id: Id of the job.
        mailbox: Actor handle of the `_ProgressMailbox`.
    """
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
