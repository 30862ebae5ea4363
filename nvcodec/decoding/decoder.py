"""Random access to the frames of an `.nvc` file.

Frames can be decoded in any order. A segment is opened when one of its frames is first needed, and
the segments used last stay open. Decoding needs nothing but the file.
"""

from __future__ import annotations

import logging
import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import partial
from operator import index
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np

from nvcodec.allocation import reporting_allocation_failures
from nvcodec.closing import Closing
from nvcodec.container import Reader
from nvcodec.container.byte_source import StoredFile
from nvcodec.decoding.interpolation import FrameInterpolator
from nvcodec.decoding.output_timing import batch_of, check_size
from nvcodec.decoding.segment_cache import OpenSegment, SegmentCache
from nvcodec.device import choose_device
from nvcodec.errors import BitstreamError
from nvcodec.indexing import (
    Seconds,
    exact_seconds,
    frame_number,
    frame_numbers,
    rounding_of,
    sequence_of_times,
)
from nvcodec.media import Frames, Int64Array, Planes, UInt8Array
from nvcodec.video.colour import rgb

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)


class Decoder(Closing):
    """An `.nvc` file that is open for decoding; `nvcodec.open` makes one.

    Indexing returns RGB pictures, `planes` returns 8-bit 4:2:0 samples. Frames are numbered as in
    the file. Access to a frame of a damaged or missing segment raises an error.

    Several threads may use a decoder at a time. In a forked process it opens its segments anew. A
    pickled decoder opens the file anew, by its path or with its contents.

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
        VideoError: If a pickled decoder is opened anew, and its file has changed.

    Raises (all methods that decode):
        ClosedError: If the decoder is closed.
    """

    def __init__(
        self, source: str | os.PathLike[str] | bytes | BinaryIO, *, device: str = "auto"
    ) -> None:
        self.device, self._device_name = choose_device(device), device
        self.reader = Reader(source)
        self.info = self.reader.header.video
        self.warnings: list[str] = []
        self._warned: dict[str, object] = {}
        self._segments = SegmentCache(self.reader, self.device)
        self._interpolator = FrameInterpolator(
            self.reader, self._segments.get, self._warn, self.device
        )

    def __reduce__(self) -> tuple[partial[Self], tuple[bytes | StoredFile]]:
        return partial(type(self), device=self._device_name), (self.reader.reopenable(),)

    def __len__(self) -> int:
        """Return the number of frames, up to the end of the last readable segment."""
        return self.reader.frame_count

    def __getitem__(self, frames: object) -> UInt8Array:
        """Decode frames to RGB.

        Args:
            frames: Frame number (negative numbers count from the end); slice; sequence, array or
                tensor of numbers in any order; or one truth value per frame, which selects those
                that are true. Several frames are decoded in batches.

        Returns:
            uint8, shape (H, W, 3) for a number, (N, H, W, 3) otherwise.

        Raises:
            IndexError: If a frame is not in the file, or there is not one truth value per frame.
            TypeError: If they are neither integers nor truth values.
            BitstreamError: If the segment of a frame is damaged.
        """
        number = frame_number(frames)
        part = self.planes(frames if number is None else [number])
        with reporting_allocation_failures(f"{len(part)} frames in RGB"):
            pictures = rgb(part.y, part.u, part.v, self.info.colour)
        return pictures if number is None else cast(UInt8Array, pictures[0])

    def __iter__(self) -> Iterator[UInt8Array]:
        """Decode all frames in order to RGB, uint8, shape (H, W, 3) each."""
        for part in self.frames():
            yield from rgb(part.y, part.u, part.v, self.info.colour)

    def frame_at(self, seconds: Seconds) -> UInt8Array:
        """Decode the frame that is shown at a time to RGB.

        Args:
            seconds: Time on the video's clock, seconds: a number of any type, possibly infinite.
                Before the first frame, the first frame is returned; after the last frame, the last.

        Returns:
            uint8, shape (H, W, 3).

        Raises:
            ConfigError: If the time is not a number (NaN).
            IndexError: If the file has no frames.
            BitstreamError: If the segment of the frame is damaged.
        """
        return self[self.frame_number(seconds)]

    def frame_number(self, seconds: Seconds) -> int:
        """Return the number of the frame that is shown at a time.

        Args:
            seconds: Time on the video's clock, seconds: a number of any type, possibly infinite.
                Before the first frame, its number is returned; after the last frame, that of the
                last. A float that is the time of a frame but for its rounding stands for that time.

        Raises:
            ConfigError: If the time is not a number (NaN).
            IndexError: If the file has no frames.
            BitstreamError: If the segment of the frame is damaged.
        """
        latest = exact_seconds(seconds) + rounding_of(seconds)
        entry = self.reader.segment_at(latest)
        ticks = self._segments.pts(entry.index)
        shown = bisect_right(ticks, latest / self.info.time_base)
        return entry.first_frame + max(shown - 1, 0)

    def pictures_at(
        self, times: Iterable[Seconds], size: tuple[int, int] | None = None
    ) -> UInt8Array:
        """Decode or interpolate pictures at any times to RGB, like `planes_at`.

        Args:
            times: N times on the video's clock, seconds, in any order: a sequence, array or tensor
                of numbers of any type.
            size: Width and height of the pictures, samples; None for those of the video.

        Returns:
            uint8, shape (N, H, W, 3).

        Raises:
            BitstreamError: If nothing in the file can be decoded.
            ConfigError: If no video may have that size, or a time is not a number (NaN).
            IndexError: If the file has no frames.
        """
        planes = self.planes_at(times, size)
        with reporting_allocation_failures(f"{len(planes[0])} pictures in RGB"):
            return rgb(*planes, self.info.colour)

    def planes_at(self, times: Iterable[Seconds], size: tuple[int, int] | None = None) -> Planes:
        """Decode or interpolate pictures at any times, also between frames, at any size.

        At the time of a frame, the picture is that frame. Within a shot, pictures between frames
        are interpolated by the model or cross-faded (`docs/models.md` says which). Elsewhere the
        nearest frame is held. `warnings` lists frames that could not be decoded.

        Args:
            times: N times on the video's clock, seconds, in any order: a sequence, array or tensor
                of numbers of any type.
            size: Width and height of the pictures, samples; None for those of the video.

        Returns:
            Planes y (N, H, W), u and v (N, ceil(H / 2), ceil(W / 2)), 8-bit 4:2:0.

        Raises:
            BitstreamError: If nothing in the file can be decoded.
            ConfigError: If no video may have that size, or a time is not a number (NaN).
            IndexError: If the file has no frames.
        """
        self.reader.check_open()
        width, height = size or (self.info.width, self.info.height)
        check_size((width, height))
        wanted = sequence_of_times(times)
        with reporting_allocation_failures(f"{len(wanted)} pictures of {width}x{height}"):
            return self._interpolator.planes(wanted, (height, width))

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
        self.reader.check_open()
        width, height = size or (self.info.width, self.info.height)
        check_size((width, height))
        own = (width, height) == (self.info.width, self.info.height)
        most = len(self) if own else batch_of((height, width))
        start = index(start)
        stop = len(self) if stop is None else min(index(stop), len(self))
        for number in self.reader.segments.between(start, stop):
            entry = self.reader.segments[number]
            first, last = max(entry.first_frame, start), min(entry.stop_frame, stop)
            try:
                with reporting_allocation_failures(f"segment {number}"):
                    batch = min(most, self._segments.get(number).batch)
                for begin in range(first, last, batch):
                    numbers = range(begin, min(begin + batch, last))
                    yield (
                        self.planes(numbers)
                        if own
                        else self._planes_sized(numbers, (height, width))
                    )
            except BitstreamError as error:
                self._warn(f"frames {first}..{last - 1} are not decoded: {error}")

    def planes(self, frames: object) -> Frames:
        """Decode frames to 8-bit 4:2:0.

        Args:
            frames: Several frames, as for indexing.

        Returns:
            Pictures, timestamps and durations, in the order of `frames`.

        Raises:
            IndexError: If a frame is not in the file, or there is not one truth value per frame.
            TypeError: If they are neither integers nor truth values.
            BitstreamError: If the segment of a frame is damaged.
        """
        self.reader.check_open()
        numbers = frame_numbers(frames, len(self))
        what = f"{len(numbers)} frames of {self.info.width}x{self.info.height}"
        with reporting_allocation_failures(what):
            return self._planes(numbers)

    def _planes(self, numbers: Int64Array) -> Frames:
        owners = [self.reader.segment_of(int(number)).index for number in numbers]
        # Segments are opened before frames are allocated, so that a file that claims frames it does
        # not hold fails before it takes memory.
        distinct = list(dict.fromkeys(owners))
        opened = {owner: self._segments.get(owner) for owner in distinct[: self._segments.most]}
        height, width = self.info.height, self.info.width
        half = (len(numbers), (height + 1) // 2, (width + 1) // 2)
        out = Frames(
            y=np.empty((len(numbers), height, width), np.uint8),
            u=np.empty(half, np.uint8),
            v=np.empty(half, np.uint8),
            pts=np.empty(len(numbers), np.int64),
            durations=np.empty(len(numbers), np.int64),
        )
        for owner in distinct:
            places = np.flatnonzero(np.array(owners) == owner)
            segment = opened.pop(owner, None) or self._segments.get(owner)
            _decode(segment, numbers[places] - segment.first_frame, places, out)
        return out

    def _planes_sized(self, frames: range, size: tuple[int, int]) -> Frames:
        """Decode frames of one segment at another size, height and width."""
        segment = self._segments.get(self.reader.segment_of(frames.start).index)
        local = [number - segment.first_frame for number in frames]
        with reporting_allocation_failures(f"{len(frames)} frames of {size[1]}x{size[0]}"):
            y, u, v = segment.interpolate(local, size)
        return Frames(y=y, u=u, v=v, pts=segment.pts[local], durations=segment.durations[local])

    @property
    def losses(self) -> list[str]:
        """Damage of the file, followed by the frames that were left out because of it."""
        return [*map(str, self.reader.damage), *self.warnings]

    def _warn(self, line: str) -> None:
        token = object()
        if self._warned.setdefault(line, token) is token:  # only the first thread that says it
            self.warnings.append(line)
            logger.warning("%s", line)

    def close(self) -> None:
        """Close the file and release its segments.

        A frame that another thread is decoding is finished, or its access raises `ClosedError`.
        """
        self.reader.close()
        self._segments.clear()


def _decode(segment: OpenSegment, local: Int64Array, places: Int64Array, out: Frames) -> None:
    """Decode frames of one segment, by their numbers within it, into their places of `out`."""
    out.pts[places] = segment.pts[local]
    out.durations[places] = segment.durations[local]
    for begin in range(0, len(local), segment.batch):
        where = places[begin : begin + segment.batch]
        planes = segment.planes(local[begin : begin + segment.batch].tolist())
        out.y[where], out.u[where], out.v[where] = planes
