"""Conversion of text subtitles from one codec to another, for formats that cannot store theirs."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from typing import cast

import av
from av.subtitles.codeccontext import SubtitleCodecContext
from av.subtitles.subtitle import AssSubtitle, SubtitleSet

from nvcodec.media import Packet, Track
from nvcodec.video.tracks import codec_parameters
from nvcodec.video.tracks.libav_packets import libav_packet

# Override tags of ASS for the face and the size of a font. MP4 states them for every text.
_FONT_TAGS = re.compile(rb"\\f(?:n[^\\}]*|s[\d.+-]*)")

TEXT_CODECS = frozenset(["subrip", "ass", "ssa", "webvtt", "mov_text", "text"])
"""Text subtitles that libav decodes from the containers it reads."""


class TextConverter:
    """Converts the packets of a text subtitle track to another codec.

    Text, line breaks, and bold, italic, underlined and coloured passages come through. Fonts,
    positions and animations do not.

    Args:
        track: The track, of one of `TEXT_CODECS`.
        codec: `"subrip"` or `"mov_text"`.

    Raises:
        VideoError: If the track's parameters are malformed.
        ValueError: If the track cannot be decoded, or the codec not described.

    Attributes:
        track: The converted track.
        failed: Number of packets that could not be converted.
        rounded: False; text is not rounded.
    """

    def __init__(self, track: Track, codec: str) -> None:
        self._described = codec_parameters.template(track)
        decoder = self._described.streams[0].codec_context
        self._decoder = cast(SubtitleCodecContext, decoder)
        self._decoder.open(strict=False)
        header = _plain_styles()
        self._encoder = cast(SubtitleCodecContext, av.CodecContext.create(codec, "w"))
        self._encoder.subtitle_header = header
        self._encoder.time_base = Fraction(1, 1000)
        self._base = track.time_base
        self.failed = 0
        self.rounded = False
        parameters = codec_parameters.of_encoder(codec, subtitle_header=header)
        self.track = replace(track, codec=codec, parameters=parameters)

    def convert(self, packet: Packet) -> list[Packet]:
        """Return the converted packet; nothing for one without text, such as a gap of MP4."""
        try:
            subtitles = self._decoder.decode2(libav_packet(packet, self._base))
            lines = [
                _without_fonts(line.ass)
                for line in subtitles or ()
                if isinstance(line, AssSubtitle)
            ]
            if not lines:
                return []
            # Lines that are shown together become one text.
            text = rb"\N".join([lines[0], *(line.split(b",", 8)[-1] for line in lines[1:])])
            shown = SubtitleSet.create(text, 0, packet.duration)
            data = bytes(self._encoder.encode_subtitle(shown))
        except (av.FFmpegError, ValueError):
            self.failed += 1
            return []
        return [replace(packet, data=data, side_data=(), keyframe=True)]

    def flush(self) -> list[Packet]:
        """Return nothing: every packet is converted at once."""
        return []


def _plain_styles() -> bytes | None:
    """Return the styles that libav gives text without styles, as an ASS header."""
    context = av.CodecContext.create("subrip", "r")
    context.open(strict=False)
    return context.subtitle_header


def _without_fonts(line: bytes) -> bytes:
    """Return a line of ASS without the faces and sizes of its fonts, and in the plain style."""
    fields = _FONT_TAGS.sub(b"", line).replace(b"{}", b"").split(b",", 8)
    return b",".join([*fields[:2], b"Default", *fields[3:]])
