"""Codec parameters of a track, `Track.parameters`: everything needed to open its codec again.

The bytes are a short header followed by a deflated file of a public format (Matroska, QuickTime,
MP4 or AVI) that describes the track and holds no packets. libav writes this file from the source's
stream and reads it back as the template of the output stream, so this module needs no knowledge of
what a muxer requires (codec private data, channels, block size, codec delay). No format describes
every codec exactly, so `describe` tries them in turn and keeps the first that is read back
unchanged. The layout is specified in `docs/bitstream.md`.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.stream import Stream

from nvcodec.errors import VideoError
from nvcodec.media import Track

_VERSION = 1
# Version, container, sample rate, length of the layout name, length of the raw header.
_HEAD = struct.Struct("<BBIBI")
# Codec private data may hold fonts and style sheets, which take megabytes. More is an attack, in one
# track as in all tracks together.
MAX_HEADERS = _MAX_HEADER = 16 << 20
"""Most bytes of the inflated headers of all tracks of a file."""

_MATROSKA, _QUICKTIME, _MP4, _AVI = 1, 2, 3, 4
_FORMATS = {_MATROSKA: "matroska", _QUICKTIME: "mov", _MP4: "mp4", _AVI: "avi"}
# libav's Matroska reader requires one cluster; this is an empty one at time 0.
_FIRST_CLUSTER = {_MATROSKA: bytes.fromhex("1f43b67583e78100")}


def describe(stream: Stream) -> bytes | None:
    """Return the codec parameters of an audio or subtitle stream.

    Args:
        stream: A stream of an opened source.

    Returns:
        Bytes for `Track.parameters`, None if no format can describe the codec.
    """
    layout, rate = b"", 0
    if stream.type == "audio":
        layout = _layout_of(stream).encode("ascii", "replace")[:255]
        rate = stream.codec_context.sample_rate or 0  # type: ignore[attr-defined]
    for kind in _FORMATS:
        try:
            header = _write(stream, kind)
            with _read(header, kind) as container:
                same = _identity(container.streams[0]) == _identity(stream)
        except (av.FFmpegError, ValueError, IndexError, AttributeError):
            continue
        if same and len(header) <= _MAX_HEADER:
            return _pack(kind, rate, layout, header)
    return None


def of_encoder(
    codec: str, *, rate: int = 0, layout: str = "", subtitle_header: bytes | None = None
) -> bytes:
    """Return the codec parameters of a track that libav is to encode: PCM, or subtitles of text.

    Args:
        codec: Name of the encoder.
        rate: Samples per second, for audio.
        layout: Channel layout as libavutil spells it, for audio.
        subtitle_header: Styles of the subtitles, in the form of an ASS header.

    Raises:
        ValueError: If no format describes the codec with these settings.
    """
    for kind in _FORMATS:
        try:
            with _open_header(kind) as (file, container):
                stream: Any = container.add_stream(codec, rate=rate or None)
                if rate:
                    stream.codec_context.layout = layout
                else:
                    stream.codec_context.subtitle_header = subtitle_header
                container.start_encoding()
                header = file.getvalue()
        except (av.FFmpegError, ValueError, OverflowError):
            continue
        return _pack(kind, rate, layout.encode(), header + _FIRST_CLUSTER.get(kind, b""))
    raise ValueError(f"no format describes {codec} of {rate} samples per second, {layout}")


def inflated_bytes(tracks: Iterable[Track]) -> int:
    """Return the size of the inflated headers of all tracks, as their parameters state it."""
    heads = (track.parameters[: _HEAD.size] for track in tracks)
    return sum(_HEAD.unpack(head)[-1] for head in heads if len(head) == _HEAD.size)


def check_total(tracks: Iterable[Track]) -> None:
    """Refuse tracks whose parameters together would inflate to too many bytes.

    Args:
        tracks: All tracks of a file; their parameters may be hostile.

    Raises:
        VideoError: If they would.
    """
    total = inflated_bytes(tracks)
    if total > MAX_HEADERS:
        raise VideoError(
            f"the parameters of all tracks inflate to {total} bytes; expected at most {MAX_HEADERS}; "
            "write .y4m or a folder, which store no tracks"
        )


def template(track: Track) -> InputContainer:
    """Open the stream that a track describes, as the only stream of a container.

    Args:
        track: The track; its parameters may be hostile.

    Returns:
        A container whose stream 0 serves `add_stream_from_template`. The caller closes it.

    Raises:
        VideoError: If the parameters are malformed or describe another codec.
    """
    kind, _, _, header = _split(track)
    try:
        container = _read(header, kind)
    # A demuxer fails on hostile bytes in many ways, among them text that is not UTF-8.
    except (av.FFmpegError, ValueError, OverflowError, MemoryError) as error:
        raise _malformed(track, "its header cannot be opened") from error
    streams = container.streams
    count = len(streams)
    if count != 1 or getattr(streams[0], "codec_context", None) is None:
        container.close()
        raise _malformed(track, f"expected one stream with a known codec, found {count} streams")
    # Read before closing: a stream of a closed container points at freed memory.
    described_kind, codec = streams[0].type, codec_name(streams[0])
    if codec != track.codec or described_kind != track.kind:
        container.close()
        raise _malformed(track, f"its header describes {described_kind} {codec}")
    return container


def restore(track: Track, stream: Stream) -> None:
    """Set channel layout and sample rate of an output stream; container headers often lose them.

    Args:
        track: The track.
        stream: Output stream made from the track's template.

    Raises:
        VideoError: If the parameters are malformed.
    """
    _, rate, layout, _ = _split(track)
    if track.kind != "audio":
        return
    context = stream.codec_context
    layout = ordered_layout(layout)  # MP4 cannot store "no order"
    try:
        if layout and _layout_of(stream) != layout:
            context.layout = layout  # type: ignore[attr-defined]
        if rate and context.sample_rate != rate:  # type: ignore[attr-defined]
            context.sample_rate = rate  # type: ignore[attr-defined]
    except (ValueError, OverflowError, RuntimeError) as error:
        raise _malformed(track, f"channel layout {layout!r}") from error


def ordered_layout(layout: str) -> str:
    """Return a channel layout with an order: one or two channels can have only one."""
    return {"1 channels": "mono", "2 channels": "stereo"}.get(layout, layout)


def codec_name(stream: Stream) -> str:
    """Return the name of the codec in libavcodec, not of its decoder: `mp3`, never `mp3float`."""
    return str(stream.codec_context.codec.canonical_name)


def _split(track: Track) -> tuple[int, int, str, bytes]:
    data = track.parameters
    if len(data) < _HEAD.size:
        raise _malformed(track, f"expected at least {_HEAD.size} bytes, found {len(data)}")
    version, kind, rate, layout_size, size = _HEAD.unpack_from(data)
    if version != _VERSION or kind not in _FORMATS:
        raise _malformed(track, f"unknown version {version} or container {kind}")
    if size > _MAX_HEADER or rate > 0x7FFFFFFF:
        raise _malformed(track, f"header of {size} bytes, rate {rate}")
    layout = data[_HEAD.size : _HEAD.size + layout_size].decode("ascii", "replace")
    inflate = zlib.decompressobj()
    try:
        header = inflate.decompress(data[_HEAD.size + layout_size :], size + 1)
    except zlib.error as error:
        raise _malformed(track, "its header does not inflate") from error
    # zlib verifies the checksum only at the end of the deflated data.
    if len(header) != size or not inflate.eof or inflate.unused_data:
        raise _malformed(track, f"expected a deflated header of {size} bytes")
    return kind, rate, layout, header


def _malformed(track: Track, what: str) -> VideoError:
    return VideoError(f"{track.kind} track ({track.codec}): malformed parameters: {what}")


def _pack(kind: int, rate: int, layout: bytes, header: bytes) -> bytes:
    head = _HEAD.pack(_VERSION, kind, rate, len(layout), len(header))
    return head + layout + zlib.compress(header, 9)


def _write(stream: Stream, kind: int) -> bytes:
    with _open_header(kind) as (file, container):
        container.add_stream_from_template(stream, opaque=True)
        container.start_encoding()
        header = file.getvalue()
    return header + _FIRST_CLUSTER.get(kind, b"")


@contextmanager
def _open_header(kind: int) -> Iterator[tuple[io.BytesIO, OutputContainer]]:
    """Open a file in memory, of which only the header is of interest."""
    file = io.BytesIO()
    # A fragmented QuickTime file has its whole header at the start.
    options = {"movflags": "empty_moov+default_base_moof", "fflags": "bitexact"}
    if kind in (_MATROSKA, _AVI):
        del options["movflags"]
    container = av.open(file, "w", format=_FORMATS[kind], options=options)
    try:
        yield file, container
    finally:
        container.close()


def _read(header: bytes, kind: int) -> InputContainer:
    name = "mov" if kind in (_QUICKTIME, _MP4) else _FORMATS[kind]
    # The file holds no packets to probe.
    options = {"probesize": "32", "analyzeduration": "0"}
    return av.open(io.BytesIO(header), "r", format=name, options=options, metadata_errors="replace")


def _identity(stream: Stream) -> tuple[object, ...]:
    context = stream.codec_context
    channels = context.layout.nb_channels if stream.type == "audio" else 0  # type: ignore[attr-defined]
    rate = context.sample_rate if stream.type == "audio" else 0  # type: ignore[attr-defined]
    return codec_name(stream), context.extradata, channels, rate


def _layout_of(stream: Stream) -> str:
    return str(stream.codec_context.layout.name)  # type: ignore[attr-defined]
