"""Random access to the frames of an `.nvc` file.

Frames can be decoded in any order. A segment is opened when one of its frames is first needed, and
the segments used last stay open. Decoding needs nothing but the file.
"""

from __future__ import annotations

import logging
import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from fractions import Fraction
from operator import index
from typing import BinaryIO, cast, overload

import numpy as np
import numpy.typing as npt

from nvcodec.allocation import reporting_allocation_failures
from nvcodec.closing import Closing
from nvcodec.container import Reader
from nvcodec.decoding.interpolation import FrameInterpolator
from nvcodec.decoding.output_timing import batch_of, check_size
from nvcodec.decoding.segment_cache import OPEN_SEGMENTS, SegmentCache
from nvcodec.device import choose_device
from nvcodec.errors import BitstreamError
from nvcodec.media import Frames, Planes, UInt8Array
from nvcodec.video.colour import rgb

logger = logging.getLogger(__name__)


class Decoder(Closing):
    """An `.nvc` file that is open for decoding; `nvcodec.open` makes one.

    Indexing returns RGB pictures, `planes` returns 8-bit 4:2:0 samples. Frames are numbered as in
    the file. Access to a frame of a damaged or missing segment raises an error.

    Args:
        source: Path, contents, or binary file object.
        device: Device that decodes: `"auto"`, `"cpu"`, `"cuda"` or `"cuda:N"`.

    Attributes:
        reader: Reader of the container: header, tracks, segments, damage.
        info: Size, rates and colour of the pictures.
        device: Device that decodes.
        warnings: Frames that were left out, one sentence each.

    Raises:
        BitstreamError: If the source is not an `.nvc` stream, or its header is damaged.
        ConfigError: If the device is not available.
    """

    def __init__(
        self, source: str | os.PathLike[str] | bytes | BinaryIO, *, device: str = "auto"
    ) -> None:
        self.device = choose_device(device)
        self.reader = Reader(source)
        self.info = self.reader.header.video
        self.warnings: list[str] = []
        self._segments = SegmentCache(self.reader, self.device)
        self._interpolator = FrameInterpolator(
            self.reader, self._segments.get, self._warn, self.device
        )

    def __len__(self) -> int:
        """Return the number of frames, up to the end of the last readable segment."""
        return self.reader.frame_count

    @overload
    def __getitem__(self, frames: int) -> UInt8Array: ...
    @overload
    def __getitem__(self, frames: slice | Sequence[int]) -> UInt8Array: ...
    def __getitem__(self, frames: int | slice | Sequence[int]) -> UInt8Array:
        """Decode frames to RGB.

        Args:
            frames: Frame number (negative numbers count from the end), slice, or sequence of
                numbers in any order. Several frames are decoded in batches.

        Returns:
            uint8, shape (H, W, 3) for a number, (N, H, W, 3) otherwise.

        Raises:
            IndexError: If a frame is not in the file.
            BitstreamError: If the segment of a frame is damaged.
        """
        if isinstance(frames, (int, np.integer)):
            (picture,) = self[[int(frames)]]
            return cast(UInt8Array, picture)
        numbers = range(len(self))[frames] if isinstance(frames, slice) else frames
        part = self.planes(numbers)
        with reporting_allocation_failures(f"{len(part)} frames in RGB"):
            return rgb(part.y, part.u, part.v, self.info.colour)

    def __iter__(self) -> Iterator[UInt8Array]:
        """Decode all frames in order to RGB, uint8, shape (H, W, 3) each."""
        for part in self.frames():
            yield from rgb(part.y, part.u, part.v, self.info.colour)

    def frame_at(self, seconds: float | Fraction) -> UInt8Array:
        """Decode the frame that is shown at a time to RGB.

        Args:
            seconds: Time on the video's clock, seconds. Before the first frame, the first frame is
                returned; after the last frame, the last.

        Returns:
            uint8, shape (H, W, 3).

        Raises:
            IndexError: If the file has no frames.
            BitstreamError: If the segment of the frame is damaged.
        """
        return self[self.frame_number(seconds)]

    def frame_number(self, seconds: float | Fraction) -> int:
        """Return the number of the frame that is shown at a time.

        Args:
            seconds: Time on the video's clock, seconds. Before the first frame, its number is
                returned; after the last frame, that of the last.

        Raises:
            IndexError: If the file has no frames.
            BitstreamError: If the segment of the frame is damaged.
        """
        entry = self.reader.segment_at(seconds)
        ticks = self.reader.segment(entry.index).pts
        shown = bisect_right(ticks, Fraction(seconds) / self.info.time_base)
        return entry.first_frame + max(shown - 1, 0)

    def pictures_at(
        self, times: Sequence[float | Fraction], size: tuple[int, int] | None = None
    ) -> UInt8Array:
        """Decode or interpolate pictures at any times to RGB, like `planes_at`.

        Args:
            times: N times on the video's clock, seconds, in any order.
            size: Width and height of the pictures, samples; None for those of the video.

        Returns:
            uint8, shape (N, H, W, 3).

        Raises:
            BitstreamError: If nothing in the file can be decoded.
            ConfigError: If no video may have that size.
            IndexError: If the file has no frames.
        """
        planes = self.planes_at(times, size)
        with reporting_allocation_failures(f"{len(planes[0])} pictures in RGB"):
            return rgb(*planes, self.info.colour)

    def planes_at(
        self, times: Sequence[float | Fraction], size: tuple[int, int] | None = None
    ) -> Planes:
        """Decode or interpolate pictures at any times, also between frames, at any size.

        At the time of a frame, the picture is that frame. Within a shot, pictures between frames
        are interpolated by the model or cross-faded (`docs/models.md` says which). Elsewhere the
        nearest frame is held. `warnings` lists frames that could not be decoded.

        Args:
            times: N times on the video's clock, seconds, in any order.
            size: Width and height of the pictures, samples; None for those of the video.

        Returns:
            Planes y (N, H, W), u and v (N, ceil(H / 2), ceil(W / 2)), 8-bit 4:2:0.

        Raises:
            BitstreamError: If nothing in the file can be decoded.
            ConfigError: If no video may have that size.
            IndexError: If the file has no frames.
        """
        width, height = size or (self.info.width, self.info.height)
        check_size((width, height))
        with reporting_allocation_failures(f"{len(times)} pictures of {width}x{height}"):
            return self._interpolator.planes(times, (height, width))

    def frames(
        self, start: int = 0, stop: int | None = None, *, size: tuple[int, int] | None = None
    ) -> Iterator[Frames]:
        """Decode consecutive frames to 8-bit 4:2:0 with their times, a batch at a time.

        Missing and damaged segments are skipped; `warnings` and `reader.damage` list them.

        Args:
            start: Number of the first frame.
            stop: Number after the last frame; None for the end.
            size: Width and height of the pictures, samples; None for those of the video.

        Raises:
            ConfigError: If no video may have that size.
        """
        width, height = size or (self.info.width, self.info.height)
        check_size((width, height))
        own = (width, height) == (self.info.width, self.info.height)
        most = len(self) if own else batch_of((height, width))
        stop = len(self) if stop is None else min(stop, len(self))
        for entry in self.reader.segments:
            first, last = max(entry.first_frame, start), min(entry.stop_frame, stop)
            try:
                with reporting_allocation_failures(f"segment {entry.index}"):
                    batch = min(most, self._segments.get(entry.index).batch) if first < last else 1
                for begin in range(first, last, batch):
                    numbers = range(begin, min(begin + batch, last))
                    yield (
                        self.planes(numbers)
                        if own
                        else self._planes_sized(numbers, (height, width))
                    )
            except BitstreamError as error:
                self._warn(f"frames {first}..{last - 1} are not decoded: {error}")

    def planes(self, frames: Sequence[int]) -> Frames:
        """Decode frames to 8-bit 4:2:0.

        Args:
            frames: Frame numbers in any order; negative numbers count from the end.

        Returns:
            Pictures, timestamps and durations, in the order of `frames`.

        Raises:
            IndexError: If a frame is not in the file.
            BitstreamError: If the segment of a frame is damaged.
        """
        what = f"{len(frames)} frames of {self.info.width}x{self.info.height}"
        with reporting_allocation_failures(what):
            return self._planes(frames)

    def _planes(self, frames: Sequence[int]) -> Frames:
        total = len(self)
        numbers = np.array([index(n) + total if n < 0 else index(n) for n in frames], np.int64)
        if numbers.size and not (numbers.min() >= 0 and numbers.max() < total):
            raise IndexError(f"expected frame numbers in -{total}..{total - 1}, got {list(frames)}")
        owners = [self.reader.segment_of(int(number)).index for number in numbers]
        # Segments are opened before frames are allocated, so that a file that claims frames it does
        # not hold fails before it takes memory.
        for owner in list(dict.fromkeys(owners))[:OPEN_SEGMENTS]:
            self._segments.get(owner)
        height, width = self.info.height, self.info.width
        half = (len(numbers), (height + 1) // 2, (width + 1) // 2)
        out = Frames(
            y=np.empty((len(numbers), height, width), np.uint8),
            u=np.empty(half, np.uint8),
            v=np.empty(half, np.uint8),
            pts=np.empty(len(numbers), np.int64),
            durations=np.empty(len(numbers), np.int64),
        )
        for owner in dict.fromkeys(owners):
            places = np.flatnonzero(np.array(owners) == owner)
            self._decode(owner, numbers[places], places, out)
        return out

    def _planes_sized(self, frames: range, size: tuple[int, int]) -> Frames:
        """Decode frames of one segment at another size, height and width."""
        what = f"{len(frames)} frames of {size[1]}x{size[0]}"
        with reporting_allocation_failures(what):
            return self._resampled(frames, size)

    def _resampled(self, frames: range, size: tuple[int, int]) -> Frames:
        segment = self.reader.segment_of(frames.start).index
        stored = self.reader.segment(segment)
        local = [number - stored.first_frame for number in frames]
        y, u, v = self._segments.get(segment).interpolate(local, size)
        pts, durations = (
            np.array(ticks, np.int64)[local] for ticks in (stored.pts, stored.durations)
        )
        return Frames(y=y, u=u, v=v, pts=pts, durations=durations)

    def _decode(
        self,
        segment: int,
        numbers: npt.NDArray[np.int64],
        places: npt.NDArray[np.int64],
        out: Frames,
    ) -> None:
        """Decode frames of one segment into their places of `out`."""
        segment_decoder = self._segments.get(segment)
        stored = self.reader.segment(segment)
        local = numbers - stored.first_frame
        out.pts[places] = np.array(stored.pts, np.int64)[local]
        out.durations[places] = np.array(stored.durations, np.int64)[local]
        batch = segment_decoder.batch
        for begin in range(0, len(local), batch):
            where = places[begin : begin + batch]
            planes = segment_decoder.planes(local[begin : begin + batch].tolist())
            out.y[where], out.u[where], out.v[where] = planes

    @property
    def losses(self) -> list[str]:
        """Damage of the file, followed by the frames that were left out because of it."""
        return [*map(str, self.reader.damage), *self.warnings]

    def _warn(self, line: str) -> None:
        if line not in self.warnings:
            self.warnings.append(line)
            logger.warning("%s", line)

    def close(self) -> None:
        """Close the file and release its segments."""
        self._segments.clear()
        self.reader.close()
