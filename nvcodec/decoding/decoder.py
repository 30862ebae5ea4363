"""Reading an `.nvc` file as if it were a sequence of pictures.

Any frame can be asked for in any order. A segment is opened when one of its frames is first needed
and kept for the next; nothing but the file is consulted.
"""

from __future__ import annotations

import logging
import os
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from operator import index
from typing import BinaryIO, cast, overload

import numpy as np
import numpy.typing as npt

from nvcodec.closing import Closing
from nvcodec.container import Reader
from nvcodec.decoding.interpolation import FrameInterpolator
from nvcodec.decoding.output_timing import batch_of, check_size
from nvcodec.device import choose_device
from nvcodec.errors import BitstreamError
from nvcodec.media import Frames, Planes, UInt8Array
from nvcodec.reconstruction.segment_decoder import SegmentDecoder, open_segment_decoder
from nvcodec.tokenizer.token_sections import stored_tokens
from nvcodec.video.colour import rgb

logger = logging.getLogger(__name__)

# Segments kept open. One serves playback; random access jumps between a few.
_KEPT = 8


class Decoder(Closing):
    """A `.nvc` file, open for decoding. Make one with `nvcodec.open`.

    Indexing gives RGB pictures, `planes` the 8-bit 4:2:0 samples the file stands for. Frames are
    numbered as in the file; those of a damaged or missing segment raise when asked for.

    Args:
        source: Path, bytes, or binary file.
        device: `"auto"`, `"cpu"`, `"cuda"` or `"cuda:N"`.

    Attributes:
        reader: The container: header, tracks, segments, damage.
        info: Size, rates and colour of the pictures.
        device: Where segments are decoded.
        warnings: Frames that were left out, in plain words.
    """

    def __init__(
        self, source: str | os.PathLike[str] | bytes | BinaryIO, *, device: str = "auto"
    ) -> None:
        self.device = choose_device(device)
        self.reader = Reader(source)
        self.info = self.reader.header.video
        self.warnings: list[str] = []
        self._open: OrderedDict[int, SegmentDecoder] = OrderedDict()
        self._continuous = FrameInterpolator(self.reader, self._pictures, self._warn, self.device)

    def __len__(self) -> int:
        """Number of frames the file counts, up to its last readable segment."""
        return self.reader.frame_count

    @overload
    def __getitem__(self, frames: int) -> UInt8Array: ...
    @overload
    def __getitem__(self, frames: slice | Sequence[int]) -> UInt8Array: ...
    def __getitem__(self, frames: int | slice | Sequence[int]) -> UInt8Array:
        """RGB pictures.

        Args:
            frames: A number (negative from the end), a slice, or a sequence of numbers in any
                order, which are decoded in batches.

        Returns:
            uint8, shape (H, W, 3) for a number, (N, H, W, 3) otherwise.

        Raises:
            IndexError: If a frame is not in the file.
            BitstreamError: If its segment is damaged.
        """
        if isinstance(frames, (int, np.integer)):
            (picture,) = self[[int(frames)]]
            return cast(UInt8Array, picture)
        wanted = range(len(self))[frames] if isinstance(frames, slice) else frames
        part = self.planes(wanted)
        return rgb(part.y, part.u, part.v, self.info.colour)

    def __iter__(self) -> Iterator[UInt8Array]:
        """RGB pictures in order, shape (H, W, 3), decoded in batches."""
        for part in self.frames():
            yield from rgb(part.y, part.u, part.v, self.info.colour)

    def frame_at(self, seconds: float | Fraction) -> UInt8Array:
        """The RGB picture shown at a time on the video's clock, shape (H, W, 3).

        Before the first frame it is the first, after the last frame the last.
        """
        return self[self.frame_number(seconds)]

    def frame_number(self, seconds: float | Fraction) -> int:
        """The number of the frame shown at a time; see `frame_at`."""
        entry = self.reader.segment_at(seconds)
        ticks = self.reader.segment(entry.index).pts
        shown = bisect_right(ticks, Fraction(seconds) / self.info.time_base)
        return entry.first_frame + max(shown - 1, 0)

    def pictures_at(
        self, times: Sequence[float | Fraction], size: tuple[int, int] | None = None
    ) -> UInt8Array:
        """RGB pictures at any moments, shape (N, H, W, 3); see `planes_at`."""
        return rgb(*self.planes_at(times, size), self.info.colour)

    def planes_at(
        self, times: Sequence[float | Fraction], size: tuple[int, int] | None = None
    ) -> Planes:
        """Pictures at any moments, also between frames, at any size.

        Within a shot they are interpolated, as far as the model can: see `docs/models.md`. At
        the time of a frame it is that frame; where there is none, the nearest is held, and of
        frames that are damaged `warnings` tell.

        Args:
            times: Seconds on the video's clock, N of them in any order.
            size: Wanted width and height; the video's own for None.

        Returns:
            Planes y (N, H, W), u and v (N, ceil(H / 2), ceil(W / 2)), 8-bit 4:2:0.

        Raises:
            BitstreamError: If nothing in the file can be decoded.
            ConfigError: If the size is none that a video may have.
            IndexError: If the file has no frames.
        """
        width, height = size or (self.info.width, self.info.height)
        check_size((width, height))
        return self._continuous.planes(times, (height, width))

    def frames(
        self, start: int = 0, stop: int | None = None, *, size: tuple[int, int] | None = None
    ) -> Iterator[Frames]:
        """Consecutive frames in 8-bit 4:2:0, with their times, a batch at a time.

        Segments that are missing or damaged are skipped; `warnings` and `reader.damage` tell which.

        Args:
            start: First frame number.
            stop: Number after the last, None for the end.
            size: Wanted width and height; the video's own for None.
        """
        width, height = size or (self.info.width, self.info.height)
        check_size((width, height))
        own = (width, height) == (self.info.width, self.info.height)
        most = len(self) if own else batch_of((height, width))
        stop = len(self) if stop is None else min(stop, len(self))
        for entry in self.reader.segments:
            first, last = max(entry.first_frame, start), min(entry.stop_frame, stop)
            try:
                batch = min(most, self._pictures(entry.index).batch) if first < last else 1
                for begin in range(first, last, batch):
                    numbers = range(begin, min(begin + batch, last))
                    yield self.planes(numbers) if own else self._sized(numbers, (height, width))
            except BitstreamError as error:
                self._warn(f"frames {first}..{last - 1} are not decoded: {error}")

    def planes(self, frames: Sequence[int]) -> Frames:
        """Frames in 8-bit 4:2:0, in the order asked for.

        Args:
            frames: Frame numbers, negative from the end.

        Returns:
            Pictures, timestamps and durations. Timestamps increase only if the numbers do.

        Raises:
            IndexError: If a frame is not in the file.
            BitstreamError: If its segment is damaged.
        """
        total = len(self)
        numbers = np.array([index(n) + total if n < 0 else index(n) for n in frames], np.int64)
        if numbers.size and not (numbers.min() >= 0 and numbers.max() < total):
            raise IndexError(f"expected frame numbers in -{total}..{total - 1}, got {list(frames)}")
        owners = [self.reader.segment_of(int(number)).index for number in numbers]
        # Segments first: a file that cannot back its frames is found out before they take memory.
        for owner in list(dict.fromkeys(owners))[:_KEPT]:
            self._pictures(owner)
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

    def _sized(self, frames: range, size: tuple[int, int]) -> Frames:
        """Frames of one segment at another size, as its family makes them."""
        segment = self.reader.segment_of(frames.start).index
        stored = self.reader.segment(segment)
        local = [number - stored.first_frame for number in frames]
        y, u, v = self._pictures(segment).at(local, size)
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
        """Decode frames of one segment into their places."""
        pictures = self._pictures(segment)
        stored = self.reader.segment(segment)
        local = numbers - stored.first_frame
        out.pts[places] = np.array(stored.pts, np.int64)[local]
        out.durations[places] = np.array(stored.durations, np.int64)[local]
        batch = pictures.batch
        for begin in range(0, len(local), batch):
            where = places[begin : begin + batch]
            planes = pictures.planes(local[begin : begin + batch].tolist())
            out.y[where], out.u[where], out.v[where] = planes

    @property
    def losses(self) -> list[str]:
        """All that is known to be missing: damage of the file, then frames left out for it."""
        return [*map(str, self.reader.damage), *self.warnings]

    def _warn(self, line: str) -> None:
        if line not in self.warnings:
            self.warnings.append(line)
            logger.warning("%s", line)

    def _pictures(self, segment: int) -> SegmentDecoder:
        """The pictures of a segment, opened if it is not."""
        if segment in self._open:
            self._open.move_to_end(segment)
            return self._open[segment]
        needed = self.reader.needed(segment)
        first = next((n for n in reversed(needed) if n in self._open), needed.start)
        pictures = self._open.get(first)
        for number in range(first + (pictures is not None), needed.stop):
            stored = self.reader.segment(number)
            previous = pictures.reference_state() if stored.predicted and pictures else None
            pictures = open_segment_decoder(
                stored,
                self.reader.header,
                self.device,
                number=number,
                previous=previous,
                fsq_indices=self._fsq_indices(number),
            )
        assert pictures is not None
        self._open[segment] = pictures
        if len(self._open) > _KEPT:
            self._open.popitem(last=False)
        return pictures

    def _fsq_indices(self, segment: int) -> UInt8Array | None:
        """The tokens of a segment, if its pictures are made from them."""
        tokens = self.reader.header.tokens
        if tokens is None or not tokens.conditioning:
            return None
        _, fsq_indices, _ = stored_tokens(self.reader, segment)
        return fsq_indices

    def close(self) -> None:
        """Release the file and its segments."""
        self._open.clear()
        self.reader.close()
