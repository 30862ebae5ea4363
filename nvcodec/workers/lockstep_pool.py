"""Several segments fitted at a time by this process, so that their steps are computed at once.

Every fit is carried out by a thread of its own, as if it were the only one. They take turns: one runs
until it asks for a step, then the next does; when all of them have asked, the steps are computed, and
the first goes on. Whatever the threads share they need not guard.
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
    """The fit is not wanted any more. Not an `Exception`, which it might take for its own."""


class LockstepPool:
    """This process, at several jobs; see `nvcodec.workers.pool.WorkerPool`.

    Args:
        config: Settings of the encode.
        device: Where to compute.
        capacity: Jobs at a time.
    """

    def __init__(self, config: EncoderConfig, device: torch.device, slots: int) -> None:
        self._config, self._device, self.capacity = config, device, slots
        self._fits: list[_Fit] = []
        self._turn: _Fit | None = None  # whose it is
        self._on_progress: ProgressCallback | None = None
        self._raised: BaseException | None = None  # by whom progress is told

    @property
    def free(self) -> int:
        """See `WorkerPool`."""
        return self.capacity - len(self._fits)

    def submit(self, job_id: int, job: Job) -> None:
        """See `WorkerPool`."""
        fitter = make_fitter(self._config, self._device)  # each has notes of its own
        assert isinstance(fitter, NetworkFitter)
        fitter.batched_step = self._compute_step
        report = partial(self._report, job_id)
        self._fits.append(_Fit(job_id, partial(run_job, job, fitter, self._config, report)))

    def cancel(self, job_id: int) -> None:
        """See `WorkerPool`."""
        for fit in [one for one in self._fits if one.job_id == job_id]:
            self._fits.remove(fit)
            fit.abandon()

    def wait(self, on_progress: ProgressCallback) -> JobDone:
        """See `WorkerPool`."""
        self._on_progress = on_progress
        while True:
            for fit in self._fits:
                if fit.asked is None:
                    self._turn = fit
                    fit.go_on()
                if self._raised:
                    raise self._raised
                if fit.result:
                    self._fits.remove(fit)
                    return JobDone(fit.job_id, fit.result)
            steps = [fit.asked for fit in self._fits if fit.asked]
            for fit, outcome in zip(self._fits, batched_step(steps), strict=True):
                fit.answer(outcome)

    def close(self) -> None:
        """See `WorkerPool`."""
        for fit in self._fits:
            fit.abandon()
        self._fits.clear()

    def _compute_step(self, step: Step) -> StepResult:
        """Called by the fit whose turn it is; see `nvcodec.fitting.network.step.StepFunction`."""
        assert self._turn
        return self._turn.ask(step)

    def _report(self, job_id: int, progress: FitProgress) -> None:
        assert self._on_progress
        try:
            self._on_progress(job_id, progress)
        except BaseException as error:
            # To be raised where jobs are waited for: it is no failure of this one.
            self._raised = error
            raise _AbandonedError from error


class _Fit:
    """A fit, and the thread that carries it out.

    Args:
        job_id: Of its job.
        work: What the thread is to do.

    Attributes:
        job_id: As given.
        asked: The step it waits for, if it waits.
        result: What came of it, once it has come to its end.
    """

    def __init__(self, job_id: int, work: Callable[[], JobResult]) -> None:
        self.job_id = job_id
        self.asked: Step | None = None
        self.result: JobResult | JobFailure | None = None
        self._work = work
        self._outcome: StepResult | None = None
        self._abandoned = False
        self._may_go, self._has_stopped = Semaphore(0), Semaphore(0)
        self._thread = Thread(target=self._run, daemon=True)

    def go_on(self) -> None:
        """Let it run until it asks for a step, or ends."""
        if self._thread.ident is None:
            self._thread.start()
        else:
            self._may_go.release()
        self._has_stopped.acquire()

    def ask(self, step: Step) -> StepResult:
        """Wait for the outcome of a step, on the thread of the fit."""
        self.asked = step
        self._has_stopped.release()
        self._may_go.acquire()
        if self._abandoned:
            raise _AbandonedError
        assert self._outcome
        return self._outcome

    def answer(self, outcome: StepResult) -> None:
        """Tell the outcome of the step that was asked for."""
        self.asked, self._outcome = None, outcome

    def abandon(self) -> None:
        """End it, wherever it is."""
        if self._thread.ident is not None:
            self._abandoned = True
            self._may_go.release()
            self._thread.join()

    def _run(self) -> None:
        try:
            self.result = self._work()
        except _AbandonedError:
            pass
        except Exception as error:  # noqa: BLE001
            self.result = JobFailure.of(error)
        self._has_stopped.release()
