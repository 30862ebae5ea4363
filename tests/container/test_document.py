"""Tests of `docs/bitstream.md`: a reader written from it alone, and the example file it prints."""

import io
import re
import zlib
from fractions import Fraction
from pathlib import Path

import pytest

from nvcodec.container import Header, Reader, Segment, Writer
from nvcodec.media import Colour, Packet, Track, VideoInfo

DOCUMENT = Path(__file__).parents[2] / "docs" / "bitstream.md"


class DocumentBytes:
    """Reads the field types of section 1 of the document."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        assert self.at + count <= len(self.data)
        self.at += count
        return self.data[self.at - count : self.at]

    def u8(self):
        return self.take(1)[0]

    def u32(self):
        return int.from_bytes(self.take(4), "little")

    def uvar(self):
        value = shift = 0
        while True:
            byte = self.u8()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                assert byte or shift == 7
                assert value < 2**64
                return value

    def svar(self):
        value = self.uvar()
        return -(value + 1) // 2 if value % 2 else value // 2

    def bytes(self):
        return self.take(self.uvar())

    def text(self):
        return self.bytes().decode()

    def ratio(self):
        return Fraction(self.uvar(), self.uvar())


def parse(data):
    """Parse a file as part 1 of the document says, front to back."""
    stream, out = DocumentBytes(data), {"trak": [], "meta": {}, "pack": [], "SEGM": [], "sizes": []}
    assert stream.take(8).hex() == "8a4e56430d0a1a0a"
    assert stream.u8() == 1
    assert stream.u8() in (0, 1, 2)
    while True:
        start = stream.at
        kind = stream.take(4).decode()
        body = DocumentBytes(stream.bytes())
        covered = data[0 if kind == "HEAD" else start : stream.at]
        assert stream.u32() == zlib.crc32(covered)
        if kind == "HEAD":
            out["HEAD"] = (body.uvar(), body.uvar(), body.ratio(), body.ratio(), body.ratio())
            out["HEAD"] += (tuple(body.take(6)), body.bytes())
        elif kind == "trak":
            track = (body.u8(), body.u8(), body.text(), body.ratio(), body.text(), body.text())
            out["trak"].append((*track, body.uvar(), body.bytes()))
        elif kind == "meta":
            out["meta"] |= {body.text(): body.text() for _ in range(body.uvar())}
        elif kind == "pack":
            out["pack"] += parse_packets(body)
        elif kind == "SEGM":
            out["SEGM"].append(parse_segment(body))
        elif kind == "chap":
            out["chap"] = parse_chapters(body)
        elif kind == "indx":
            out["indx"] = parse_index(body)
        elif kind == "DONE":
            assert body.u32() == out["sizes"][-1]
            assert stream.at == len(data)
            return out
        else:
            assert kind[0].islower()
        out["sizes"].append(stream.at - start)


def parse_packets(body):
    track, packets, expected, duration = body.u8(), [], 0, 0
    for _ in range(body.uvar()):
        flags = body.u8()
        bit = [bool(flags >> number & 1) for number in range(8)]
        pts = None if bit[1] else expected + (body.svar() if bit[2] else 0)
        dts = pts
        if bit[3]:
            dts = (expected if pts is None else pts) + body.svar()
        if bit[4]:
            dts = None
        if bit[5]:
            duration = body.uvar()
        side = [(body.uvar(), body.bytes()) for _ in range(body.uvar())] if bit[6] else []
        packets.append((track, bit[0], pts, dts, duration, tuple(side), body.bytes()))
        shown = next(time for time in (pts, dts, expected) if time is not None)
        expected = min(shown + duration, 2**62 - 2)
    return packets


def parse_chapters(body):
    chapters, start = [], 0
    for _ in range(body.uvar()):
        start += body.svar()
        chapters.append((start, start + body.uvar(), body.text()))
    return chapters


def parse_segment(body):
    flags, first, frames, start = body.u8(), body.uvar(), 1 + body.uvar(), body.svar()
    if flags & 2:
        times = DocumentBytes(zlib.decompress(body.bytes()))
        gaps = [times.uvar() for _ in range(frames - 1)]
        pts = [start + sum(gaps[:k]) for k in range(frames)]
        durations = [times.svar() + gap for gap in [*gaps, gaps[-1]]]
    else:
        step = body.uvar()
        pts = [start + k * step for k in range(frames)]
        durations = [step + body.svar()] * frames
    return first, bool(flags & 1), tuple(pts), tuple(durations), body.data[body.at :]


def parse_index(body):
    entries, start = [], 0
    for _ in range(body.uvar()):
        code, size = body.u8(), body.uvar()
        track = body.u8() if code == 4 else None
        frames = 1 + body.uvar() if code in (5, 6) else 0
        if frames:
            start += body.svar()
        entries.append((code, size, track, frames, start))
    return entries, start + body.svar()


def _compare(data):
    """Compare a file as the reader from the document parses it with `Reader`."""
    parsed, reader = parse(data), Reader(data)
    assert reader.complete
    video, header = reader.header.video, reader.header
    colour = video.colour
    assert parsed["HEAD"] == (
        video.width,
        video.height,
        video.time_base,
        video.frame_rate,
        video.sample_aspect_ratio,
        (
            colour.primaries,
            colour.transfer,
            colour.matrix,
            int(colour.full_range),
            header.model,
            int(header.colour_mode),
        ),
        header.configuration,
    )
    assert parsed["trak"] == [
        (
            number,
            {"audio": 1, "subtitle": 2}[track.kind],
            track.codec,
            track.time_base,
            track.language,
            track.title,
            track.disposition,
            track.parameters,
        )
        for number, track in reader.tracks.items()
    ]
    assert parsed["meta"] == dict(reader.metadata)
    assert parsed.get("chap", []) == [
        (chapter.start * 10**9, chapter.end * 10**9, chapter.title) for chapter in reader.chapters
    ]
    for track in reader.tracks:
        assert [packet for packet in parsed["pack"] if packet[0] == track] == [
            (track, p.keyframe, p.pts, p.dts, p.duration, p.side_data, p.data)
            for p in reader.packets(track)
        ]
    segments = [reader.segment(number) for number in range(len(reader.segments))]
    assert parsed["SEGM"] == [
        (s.first_frame, s.predicted, s.pts, s.durations, s.payload) for s in segments
    ]
    entries, end = parsed["indx"]
    assert [entry[1] for entry in entries] == parsed["sizes"][: len(entries)]
    assert (end - segments[0].pts[0]) * video.time_base == reader.duration
    assert [(e[3], e[4]) for e in entries if e[3]] == [(s.frames, s.start) for s in reader.segments]


def test_a_reader_written_from_the_document_agrees(samples):
    _compare(samples.stream())
    _compare(samples.small())
    _compare(samples.with_chapters())


@pytest.fixture
def printed() -> bytes:
    """The example file as the document prints it."""
    (block,) = re.findall(r"```nvc-hex\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    return bytes.fromhex(" ".join(line.split("#")[0] for line in block.splitlines()))


def documented_file() -> bytes:
    """Write the file of section 8 of the document."""
    file = io.BytesIO()
    writer = Writer(file)
    video = VideoInfo(
        width=32,
        height=18,
        time_base=Fraction(1, 12800),
        frame_rate=Fraction(25),
        colour=Colour(primaries=1, transfer=1, matrix=1),
    )
    writer.header(Header(video=video, model=1, configuration=b"cfg"))
    writer.metadata({"encoder": "nvcodec"})
    writer.track(
        Track(kind="audio", codec="aac", time_base=Fraction(1, 48000), parameters=b"\x11\x90")
    )
    writer.packets(
        0,
        [
            Packet(data=b"\x21\x10", pts=-1024, dts=-1024, duration=1024),
            Packet(data=b"\x21\x11", pts=0, dts=0, duration=1024),
        ],
    )
    writer.segment(Segment(first_frame=0, pts=[0, 512], durations=[512, 512], payload=b"state"))
    writer.segment(
        Segment(first_frame=2, pts=[1024], durations=[512], payload=b"more", predicted=True)
    )
    writer.finish()
    return file.getvalue()


def test_the_printed_file(printed):
    assert printed == documented_file()
    _compare(printed)
    reader = Reader(printed)
    assert [reader.payload(number) for number in range(2)] == [b"state", b"more"]
    assert reader.frame_count == 3


def test_the_document_states_the_limits_of_the_code():
    from nvcodec.container import (
        chapters,
        checks,
        framing,
        header,
        index,
        packets,
        section_types,
        track_sections,
    )

    text = DOCUMENT.read_text("utf-8")
    assert f"version {framing.MAJOR}.{framing.MINOR}" in text.splitlines()[0]
    assert " ".join(f"{byte:02X}" for byte in framing.MAGIC) in text
    for kind in section_types.SECTION_TYPES:
        assert f"| `{kind}` |" in text
    assert header.MAX_PIXELS == 2**26
    assert header.MAX_HEADER == 2**17
    assert packets.MAX_PACKETS == 2**16
    assert track_sections.MAX_ENTRIES == 1024
    assert chapters.MAX_CHAPTERS == 16384
    assert index.MAX_SECTIONS == 2**20
    assert index.MAX_SEGMENT_FRAMES == 2**16
    assert index.END_SIZE == 13
    assert checks.PREAMBLE == framing.PREAMBLE
