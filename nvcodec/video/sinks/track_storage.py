"""How `.mkv` and `.mp4` store an audio or subtitle track: as it is, converted, or not at all.

The answer comes from libav: a track is stored as it is if the muxer writes a header for it. Audio
that cannot be copied is decoded to PCM, and text subtitles get the codec of the format.

PyAV refuses codecs that Matroska holds only in the form of AVI or ASF (WMA, ADPCM, A-law, AMR),
although libav's muxer writes them, as `ffmpeg -c copy` shows. libav's `tee` muxer, which passes
everything on to other muxers, accepts any codec; so such files are written through it.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.container import OutputContainer
from av.stream import Disposition, Stream

from nvcodec.errors import VideoError
from nvcodec.media import Packet, Track
from nvcodec.video.sinks.text_conversion import TEXT_CODECS, TextConverter
from nvcodec.video.tracks import codec_parameters
from nvcodec.video.tracks.pcm_conversion import PcmConverter

FORMATS = {".mkv": "matroska", ".mp4": "mp4"}
"""Formats with tracks: name of the file's end, and of libav's muxer."""
_TEXT = {".mkv": "subrip", ".mp4": "mov_text"}
# Characters that separate outputs of the tee muxer, or quote others.
_TEE_SYNTAX = "\\'|[] \t\n"


class PacketConverter(Protocol):
    """Converts the packets of a track to those of another codec.

    Attributes:
        track: The converted track.
        failed: Number of packets that could not be converted.
        rounded: Whether samples had to be rounded.
    """

    track: Track
    failed: int
    rounded: bool

    def convert(self, packet: Packet) -> list[Packet]:
        """Return what the next packet becomes."""
        ...

    def flush(self) -> list[Packet]:
        """Return what is left after the last packet."""
        ...


@dataclass(frozen=True, slots=True)
class Storage:
    """How a format stores a track.

    Attributes:
        track: The track as it is stored.
        through_tee: Whether PyAV needs the tee muxer for it.
        converter: Converter of the packets; None if they are copied.
    """

    track: Track
    through_tee: bool
    converter: PacketConverter | None = None


def storage_of(track: Track, suffix: str) -> Storage | None:
    """Return how a format stores a track, None if it cannot.

    Args:
        track: The track.
        suffix: `.mkv` or `.mp4`.

    Raises:
        VideoError: If the track's parameters are malformed.
    """
    through_tee = _writable(track, suffix)
    if through_tee is not None:
        return Storage(track, through_tee)
    try:
        converter = _converter(track, suffix)
    except VideoError:
        raise
    except (av.FFmpegError, ValueError, OverflowError):
        return None
    through_tee = None if converter is None else _writable(converter.track, suffix)
    if converter is None or through_tee is None:
        return None
    return Storage(converter.track, through_tee, converter)


def formats_for(tracks: Sequence[Track]) -> list[str]:
    """Return the formats that hold every one of these tracks, as it is or converted.

    Args:
        tracks: The tracks; those with malformed parameters are held by no format.
    """
    return [suffix for suffix in FORMATS if all(_is_held(track, suffix) for track in tracks)]


def _is_held(track: Track, suffix: str) -> bool:
    try:
        return storage_of(track, suffix) is not None
    except VideoError:
        return False


def open_muxer(
    path: str | io.BytesIO, suffix: str, options: Mapping[str, str], *, through_tee: bool
) -> OutputContainer:
    """Open a file for writing.

    Args:
        path: Path of the file, or a file in memory, which the tee muxer cannot write.
        suffix: `.mkv` or `.mp4`.
        options: Options of the muxer; without characters that are special to the tee muxer.
        through_tee: Whether a track needs the tee muxer.
    """
    if not through_tee or isinstance(path, io.BytesIO):
        # Without the prefix a colon in a file name would be read as a protocol.
        file = f"file:{path}" if isinstance(path, str) else path
        return av.open(file, "w", format=FORMATS[suffix], options=dict(options))
    settings = ":".join(f"{name}={value}" for name, value in options.items())
    quoted = "".join("\\" + c if c in _TEE_SYNTAX else c for c in f"file:{path}")
    target = f"[f={FORMATS[suffix]}:onfail=abort{settings and ':' + settings}]{quoted}"
    return av.open(target, "w", format="tee")


def add_track(container: OutputContainer, track: Track) -> Stream:
    """Add a track to an output, whose packets are copied.

    Args:
        container: The output.
        track: The track.

    Raises:
        ValueError: If PyAV does not know that the format holds its codec.
        VideoError: If its parameters are malformed.
    """
    with codec_parameters.template(track) as described:
        stream: Stream = container.add_stream_from_template(described.streams[0], opaque=True)
    codec_parameters.restore(track, stream)
    stream.time_base = Fraction(track.time_base)
    stream.disposition = cast(Disposition, track.disposition)  # PyAV takes integers too
    if track.language:
        stream.metadata["language"] = track.language
    if track.title:
        stream.metadata["title"] = track.title
    return stream


def decoder_of(track: Track) -> AudioCodecContext:
    """Return a decoder of an audio track.

    Args:
        track: The track.

    Raises:
        VideoError: If its parameters are malformed.
    """
    with codec_parameters.template(track) as described:
        return cast(AudioCodecContext, described.streams[0].codec_context)


def _writable(track: Track, suffix: str) -> bool | None:
    """Return whether writing a track needs the tee muxer; None if the format cannot hold it."""
    if _has_header(track, suffix, io.BytesIO(), through_tee=False):
        return False
    # libav's MP4 muxer holds nothing that PyAV refuses.
    if suffix == ".mkv" and _has_header(track, suffix, os.devnull, through_tee=True):
        return True
    return None


def _has_header(track: Track, suffix: str, path: str | io.BytesIO, *, through_tee: bool) -> bool:
    """Return whether the muxer writes the header of a file with this track alone."""
    container = open_muxer(path, suffix, {}, through_tee=through_tee)
    try:
        stream = add_track(container, track)
        container.start_encoding()
        if track.codec.startswith("pcm_"):
            # MP4 reports an unsupported PCM track only when the file is finished.
            sample = av.Packet(bytes(24 * max(stream.codec_context.channels, 1)))  # type: ignore[attr-defined]
            sample.stream, sample.pts, sample.dts, sample.duration = stream, 0, 0, 1
            container.mux(sample)
            container.close()
    except VideoError:
        raise
    except (av.FFmpegError, OverflowError, ValueError):
        return False
    finally:
        try:
            container.close()
        except (av.FFmpegError, ValueError):
            # Some formats cannot finish an empty file; only the header was to be checked.
            container = None  # type: ignore[assignment]
    return True


def _converter(track: Track, suffix: str) -> PacketConverter | None:
    """Return a converter to a codec that the format holds; None for subtitles without text."""
    if track.kind == "audio":
        return PcmConverter(track, decoder_of(track))
    return TextConverter(track, _TEXT[suffix]) if track.codec in TEXT_CODECS else None
