"""A worker pool that fits one segment at a time in this process."""

from __future__ import annotations

from functools import partial

from nvcodec.config import EncoderConfig
from nvcodec.fitting.interface import Fitter
from nvcodec.workers.job import Job, carried_out
from nvcodec.workers.pool import Ended, Listener


class Here:
    """This process; see `Workers`. Exceptions of a fit are raised where it is waited for.

    Args:
        fitter: Fits the segments.
        config: Settings of the encode.
    """

    slots = 1

    def __init__(self, fitter: Fitter, config: EncoderConfig) -> None:
        self._fitter, self._config = fitter, config
        self._waiting: list[tuple[int, Job]] = []

    @property
    def free(self) -> int:
        """See `Workers`."""
        return 1 - len(self._waiting)

    def submit(self, ticket: int, job: Job) -> None:
        """See `Workers`."""
        self._waiting.append((ticket, job))

    def withdraw(self, ticket: int) -> None:
        """See `Workers`."""
        self._waiting = [one for one in self._waiting if one[0] != ticket]

    def wait(self, listener: Listener) -> Ended:
        """See `Workers`."""
        ticket, job = self._waiting.pop()
        report = partial(listener, ticket)
        return Ended(ticket, carried_out(job, self._fitter, self._config, report))

    def close(self) -> None:
        """See `Workers`."""
        self._waiting.clear()
