"""Comparison of a video with its source, with the same metrics for `.nvc` files and other videos."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from nvcodec.decoding.decoder import Decoder
from nvcodec.decoding.source_matcher import SourceMatcher, batch_size
from nvcodec.errors import VideoError
from nvcodec.files.spooling import Input, readable_path, with_names
from nvcodec.media import Frames, VideoInfo
from nvcodec.metrics import Quality, QualityMeter
from nvcodec.video.sources.source import open_source
from nvcodec.video.tracks.source_tracks import Tracks, open_tracks


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Quality and size of a video, compared with its source.

    Attributes:
        file: Path of the compared video, or the name of a pipe.
        bytes: Size of its file, bytes.
        video_bytes: Size without audio and subtitle tracks, bytes.
        bpp: Bits of `video_bytes` per pixel of all frames in the file.
        width: Picture width, samples.
        height: Picture height, samples.
        quality: Metrics over the compared frames.
        decode_seconds: Time to decode the video, from opening it to the last frame, seconds.
        warnings: What could not be compared, one sentence each.
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
    source: Input,
    other: Input,
    *,
    frames: slice | None = None,
    device: str = "auto",
) -> Comparison:
    """Compare a video with its source on the source's 8-bit 4:2:0 planes.

    A source of another picture size is resized to that of the compared video, as
    `encode(resize=...)` does. Frames of an `.nvc` file are matched by their times on the source's
    clock, those of other files by their order.

    Args:
        source: Original video: a file, a folder of images, a pipe, or a binary file object.
        other: `.nvc` file or any video to compare with it, likewise.
        frames: Frames of the source to use, by display order; None for all.
        device: Device that decodes an `.nvc` file: `"auto"`, `"cpu"`, `"cuda"` or `"cuda:N"`.

    Raises:
        VideoError: If one of the videos cannot be read, or they have no frame in common.
        BitstreamError: If the `.nvc` file is malformed.
    """
    with ExitStack() as stack:
        source = stack.enter_context(readable_path(source))
        path = stack.enter_context(readable_path(other))
        compared = _NvcVideo(path, device, stack) if _is_nvc(path) else _PlainVideo(path, stack)
        size = (compared.info.width, compared.info.height)
        original = stack.enter_context(open_source(source, frames=frames))
        if (original.info.width, original.info.height) != size:
            original.close()
            original = stack.enter_context(open_source(source, frames=frames, resize=size))
        meter = QualityMeter(compared.info.colour)
        warnings: list[str] = []
        reference = SourceMatcher(original)
        count = alone = 0
        for batch in compared.batches():
            matched, counterparts = reference.match(batch, compared.timed, compared.info.time_base)
            if len(counterparts):
                meter.add(counterparts, matched)
                count += len(counterparts)
            alone += len(batch) - len(counterparts)
        if not count:
            raise VideoError(f"{path} has no frame in common with {source}")
        if alone and frames is None:  # a range of the source leaves out the rest of the other
            warnings.append(f"{alone} frames of {path} have no counterpart in {source}")
        missing = reference.count_unmatched()
        if missing:
            warnings.append(f"{missing} frames of {source} have no counterpart in {path}")
        video_bytes = compared.video_bytes
        return Comparison(
            file=Path(with_names(str(path))),
            bytes=path.stat().st_size,
            video_bytes=video_bytes,
            bpp=8 * video_bytes / (compared.frames * size[0] * size[1]),
            width=size[0],
            height=size[1],
            quality=meter.result(),
            decode_seconds=compared.seconds,
            warnings=tuple(map(with_names, (*warnings, *compared.warnings()))),
        )


def _is_nvc(path: Path) -> bool:
    """Return whether a file begins like an `.nvc` file; the rest of its signature may be damaged."""
    try:
        with path.open("rb") as file:
            return file.read(4) == b"\x8aNVC"
    except IsADirectoryError:
        return False
    except OSError as error:
        raise VideoError(f"{path}: cannot be read: {error.strerror or error}") from error


class _ComparedVideo:
    """A video that is compared; the time to decode it is measured.

    Attributes:
        info: Size, rates and colour of the pictures.
        video_bytes: Size without audio and subtitle tracks, bytes.
        timed: Whether frames are matched by time, rather than by order.
        seconds: Time spent on decoding so far, seconds.
        frames: Number of frames decoded so far.
    """

    info: VideoInfo
    video_bytes: int
    timed: bool

    def __init__(self) -> None:
        self.seconds = 0.0
        self.frames = 0

    def batches(self) -> Iterator[Frames]:
        """Decode all frames, a batch at a time, and measure the time."""
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
        """Decode all frames, a batch at a time."""
        raise NotImplementedError

    def warnings(self) -> list[str]:
        """Return what was lost or repaired while decoding."""
        raise NotImplementedError


class _NvcVideo(_ComparedVideo):
    """An `.nvc` file that is compared."""

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


class _PlainVideo(_ComparedVideo):
    """A video of another format that is compared."""

    timed = False

    def __init__(self, path: Path, stack: ExitStack) -> None:
        super().__init__()
        begin = time.perf_counter()
        self._source = stack.enter_context(open_source(path))
        self.seconds = time.perf_counter() - begin
        self.info = self._source.info
        if path.is_file():
            with open_tracks(path, convert=False) as tracks:
                track_bytes = sum(packet_sizes(tracks))
            self.video_bytes = path.stat().st_size - track_bytes
        else:
            visible = (file for file in path.iterdir() if not file.name.startswith("."))
            self.video_bytes = sum(file.stat().st_size for file in visible)

    def parts(self) -> Iterator[Frames]:
        count = batch_size(self.info)
        while len(part := self._source.read(count)):
            yield part

    def warnings(self) -> list[str]:
        return self._source.warnings


def packet_sizes(tracks: Tracks) -> Iterator[int]:
    """Return the sizes of all packets of all tracks, bytes; they are read ten seconds at a time."""
    seconds = 10
    while not tracks.ended:
        yield from (len(packet.data) for part in tracks.until(seconds) for packet in part)
        seconds += 10
    yield from (len(packet.data) for part in tracks.rest() for packet in part)
