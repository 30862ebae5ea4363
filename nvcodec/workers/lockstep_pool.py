"""A worker pool that fits several segments in lockstep in this process, with batched steps.

Every fit runs in a thread of its own. The threads take turns: a fit runs until it requests an
optimiser step, and then the next one runs. When all fits have requested a step, the steps are
computed together, and the first fit continues. Only one thread runs at any time, so the threads
need no locks for what they share.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Semaphore, Thread

import torch

from nvcodec.config import EncoderConfig
from nvcodec.fitting.factory import make_fitter
from nvcodec.fitting.interface import FitProgress
from nvcodec.fitting.network.batched_step import batched_step
from nvcodec.fitting.network.fitter import NetworkFitter
from nvcodec.fitting.network.step import Step, StepResult
from nvcodec.workers.job import Job, JobFailure, JobResult, run_job
from nvcodec.workers.pool import JobDone, ProgressCallback


class _AbandonedError(BaseException):
    """Ends the thread of a cancelled fit. It is no `Exception`, so that no fit can catch it."""


class LockstepPool:
    """A `WorkerPool` of this process that runs several jobs in lockstep.

    Args:
        config: Settings of the encode.
        device: Device to compute on.
        capacity: Number of jobs at a time.
    """

    def __init__(self, config: EncoderConfig, device: torch.device, capacity: int) -> None:
        self._config, self._device, self.capacity = config, device, capacity
        self._fits: list[_FitThread] = []
        self._running: _FitThread | None = None
        self._on_progress: ProgressCallback | None = None
        self._callback_error: BaseException | None = None

    @property
    def free(self) -> int:
        """Number of further jobs that can be submitted now."""
        return self.capacity - len(self._fits)

    def submit(self, job_id: int, job: Job) -> None:
        """Create the thread of a job; `wait` starts it."""
        # A fitter of its own, because a fitter keeps the statistics and warnings of its fits.
        fitter = make_fitter(self._config, self._device)
        assert isinstance(fitter, NetworkFitter)
        fitter.batched_step = self._compute_step
        report = partial(self._report, job_id)
        self._fits.append(_FitThread(job_id, partial(run_job, job, fitter, self._config, report)))

    def cancel(self, job_id: int) -> None:
        """End the thread of a job."""
        for fit in [fit for fit in self._fits if fit.job_id == job_id]:
            self._fits.remove(fit)
            fit.abandon()

    def wait(self, on_progress: ProgressCallback) -> JobDone:
        """Run the fits in turn, and compute their steps together, until one of them ends."""
        self._on_progress = on_progress
        while True:
            for fit in self._fits:
                if fit.requested is None:
                    self._running = fit
                    fit.resume()
                if self._callback_error:
                    raise self._callback_error
                if fit.result:
                    self._fits.remove(fit)
                    return JobDone(fit.job_id, fit.result)
            steps = [fit.requested for fit in self._fits if fit.requested]
            for fit, result in zip(self._fits, batched_step(steps), strict=True):
                fit.deliver(result)

    def close(self) -> None:
        """End all threads."""
        for fit in self._fits:
            fit.abandon()
        self._fits.clear()

    def _compute_step(self, step: Step) -> StepResult:
        """Request a step for the running fit, on its thread, and return the result."""
        assert self._running
        return self._running.request(step)

    def _report(self, job_id: int, progress: FitProgress) -> None:
        """Report the progress of the running fit, on its thread."""
        assert self._on_progress
        try:
            self._on_progress(job_id, progress)
        except BaseException as error:
            # `wait` raises it: the job has not failed, but the encode ends.
            self._callback_error = error
            raise _AbandonedError from error


class _FitThread:
    """A job, and the thread that runs it.

    Args:
        job_id: Id of the job.
        work: Function that runs the job.

    Attributes:
        job_id: Id of the job.
        requested: Step that the thread waits for; None if it waits for none.
        result: Result of the job; None until it has ended.
    """

    def __init__(self, job_id: int, work: Callable[[], JobResult]) -> None:
        self.job_id = job_id
        self.requested: Step | None = None
        self.result: JobResult | JobFailure | None = None
        self._work = work
        self._step_result: StepResult | None = None
        self._abandoned = False
        self._may_run, self._has_stopped = Semaphore(0), Semaphore(0)
        self._thread = Thread(target=self._run, daemon=True)

    def resume(self) -> None:
        """Let the thread run until it requests a step or ends."""
        if self._thread.ident is None:
            self._thread.start()
        else:
            self._may_run.release()
        self._has_stopped.acquire()

    def request(self, step: Step) -> StepResult:
        """Request a step and wait for its result. The thread itself calls this.

        Args:
            step: Step to compute.

        Raises:
            _AbandonedError: If the job is cancelled meanwhile.
        """
        self.requested = step
        self._has_stopped.release()
        self._may_run.acquire()
        if self._abandoned:
            raise _AbandonedError
        assert self._step_result
        return self._step_result

    def deliver(self, result: StepResult) -> None:
        """Set the result of the requested step; the thread returns it when it resumes."""
        self.requested, self._step_result = None, result

    def abandon(self) -> None:
        """End the thread without a result."""
        if self._thread.ident is not None:
            self._abandoned = True
            self._may_run.release()
            self._thread.join()

    def _run(self) -> None:
        """Run the job, on the thread."""
        try:
            self.result = self._work()
        except _AbandonedError:
            pass
        except Exception as error:  # noqa: BLE001
            self.result = JobFailure.of(error)
        self._has_stopped.release()
