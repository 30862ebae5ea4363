"""Properties of the output at another size or a constant frame rate, and the times of its frames."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import lcm

from nvcodec.container import Reader, Segment
from nvcodec.container.fields import MAX_TERM
from nvcodec.container.header import MAX_PIXELS, MAX_SIDE
from nvcodec.container.segment_section import MAX_FRAMES
from nvcodec.errors import BitstreamError, ConfigError
from nvcodec.media import VideoInfo

_FASTEST = 1000
_BATCH_BYTES = 32 << 20
_LARGEST_BATCH = 64


def batch_of(size: tuple[int, int]) -> int:
    """Return how many pictures to decode at a time: at most 64, in about 32 MiB.

    Args:
        size: Height and width of the pictures, samples.
    """
    return max(1, min(_LARGEST_BATCH, _BATCH_BYTES // (size[0] * size[1] * 3 // 2)))


def check_size(size: tuple[int, int]) -> None:
    """Check that a video may have a picture size.

    Args:
        size: Width and height, samples.

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
    """Return the properties of a video at another size, at which it keeps its shape on the screen.

    The sample aspect ratio changes, unless the change is small enough to be a rounding of a side to
    whole samples (up, down, or to an even number).

    Args:
        info: Properties of the video.
        size: Width and height, samples.
    """
    width, height = size
    across, down = Fraction(width, info.width), Fraction(height, info.height)
    aspect = info.sample_aspect_ratio
    if abs(width - info.width * down) > 1 and abs(height - info.height * across) > 1:
        aspect = (aspect * down / across).limit_denominator(65535)
    return replace(info, width=width, height=height, sample_aspect_ratio=aspect)


@dataclass(frozen=True, slots=True)
class FrameRateConverter:
    """Times of the frames of a constant frame rate.

    Attributes:
        rate: Frames per second.
        count: Number of frames.
        time_base: Seconds per tick; the time of every frame is a whole number of ticks.
        first: Time of the first frame, ticks.
        step: Duration of a frame, ticks.
    """

    rate: Fraction
    count: int
    time_base: Fraction
    first: int
    step: int

    @classmethod
    def for_span(cls, rate: Fraction, start: Fraction, end: Fraction) -> FrameRateConverter:
        """Return the frames that fill a time span, to the nearest whole frame.

        Args:
            rate: Frames per second.
            start: Time of the first frame, seconds.
            end: End of the last frame, seconds.

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
        """Return the times of frames `start` to `stop` - 1, in ticks."""
        return [self.first + number * self.step for number in range(start, stop)]


def time_span(reader: Reader, start: int, stop: int) -> tuple[Fraction, Fraction]:
    """Return when the first readable frame of a range begins and the last ends, seconds.

    Args:
        reader: Reader of the file.
        start: Number of the first frame.
        stop: Number after the last frame.

    Raises:
        BitstreamError: If none of the frames can be read.
    """
    numbers = reader.segments.between(start, stop)
    first, last = _first_readable(reader, numbers), _first_readable(reader, numbers[::-1])
    begin = first.pts[max(start - first.first_frame, 0)]
    place = min(stop - last.first_frame, last.frames) - 1
    base, rate = reader.header.video.time_base, reader.header.video.frame_rate
    shown = last.durations[place] * base or 1 / rate
    return begin * base, last.pts[place] * base + shown


def _first_readable(reader: Reader, numbers: range) -> Segment:
    """Read the first of the segments that is not damaged."""
    error = BitstreamError("the file holds none of the requested frames")
    for number in numbers:
        try:
            return reader.segment(number)
        except BitstreamError as segment_error:
            error = segment_error
    raise error
