"""Muxer for `.mp4` and `.mkv` output: encodes the frames and copies the tracks.

Timestamps are written in the source's own ticks. MP4 keeps them exactly; libav rounds those of
Matroska to milliseconds. B-frames are disabled: frames then leave the encoder in display order, and
the duration of each one, also of the last, is stored unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
from av.codec.context import Flags
from av.container import OutputContainer
from av.stream import Stream

from nvcodec.errors import VideoError
from nvcodec.media import Chapter, Frames, Packet, Track, VideoInfo
from nvcodec.video.file_metadata import MP4_TAGS, add_metadata
from nvcodec.video.pixel_formats import frame_from
from nvcodec.video.sinks.matroska_aspect import PADDING, display_aspect, write_aspect
from nvcodec.video.sinks.sink import Sink
from nvcodec.video.sinks.track_storage import (
    Storage,
    add_track,
    formats_for,
    open_muxer,
    storage_of,
)
from nvcodec.video.sinks.track_writer import TrackWriter
from nvcodec.video.sinks.video_encoders import WITHOUT_ASPECT, default_encoder, encoder_options
from nvcodec.video.tracks.codec_parameters import check_total

_MAX_TIMESCALE = 2**31 - 1


class MuxedSink(Sink):
    """A `.mp4` or `.mkv` file being written.

    Args:
        path: Target file.
        info: Properties of the frames.
        tracks: Tracks to copy.
        overwrite: Whether an existing target is replaced.
        encoder: Name of the libavcodec encoder; None takes libx264, or libvpx-vp9 for an odd width
            or height, which H.264 cannot have in 4:2:0.
        quality: CRF of the encoder, lower is better; None is nearly transparent.
        tags: Title, artist and so on by key.
        chapters: Chapters on the clock of the file.

    Raises:
        ConfigError: If the encoder is unknown, or cannot store this size.
        VideoError: If the file cannot be opened, or cannot hold one of the tracks.
    """

    def __init__(
        self,
        path: Path,
        info: VideoInfo,
        *,
        tracks: Sequence[Track],
        overwrite: bool,
        encoder: str | None,
        quality: int | None,
        tags: Mapping[str, str],
        chapters: Sequence[Chapter],
    ) -> None:
        super().__init__(path, info, overwrite=overwrite)
        self._suffix = path.suffix.lower()
        width, height = info.width, info.height
        self._encoder = default_encoder(width, height) if encoder is None else encoder
        self._options = encoder_options(self._encoder, quality, (width, height))
        if encoder is None and self._encoder != "libx264":
            self._warn(
                f"{width}x{height} has an odd side, which H.264 cannot store in 4:2:0; encoded "
                f"with {self._encoder}"
            )
        check_total(tracks)
        self._storage = self._plan(tracks)
        self.stored_tracks = len(self._storage)
        self._tags, self._chapters = tags, chapters
        unknown = sorted(tags.keys() - MP4_TAGS) if self._suffix == ".mp4" else []
        if unknown:
            self._warn(
                f"tags that .mp4 does not store: {', '.join(unknown)}; write .mkv to keep them"
            )
        self._durations: dict[int, int] = {}
        self._aspect: Fraction | None = None
        ratio = info.sample_aspect_ratio
        if self._suffix == ".mkv" and ratio != 1 and self._encoder in WITHOUT_ASPECT:
            self._aspect = display_aspect(info.width, info.height, ratio)
        # Seconds added to every timestamp. Packets wait for the first frame, which determines it.
        self._shift: Fraction | None = None
        self._shift_ticks = 0
        self._waiting: list[tuple[int, list[Packet]]] = []
        self._container: OutputContainer | None = None
        self._reserve()

    def write_packets(self, track: int, packets: Iterable[Packet]) -> None:
        """Append packets of a track, in order, on the same clock as the frames.

        Args:
            track: Index of the track among those the sink was opened with.
            packets: Packets in stored order.

        Raises:
            VideoError: If they cannot be written.
        """
        if self._shift is None:
            self._waiting.append((track, list(packets)))
            return
        if (writer := self._writers.get(track)) is not None:
            with self._times_within_bounds(track):
                writer.write(packets, self._shift)

    def _write(self, frames: Frames) -> None:
        if self._shift is None and len(frames):
            self._begin(int(frames.pts[0]))
        for t in range(len(frames)):
            frame = frame_from((frames.y[t], frames.u[t], frames.v[t]), self.info.colour)
            frame.pts = int(frames.pts[t]) + self._shift_ticks
            frame.time_base = self.info.time_base
            self._durations[frame.pts] = int(frames.durations[t])
            self._encode(frame)

    def _begin(self, first: int) -> None:
        """Open the file, and shift the clock if the video starts before zero.

        The encoder takes memory in proportion to the picture, so that it is opened only when there
        is one: a damaged stream may claim any size.

        Args:
            first: Timestamp of the first frame, ticks. Libav and players drop frames before zero.

        Raises:
            VideoError: If the file cannot be opened.
        """
        try:
            self._container = self._create()
        except (OSError, OverflowError, av.FFmpegError, ValueError) as error:
            raise VideoError(f"{self.path}: cannot be written: {_reason(error)}") from error
        self._shift_ticks = max(-first, 0)
        self._shift = self._shift_ticks * self.info.time_base
        if self._shift:
            self._warn(
                f"the video starts before zero, which cannot be stored; everything is "
                f"{float(self._shift):.3f} s later"
            )
        for track, packets in self._waiting:
            self.write_packets(track, packets)
        self._waiting.clear()

    def _finish(self) -> None:
        self._encode(None)
        for index, writer in self._writers.items():
            with self._times_within_bounds(index):
                writer.finish()
        assert self._container is not None  # a sink without frames is not finished
        try:
            self._container.close()
        except av.FFmpegError as error:
            raise VideoError(f"{self.path}: cannot be written: {_reason(error)}") from error
        if self._aspect is not None and self.partial.is_file():  # not a pipe
            write_aspect(self.partial, self._aspect)
        for index, writer in self._writers.items():
            if writer.moved:
                self._warn(
                    f"{writer.moved} packets of track {index} had decreasing times; moved up"
                )
            if writer.failed:
                self._warn(f"{writer.failed} packets of track {index} cannot be decoded; left out")
            if writer.rounded:
                self._warn(f"samples of track {index} are rounded to 32 bits")
            if writer.closed:
                self._warn(f"gaps of {float(writer.closed):.0f} s in track {index} were closed")

    def _cancel(self) -> None:
        if self._container is None:
            return
        try:
            self._container.close()
        except (av.FFmpegError, OSError, ValueError):
            # The file is about to be deleted, so it need not be complete.
            return

    def _encode(self, frame: av.VideoFrame | None) -> None:
        try:
            packets = self._video.encode(frame)
        except (av.FFmpegError, OverflowError) as error:
            raise VideoError(f"{self.path}: {self._encoder} failed: {_reason(error)}") from error
        for packet in packets:
            if packet.pts is not None:
                packet.duration = self._durations.pop(packet.pts, 0)
            self._mux(packet, "the video")

    def _mux(self, packet: av.Packet[Stream], what: str) -> None:
        assert self._container is not None
        try:
            self._container.mux(packet)
        except (av.FFmpegError, OverflowError, ValueError) as error:
            raise VideoError(f"{self.path}: {what} cannot be written: {_reason(error)}") from error

    @contextmanager
    def _times_within_bounds(self, track: int) -> Iterator[None]:
        """Turn the error of a time that no format holds into one that names the track."""
        try:
            yield
        except OverflowError as error:
            raise VideoError(
                f"{self.path}: track {track} cannot be written: a time or duration is beyond 64 bits"
            ) from error

    def _create(self) -> OutputContainer:
        # Matroska blocks may start before zero; shifting them would also shift the frames.
        stored = self._storage.values()
        if self._suffix == ".mkv":
            options = {"avoid_negative_ts": "disabled"}
        else:
            # MP4 stores a late start in ticks of the movie, by default milliseconds.
            bases = [self.info.time_base, *(storage.track.time_base for storage in stored)]
            ticks = math.lcm(*(base.denominator for base in bases))
            exact = ticks if ticks <= _MAX_TIMESCALE else self.info.time_base.denominator
            options = {"movie_timescale": str(min(exact, _MAX_TIMESCALE))}
            # A bit rate box after a subtitle description is read back as part of the description.
            options["write_btrt"] = "0"
        through_tee = any(storage.through_tee for storage in stored)
        if through_tee and self._chapters:
            # libav's tee muxer passes tags on, but no chapters.
            names = ", ".join(sorted({s.track.codec for s in stored if s.through_tee}))
            self._warn(f"chapters are not kept beside {names}")
        container = open_muxer(str(self.partial), self._suffix, options, through_tee=through_tee)
        try:
            video = container.add_stream(
                self._encoder, rate=self.info.frame_rate, options=self._options
            )
            assert isinstance(video, av.VideoStream)
            context = video.codec_context
            context.width, context.height = self.info.width, self.info.height
            context.pix_fmt = "yuv420p"
            context.time_base = self.info.time_base
            # PyAV sets it for formats that want it, but does not see them behind the tee muxer.
            context.flags |= Flags.global_header
            context.sample_aspect_ratio = self.info.sample_aspect_ratio
            colour = self.info.colour
            context.color_range = 2 if colour.full_range else 1
            context.color_primaries = colour.primaries
            context.color_trc = colour.transfer
            context.colorspace = colour.matrix
            if self._aspect is not None:
                video.metadata["title"] = PADDING
            self._video = video
            self._writers = {
                index: TrackWriter(
                    storage,
                    add_track(container, storage.track),
                    partial(self._mux, what=f"track {index}"),
                    mp4=self._suffix == ".mp4",
                )
                for index, storage in self._storage.items()
            }
            add_metadata(container, self._tags, self._chapters)
            container.start_encoding()
        except BaseException:
            container.close()
            raise
        return container

    def _plan(self, tracks: Sequence[Track]) -> dict[int, Storage]:
        """Return how the tracks are stored; those that no format holds are left out.

        Raises:
            VideoError: If another format holds all tracks, and this one does not.
        """
        plan: dict[int, Storage] = {}
        for index, track in enumerate(tracks):
            name = f"track {index} ({track.kind}, {track.codec})"
            storage = storage_of(track, self._suffix)
            if storage is not None:
                plan[index] = storage
                if storage.converter:
                    self._warn_converted(name, track, storage.track)
                continue
            others = formats_for(tracks)
            if others:
                raise VideoError(
                    f"{self.path}: {name} cannot be stored in {self._suffix}; "
                    f"use {' or '.join(others)}"
                )
            self._warn(f"{name} is not kept: {self._suffix} cannot hold it")
        return plan

    def _warn_converted(self, name: str, track: Track, stored: Track) -> None:
        how = "text is kept as" if track.kind == "subtitle" else "decoded samples are kept, in"
        self._warn(f"{name} cannot be copied to {self._suffix}; its {how} {stored.codec}")


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error)
