"""The interface of worker pools, which fit the segments of an encode.

Pools run jobs in this process, in worker processes or on a Ray cluster. All workers of an encode
share a compute environment (`nvcodec.workers.environment.ComputeEnvironment`), so a file does not
depend on the pool.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from nvcodec.fitting.interface import FitProgress
from nvcodec.workers.job import Job, JobFailure, JobResult, WorkerLost

ProgressCallback = Callable[[int, FitProgress], None]
"""Callback after every epoch of a job, with the job's id."""


class JobDone(NamedTuple):
    """A job that has ended.

    Attributes:
        job_id: Id of the job.
        result: Result of the job, or the way in which it failed.
    """

    job_id: int
    result: JobResult | JobFailure | WorkerLost


class WorkerPool(Protocol):
    """A pool of workers, each of which fits one segment at a time."""

    @property
    def capacity(self) -> int:
        """Largest number of jobs at a time, at least 1."""
        ...

    @property
    def free(self) -> int:
        """Number of further jobs that can be submitted now."""
        ...

    def submit(self, job_id: int, job: Job) -> None:
        """Submit a job. There must be a free worker.

        Args:
            job_id: Id of the job, unique in the pool.
            job: Job to run.
        """
        ...

    def cancel(self, job_id: int) -> None:
        """Cancel a job. `wait` neither returns it nor reports its progress any more.

        Args:
            job_id: Id of the job.
        """
        ...

    def wait(self, on_progress: ProgressCallback) -> JobDone | None:
        """Wait until a job ends.

        Args:
            on_progress: Callback for the progress of all jobs meanwhile.

        Returns:
            The job that has ended; None if only a cancelled job has ended, which frees a worker.
        """
        ...

    def close(self) -> None:
        """End all jobs immediately, and everything that was started for them."""
        ...
