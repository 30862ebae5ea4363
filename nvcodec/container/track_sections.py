"""Track and metadata sections of an `.nvc` file, as bytes and back.

The layout is specified in `docs/bitstream.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nvcodec.container.fields import Cursor, Payload
from nvcodec.container.section_types import METADATA, TRACK
from nvcodec.errors import ConfigError
from nvcodec.media import Track

MAX_TRACKS = 256
MAX_ENTRIES = 2**10
"""Most entries of a metadata section."""
MAX_NAME = 255
"""Longest codec name, language or metadata key, bytes of UTF-8."""
MAX_TEXT = 2**16 - 1
"""Longest title or metadata value, bytes of UTF-8."""
MAX_PARAMETERS = 2**25
"""Largest codec parameters of a track, bytes."""

# Codes of the bitstream; a number is never reused.
_TRACK_KINDS = {"audio": 1, "subtitle": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackSection:
    """A track and the number by which its packets refer to it.

    Attributes:
        index: Number of the track, 0 for the first, at most 255.
        track: The track.
    """

    index: int
    track: Track


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """Free text about the file, for people; decoding does not depend on it.

    Attributes:
        entries: Key to value, at most 1024 of them; keys at most 255 bytes of UTF-8, values at most
            65535.
    """

    entries: Mapping[str, str]


def write_track(index: int, track: Track) -> bytes:
    """Return the payload of a trak section.

    Args:
        index: Number of the track, 0 to 255.
        track: The track.

    Raises:
        ConfigError: If a field does not fit the format: an unknown kind, a text that is too long.
    """
    if track.kind not in _TRACK_KINDS:
        raise ConfigError(f"a track is one of {sorted(_TRACK_KINDS)}, got {track.kind!r}")
    out = Payload(TRACK)
    out.u8("track", index, 0, MAX_TRACKS - 1)
    out.u8("kind", _TRACK_KINDS[track.kind])
    out.text("codec", track.codec, MAX_NAME)
    out.fraction("time base", track.time_base)
    out.text("language", track.language, MAX_NAME)
    out.text("title", track.title, MAX_TEXT)
    out.varint("disposition", track.disposition, 0, 2**32 - 1)
    out.sized("parameters", track.parameters, MAX_PARAMETERS)
    return bytes(out)


def read_track(cursor: Cursor) -> TrackSection:
    """Read the payload of a trak section; bytes after the last known field are ignored.

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
            time_base=cursor.fraction("time base"),
            language=cursor.text("language", MAX_NAME),
            title=cursor.text("title", MAX_TEXT),
            disposition=cursor.varint("disposition", 0, 2**32 - 1),
            parameters=cursor.sized("parameters", MAX_PARAMETERS),
        ),
    )


def write_metadata(entries: Mapping[str, str]) -> bytes:
    """Return the payload of a meta section.

    Args:
        entries: Key to value, as `Metadata.entries` describes them.

    Raises:
        ConfigError: If there are too many entries, or a key or value is too long.
    """
    out = Payload(METADATA)
    out.varint("entries", len(entries), 0, MAX_ENTRIES)
    for key, value in entries.items():
        out.text("key", key, MAX_NAME)
        out.text("value", value, MAX_TEXT)
    return bytes(out)


def read_metadata(cursor: Cursor) -> Metadata:
    """Read the payload of a meta section.

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
