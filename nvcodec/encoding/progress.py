"""Tracks the progress of an encode, and divides its time limit among the segments."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil

from nvcodec.fitting.interface import FitProgress


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The progress of an encode, passed to `on_progress` after every epoch.

    Attributes:
        segment: Number of the segment whose epoch has ended, from 0.
        segments: Expected number of segments; None if the length of the video is unknown.
        finished: Number of finished segments.
        running: Number of segments that are being fitted.
        fit: Progress of the segment's fit.
        bpp: Estimated bits per pixel of the segment; None in the float stage.
        share: Share of the video's frames that is finished, in [0, 1]. A segment that is being
            fitted counts in proportion to its epochs. None if the length of the video is unknown.
        seconds: Seconds since the encode began.
        remaining: Expected seconds to the end of the encode; None if the length of the video is
            unknown.
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
class _RunningFit:
    """A fit in progress.

    Attributes:
        frames: Number of frames of its segment.
        pixels: Number of pixels of its segment, over all frames.
        began: Time on the monotonic clock at which it began.
        fit: Its last progress; None before its first epoch ends.
    """

    frames: int
    pixels: int
    began: float = field(default_factory=time.monotonic)
    fit: FitProgress | None = None

    @property
    def expected_seconds(self) -> float:
        """Expected duration of the whole fit in seconds."""
        return time.monotonic() - self.began + (self.fit.remaining if self.fit else 0.0)


class EncodeProgress:
    """Counts the segments of an encode, and reports its progress.

    Args:
        time_limit: Time limit for the whole encode in seconds, None for no limit.
        on_progress: Callback after every epoch; None for no reports.

    Attributes:
        total_frames: Number of frames of the video; None if it is unknown, as it is before the
            source is open.
        workers: Number of segments that can be fitted at a time.
        chain_frames: Usual number of frames of a chain of segments, which are fitted one after the
            other because each is predicted from the one before.
    """

    def __init__(
        self, time_limit: float | None, on_progress: Callable[[Progress], None] | None
    ) -> None:
        self._time_limit, self._on_progress = time_limit, on_progress
        self._began = time.monotonic()
        self.total_frames: int | None = None
        self.workers = self.chain_frames = 1
        self._segments = self._frames = 0  # read so far
        self._finished = self._finished_frames = 0
        self._running: dict[int, _RunningFit] = {}

    @property
    def seconds(self) -> float:
        """Seconds since the encode began."""
        return time.monotonic() - self._began

    def add(self, frames: int) -> None:
        """Count the next segment of the video, which has been read.

        Args:
            frames: Number of its frames.
        """
        self._segments += 1
        self._frames += frames

    def begin(self, number: int, frames: int, pixels: int) -> None:
        """Record that the fit of a segment begins.

        Args:
            number: Number of the segment, from 0.
            frames: Number of its frames.
            pixels: Number of its pixels, over all frames.
        """
        self._running[number] = _RunningFit(frames, pixels)

    def stop(self, number: int) -> None:
        """Record that the fit of a segment has ended without a result."""
        self._running.pop(number, None)

    def finish(self, number: int, frames: int) -> None:
        """Count a segment as finished.

        Args:
            number: Number of the segment, from 0.
            frames: Number of its frames.
        """
        self.stop(number)
        self._finished += 1
        self._finished_frames += frames

    def undo(self, frames: int) -> None:
        """Count a finished segment of so many frames as unfinished, because it is fitted again."""
        self._finished -= 1
        self._finished_frames -= frames

    def time_share(self, frames: int) -> float | None:
        """Return the time limit of the next segment in seconds; None for no limit.

        Args:
            frames: Number of frames of the segment.
        """
        if self._time_limit is None:
            return None
        left = max(self._time_limit - self.seconds, 0.0)
        if self.total_frames is None:
            # Half of the remaining time for each segment leaves time for any number of segments.
            return left / 2
        frames_left = max(self.total_frames - self._finished_frames, frames)
        return min(left * self._concurrent_fits(frames_left) * frames / frames_left, left)

    def report(self, number: int, fit: FitProgress) -> None:
        """Report the progress of a fit.

        Args:
            number: Number of its segment, from 0.
            fit: Progress of the fit.
        """
        run = self._running[number]
        run.fit = fit
        if self._on_progress is None:
            return
        count = share = None
        if self.total_frames is not None:
            # Expect the remaining segments to be as long as those so far, on average.
            read = self._segments
            count = max(round(self.total_frames * read / self._frames), read)
            done = self._finished_frames + sum(
                other.frames * other.fit.epoch / other.fit.epochs
                for other in self._running.values()
                if other.fit
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
        """Return the expected seconds to the end of the encode; None if its length is unknown."""
        if self.total_frames is None:
            return None
        # Fits without a finished epoch count as work that is yet to begin.
        runs = [(run, run.fit.remaining) for run in self._running.values() if run.fit]
        running_frames = sum(run.frames for run, _ in runs)
        frames_left = max(self.total_frames - self._finished_frames, running_frames)
        seconds_per_frame = sum(run.expected_seconds for run, _ in runs) / running_frames
        work = sum(left for _, left in runs) + seconds_per_frame * (frames_left - running_frames)
        return max(work / self._concurrent_fits(frames_left), *(left for _, left in runs))

    def _concurrent_fits(self, frames: int) -> int:
        """Return the number of segments that are fitted at a time while so many frames are left."""
        return max(min(self.workers, ceil(frames / self.chain_frames)), 1)
