"""A worker pool that fits one segment at a time in this process."""

from __future__ import annotations

from functools import partial

from nvcodec.config import EncoderConfig
from nvcodec.fitting.interface import SegmentFitter
from nvcodec.workers.job import Job, run_job
from nvcodec.workers.pool import JobDone, ProgressCallback


class InProcessPool:
    """This process; see `WorkerPool`. Exceptions of a fit are raised where it is waited for.

    Args:
        fitter: Fits the segments.
        config: Settings of the encode.
    """

    capacity = 1

    def __init__(self, fitter: SegmentFitter, config: EncoderConfig) -> None:
        self._fitter, self._config = fitter, config
        self._waiting: list[tuple[int, Job]] = []

    @property
    def free(self) -> int:
        """See `WorkerPool`."""
        return 1 - len(self._waiting)

    def submit(self, job_id: int, job: Job) -> None:
        """See `WorkerPool`."""
        self._waiting.append((job_id, job))

    def cancel(self, job_id: int) -> None:
        """See `WorkerPool`."""
        self._waiting = [one for one in self._waiting if one[0] != job_id]

    def wait(self, on_progress: ProgressCallback) -> JobDone:
        """See `WorkerPool`."""
        job_id, job = self._waiting.pop()
        report = partial(on_progress, job_id)
        return JobDone(job_id, run_job(job, self._fitter, self._config, report))

    def close(self) -> None:
        """See `WorkerPool`."""
        self._waiting.clear()
