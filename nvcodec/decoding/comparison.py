"""Comparing a video with its source: the same metric for `.nvc` files and any other video."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from nvcodec.decoding.decoder import Decoder
from nvcodec.errors import VideoError
from nvcodec.media import Frames, VideoInfo
from nvcodec.metrics import Quality, QualityMeter
from nvcodec.video.source import Source, open_source
from nvcodec.video.tracks import Tracks, open_tracks

_BATCH_BYTES = 32 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How close a video is to its source, and what it takes.

    Attributes:
        file: The video compared.
        bytes: Size of its file.
        video_bytes: Without audio and subtitle tracks.
        bpp: Bits of `video_bytes` per pixel of the frames the file holds.
        width: Picture width, samples.
        height: Picture height, samples.
        quality: The metrics.
        decode_seconds: Time spent decoding it, for everything from opening to the last frame.
        warnings: What could not be compared, in plain words.
    """

    file: Path
    bytes: int
    video_bytes: int
    bpp: float
    width: int
    height: int
    quality: Quality
    decode_seconds: float
    warnings: tuple[str, ...]


def compare(
    source: str | os.PathLike[str],
    other: str | os.PathLike[str],
    *,
    frames: slice | None = None,
    device: str = "auto",
) -> Comparison:
    """Compare a video with its source on the source's 8-bit 4:2:0 planes.

    A source of another size is resized to the other's, as `encode(resize=...)` does. Frames of an
    `.nvc` file are matched by their times on the source's clock, those of other files by order.

    Args:
        source: The original.
        other: A `.nvc` file or any video.
        frames: Frames of the source to take, by display order; all by default.
        device: Where a `.nvc` file is decoded.

    Raises:
        VideoError: If one of them cannot be read, or there is no frame to compare.
        BitstreamError: If a `.nvc` file is malformed.
    """
    with ExitStack() as stack:
        path = Path(other)
        side = _Nvc(path, device, stack) if _is_nvc(path) else _Video(path, stack)
        size = (side.info.width, side.info.height)
        original = stack.enter_context(open_source(source, frames=frames))
        if (original.info.width, original.info.height) != size:
            original.close()
            original = stack.enter_context(open_source(source, frames=frames, resize=size))
        meter = QualityMeter(side.info.colour)
        warnings: list[str] = []
        reference = _Reader(original)
        count = 0
        for batch in side.batches():
            kept, matched = reference.matching(batch, side.timed, side.info.time_base)
            if len(matched):
                meter.add(matched, kept)
                count += len(matched)
            if len(matched) < len(batch):
                warnings.append(
                    f"{len(batch) - len(matched)} frames of {path} have no counterpart in {source}"
                )
        if not count:
            raise VideoError(f"{path} has no frame in common with {source}")
        missing = reference.left()
        if missing:
            warnings.append(f"{missing} frames of {source} have no counterpart in {path}")
        video_bytes = side.video_bytes
        return Comparison(
            file=path,
            bytes=path.stat().st_size,
            video_bytes=video_bytes,
            bpp=8 * video_bytes / (side.frames * size[0] * size[1]),
            width=size[0],
            height=size[1],
            quality=meter.result(),
            decode_seconds=side.seconds,
            warnings=(*warnings, *side.warnings()),
        )


def _is_nvc(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"\x8aNVC"
    except IsADirectoryError:
        return False
    except OSError as error:
        raise VideoError(f"{path}: cannot be read: {error.strerror or error}") from error


class _Side:
    """A video under comparison; decoding is timed."""

    info: VideoInfo
    video_bytes: int
    timed: bool

    def __init__(self) -> None:
        self.seconds = 0.0
        self.frames = 0

    def batches(self) -> Iterator[Frames]:
        """All frames, a batch at a time."""
        parts = self.parts()
        while True:
            begin = time.perf_counter()
            part = next(parts, None)
            self.seconds += time.perf_counter() - begin
            if part is None:
                return
            self.frames += len(part)
            yield part

    def parts(self) -> Iterator[Frames]:
        raise NotImplementedError

    def warnings(self) -> list[str]:
        raise NotImplementedError


class _Nvc(_Side):
    timed = True

    def __init__(self, path: Path, device: str, stack: ExitStack) -> None:
        super().__init__()
        begin = time.perf_counter()
        self._decoder = stack.enter_context(Decoder(path, device=device))
        self.seconds = time.perf_counter() - begin
        self.info = self._decoder.info
        self.video_bytes = self._decoder.reader.video_bytes

    def parts(self) -> Iterator[Frames]:
        return self._decoder.frames()

    def warnings(self) -> list[str]:
        return self._decoder.losses


class _Video(_Side):
    timed = False

    def __init__(self, path: Path, stack: ExitStack) -> None:
        super().__init__()
        begin = time.perf_counter()
        self._source = stack.enter_context(open_source(path))
        self.seconds = time.perf_counter() - begin
        self.info = self._source.info
        carried = 0
        if path.is_file():
            with open_tracks(path) as tracks:
                carried = sum(track_sizes(tracks))
            self.video_bytes = path.stat().st_size - carried
        else:
            self.video_bytes = sum(entry.stat().st_size for entry in path.iterdir())

    def parts(self) -> Iterator[Frames]:
        count = _batch(self.info)
        while len(part := self._source.read(count)):
            yield part

    def warnings(self) -> list[str]:
        return self._source.warnings


class _Reader:
    """Reads the source along with the other side."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._skipped = 0
        self._held: Frames | None = None
        # Clocks of other containers round; a third of a frame is more than they do.
        self._near = 1 / source.info.frame_rate / 3

    def matching(self, batch: Frames, timed: bool, base: Fraction) -> tuple[Frames, Frames]:
        """The frames of a batch that have a counterpart, and their counterparts."""
        if not timed:
            part = self._source.read(len(batch))
            return _chosen(batch, list(range(len(part)))), part
        places: list[int] = []
        found: list[Frames] = []
        for place, ticks in enumerate(batch.pts.tolist()):
            wanted = ticks * base
            while (one := self._next()) is not None and self._time(one) < wanted - self._near:
                self._skipped += 1
            if one is not None and self._time(one) > wanted + self._near:
                self._held = one  # it may be what the next frame looks for
            elif one is not None:
                places.append(place)
                found.append(one)
        return _chosen(batch, places), _stacked(found, batch)

    def _next(self) -> Frames | None:
        held, self._held = self._held, None
        if held is None:
            held = self._source.read(1)
        return held if len(held) else None

    def _time(self, frame: Frames) -> Fraction:
        return int(frame.pts[0]) * self._source.info.time_base

    def left(self) -> int:
        """How many frames of the source had no counterpart."""
        count = self._skipped + (self._held is not None)
        while len(part := self._source.read(_batch(self._source.info))):
            count += len(part)
        return count


def track_sizes(tracks: Tracks) -> Iterator[int]:
    """Sizes of all packets of all tracks, read ten seconds at a time."""
    seconds = 10
    while not tracks.ended:
        yield from (len(packet.data) for part in tracks.until(seconds) for packet in part)
        seconds += 10
    yield from (len(packet.data) for part in tracks.rest() for packet in part)


def _batch(info: VideoInfo) -> int:
    return max(1, min(32, _BATCH_BYTES // (info.width * info.height * 3 // 2)))


def _chosen(frames: Frames, places: list[int]) -> Frames:
    return Frames(
        y=frames.y[places],
        u=frames.u[places],
        v=frames.v[places],
        pts=frames.pts[places],
        durations=frames.durations[places],
    )


def _stacked(parts: list[Frames], like: Frames) -> Frames:
    if not parts:
        return _chosen(like, [])
    return Frames(
        y=np.concatenate([part.y for part in parts]),
        u=np.concatenate([part.u for part in parts]),
        v=np.concatenate([part.v for part in parts]),
        pts=np.concatenate([part.pts for part in parts]),
        durations=np.concatenate([part.durations for part in parts]),
    )
