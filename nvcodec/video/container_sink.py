"""Muxer for `.mp4` and `.mkv` output: encodes the frames and copies the tracks.

Timestamps are written in the source's own ticks. MP4 keeps them exactly; libav rounds those of
Matroska to milliseconds. B-frames are disabled: frames then leave the encoder in display order, and
the duration of each one, also of the last, is stored unchanged.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer
from av.packet import PacketSideData
from av.stream import Stream

from nvcodec.errors import ConfigError, VideoError
from nvcodec.media import Chapter, Frames, Packet, Track, VideoInfo
from nvcodec.video import codec_parameters
from nvcodec.video.file_metadata import MP4_TAGS, add_metadata
from nvcodec.video.pixel_formats import frame_from
from nvcodec.video.sink import Sink

_FORMATS = {".mp4": "mp4", ".mkv": "matroska"}
_SKIP_SAMPLES = 11
# Side data that muxers store, and the size they assume without a check (None: text of any length).
_STORED_SIDE_DATA: dict[int, int | None] = {_SKIP_SAMPLES: 10, 16: None, 17: None}

# Encoder -> (default CRF, options). The default is nearly transparent.
_ENCODERS: dict[str, tuple[int, dict[str, str]]] = {
    "libx264": (12, {"preset": "medium", "bf": "0"}),
    "libx265": (12, {"preset": "medium", "x265-params": "log-level=none:bframes=0"}),
    "libvpx-vp9": (8, {"b": "0", "row-mt": "1", "cpu-used": "3", "auto-alt-ref": "0"}),
    "ffv1": (0, {"level": "3"}),
}
_MAX_TIMESCALE = 2**31 - 1
_ODD_SIZES = ("libvpx-vp9", "ffv1")


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
        self._format = _FORMATS[path.suffix.lower()]
        self._encoder, self._options = self._choose(encoder, quality)
        for index, track in enumerate(tracks):
            self._check_track(index, track)
        self._tracks = tuple(tracks)
        self._tags, self._chapters = tags, chapters
        unknown = sorted(tags.keys() - MP4_TAGS) if self._format == "mp4" else []
        if unknown:
            self._warn(
                f"tags that .mp4 does not store: {', '.join(unknown)}; write .mkv to keep them"
            )
        self._durations: dict[int, int] = {}
        self._last_dts: list[int | None] = [None] * len(tracks)
        self._moved = [0] * len(tracks)
        # Seconds added to every timestamp. Packets wait for the first frame, which determines it.
        self._shift: Fraction | None = None
        self._shift_ticks = 0
        self._waiting: list[tuple[int, list[Packet]]] = []
        try:
            self._container = self._create()
        except (OSError, OverflowError, av.FFmpegError, ValueError) as error:
            self._discard()
            raise VideoError(f"{path}: cannot be written: {_reason(error)}") from error

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
        for packet in packets:
            self._mux(self._to_libav(track, packet), f"track {track}")

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
        """Shift the clock if the video starts before zero: libav and players drop such frames."""
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
        try:
            self._container.close()
        except av.FFmpegError as error:
            raise VideoError(f"{self.path}: cannot be written: {_reason(error)}") from error
        for index, count in enumerate(self._moved):
            if count:
                self._warn(f"{count} packets of track {index} had decreasing times; moved up")

    def _cancel(self) -> None:
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
        try:
            self._container.mux(packet)
        except (av.FFmpegError, OverflowError, ValueError) as error:
            raise VideoError(f"{self.path}: {what} cannot be written: {_reason(error)}") from error

    def _create(self) -> OutputContainer:
        # Matroska blocks may start before zero; shifting them would also shift the frames.
        if self._format == "matroska":
            options = {"avoid_negative_ts": "disabled"}
        else:
            # MP4 stores a late start in ticks of the movie, by default milliseconds.
            bases = [self.info.time_base, *(track.time_base for track in self._tracks)]
            ticks = math.lcm(*(base.denominator for base in bases))
            exact = ticks if ticks <= _MAX_TIMESCALE else self.info.time_base.denominator
            options = {"movie_timescale": str(min(exact, _MAX_TIMESCALE))}
            # A bit rate box after a subtitle description is read back as part of the description.
            options["write_btrt"] = "0"
        container = av.open(str(self.partial), "w", format=self._format, options=options)
        try:
            video = container.add_stream(
                self._encoder, rate=self.info.frame_rate, options=self._options
            )
            assert isinstance(video, av.VideoStream)
            context = video.codec_context
            context.width, context.height = self.info.width, self.info.height
            context.pix_fmt = "yuv420p"
            context.time_base = self.info.time_base
            context.sample_aspect_ratio = self.info.sample_aspect_ratio
            colour = self.info.colour
            context.color_range = 2 if colour.full_range else 1
            context.color_primaries = colour.primaries
            context.color_trc = colour.transfer
            context.colorspace = colour.matrix
            self._video = video
            self._streams = [_add(container, track) for track in self._tracks]
            add_metadata(container, self._tags, self._chapters)
            container.start_encoding()
        except BaseException:
            container.close()
            raise
        return container

    def _to_libav(self, track: int, packet: Packet) -> av.Packet[Stream]:
        """Convert a packet, with timestamps that the muxer accepts."""
        description = self._tracks[track]
        copy = av.Packet(packet.data)
        copy.stream = self._streams[track]
        copy.time_base = description.time_base
        shift = round((self._shift or 0) / description.time_base)
        pts = None if packet.pts is None else packet.pts + shift
        dts = pts if packet.dts is None else packet.dts + shift
        last = self._last_dts[track]
        if dts is None:
            dts = 0 if last is None else last + max(packet.duration, 1)
        elif last is not None and dts <= last and description.kind == "audio":
            self._moved[track] += 1
            dts = last + 1
        self._last_dts[track] = dts
        copy.dts = dts
        copy.pts = dts if pts is None else max(pts, dts)
        copy.duration = packet.duration
        copy.is_keyframe = packet.keyframe
        for kind, data in packet.side_data:
            size = _STORED_SIDE_DATA.get(kind, -1)
            if size is None or size == len(data):
                side = PacketSideData(kind, len(data))  # type: ignore[call-arg]
                side.update(data)
                copy.set_sidedata(side)
        return copy

    def _choose(self, encoder: str | None, quality: int | None) -> tuple[str, dict[str, str]]:
        """Return the encoder and its options, after checking that it can store the video."""
        width, height = self.info.width, self.info.height
        odd = bool(width % 2 or height % 2)
        if encoder is None:
            encoder = "libvpx-vp9" if odd else "libx264"
            if odd:
                self._warn(
                    f"{width}x{height} has an odd side, which H.264 cannot store in 4:2:0; "
                    "encoded with libvpx-vp9"
                )
        if encoder not in _ENCODERS:
            raise ConfigError(f"encoder: expected one of {', '.join(_ENCODERS)}; found {encoder}")
        if odd and encoder not in _ODD_SIZES:
            raise ConfigError(
                f"{encoder} cannot store {width}x{height} in 4:2:0, whose sides must be even; "
                f"use {' or '.join(_ODD_SIZES)}"
            )
        if encoder not in av.codecs_available:
            raise VideoError(f"{self.path}: this libav build has no encoder {encoder}")
        aspect = self.info.sample_aspect_ratio
        if self._format == "matroska" and aspect != 1 and encoder in _ODD_SIZES:
            raise VideoError(
                f"{self.path}: {encoder} in Matroska would lose the sample aspect ratio {aspect}; "
                "write .mp4"
            )
        default, options = _ENCODERS[encoder]
        options = dict(options)
        if encoder != "ffv1":
            options["crf"] = str(default if quality is None else quality)
        return encoder, options

    def _check_track(self, index: int, track: Track) -> None:
        """Check that the format can store a track, alone, so that an error can name the track."""
        file = io.BytesIO()
        other = ".mkv" if self._format == "mp4" else ".mp4"
        container = av.open(file, "w", format=self._format)
        try:
            stream = _add(container, track)
            container.start_encoding()
            if track.codec.startswith("pcm_"):
                # MP4 reports an unsupported PCM track only when the file is finished.
                sample = av.Packet(bytes(24 * max(stream.codec_context.channels, 1)))  # type: ignore[attr-defined]
                sample.stream, sample.pts, sample.dts, sample.duration = stream, 0, 0, 1
                container.mux(sample)
                container.close()
        except (av.FFmpegError, OverflowError, ValueError) as error:
            if isinstance(error, VideoError):
                raise
            raise VideoError(
                f"{self.path}: track {index} ({track.kind}, {track.codec}) cannot be stored in "
                f"{self.path.suffix.lower()}; use {other}"
            ) from error
        finally:
            try:
                container.close()
            except (av.FFmpegError, ValueError):
                # Some formats cannot finish an empty file; only the header was to be checked.
                file.close()


def _add(container: OutputContainer, track: Track) -> Stream:
    with codec_parameters.template(track) as described:
        stream = container.add_stream_from_template(described.streams[0], opaque=True)
    codec_parameters.restore(track, stream)
    stream.time_base = Fraction(track.time_base)
    stream.disposition = track.disposition  # type: ignore[assignment]
    if track.language:
        stream.metadata["language"] = track.language
    if track.title:
        stream.metadata["title"] = track.title
    return stream


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error)
