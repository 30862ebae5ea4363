"""What the sections of an `.nvc` file say of it as a whole: header, tracks, metadata.

Owns the layout of these payloads, both ways, and the names of all sections. Framing and checksums
are `nvcodec.container.framing`, packets `nvcodec.container.packets`, segments and the index `nvcodec.container.index`. The format is `docs/bitstream.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from nvcodec.container.framing import Cursor, Payload
from nvcodec.errors import ConfigError, UnsupportedVersionError
from nvcodec.media import Colour, ColourMode, Track, VideoInfo

HEADER, TRACK, METADATA, PACKETS = "HEAD", "trak", "meta", "pack"
SEGMENT, INDEX, END = "SEGM", "indx", "DONE"
TOKENS, CONDITIONING_TOKENS = "toks", "TOKS"
"""Tokens that a decoder of pictures can do without, and those that it cannot."""
KNOWN = frozenset(
    {HEADER, TRACK, METADATA, PACKETS, SEGMENT, INDEX, END, TOKENS, CONDITIONING_TOKENS}
)

MAX_SIDE = 65535
MAX_PIXELS = 2**26
MAX_TERM = 2**31 - 1
"""Largest numerator or denominator of a fraction."""
MAX_CONFIGURATION = 2**16 - 1
MAX_HEADER = 2**17
"""Largest HEAD payload, bytes: it is read before anything else is known about the file."""
MAX_NAME = 255
MAX_TEXT = 2**16 - 1
MAX_PARAMETERS = 2**25
MAX_TRACKS = 256
MAX_ENTRIES = 2**10
TOKENIZER_ID = 16
"""Bytes of a tokenizer's id."""
MAX_FSQ_CHANNELS = 16
"""Most digits of a token, and most levels of a digit."""

# Part of the bitstream; never reuse a number.
_TRACK_KINDS = {"audio": 1, "subtitle": 2}

_NO_TOKENS, _BESIDE, _FED = range(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFormat:
    """What the tokens of a file are.

    Attributes:
        tokenizer_id: Of the tokenizer that made them, 16 bytes.
        conditioning: The model is conditioned on them; otherwise they stand beside what the pictures are made from.
        time_stride: Frames of a token, but for the first of a segment, 1 to 255.
        space_stride: Luma samples along each side of a token's cell, 1 to 255.
        levels: Values of each digit of a token, 2 to 16 each, 1 to 16 of them.
    """

    tokenizer_id: bytes
    conditioning: bool
    time_stride: int
    space_stride: int
    levels: tuple[int, ...]

    @property
    def section(self) -> str:
        """Type of the sections that hold them."""
        return CONDITIONING_TOKENS if self.conditioning else TOKENS


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Everything a decoder must know before the first segment.

    Attributes:
        video: Size, rates and colour. Sides 1 to 65535, at most 2**26 pixels; fractions positive
            with terms below 2**31; colour code points 0 to 255.
        model: Id of the model family, 0 to 255; the table is `nvcodec.models`.
        colour_mode: The samples the model makes.
        configuration: What the model needs to build itself, at most 65535 bytes; opaque here.
        tokens: What the tokens in the file are; None if there are none.
    """

    video: VideoInfo
    model: int
    colour_mode: ColourMode = ColourMode.RGB
    configuration: bytes = b""
    tokens: TokenFormat | None = None

    @property
    def minor(self) -> int:
        """The lowest minor version that has all that such a file uses."""
        return 1 if self.tokens else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackSection:
    """A track and the number by which its packets refer to it.

    Attributes:
        index: 0 for the first track, at most 255.
        track: The track.
    """

    index: int
    track: Track


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """Free text about the file, for people; nothing in decoding depends on it.

    Attributes:
        entries: Key to value; keys at most 255 bytes of UTF-8, values at most 65535; at most
            1024 of them.
    """

    entries: Mapping[str, str]


def write_header(header: Header) -> bytes:
    """The payload of a HEAD section.

    Raises:
        ConfigError: If a field is outside the range `Header` states.
    """
    out, video = Payload(HEADER), header.video
    out.varint("width", video.width, 1, MAX_SIDE)
    out.varint("height", video.height, 1, MAX_SIDE)
    out.check("width x height", video.width * video.height, 1, MAX_PIXELS)
    _write_fraction(out, "time base", video.time_base)
    _write_fraction(out, "frame rate", video.frame_rate)
    _write_fraction(out, "sample aspect ratio", video.sample_aspect_ratio)
    out.u8("colour primaries", video.colour.primaries)
    out.u8("transfer characteristics", video.colour.transfer)
    out.u8("matrix coefficients", video.colour.matrix)
    out.u8("full range", int(video.colour.full_range))
    out.u8("model", header.model)
    out.u8("colour mode", ColourMode(header.colour_mode))
    out.sized("model configuration", header.configuration, MAX_CONFIGURATION)
    if header.tokens:
        _write_token_format(out, header.tokens)
    return bytes(out)


def _write_token_format(out: Payload, tokens: TokenFormat) -> None:
    out.u8("tokens", _FED if tokens.conditioning else _BESIDE)
    out.check("length of the tokenizer id", len(tokens.tokenizer_id), TOKENIZER_ID, TOKENIZER_ID)
    out.raw(tokens.tokenizer_id)
    out.u8("time stride", tokens.time_stride, 1)
    out.u8("space stride", tokens.space_stride, 1)
    out.u8("digits", len(tokens.levels), 1, MAX_FSQ_CHANNELS)
    for levels in tokens.levels:
        out.u8("levels", levels, 2, MAX_FSQ_CHANNELS)


def _read_token_format(cursor: Cursor) -> TokenFormat | None:
    use = cursor.u8("tokens", _NO_TOKENS, _FED) if cursor.remaining else _NO_TOKENS
    if use == _NO_TOKENS:
        return None
    return TokenFormat(
        conditioning=use == _FED,
        tokenizer_id=cursor.take("tokenizer id", TOKENIZER_ID),
        time_stride=cursor.u8("time stride", 1),
        space_stride=cursor.u8("space stride", 1),
        levels=tuple(
            cursor.u8("levels", 2, MAX_FSQ_CHANNELS)
            for _ in range(cursor.u8("digits", 1, MAX_FSQ_CHANNELS))
        ),
    )


def read_header(cursor: Cursor, minor: int) -> Header:
    """The mirror of `write_header`; bytes after the last known field are left for later versions.

    Args:
        cursor: At the start of the payload.
        minor: Minor version of the file, which says what fields there can be.

    Raises:
        BitstreamError: If a field is missing or out of range.
        UnsupportedVersionError: If the colour mode is not one this release knows.
    """
    width = cursor.varint("width", 1, MAX_SIDE)
    start = cursor.offset
    height = cursor.varint("height", 1, MAX_SIDE)
    if width * height > MAX_PIXELS:
        raise cursor.error(
            f"a picture has at most {MAX_PIXELS} pixels, got {width}x{height}", start
        )
    time_base = _read_fraction(cursor, "time base")
    frame_rate = _read_fraction(cursor, "frame rate")
    aspect = _read_fraction(cursor, "sample aspect ratio")
    colour = Colour(
        primaries=cursor.u8("colour primaries"),
        transfer=cursor.u8("transfer characteristics"),
        matrix=cursor.u8("matrix coefficients"),
        full_range=bool(cursor.u8("full range", 0, 1)),
    )
    model = cursor.u8("model")
    start = cursor.offset
    mode = cursor.u8("colour mode")
    if mode not in ColourMode.__members__.values():
        raise UnsupportedVersionError(
            f"{HEADER} section, byte {start}: colour mode {mode} is unknown, "
            f"expected one of {[int(known) for known in ColourMode]}; a newer release may read it"
        )
    return Header(
        video=VideoInfo(
            width=width,
            height=height,
            time_base=time_base,
            frame_rate=frame_rate,
            sample_aspect_ratio=aspect,
            colour=colour,
        ),
        model=model,
        colour_mode=ColourMode(mode),
        configuration=cursor.sized("model configuration", MAX_CONFIGURATION),
        tokens=_read_token_format(cursor) if minor else None,
    )


def write_track(index: int, track: Track) -> bytes:
    """The payload of a trak section.

    Raises:
        ConfigError: If a field does not fit the format: an unknown kind, a text that is too long.
    """
    if track.kind not in _TRACK_KINDS:
        raise ConfigError(f"a track is one of {sorted(_TRACK_KINDS)}, got {track.kind!r}")
    out = Payload(TRACK)
    out.u8("track", index, 0, MAX_TRACKS - 1)
    out.u8("kind", _TRACK_KINDS[track.kind])
    out.text("codec", track.codec, MAX_NAME)
    _write_fraction(out, "time base", track.time_base)
    out.text("language", track.language, MAX_NAME)
    out.text("title", track.title, MAX_TEXT)
    out.varint("disposition", track.disposition, 0, 2**32 - 1)
    out.sized("parameters", track.parameters, MAX_PARAMETERS)
    return bytes(out)


def read_track(cursor: Cursor) -> TrackSection:
    """The mirror of `write_track`; bytes after the last known field are left for later versions.

    Raises:
        BitstreamError: If a field is missing or out of range.
    """
    names = {code: name for name, code in _TRACK_KINDS.items()}
    index = cursor.u8("track")
    return TrackSection(
        index=index,
        track=Track(
            kind=names[cursor.u8("kind", 1, len(names))],
            codec=cursor.text("codec", MAX_NAME),
            time_base=_read_fraction(cursor, "time base"),
            language=cursor.text("language", MAX_NAME),
            title=cursor.text("title", MAX_TEXT),
            disposition=cursor.varint("disposition", 0, 2**32 - 1),
            parameters=cursor.sized("parameters", MAX_PARAMETERS),
        ),
    )


def write_metadata(entries: Mapping[str, str]) -> bytes:
    """The payload of a meta section.

    Raises:
        ConfigError: If a key or value is too long.
    """
    out = Payload(METADATA)
    out.varint("entries", len(entries), 0, MAX_ENTRIES)
    for key, value in entries.items():
        out.text("key", key, MAX_NAME)
        out.text("value", value, MAX_TEXT)
    return bytes(out)


def read_metadata(cursor: Cursor) -> Metadata:
    """The mirror of `write_metadata`.

    Raises:
        BitstreamError: If the section is malformed or holds a key twice.
    """
    count = cursor.varint("entries", 0, min(MAX_ENTRIES, cursor.remaining // 2))
    entries: dict[str, str] = {}
    for _ in range(count):
        start = cursor.offset
        key = cursor.text("key", MAX_NAME)
        if key in entries:
            raise cursor.error(f"key {key!r} appears twice", start)
        entries[key] = cursor.text("value", MAX_TEXT)
    cursor.finish()
    return Metadata(entries=entries)


def _write_fraction(out: Payload, name: str, value: Fraction) -> None:
    value = Fraction(value)
    out.varint(f"numerator of {name}", value.numerator, 1, MAX_TERM)
    out.varint(f"denominator of {name}", value.denominator, 1, MAX_TERM)


def _read_fraction(cursor: Cursor, name: str) -> Fraction:
    numerator = cursor.varint(f"numerator of {name}", 1, MAX_TERM)
    return Fraction(numerator, cursor.varint(f"denominator of {name}", 1, MAX_TERM))
