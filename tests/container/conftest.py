"""Small streams shared by the tests of the container, as attributes of the fixture `samples`."""

import sys
from collections.abc import Sequence
from fractions import Fraction
from io import BytesIO
from types import ModuleType

import pytest

from nvcodec.container import ColourMode, Header, Segment, Writer
from nvcodec.media import Chapter, Colour, Packet, Track, VideoInfo


@pytest.fixture(scope="session")
def samples() -> ModuleType:
    """This module; test files are imported by path and cannot import it by name."""
    return sys.modules[__name__]


HEADER = Header(
    video=VideoInfo(
        width=1919,
        height=1081,
        time_base=Fraction(1, 30000),
        frame_rate=Fraction(30000, 1001),
        sample_aspect_ratio=Fraction(40, 33),
        colour=Colour(primaries=1, transfer=13, matrix=6, full_range=True),
    ),
    model=7,
    colour_mode=ColourMode.YUV420,
    configuration=bytes(range(20)),
)
TRACKS = (
    Track(
        kind="audio",
        codec="aac",
        time_base=Fraction(1, 48000),
        language="deu",
        title="Für alle",
        disposition=1,
        parameters=b"\x12\x10",
    ),
    Track(kind="subtitle", codec="subrip", time_base=Fraction(1, 1000)),
)
METADATA = {"encoder": "nvcodec", "note": "größer"}


def audio(number: int, count: int = 3) -> list[Packet]:
    return [
        Packet(
            data=bytes([number, k]) * (k + 2),
            pts=(number * count + k) * 1024 - 1024,
            dts=(number * count + k) * 1024 - 1024,
            duration=1024,
            side_data=((4, b"skip"),) if number == k == 0 else (),
        )
        for k in range(count)
    ]


ODD_PACKETS = [
    Packet(data=b"", pts=None, dts=None),
    Packet(data=b"x", pts=None, dts=-5, duration=9, keyframe=False),
    Packet(data=b"yy", pts=2**61 - 1, dts=None, duration=2**61 - 1),
    Packet(data=b"z", pts=-(2**61) + 1, dts=2**61 - 1, side_data=((0, b""), (2**31 - 1, b"ab"))),
    Packet(data=b"z", pts=None, dts=None, duration=2**61 - 1),
    Packet(data=b"z", pts=None, dts=None, duration=2**61 - 1),
    Packet(data=b"z", pts=-(2**61) + 1, dts=-(2**61) + 1, duration=0),
]


def segment(number: int, frames: int = 4, *, irregular: bool = False) -> Segment:
    """Make segment `number` of a stream whose segments all have the same number of frames."""
    first = number * frames
    pts = [(first + k) * 1001 + (k * k if irregular else 0) for k in range(frames)]
    return Segment(
        first_frame=first,
        pts=pts,
        durations=[1001 + (k % 2 if irregular else 0) for k in range(frames)],
        payload=bytes((number * 37 + k * k) % 256 for k in range(20 + number)),
        predicted=number % 3 == 1,
    )


CHAPTERS = (
    Chapter(Fraction(-1, 2), Fraction(3, 10**9), "Vorspann"),
    Chapter(Fraction(3, 10**9), Fraction(5), ""),
    Chapter(Fraction(1), Fraction(1), "\u97f3"),
)
SEGMENTS = tuple(segment(number, irregular=number == 2) for number in range(4))


def write_group(writer: Writer, number: int) -> None:
    writer.packets(0, audio(number))
    if number == 1:
        writer.packets(1, ODD_PACKETS)
    writer.segment(SEGMENTS[number])


def write_start(writer: Writer) -> None:
    writer.header(HEADER)
    writer.metadata(METADATA)
    for track in TRACKS:
        writer.track(track)


def write_rest(writer: Writer, first: int, stop: int = len(SEGMENTS)) -> None:
    for number in range(first, stop):
        write_group(writer, number)
    writer.packets(0, audio(stop))
    writer.finish()


def stream() -> bytes:
    """Write header, metadata, two tracks, four groups and trailing packets."""
    file = BytesIO()
    writer = Writer(file)
    write_start(writer)
    write_rest(writer, 0)
    return file.getvalue()


def with_chapters(chapters: Sequence[Chapter] = CHAPTERS) -> bytes:
    """Write two segments and chapters."""
    file = BytesIO()
    writer = Writer(file)
    writer.header(HEADER, chapters=True)
    for number in range(2):
        writer.segment(SEGMENTS[number])
    writer.chapters(chapters)
    writer.finish()
    return file.getvalue()


def small() -> bytes:
    """Write three segments and one track, short enough to damage every byte."""
    file = BytesIO()
    writer = Writer(file)
    writer.header(HEADER)
    writer.track(TRACKS[0])
    for number in range(3):
        writer.packets(0, audio(number, 2))
        writer.segment(SEGMENTS[number])
    writer.finish()
    return file.getvalue()
