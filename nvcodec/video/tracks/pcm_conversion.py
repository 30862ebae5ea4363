"""Decoding of an audio track to PCM, for formats that cannot store its codec.

The samples are those that libav's decoder makes: nothing is resampled, dithered or rounded, and
PCM has their type. Decoders that deliver 24-bit samples in 32 bits get 24-bit PCM.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext

from nvcodec.media import Packet, Track
from nvcodec.video.tracks import codec_parameters
from nvcodec.video.tracks.libav_packets import libav_packet
from nvcodec.video.tracks.tta_ending import decode_last_frame

# Sample format of a decoder -> PCM codec that holds its samples exactly, and that both MP4 and
# Matroska hold (but 64-bit integers, which MP4 does not).
_EXACT = {
    "u8": "pcm_s16le",
    "s16": "pcm_s16le",
    "s32": "pcm_s32le",
    "s64": "pcm_s64le",
    "flt": "pcm_f32le",
    "dbl": "pcm_f64le",
}
# PCM codec -> sample format and bytes of a sample while it is converted.
_SAMPLES = {
    "pcm_s16le": ("s16", 2),
    "pcm_s24le": ("s32", 4),
    "pcm_s32le": ("s32", 4),
    "pcm_s64le": ("s64", 8),
    "pcm_f32le": ("flt", 4),
    "pcm_f64le": ("dbl", 8),
}
# Codecs of at most 24 bits, whose decoders deliver more than 16 bits as 32.
_AT_MOST_24_BITS = {
    *("pcm_dvd", "pcm_bluray", "s302m", "pcm_s24daud", "pcm_s24le_planar", "pcm_u24le"),
    *("pcm_u24be", "tta", "mlp", "truehd", "ape", "tak"),
}
# Such codecs whose decoder says only with the first packet whether it delivers 16 or 32 bits.
_DECIDED_LATE = {"tta", "mlp", "truehd", "ape", "tak"}


def exact_codec(codec: str, context: AudioCodecContext) -> str:
    """Return the PCM codec that holds the samples of a decoder exactly.

    Args:
        codec: Name of the codec.
        context: Its decoder; it is opened. One that says what it delivers only when it has decoded
            a packet counts as one of 32 bits.

    Raises:
        ValueError: If there is none.
    """
    context.open(strict=False)
    # PyAV does not say so, but a decoder may have no format yet.
    stated = cast("av.AudioFormat | None", context.format)
    name = None if stated is None else stated.packed.name
    if codec in _AT_MOST_24_BITS and (name == "s32" or (name is None and codec in _DECIDED_LATE)):
        return "pcm_s24le"
    if (name or "s32") not in _EXACT:
        raise ValueError(f"{codec}: samples of format {name}")
    return _EXACT[name or "s32"]


class PcmConverter:
    """Decodes the packets of an audio track to packets of PCM.

    Packets that cannot be decoded are left out and counted.

    Args:
        track: The track.
        context: Decoder of the track, for this converter alone.

    Raises:
        av.FFmpegError: If the decoder cannot be opened.
        ValueError: If the sample rate or the channels are unknown, or PCM cannot have them.

    Attributes:
        source: The track.
        track: The track as PCM; a tick is a sample.
        failed: Number of packets that could not be decoded.
        rounded: Whether the decoder delivered other samples than it had announced, which had to be
            rounded.
    """

    def __init__(self, track: Track, context: AudioCodecContext) -> None:
        codec = exact_codec(track.codec, context)
        rate, count = context.sample_rate, context.layout.nb_channels
        if rate < 1 or count < 1:
            raise ValueError(f"{track.codec}: {rate} samples per second, {count} channels")
        self._layout = codec_parameters.ordered_layout(context.layout.name)
        self._context, self._base, self._rate, self._codec = context, track.time_base, rate, codec
        self._sample_format, width = _SAMPLES[codec]
        self._frame_bytes = count * width
        self._resampler = self._new_resampler()
        self._next: int | None = None
        # Times of packets are rounded to ticks, and jitter.
        self._tolerance = rate * max(2 * track.time_base, Fraction(1, 50))
        self.failed = 0
        self.rounded = False
        self.source = track
        self.track = replace(
            track,
            codec=codec,
            time_base=Fraction(1, rate),
            parameters=codec_parameters.of_encoder(codec, rate=rate, layout=self._layout),
        )

    def convert(self, packet: Packet) -> list[Packet]:
        """Return the samples that the decoder delivers after the next packet."""
        return self._decode(libav_packet(packet, self._base))

    def flush(self) -> list[Packet]:
        """Return the samples that the decoder has held back, after the last packet."""
        return self._decode(None)

    def _new_resampler(self) -> av.AudioResampler:
        return av.AudioResampler(format=self._sample_format, layout=self._layout, rate=self._rate)

    def _decode(self, packet: av.Packet[Any] | None) -> list[Packet]:
        try:
            frames = self._context.decode(packet)
        except av.EOFError:
            return []
        except (av.FFmpegError, ValueError):
            frames = []
            if self.source.codec == "tta" and packet is not None:
                frames = decode_last_frame(self._context.extradata, packet, self._rate)
            self.failed += not frames
        return [samples for frame in frames for samples in self._samples(frame)]

    def _samples(self, frame: av.AudioFrame) -> list[Packet]:
        """Return the samples of a frame, at its time or behind those before."""
        stated = None
        if frame.pts is not None and frame.time_base is not None:
            stated = round(frame.pts * Fraction(frame.time_base) * self._rate)
        if self._next is None:
            self._next = stated or 0
        elif stated is not None and stated > self._next + self._tolerance:
            self._next = stated
        # Of the decoders that decide late, only that of WavPack has samples of floating point.
        self.rounded |= self._codec == "pcm_s32le" and frame.format.packed.name in ("flt", "dbl")
        frame.pts = None
        try:
            packed = self._resampler.resample(frame)
        except (av.FFmpegError, ValueError):
            # The stream changed its rate or channels.
            self._resampler = self._new_resampler()
            packed = self._resampler.resample(frame)
        packets = []
        for part in packed:
            data = bytes(part.planes[0])[: part.samples * self._frame_bytes]
            packets.append(
                Packet(
                    data=_to_24_bits(data) if self._codec == "pcm_s24le" else data,
                    pts=self._next,
                    dts=self._next,
                    duration=part.samples,
                )
            )
            self._next += part.samples
        return packets


def _to_24_bits(data: bytes) -> bytes:
    """Drop the lowest byte of each 32-bit sample, which is zero."""
    return np.frombuffer(data, np.uint8).reshape(-1, 4)[:, 1:].tobytes()
