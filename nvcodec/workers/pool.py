"""Who fits the segments of an encode: this process, others beside it, or a Ray cluster.

All of them compute alike (`nvcodec.workers.environment.Setting`), so that the file does not tell who made it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from nvcodec.fitting.interface import FitProgress
from nvcodec.workers.job import Failed, Fitted, Job, Lost

# Told of every epoch of a job, by its ticket.
Listener = Callable[[int, FitProgress], None]


class Ended(NamedTuple):
    """What became of a job.

    Attributes:
        ticket: Of the job.
        result: What came of it.
    """

    ticket: int
    result: Fitted | Failed | Lost


class Workers(Protocol):
    """Whoever fits segments, so many at a time."""

    @property
    def slots(self) -> int:
        """How many jobs are done at a time, at least 1."""
        ...

    @property
    def free(self) -> int:
        """How many more may be submitted now."""
        ...

    def submit(self, ticket: int, job: Job) -> None:
        """Begin a job, one of those that are `free`.

        Args:
            ticket: A number of its own.
            job: What is to be done.
        """
        ...

    def withdraw(self, ticket: int) -> None:
        """End a job early; nothing more is heard of it."""
        ...

    def wait(self, listener: Listener) -> Ended | None:
        """Until a job ends.

        Args:
            listener: Told of the progress of any job meanwhile.

        Returns:
            The job; None if there are more `free` than there were, and no news besides.
        """
        ...

    def close(self) -> None:
        """End all jobs, at once, and all that was started for them."""
        ...
