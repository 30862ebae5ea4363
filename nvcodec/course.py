"""How far an encode is: the time each segment may take, and what is told of it all."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from nvcodec.fitter import FitProgress


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where an encode stands; handed to `on_progress` after every epoch.

    Attributes:
        segment: Number of the segment being fitted, from 0.
        segments: How many there will be, as far as is known.
        fit: Where its fit stands.
        bpp: Estimated bits per pixel of the segment; None in the float stage.
        seconds: Since the encode began.
        remaining: Expected seconds to the end of the encode; None where the length is unknown.
    """

    segment: int
    segments: int | None
    fit: FitProgress
    bpp: float | None
    seconds: float
    remaining: float | None


class Course:
    """The segments of an encode, counted as they are finished.

    Args:
        time_limit: Seconds for the whole encode, None for no limit.
        on_progress: Told after every epoch, if given.

    Attributes:
        segments: Segments finished.
        frames: Frames in them.
        total_frames: Of the video; None where unknown, as it is until the source is open.
    """

    def __init__(
        self, time_limit: float | None, on_progress: Callable[[Progress], None] | None
    ) -> None:
        self._time_limit, self._on_progress = time_limit, on_progress
        self._began = time.monotonic()
        self.segments = self.frames = 0
        self.total_frames: int | None = None

    @property
    def seconds(self) -> float:
        """Since the encode began."""
        return time.monotonic() - self._began

    def advance(self, frames: int) -> None:
        """Count a segment of so many frames as finished."""
        self.segments += 1
        self.frames += frames

    def share(self, frames: int) -> float | None:
        """Seconds that the next segment may take of those that are left; None for no limit."""
        if self._time_limit is None:
            return None
        left = max(self._time_limit - self.seconds, 0.0)
        if self.total_frames is None:
            # However long it is: half of what is left for each segment keeps something for all.
            return left / 2
        return left * frames / max(self.total_frames - self.frames, frames)

    def reporter(self, frames: int, pixels: int) -> Callable[[FitProgress], None] | None:
        """What passes on the progress of the next segment's fit, which begins now.

        Args:
            frames: Its frames.
            pixels: Its pixels, over all frames.
        """
        if self._on_progress is None:
            return None
        on_progress = self._on_progress
        begun = time.monotonic()

        def report(progress: FitProgress) -> None:
            remaining = count = None
            if self.total_frames is not None:
                after = max(self.total_frames - self.frames - frames, 0)
                whole = time.monotonic() - begun + progress.remaining
                remaining = progress.remaining + whole * after / frames
                # As many as there would be if all were as long as those so far.
                known = self.segments + 1
                count = max(round(self.total_frames * known / (self.frames + frames)), known)
            on_progress(
                Progress(
                    segment=self.segments,
                    segments=count,
                    fit=progress,
                    bpp=None if progress.bits is None else progress.bits / pixels,
                    seconds=self.seconds,
                    remaining=remaining,
                )
            )

        return report
