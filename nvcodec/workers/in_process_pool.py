"""A worker pool that fits one segment at a time in this process."""

from __future__ import annotations

from functools import partial

from nvcodec.config import EncoderConfig
from nvcodec.fitting.interface import SegmentFitter
from nvcodec.workers.job import Job, run_job
from nvcodec.workers.pool import JobDone, ProgressCallback


class InProcessPool:
    """A `WorkerPool` of this process alone, with one job at a time.

    `wait` runs the job, and raises the exceptions of its fit.

    Args:
        fitter: Fitter of the segments.
        config: Settings of the encode.
    """

    capacity = 1

    def __init__(self, fitter: SegmentFitter, config: EncoderConfig) -> None:
        self._fitter, self._config = fitter, config
        self._waiting: list[tuple[int, Job]] = []

    @property
    def free(self) -> int:
        """Number of further jobs that can be submitted now."""
        return 1 - len(self._waiting)

    def submit(self, job_id: int, job: Job) -> None:
        """Keep a job until `wait` runs it."""
        self._waiting.append((job_id, job))

    def cancel(self, job_id: int) -> None:
        """Drop a job."""
        self._waiting = [waiting for waiting in self._waiting if waiting[0] != job_id]

    def wait(self, on_progress: ProgressCallback) -> JobDone:
        """Run the job that was submitted."""
        job_id, job = self._waiting.pop()
        report = partial(on_progress, job_id)
        return JobDone(job_id, run_job(job, self._fitter, self._config, report))

    def close(self) -> None:
        """Drop all jobs."""
        self._waiting.clear()
