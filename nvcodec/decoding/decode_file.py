"""Decoding of an `.nvc` file to a video file or a folder of images, with its other tracks."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np

from nvcodec.container import Reader
from nvcodec.decoding.decoder import Decoder
from nvcodec.decoding.output_timing import (
    FrameRateConverter,
    batch_of,
    check_size,
    resized,
    time_span,
)
from nvcodec.errors import BitstreamError, ConfigError
from nvcodec.files.spooling import Input, readable_path
from nvcodec.files.target import check_inputs_are_kept
from nvcodec.media import Chapter, Frames, Packet, VideoInfo, cut_chapters
from nvcodec.video.sinks.open_sink import open_sink
from nvcodec.video.sinks.sink import Sink

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """Report of a decode.

    Attributes:
        path: Path of the written file or folder; `-` for a file object.
        frames: Number of frames written.
        width: Picture width, samples.
        height: Picture height, samples.
        tracks: Number of audio and subtitle tracks written.
        seconds: Time that decoding and writing took, seconds.
        warnings: What is missing or could not be stored, one sentence each.
    """

    path: Path
    frames: int
    width: int
    height: int
    tracks: int
    seconds: float
    warnings: tuple[str, ...]


def decode_file(
    source: Input,
    target: str | os.PathLike[str] | BinaryIO,
    *,
    frames: slice | None = None,
    size: tuple[int, int] | None = None,
    fps: Fraction | int | None = None,
    device: str = "auto",
    encoder: str | None = None,
    quality: int | None = None,
    audio: bool = True,
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Decoded:
    """Decode an `.nvc` file to a video.

    Args:
        source: `.nvc` file, pipe, or binary file object.
        target: Video to write: `.mp4`, `.mkv`, `.y4m`, or a folder for PNG images. A binary file object,
            such as a pipe, gets the frames as `.y4m` as soon as they are decoded.
        frames: Frames to decode, a slice with step 1; output times then start at the first of them.
            None for all frames.
        size: Width and height of the output, samples; None for those of the file. The sample aspect
            ratio is adapted, so that the picture keeps its shape on the screen.
        fps: Constant frame rate of the output, frames per second, from the time of the first frame
            to the end of the last; None to keep frames and times. Pictures between frames are those
            of `Decoder.planes_at`.
        device: Device that decodes: `"auto"`, `"cpu"`, `"cuda"` or `"cuda:N"`.
        encoder: Video encoder of `.mp4` and `.mkv`, one that `nvcodec.video.open_sink` knows.
        quality: CRF of that encoder; None for a near-transparent quality.
        audio: Whether to write audio tracks; subtitles are written anyway.
        overwrite: Replace an existing target.
        on_progress: Function that is called with the number of frames written and to be written.

    Returns:
        What was written and what is missing.

    Raises:
        BitstreamError: If the file is malformed, or none of the frames can be decoded.
        ConfigError: If the range of frames is empty, an option does not apply to the target, the
            target is the source, or the size or frame rate is out of range.
        OutputExistsError: If the target exists and `overwrite` is false.
        VideoError: If the target cannot be written.
        BrokenPipeError: If the target is a pipe whose reader is gone.
    """
    started = time.monotonic()
    with ExitStack() as stack:
        source = stack.enter_context(readable_path(source))
        decoder = stack.enter_context(Decoder(source, device=device))
        reader = decoder.reader
        start, stop, step = (frames or slice(None)).indices(len(decoder))
        if step != 1 or start >= stop:
            raise ConfigError(
                f"{source}: expected a range within its {len(decoder)} frames, got {start}:{stop}"
            )
        info, total, parts = _output_frames(decoder, start, stop, size, fps)
        if isinstance(target, (str, os.PathLike)):
            check_inputs_are_kept([Path(target)], [Path(source)])
        numbers = [n for n, track in reader.tracks.items() if audio or track.kind != "audio"]
        sink = stack.enter_context(
            open_sink(
                target,
                info,
                tracks=[reader.tracks[number] for number in numbers],
                overwrite=overwrite,
                encoder=encoder,
                quality=quality,
                tags=reader.metadata,
                chapters=_chapters(reader, None if frames is None else (start, stop)),
            )
        )
        whole = frames is None
        copies = [_TrackCopier(reader, number, place) for place, number in enumerate(numbers)]
        written = 0
        base = info.time_base
        for part in parts:
            if not written and not whole:
                origin = int(part.pts[0]) * base
                copies = [copy.restart_at(origin) for copy in copies]
                zero = int(part.pts[0])
            if not whole:
                part = replace(part, pts=part.pts - zero)
            end = int(part.pts[-1] + part.durations[-1]) * base
            for copy in copies:
                copy.copy_until(end, sink)
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
                copy.copy_until(None, sink)
        sink.close()
        for damage in reader.damage:
            logger.warning("%s: %s", source, damage)
        return Decoded(
            path=Path(target if isinstance(target, (str, os.PathLike)) else "-"),
            frames=written,
            width=info.width,
            height=info.height,
            tracks=sink.stored_tracks,
            seconds=time.monotonic() - started,
            warnings=tuple(dict.fromkeys([*decoder.losses, *sink.warnings])),
        )


def _chapters(reader: Reader, part: tuple[int, int] | None) -> Sequence[Chapter]:
    """Return the chapters on the clock of the output.

    Args:
        reader: Reader of the file.
        part: First frame of the output and the one after the last; None for the whole file.
    """
    if not reader.chapters or not reader.segments:
        return ()
    if part is not None:
        begin, end = time_span(reader, *part)
        return cut_chapters(reader.chapters, begin, end, begin)
    # Output does not start before zero; see `MuxedSink`.
    late = max(-reader.segments[0].start * reader.header.video.time_base, Fraction(0))
    return [Chapter(c.start + late, c.end + late, c.title) for c in reader.chapters]


def _output_frames(
    decoder: Decoder,
    start: int,
    stop: int,
    size: tuple[int, int] | None,
    fps: Fraction | int | None,
) -> tuple[VideoInfo, int, Iterator[Frames]]:
    """Return the properties of the output, its number of frames, and the frames themselves."""
    info = decoder.info
    if size is not None:
        check_size(size)
        info = resized(info, size)
    if fps is None:
        return info, stop - start, decoder.frames(start, stop, size=size)
    converter = FrameRateConverter.for_span(Fraction(fps), *time_span(decoder.reader, start, stop))
    info = replace(info, time_base=converter.time_base, frame_rate=converter.rate)
    return info, converter.count, _convert(decoder, converter, info)


def _convert(decoder: Decoder, converter: FrameRateConverter, info: VideoInfo) -> Iterator[Frames]:
    """Decode the frames of a constant frame rate, a batch at a time."""
    batch = batch_of((info.height, info.width))
    for begin in range(0, converter.count, batch):
        ticks = converter.ticks(begin, min(begin + batch, converter.count))
        times = [tick * converter.time_base for tick in ticks]
        y, u, v = decoder.planes_at(times, (info.width, info.height))
        pts = np.array(ticks, np.int64)
        yield Frames(y=y, u=u, v=v, pts=pts, durations=np.full_like(pts, converter.step))


class _TrackCopier:
    """Copies the packets of a track to the output, interleaved with the pictures.

    Args:
        reader: Reader of the file.
        number: Number of the track in the file.
        place: Position of the track in the output.
        origin: Time that becomes zero, seconds; earlier packets are dropped. None to keep all
            packets and times.
    """

    def __init__(
        self, reader: Reader, number: int, place: int, origin: Fraction | None = None
    ) -> None:
        self._reader, self._number, self._place, self._origin = reader, number, place, origin
        self._base = reader.tracks[number].time_base
        self._packets: Iterator[Packet] = reader.packets(number, skip_damaged=True)
        self._pending: deque[Packet] = deque()

    def restart_at(self, origin: Fraction) -> _TrackCopier:
        """Return a copier of the same track whose times count from `origin`, seconds."""
        return _TrackCopier(self._reader, self._number, self._place, origin)

    def copy_until(self, end: Fraction | None, sink: Sink) -> None:
        """Copy the packets before a time.

        Args:
            end: Time on the output's clock, seconds; None for all packets that are left.
            sink: Output to write them to.
        """
        packets: list[Packet] = []
        while True:
            packet = self._pending.popleft() if self._pending else next(self._packets, None)
            if packet is None:
                break
            shifted = self._shift(packet)
            if shifted is None:
                continue
            ticks = shifted.dts if shifted.dts is not None else shifted.pts
            if end is not None and ticks is not None and ticks * self._base >= end:
                self._pending.append(packet)
                break
            packets.append(shifted)
        if packets:
            sink.write_packets(self._place, packets)

    def _shift(self, packet: Packet) -> Packet | None:
        """Return a packet with times on the output's clock; None if it lies before time zero."""
        if self._origin is None:
            return packet
        shift = round(self._origin / self._base)
        pts = None if packet.pts is None else packet.pts - shift
        dts = None if packet.dts is None else packet.dts - shift
        ticks = pts if pts is not None else dts
        if ticks is not None and ticks < 0:
            return None
        return replace(packet, pts=pts, dts=dts)
