"""What a video is like at another size or a constant frame rate: its header, and when frames are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import lcm

from nvcodec.container import Reader, Segment, SegmentEntry
from nvcodec.container.fields import MAX_TERM
from nvcodec.container.header import MAX_PIXELS, MAX_SIDE
from nvcodec.container.segment_section import MAX_FRAMES
from nvcodec.errors import BitstreamError, ConfigError
from nvcodec.media import VideoInfo

_FASTEST = 1000
_BATCH_BYTES = 32 << 20
_LARGEST_BATCH = 64


def batch_of(size: tuple[int, int]) -> int:
    """Pictures of a height and width to make at a time: at most 64, in about 32 MiB."""
    return max(1, min(_LARGEST_BATCH, _BATCH_BYTES // (size[0] * size[1] * 3 // 2)))


def check_size(size: tuple[int, int]) -> None:
    """Refuse a width and height that no video may have.

    Raises:
        ConfigError: If a side is not in 1..65535, or there are more than 2**26 samples.
    """
    width, height = size
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE and width * height <= MAX_PIXELS):
        raise ConfigError(
            f"size: expected sides of 1 to {MAX_SIDE} samples and at most {MAX_PIXELS} in all, "
            f"found {width}x{height}"
        )


def resized(info: VideoInfo, size: tuple[int, int]) -> VideoInfo:
    """What a video is like at another size: on the screen it keeps its shape.

    The sample aspect ratio takes up what changes, unless no more changes than rounding a side to
    whole samples (up or down, or to an even number) explains.

    Args:
        info: Of the video.
        size: Width and height.
    """
    width, height = size
    across, down = Fraction(width, info.width), Fraction(height, info.height)
    aspect = info.sample_aspect_ratio
    if abs(width - info.width * down) > 1 and abs(height - info.height * across) > 1:
        aspect = (aspect * down / across).limit_denominator(65535)
    return replace(info, width=width, height=height, sample_aspect_ratio=aspect)


@dataclass(frozen=True, slots=True)
class FrameRateConverter:
    """Frames at a constant rate.

    Attributes:
        rate: Frames per second.
        count: How many there are.
        time_base: Seconds per tick; all times are whole numbers of it.
        first: Ticks of the first frame.
        step: Ticks from frame to frame.
    """

    rate: Fraction
    count: int
    time_base: Fraction
    first: int
    step: int

    @classmethod
    def of(cls, rate: Fraction, start: Fraction, end: Fraction) -> FrameRateConverter:
        """The frames that fill a stretch of time, to the nearest whole frame.

        Args:
            rate: Frames per second.
            start: Time of the first frame, seconds.
            end: When the last should end, seconds.

        Raises:
            ConfigError: If the rate is not above 0 and at most 1000, or there are too many frames.
        """
        if not 0 < rate <= _FASTEST or max(rate.numerator, rate.denominator) > MAX_TERM:
            raise ConfigError(f"fps: expected a rate above 0 and up to {_FASTEST}, found {rate}")
        count = max(1, round((end - start) * rate))
        if count > MAX_FRAMES:
            raise ConfigError(f"fps: {rate} makes {count} frames; expected at most {MAX_FRAMES}")
        ticks = lcm(start.denominator, rate.numerator)
        if ticks > MAX_TERM:
            ticks = rate.numerator * (MAX_TERM // rate.numerator)
        step = ticks * rate.denominator // rate.numerator
        return cls(rate, count, Fraction(1, ticks), round(start * ticks), step)

    def ticks(self, start: int, stop: int) -> list[int]:
        """Times of some of the frames."""
        return [self.first + number * self.step for number in range(start, stop)]


def span(reader: Reader, start: int, stop: int) -> tuple[Fraction, Fraction]:
    """When the first of some frames begins and the last ends, in seconds.

    Args:
        reader: The file.
        start: Number of the first frame.
        stop: Number after the last.

    Raises:
        BitstreamError: If none of them can be read.
    """
    entries = [e for e in reader.segments if e.first_frame < stop and e.stop_frame > start]
    first, last = _readable(reader, entries), _readable(reader, entries[::-1])
    begin = first.pts[max(start - first.first_frame, 0)]
    place = min(stop - last.first_frame, last.frames) - 1
    base, rate = reader.header.video.time_base, reader.header.video.frame_rate
    shown = last.durations[place] * base or 1 / rate
    return begin * base, last.pts[place] * base + shown


def _readable(reader: Reader, entries: Sequence[SegmentEntry]) -> Segment:
    error = BitstreamError("the file holds none of the frames asked for")
    for entry in entries:
        try:
            return reader.segment(entry.index)
        except BitstreamError as found:
            error = found
    raise error
