"""From an `.nvc` file to a video other programs read."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from nvcodec.container import Reader
from nvcodec.decoding.decoder import Decoder
from nvcodec.decoding.output_timing import FrameRateConverter, batch_of, check_size, resized, span
from nvcodec.errors import BitstreamError, ConfigError
from nvcodec.media import Frames, Packet, VideoInfo
from nvcodec.video.sink import Sink
from nvcodec.video.sinks import open_sink

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What a decode made.

    Attributes:
        path: The file or folder written.
        frames: How many frames it holds.
        width: Picture width, samples.
        height: Picture height, samples.
        tracks: How many audio and subtitle tracks were copied.
        seconds: How long it took.
        warnings: What is missing or could not be stored, in plain words.
    """

    path: Path
    frames: int
    width: int
    height: int
    tracks: int
    seconds: float
    warnings: tuple[str, ...]


def decode_file(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    frames: slice | None = None,
    size: tuple[int, int] | None = None,
    fps: Fraction | int | None = None,
    device: str = "auto",
    encoder: str | None = None,
    quality: int | None = None,
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Decoded:
    """Decode an `.nvc` file into a video.

    Args:
        source: The `.nvc` file.
        target: `.mp4`, `.mkv`, `.y4m`, or a folder for PNG images.
        frames: Frames to take, step 1; times then count from the first of them. None for all.
        size: Width and height of the output; the video's own for None. The sample aspect ratio
            follows, so that the picture keeps its shape on the screen.
        fps: Constant frame rate of the output, from the time of the first frame to the end of the
            last; None keeps frames and times. See `Decoder.planes_at` for what lies between frames.
        device: Where to decode.
        encoder: Video encoder of `.mp4` and `.mkv`; see `nvcodec.video.sinks.open_sink`.
        quality: Its CRF; the default is near-transparent.
        overwrite: Replace an existing target.
        on_progress: Called with the number of frames written and to be written.

    Raises:
        BitstreamError: If the file is malformed, or none of the frames can be decoded.
        ConfigError: If the range of frames is empty, an option does not apply, or size or frame
            rate are out of bounds.
        OutputExistsError: If the target exists and `overwrite` is false.
        VideoError: If the target cannot be written.
    """
    began = time.monotonic()
    with ExitStack() as stack:
        decoder = stack.enter_context(Decoder(source, device=device))
        reader = decoder.reader
        start, stop, step = (frames or slice(None)).indices(len(decoder))
        if step != 1 or start >= stop:
            raise ConfigError(
                f"{source}: expected a range within its {len(decoder)} frames, got {start}:{stop}"
            )
        info, total, parts = _pictures(decoder, start, stop, size, fps)
        numbers = list(reader.tracks)
        sink = stack.enter_context(
            open_sink(
                target,
                info,
                tracks=[reader.tracks[number] for number in numbers],
                overwrite=overwrite,
                encoder=encoder,
                quality=quality,
            )
        )
        whole = frames is None
        copies = [_Copy(reader, number, place) for place, number in enumerate(numbers)]
        written = 0
        base = info.time_base
        for part in parts:
            if not written and not whole:
                origin = int(part.pts[0]) * base
                copies = [copy.starting(origin) for copy in copies]
                zero = int(part.pts[0])
            if not whole:
                part = replace(part, pts=part.pts - zero)
            end = int(part.pts[-1] + part.durations[-1]) * base
            for copy in copies:
                copy.until(end, sink)
            sink.write(part)
            written += len(part)
            if on_progress is not None:
                on_progress(written, total)
        if not written:
            raise BitstreamError(
                f"{source}: none of the frames {start}..{stop - 1} can be decoded: "
                + "; ".join(decoder.warnings or map(str, reader.damage))
            )
        if whole:
            for copy in copies:
                copy.until(None, sink)
        sink.close()
        for damage in reader.damage:
            logger.warning("%s: %s", source, damage)
        return Decoded(
            path=Path(target),
            frames=written,
            width=info.width,
            height=info.height,
            tracks=len(numbers),
            seconds=time.monotonic() - began,
            warnings=tuple(dict.fromkeys([*decoder.losses, *sink.warnings])),
        )


def _pictures(
    decoder: Decoder,
    start: int,
    stop: int,
    size: tuple[int, int] | None,
    fps: Fraction | int | None,
) -> tuple[VideoInfo, int, Iterator[Frames]]:
    """What is shown: what the pictures are like, how many there should be, and they themselves."""
    info = decoder.info
    if size is not None:
        check_size(size)
        info = resized(info, size)
    if fps is None:
        return info, stop - start, decoder.frames(start, stop, size=size)
    cadence = FrameRateConverter.of(Fraction(fps), *span(decoder.reader, start, stop))
    info = replace(info, time_base=cadence.time_base, frame_rate=cadence.rate)
    return info, cadence.count, _at_rate(decoder, cadence, info)


def _at_rate(decoder: Decoder, cadence: FrameRateConverter, info: VideoInfo) -> Iterator[Frames]:
    batch = batch_of((info.height, info.width))
    for begin in range(0, cadence.count, batch):
        ticks = cadence.ticks(begin, min(begin + batch, cadence.count))
        times = [tick * cadence.time_base for tick in ticks]
        y, u, v = decoder.planes_at(times, (info.width, info.height))
        pts = np.array(ticks, np.int64)
        yield Frames(y=y, u=u, v=v, pts=pts, durations=np.full_like(pts, cadence.step))


class _Copy:
    """Copies a track's packets as the pictures go on."""

    def __init__(
        self, reader: Reader, number: int, place: int, origin: Fraction | None = None
    ) -> None:
        self._reader, self._number, self._place, self._origin = reader, number, place, origin
        self._base = reader.tracks[number].time_base
        self._packets: Iterator[Packet] = reader.packets(number, skip_damaged=True)
        self._held: deque[Packet] = deque()

    def starting(self, origin: Fraction) -> _Copy:
        """The same track from a time on, which becomes zero."""
        return _Copy(self._reader, self._number, self._place, origin)

    def until(self, end: Fraction | None, sink: Sink) -> None:
        """Copy the packets before a time in seconds; all that are left for None."""
        taken: list[Packet] = []
        while True:
            packet = self._held.popleft() if self._held else next(self._packets, None)
            if packet is None:
                break
            moved = self._moved(packet)
            if moved is None:
                continue
            ticks = moved.dts if moved.dts is not None else moved.pts
            if end is not None and ticks is not None and ticks * self._base >= end:
                self._held.append(packet)
                break
            taken.append(moved)
        if taken:
            sink.write_packets(self._place, taken)

    def _moved(self, packet: Packet) -> Packet | None:
        """A packet on the output's clock; None if it lies before its beginning."""
        if self._origin is None:
            return packet
        shift = round(self._origin / self._base)
        pts = None if packet.pts is None else packet.pts - shift
        dts = None if packet.dts is None else packet.dts - shift
        ticks = pts if pts is not None else dts
        if ticks is not None and ticks < 0:
            return None
        return replace(packet, pts=pts, dts=dts)
