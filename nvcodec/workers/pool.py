"""Who fits the segments of an encode: this process, others beside it, or a Ray cluster.

All of them compute alike (`nvcodec.workers.environment.ComputeEnvironment`), so that the file does not tell who made it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from nvcodec.fitting.interface import FitProgress
from nvcodec.workers.job import Job, JobFailure, JobResult, WorkerLost

# Told of every epoch of a job, by its ticket.
ProgressCallback = Callable[[int, FitProgress], None]


class JobDone(NamedTuple):
    """What became of a job.

    Attributes:
        job_id: Of the job.
        result: What came of it.
    """

    job_id: int
    result: JobResult | JobFailure | WorkerLost


class WorkerPool(Protocol):
    """Whoever fits segments, so many at a time."""

    @property
    def capacity(self) -> int:
        """How many jobs are done at a time, at least 1."""
        ...

    @property
    def free(self) -> int:
        """How many more may be submitted now."""
        ...

    def submit(self, job_id: int, job: Job) -> None:
        """Begin a job, one of those that are `free`.

        Args:
            job_id: A number of its own.
            job: What is to be done.
        """
        ...

    def cancel(self, job_id: int) -> None:
        """End a job early; nothing more is heard of it."""
        ...

    def wait(self, on_progress: ProgressCallback) -> JobDone | None:
        """Until a job ends.

        Args:
            on_progress: Told of the progress of any job meanwhile.

        Returns:
            The job; None if there are more `free` than there were, and no news besides.
        """
        ...

    def close(self) -> None:
        """End all jobs, at once, and all that was started for them."""
        ...
