"""Input of audio and subtitle tracks: all packets, bit for bit, on the source's clock.

The file is demuxed a second time, so that packets and pictures are read at their own pace. Nothing
is decoded, except audio whose codec cannot be described outside of its container, such as the LPCM
of discs: it becomes PCM.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet as AvPacket
from av.stream import Discard, Stream

from nvcodec.closing import Closing
from nvcodec.media import Packet, Track
from nvcodec.video.sources.libav_decoder import open_container, read_clock_jumps
from nvcodec.video.tracks.codec_parameters import MAX_HEADERS, codec_name, describe, inflated_bytes
from nvcodec.video.tracks.libav_packets import stored_packet
from nvcodec.video.tracks.pcm_conversion import PcmConverter

logger = logging.getLogger(__name__)

Seconds = Fraction | float | int


class Tracks(Closing):
    """The tracks of a file and their packets, read in order of time; `open_tracks` makes one.

    A packet's time is its dts, or its pts if it has none, or the end of the packet before.

    Attributes:
        path: The file.
        tracks: Description of each track, in file order.
        warnings: Tracks that cannot be copied, and damage met; complete at the end.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        start: Seconds | None = None,
        convert: bool = True,
    ) -> None:
        self.path = Path(path)
        self._convert = convert
        self._converters: dict[int, PcmConverter] = {}
        # Seconds per tick of the file's packets; converted ones may have other ticks.
        self._bases: list[Fraction] = []
        self.tracks: tuple[Track, ...] = ()
        self.warnings: list[str] = []
        self._start = None if start is None else Fraction(start)
        self._slots: dict[int, int] = {}
        self._corrupt = 0
        self._container = None if self.path.is_dir() else self._open()
        count = len(self.tracks)
        self._queues: list[deque[tuple[Fraction, Packet]]] = [deque() for _ in range(count)]
        self._clock = [Fraction(0)] * count
        self._reached: list[Fraction | None] = [None] * count
        self._skip = [0] * count
        self._feed: Iterator[AvPacket[Stream]] = iter(())
        if self._container is not None and count:
            chosen = [s for s in self._container.streams if s.index in self._slots]
            self._feed = self._container.demux(chosen)
        self._ended = not count

    @property
    def ended(self) -> bool:
        """Whether the file was read to its end; packets may still be held back."""
        return self._ended

    def until(self, seconds: Seconds) -> list[list[Packet]]:
        """Return the packets of every track before a time that were not returned yet.

        The file is read until every audio track (every track if there is no audio) has a packet at
        or past the time; these packets are held back for the next call. A subtitle stored late in
        the file may thus come in a later call, but none is lost and each track stays in order.

        Args:
            seconds: Exclusive end, seconds of the source's clock.

        Returns:
            One list per track, in stored order.
        """
        end = Fraction(seconds)
        audio = [i for i, track in enumerate(self.tracks) if track.kind == "audio"]
        leading = audio or list(range(len(self.tracks)))
        while not self._ended and any(not self._past(i, end) for i in leading):
            self._pull()
        packets: list[list[Packet]] = []
        for queue in self._queues:
            due = []
            while queue and queue[0][0] < end:
                due.append(queue.popleft()[1])
            packets.append(due)
        return packets

    def rest(self) -> list[list[Packet]]:
        """Return all packets that were not returned yet, one list per track."""
        while not self._ended:
            self._pull()
        packets = [[packet for _, packet in queue] for queue in self._queues]
        for queue in self._queues:
            queue.clear()
        return packets

    def skip(self, counts: Sequence[int]) -> None:
        """Drop the next packets of each track, for example those that an earlier run has stored.

        Args:
            counts: Number of packets to drop, one per track.
        """
        for index, count in enumerate(counts):
            queue = self._queues[index]
            dropped = min(count, len(queue))
            for _ in range(dropped):
                queue.popleft()
            self._skip[index] += count - dropped

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._ended = True
        self._feed = iter(())
        if self._container is not None:
            self._container.close()
            self._container = None

    def _open(self) -> InputContainer:
        """Open the file and describe its tracks."""
        container = open_container(self.path)
        described: list[Track] = []
        for stream in container.streams:
            if stream.type not in ("audio", "subtitle"):
                stream.discard = Discard.all  # `Source` says what is lost
                continue
            track = _describe(stream)
            converter = self._converter_for(stream) if track is None else None
            if converter is not None:
                track = converter.track
                self._converters[len(described)] = converter
            if track is None:
                stream.discard = Discard.all
                self._warn(
                    f"{stream.type} stream {stream.index} is not kept: this libav build cannot "
                    "describe its codec"
                )
                continue
            if inflated_bytes([*described, track]) > MAX_HEADERS:
                stream.discard = Discard.all
                self._warn(
                    f"{stream.type} stream {stream.index} is not kept: with it, the codec parameters "
                    f"of all tracks exceed {MAX_HEADERS} bytes"
                )
                continue
            self._slots[stream.index] = len(described)
            described.append(track)
            self._bases.append(converter.source.time_base if converter else track.time_base)
        self.tracks = tuple(described)
        self._jumps = read_clock_jumps(self.path, container)
        return container

    def _converter_for(self, stream: Stream) -> PcmConverter | None:
        """Return a converter of an audio stream that cannot be copied; None if there is none."""
        track = _track(stream, b"")
        if track is None or not self._convert or not isinstance(stream, av.AudioStream):
            return None
        try:
            converter = PcmConverter(track, stream.codec_context)
        except (av.FFmpegError, ValueError):
            return None
        self._warn(
            f"audio stream {stream.index} ({track.codec}) cannot be copied; its samples are kept "
            f"without loss, as {converter.track.codec}"
        )
        return converter

    def _past(self, index: int, end: Fraction) -> bool:
        # Skipped and trimmed packets count too, so that a resumed run reads no further.
        reached = self._reached[index]
        return reached is not None and reached >= end

    def _pull(self) -> None:
        """Read the next packet of the file and queue it."""
        try:
            source = next(self._feed)
        except StopIteration:
            self._end()
            return
        except av.FFmpegError as error:
            self._warn(f"reading of audio and subtitles stopped early: {error.strerror or error}")
            self._end()
            return
        if source.size == 0 and source.dts is None and source.pts is None:
            return  # the marker at the end of a stream, not a packet of the file
        before_jump = self._jumps.shift(source)
        index = self._slots[source.stream_index]
        packet = stored_packet(source)
        time_base = self._bases[index]
        stamp = packet.dts if packet.dts is not None else packet.pts
        time = self._clock[index] if stamp is None else stamp * time_base
        self._clock[index] = time + packet.duration * time_base
        self._reached[index] = time
        self._corrupt += source.is_corrupt and not before_jump
        converter = self._converters.get(index)
        for queued in converter.convert(packet) if converter else (packet,):
            self._queue(index, queued, time)

    def _queue(self, index: int, packet: Packet, time: Fraction) -> None:
        """Queue a packet of a track, unless it lies before the start or is to be skipped.

        Args:
            index: Number of the track.
            packet: The packet.
            time: Its time if it has none, seconds.
        """
        time_base = self.tracks[index].time_base
        stamp = packet.dts if packet.dts is not None else packet.pts
        time = time if stamp is None else stamp * time_base
        if self._start is not None and _ends_before(packet, time, time_base, self._start):
            return
        if self._skip[index]:
            self._skip[index] -= 1
            return
        self._queues[index].append((time, packet))

    def _end(self) -> None:
        self._ended = True
        for index, converter in self._converters.items():
            for packet in converter.flush():
                self._queue(index, packet, self._clock[index])
            if converter.failed:
                self._warn(
                    f"{converter.failed} packets of track {index} cannot be decoded; left out"
                )
        if self._corrupt:
            self._warn(f"{self._corrupt} audio or subtitle packets are damaged; they are kept")

    def _warn(self, line: str) -> None:
        self.warnings.append(line)
        logger.warning("%s: %s", self.path, line)


def open_tracks(
    path: str | os.PathLike[str], *, start: Seconds | None = None, convert: bool = True
) -> Tracks:
    """Open the audio and subtitle tracks of a file; a folder of images has none.

    Args:
        path: The file of the video.
        start: Start of a trimmed video, seconds (`Source.start_time`); None for the whole video.
            Packets that end at or before it are dropped; a packet that extends past it is kept
            whole. Timestamps stay on the source's clock. To trim the end, stop after `until(end)`
            instead of calling `rest`.
        convert: Whether audio that cannot be copied is decoded to PCM; if not, it is left out.

    Returns:
        The opened tracks; a context manager.

    Raises:
        VideoError: If the file cannot be read.
    """
    return Tracks(path, start=start, convert=convert)


def _describe(stream: Stream) -> Track | None:
    """Return the description of a stream, None if its codec cannot be described."""
    if getattr(stream, "codec_context", None) is None:
        return None
    parameters = describe(stream)
    return None if parameters is None else _track(stream, parameters)


def _track(stream: Stream, parameters: bytes) -> Track | None:
    """Return the description of a stream with given parameters, None if it has no decoder."""
    # A stream without a decoder has no codec context, although its type says it has.
    if getattr(stream, "codec_context", None) is None or not stream.time_base:
        return None
    language = stream.metadata.get("language", "")
    return Track(
        kind=stream.type,
        codec=codec_name(stream),
        time_base=Fraction(stream.time_base),
        language="" if language == "und" else language,
        title=stream.metadata.get("title", ""),
        disposition=int(stream.disposition),
        parameters=parameters,
    )


def _ends_before(packet: Packet, time: Fraction, time_base: Fraction, start: Fraction) -> bool:
    begin = time if packet.pts is None else packet.pts * time_base
    return begin < start and begin + packet.duration * time_base <= start
