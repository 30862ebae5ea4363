"""Segments fitted by a Ray cluster: the one there is, or one of this machine's own.

A job is a Ray task. Ray's own retries are not used, since a job that is done again has to be
told from one that still runs; what it loses is handed in anew as with any other worker.
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
from nvcodec.workers.environment import Setting
from nvcodec.workers.job import Failed, Fitted, Job, Lost, carried_out
from nvcodec.workers.pool import Ended, Listener

_SECONDS = 0.2  # between two looks at the progress of jobs
_remote: Any = ray.remote


class RayTasks:
    """Tasks of Ray, as many at a time as it has processors for; see `nvcodec.workers.pool.Workers`.

    Args:
        setting: Of all of them. A task takes as many processors as that has threads, or a GPU.

    Raises:
        ConfigError: If no machine of the cluster has room for a task.
    """

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._own = not ray.is_initialized()
        if self._own:
            # Nothing is reported to anyone on account of an encode.
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
        self._tickets: dict[Any, int] = {}
        self._needs = {"num_cpus": setting.threads, "num_gpus": int(setting.device != "cpu")}
        try:
            self.slots = self._places()
            self._letters: Any = _remote(num_cpus=0)(_Letters).remote()
        except BaseException:
            self.close()
            raise

    @property
    def free(self) -> int:
        """See `Workers`."""
        return self.slots - len(self._tickets)

    def submit(self, ticket: int, job: Job) -> None:
        """See `Workers`."""
        # Pickled here: Ray would hand over arrays that cannot be written to.
        packed = ray.put(pickle.dumps((self._setting, job), protocol=5))
        task = _remote(max_retries=0, **self._needs)(_fitted)
        self._tickets[task.remote(packed, ticket, self._letters)] = ticket

    def withdraw(self, ticket: int) -> None:
        """See `Workers`."""
        for reference in [one for one, known in self._tickets.items() if known == ticket]:
            del self._tickets[reference]
            ray.cancel(reference)

    def wait(self, listener: Listener) -> Ended:
        """See `Workers`."""
        while True:
            done, _ = ray.wait(list(self._tickets), timeout=_SECONDS)
            # A task has seen to it that its letters are here before it ends.
            letters: list[tuple[int, FitProgress]] = []
            with contextlib.suppress(RayError):
                letters = ray.get(self._letters.taken.remote())
            for ticket, progress in letters:
                listener(ticket, progress)
            for reference in done:
                ticket = self._tickets.pop(reference)
                try:
                    return Ended(ticket, ray.get(reference))
                except RayError as error:
                    line = str(error).strip().splitlines() or [""]
                    return Ended(ticket, Lost(f"{type(error).__name__}: {line[0]}"))

    def close(self) -> None:
        """See `Workers`."""
        for reference in self._tickets:
            ray.cancel(reference, force=True)
        self._tickets.clear()
        if self._own:
            ray.shutdown()
        elif hasattr(self, "_letters"):
            ray.kill(self._letters)

    def _places(self) -> int:
        """How many tasks the machines of the cluster have room for."""
        threads, gpus = self._needs["num_cpus"], self._needs["num_gpus"]
        places = 0
        for node in ray.nodes():  # type: ignore[no-untyped-call]
            if node["Alive"]:
                has = node["Resources"]
                most = has.get("GPU", 0) if gpus else inf
                places += int(min(has.get("CPU", 0) // threads, most))
        if not places:
            raise ConfigError(
                f"no machine of the Ray cluster has {threads} CPUs"
                + (" and a GPU" if gpus else "")
                + " for a worker; set OMP_NUM_THREADS to use fewer"
            )
        return places


class _Letters:
    """What tasks tell of themselves until it is asked for; an actor."""

    def __init__(self) -> None:
        self._kept: list[tuple[int, FitProgress]] = []

    def post(self, ticket: int, progress: FitProgress) -> None:
        self._kept.append((ticket, progress))

    def taken(self) -> list[tuple[int, FitProgress]]:
        kept, self._kept = self._kept, []
        return kept


def _fitted(packed: bytes, ticket: int, letters: Any) -> Fitted | Failed:
    """A task."""
    keep_freed_memory()
    setting, job = pickle.loads(packed)
    last = None

    def report(progress: FitProgress) -> None:
        nonlocal last
        last = letters.post.remote(ticket, progress)

    try:
        return carried_out(job, setting.taken(), setting.config, report)
    except Exception as error:  # noqa: BLE001
        return Failed.of(error)
    finally:
        if last is not None:
            with contextlib.suppress(RayError):
                ray.get(last)
