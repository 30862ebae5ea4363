"""Writer of one audio or subtitle track of a `.mkv` or `.mp4` file: times and durations.

A muxer wants increasing times, and MP4 a duration of every packet. Sources leave out either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from fractions import Fraction

import av
from av.stream import Stream

from nvcodec.media import Packet, Track
from nvcodec.video.sinks.track_storage import Storage, decoder_of
from nvcodec.video.tracks.libav_packets import libav_packet

# Seconds of silence that are written for a gap, and bytes for all gaps of a track: damaged files
# state gaps of years.
_LONGEST_SILENCE = 600
_MOST_SILENCE = 1 << 31
_SILENT_SAMPLES = 1 << 16


class TrackWriter:
    """Writes the packets of one track.

    Args:
        storage: How the track is stored.
        stream: Stream of the output.
        mux: Writes a packet.
        mp4: Whether the format is MP4, where no two packets have one time, and PCM has no times at
            all, so that gaps must become silence.

    Attributes:
        moved: Number of packets whose times had to be moved up.
        closed: Seconds of gaps that are closed, being too long for silence.
    """

    def __init__(
        self,
        storage: Storage,
        stream: Stream,
        mux: Callable[[av.Packet[Stream]], None],
        *,
        mp4: bool,
    ) -> None:
        self._track, self._stream, self._mux = storage.track, stream, mux
        self._converter = storage.converter
        self._audio = self._track.kind == "audio"
        self._mp4 = mp4
        self._fills_gaps = mp4 and self._track.codec.startswith("pcm_")
        self._shift = Fraction(0)
        self._last_dts: int | None = None
        self._end: int | None = None
        self._silence_left = _MOST_SILENCE
        # The packet before, while its duration is unknown; and the last duration that was known.
        self._held: av.Packet[Stream] | None = None
        self._duration = 0
        self.moved = 0
        self.closed = Fraction(0)

    @property
    def failed(self) -> int:
        """Number of packets that could not be converted."""
        return self._converter.failed if self._converter else 0

    @property
    def rounded(self) -> bool:
        """Whether samples had to be rounded."""
        return self._converter is not None and self._converter.rounded

    def write(self, packets: Iterable[Packet], shift: Fraction) -> None:
        """Write packets.

        Args:
            packets: Packets of the source's track, in stored order.
            shift: Seconds to add to all times, the same in every call.
        """
        self._shift = shift
        for packet in packets:
            for converted in self._converter.convert(packet) if self._converter else (packet,):
                self._write(converted)

    def finish(self) -> None:
        """Write what was held back."""
        if self._converter:
            for packet in self._converter.flush():
                self._write(packet)
        if self._held is not None:
            # Without a duration a player would cut this packet off.
            self._release(self._duration or _decoded_duration(self._track, self._held))

    def _write(self, packet: Packet) -> None:
        copy = libav_packet(packet, self._track.time_base)
        copy.stream = self._stream
        ticks = round(self._shift / self._track.time_base)
        pts = None if packet.pts is None else packet.pts + ticks
        dts = pts if packet.dts is None else packet.dts + ticks
        last = self._last_dts
        if dts is None:
            dts = 0 if last is None else last + max(packet.duration, 1)
        elif last is not None and self._audio and self._collides(dts, last):
            self.moved += 1
            dts = last + self._least_step()
        if self._held is not None:
            self._release(dts - (last or 0))
        if self._fills_gaps:
            self._fill_gap(dts)
            self._end = dts + packet.duration
        self._last_dts = dts
        copy.dts = dts
        copy.pts = dts if pts is None else max(pts, dts)
        if packet.duration or not self._audio:
            self._duration = packet.duration or self._duration
            self._mux(copy)
        else:
            self._held = copy

    def _collides(self, dts: int, last: int) -> bool:
        """Return whether the format cannot tell a time from the one before."""
        if not self._mp4:
            return dts <= last
        scale = self._track.time_base / self._tick()
        return dts <= last or round(dts * scale) <= round(last * scale)

    def _least_step(self) -> int:
        """Return the ticks of the track by which the format tells times apart."""
        if not self._mp4:
            return 1
        return max(math.ceil(self._tick() / self._track.time_base), 1)

    def _tick(self) -> Fraction:
        return Fraction(self._stream.time_base or self._track.time_base)

    def _release(self, duration: int) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._duration = held.duration = duration
            self._mux(held)

    def _fill_gap(self, dts: int) -> None:
        """Write silence from the end of the packet before to the next packet."""
        context = self._stream.codec_context
        base, rate = self._track.time_base, context.sample_rate  # type: ignore[attr-defined]
        # Times are rounded to ticks, and jitter.
        if self._end is None or (dts - self._end) * base <= max(2 * base, Fraction(1, 50)):
            return
        gap = (dts - self._end) * base
        bits = int("".join(filter(str.isdigit, self._track.codec)))
        width = context.channels * bits // 8  # type: ignore[attr-defined]
        left, time = round(gap * rate), self._end * base
        if gap > _LONGEST_SILENCE or left * width > self._silence_left:
            self.closed += gap
            return
        self._silence_left -= left * width
        while left > 0:
            count = min(left, _SILENT_SAMPLES)
            silence = av.Packet(bytes(count * width))
            silence.stream, silence.time_base = self._stream, base
            silence.pts = silence.dts = round(time / base)
            silence.duration = max(round(Fraction(count, rate) / base), 1)
            self._mux(silence)
            left, time = left - count, time + Fraction(count, rate)


def _decoded_duration(track: Track, packet: av.Packet[Stream]) -> int:
    """Return the duration of a packet in ticks, by decoding it; 1 if that is impossible."""
    try:
        decoder = decoder_of(track)
        frames = decoder.decode(packet)
        samples = sum(frame.samples for frame in frames)
        return max(round(Fraction(samples, decoder.sample_rate) / track.time_base), 1)
    except (av.FFmpegError, ValueError, ZeroDivisionError):
        return 1
