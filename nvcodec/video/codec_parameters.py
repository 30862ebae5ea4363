"""`Track.parameters`: a one-track container header, so that any codec can be opened again.

The bytes are a small header of ours and, deflated, a file of a public format (Matroska, QuickTime
or AVI) which describes the track and holds no packets. libav writes it from the source's stream and
reads it back as the template of the output stream, so nothing a muxer needs (codec private data,
channels, block size, codec delay) has to be known here. Which format can describe a codec exactly
differs from codec to codec; `describe` tries them in turn and keeps the first that gives back what
was put in. `docs/bitstream.md` gives the layout.
"""

from __future__ import annotations

import io
import struct
import zlib

import av
from av.container import InputContainer
from av.stream import Stream

from nvcodec.errors import VideoError
from nvcodec.media import Track

_VERSION = 1
# version, container, sample rate, length of the layout name, length of the raw header
_HEAD = struct.Struct("<BBIBI")
# Fonts and style sheets travel in codec private data, hence megabytes; more is an attack.
_MAX_HEADER = 16 << 20

_MATROSKA, _QUICKTIME, _MP4, _AVI = 1, 2, 3, 4
_FORMATS = {_MATROSKA: "matroska", _QUICKTIME: "mov", _MP4: "mp4", _AVI: "avi"}
# libav's Matroska reader wants one cluster; this is an empty one at time 0.
_EMPTY_CLUSTER = bytes.fromhex("1f43b67583e78100")


def describe(stream: Stream) -> bytes | None:
    """The parameters of an audio or subtitle stream.

    Args:
        stream: A stream of an opened source.

    Returns:
        Bytes for `Track.parameters`, None where no format can describe the codec.
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
            head = _HEAD.pack(_VERSION, kind, rate, len(layout), len(header))
            return head + layout + zlib.compress(header, 9)
    return None


def template(track: Track) -> InputContainer:
    """The described stream, as the only stream of an opened container.

    Args:
        track: A track; its parameters may be hostile.

    Returns:
        A container whose stream 0 serves `add_stream_from_template`. The caller closes it.

    Raises:
        VideoError: If the parameters are malformed or describe another codec.
    """
    kind, _, _, header = _split(track)
    try:
        container = _read(header, kind)
    # A demuxer fed hostile bytes fails in many ways, among them text that is not text.
    except (av.FFmpegError, ValueError, OverflowError, MemoryError) as error:
        raise _malformed(track, "its header cannot be opened") from error
    streams = container.streams
    count = len(streams)
    if count != 1 or getattr(streams[0], "codec_context", None) is None:
        container.close()
        raise _malformed(track, f"expected one stream with a known codec, found {count} streams")
    # Read before closing: a stream of a closed container points at freed memory.
    kind_found, found = streams[0].type, codec_name(streams[0])
    if found != track.codec or kind_found != track.kind:
        container.close()
        raise _malformed(track, f"its header describes {kind_found} {found}")
    return container


def restore(track: Track, stream: Stream) -> None:
    """Set on an output stream what container headers tend to lose: channel order and rate.

    Args:
        track: The track described.
        stream: The output stream made from its template.

    Raises:
        VideoError: If the parameters are malformed.
    """
    _, rate, layout, _ = _split(track)
    if track.kind != "audio":
        return
    context = stream.codec_context
    # One or two channels in no stated order have only one; MP4 refuses to store "no order".
    layout = {"1 channels": "mono", "2 channels": "stereo"}.get(layout, layout)
    try:
        if layout and _layout_of(stream) != layout:
            context.layout = layout  # type: ignore[attr-defined]
        if rate and context.sample_rate != rate:  # type: ignore[attr-defined]
            context.sample_rate = rate  # type: ignore[attr-defined]
    except (ValueError, OverflowError, RuntimeError) as error:
        raise _malformed(track, f"channel layout {layout!r}") from error


def codec_name(stream: Stream) -> str:
    """The codec, as libavcodec names it (not the decoder: `mp3`, never `mp3float`)."""
    return str(stream.codec_context.codec.canonical_name)


def _split(track: Track) -> tuple[int, int, str, bytes]:
    data = track.parameters
    if len(data) < _HEAD.size:
        raise _malformed(track, f"expected at least {_HEAD.size} bytes, found {len(data)}")
    version, kind, rate, named, size = _HEAD.unpack_from(data)
    if version != _VERSION or kind not in _FORMATS:
        raise _malformed(track, f"unknown version {version} or container {kind}")
    if size > _MAX_HEADER or rate > 0x7FFFFFFF:
        raise _malformed(track, f"header of {size} bytes, rate {rate}")
    layout = data[_HEAD.size : _HEAD.size + named].decode("ascii", "replace")
    inflate = zlib.decompressobj()
    try:
        header = inflate.decompress(data[_HEAD.size + named :], size + 1)
    except zlib.error as error:
        raise _malformed(track, "its header does not inflate") from error
    # The checksum of the deflated data is verified only at its end.
    if len(header) != size or not inflate.eof or inflate.unused_data:
        raise _malformed(track, f"expected a deflated header of {size} bytes")
    return kind, rate, layout, header


def _malformed(track: Track, what: str) -> VideoError:
    return VideoError(f"{track.kind} track ({track.codec}): malformed parameters: {what}")


def _write(stream: Stream, kind: int) -> bytes:
    file = io.BytesIO()
    # The fragmented form of a QuickTime file has its whole header in front.
    options = {"movflags": "empty_moov+default_base_moof", "fflags": "bitexact"}
    if kind in (_MATROSKA, _AVI):
        del options["movflags"]
    container = av.open(file, "w", format=_FORMATS[kind], options=options)
    try:
        container.add_stream_from_template(stream, opaque=True)
        container.start_encoding()
        header = file.getvalue()
    finally:
        container.close()
    return header + _EMPTY_CLUSTER if kind == _MATROSKA else header


def _read(header: bytes, kind: int) -> InputContainer:
    name = "mov" if kind in (_QUICKTIME, _MP4) else _FORMATS[kind]
    # Without packets there is nothing to probe for.
    options = {"probesize": "32", "analyzeduration": "0"}
    return av.open(io.BytesIO(header), "r", format=name, options=options, metadata_errors="replace")


def _identity(stream: Stream) -> tuple[object, ...]:
    context = stream.codec_context
    channels = context.layout.nb_channels if stream.type == "audio" else 0  # type: ignore[attr-defined]
    rate = context.sample_rate if stream.type == "audio" else 0  # type: ignore[attr-defined]
    return codec_name(stream), context.extradata, channels, rate


def _layout_of(stream: Stream) -> str:
    return str(stream.codec_context.layout.name)  # type: ignore[attr-defined]
