"""Who fits the segments of an encode: this process, others beside it, or a Ray cluster.

All of them compute alike (`nvcodec.workers.job.Setting`), so that the file does not tell who made it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

from nvcodec.config import EncoderConfig
from nvcodec.errors import ConfigError
from nvcodec.fitting.interface import FitProgress, Fitter
from nvcodec.models import config_class
from nvcodec.models.base.network_config import NetworkConfig
from nvcodec.workers.job import Failed, Fitted, Job, Lost, Setting, carried_out

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


def workers_for(config: EncoderConfig, fitter: Fitter, pixels: int) -> Workers:
    """Who is to fit the segments of an encode.

    Args:
        config: Its settings.
        fitter: Fits them, if this process does; tells where others are to compute.
        pixels: Of a picture.

    Raises:
        ConfigError: If Ray is wanted and not installed, or has no place for a job.
    """
    if config.workers == 1:
        return _here(config, fitter, pixels)
    setting = Setting.here(config, fitter.device)
    if config.workers != "ray":
        from nvcodec.workers.process_pool import Processes

        return Processes(setting, config.workers)
    try:
        import ray  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "--workers ray needs Ray, which is not installed: pip install 'nvcodec-suite[ray]', or "
            "pass a number of processes instead"
        ) from error
    from nvcodec.workers.ray_pool import RayTasks

    return RayTasks(setting)


def _here(config: EncoderConfig, fitter: Fitter, pixels: int) -> Workers:
    kind = config_class(config.model)
    if not issubclass(kind, NetworkConfig):
        return Here(fitter, config)
    from nvcodec.fitting.network.batched_step import most_at_once
    from nvcodec.workers.lockstep_pool import Abreast

    slots = most_at_once(kind, config.fitting, pixels, fitter.device.type)
    return Abreast(config, fitter.device, slots) if slots > 1 else Here(fitter, config)
