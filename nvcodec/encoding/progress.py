"""How far an encode is: the time each segment may take, and what is told of it all."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil

from nvcodec.fitting.interface import FitProgress


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where an encode stands; handed to `on_progress` after every epoch.

    Attributes:
        segment: Number of the segment that the epoch was of, from 0.
        segments: How many there will be, as far as is known.
        finished: How many are finished.
        running: How many are being fitted at the same time.
        fit: Where the segment's fit stands.
        bpp: Estimated bits per pixel of the segment; None in the float stage.
        share: Of the video's frames, those that are finished, and of segments being fitted as many
            as their epochs tell, in [0, 1]; None where the length is unknown.
        seconds: Since the encode began.
        remaining: Expected seconds to the end of the encode; None where the length is unknown.
    """

    segment: int
    segments: int | None
    finished: int
    running: int
    fit: FitProgress
    bpp: float | None
    share: float | None
    seconds: float
    remaining: float | None


@dataclass(slots=True)
class _Run:
    """A fit that is going on."""

    frames: int
    pixels: int
    began: float = field(default_factory=time.monotonic)
    fit: FitProgress | None = None

    @property
    def whole(self) -> float:
        """Expected seconds from beginning to end."""
        return time.monotonic() - self.began + (self.fit.remaining if self.fit else 0.0)


class EncodeProgress:
    """The segments of an encode, counted as they are fitted.

    Args:
        time_limit: Seconds for the whole encode, None for no limit.
        on_progress: Told after every epoch, if given.

    Attributes:
        total_frames: Of the video; None where unknown, as it is until the source is open.
        workers: Segments that can be fitted at a time.
        chain: Frames of segments that lean on each other, which cannot; as a rule.
    """

    def __init__(
        self, time_limit: float | None, on_progress: Callable[[Progress], None] | None
    ) -> None:
        self._time_limit, self._on_progress = time_limit, on_progress
        self._began = time.monotonic()
        self.total_frames: int | None = None
        self.workers = self.chain = 1
        self._known = self._known_frames = 0
        self._finished = self._finished_frames = 0
        self._running: dict[int, _Run] = {}

    @property
    def seconds(self) -> float:
        """Since the encode began."""
        return time.monotonic() - self._began

    def add(self, frames: int) -> None:
        """Take note of the next segment of the video."""
        self._known += 1
        self._known_frames += frames

    def begin(self, number: int, frames: int, pixels: int) -> None:
        """Take note that a segment is being fitted from now on.

        Args:
            number: Of the segment.
            frames: Its frames.
            pixels: Its pixels, over all frames.
        """
        self._running[number] = _Run(frames, pixels)

    def stop(self, number: int) -> None:
        """Take note that the fit of a segment has ended, and nothing has come of it."""
        self._running.pop(number, None)

    def finish(self, number: int, frames: int) -> None:
        """Count a segment as finished, fitted or not."""
        self.stop(number)
        self._finished += 1
        self._finished_frames += frames

    def undo(self, frames: int) -> None:
        """Do not count a finished segment any more."""
        self._finished -= 1
        self._finished_frames -= frames

    def share(self, frames: int) -> float | None:
        """Seconds that the next segment may take of those that are left; None for no limit."""
        if self._time_limit is None:
            return None
        left = max(self._time_limit - self.seconds, 0.0)
        if self.total_frames is None:
            # However long it is: half of what is left for each segment keeps something for all.
            return left / 2
        ahead = max(self.total_frames - self._finished_frames, frames)
        return min(left * self._at_a_time(ahead) * frames / ahead, left)

    def report(self, number: int, fit: FitProgress) -> None:
        """Pass on the progress of a fit.

        Args:
            number: Of its segment.
            fit: Where it stands.
        """
        run = self._running[number]
        run.fit = fit
        if self._on_progress is None:
            return
        count = share = None
        if self.total_frames is not None:
            # As many as there would be if all were as long as those so far.
            known = self._known
            count = max(round(self.total_frames * known / self._known_frames), known)
            done = self._finished_frames + sum(
                one.frames * one.fit.epoch / one.fit.epochs
                for one in self._running.values()
                if one.fit
            )
            share = min(done / max(self.total_frames, 1), 1.0)
        self._on_progress(
            Progress(
                segment=number,
                segments=count,
                finished=self._finished,
                running=len(self._running),
                fit=fit,
                bpp=None if fit.bits is None else fit.bits / run.pixels,
                share=share,
                seconds=self.seconds,
                remaining=self._remaining(),
            )
        )

    def _remaining(self) -> float | None:
        """Expected seconds to the end."""
        if self.total_frames is None:
            return None
        told = [(run, run.fit.remaining) for run in self._running.values() if run.fit]
        told_frames = sum(run.frames for run, _ in told)
        ahead = max(self.total_frames - self._finished_frames, told_frames)
        pace = sum(run.whole for run, _ in told) / told_frames
        work = sum(left for _, left in told) + pace * (ahead - told_frames)
        return max(work / self._at_a_time(ahead), *(left for _, left in told))

    def _at_a_time(self, frames: int) -> int:
        """Segments that are fitted at a time while so many frames are left."""
        return max(min(self.workers, ceil(frames / self.chain)), 1)
