"""Tests of refusals: values and calls that a writer rejects, and sections that are unknown."""

import io
from dataclasses import replace
from fractions import Fraction

import pytest

from nvcodec.container import Reader, Segment, Writer, framing, read_forward
from nvcodec.errors import BitstreamError, ConfigError
from nvcodec.media import Track


@pytest.mark.parametrize(
    "change",
    [
        {"width": 0},
        {"height": 65536},
        {"width": 65535, "height": 1025},
        {"time_base": Fraction(0)},
        {"time_base": Fraction(-1, 25)},
        {"frame_rate": Fraction(2**31)},
        {"sample_aspect_ratio": Fraction(1, 2**31)},
    ],
)
def test_impossible_headers_are_refused(samples, change):
    file = io.BytesIO()
    header = replace(samples.HEADER, video=replace(samples.HEADER.video, **change))
    with pytest.raises(ConfigError):
        Writer(file).header(header)
    assert file.getvalue() == b""


def test_impossible_segments_are_refused(samples):
    def attempt(**change):
        writer = Writer(io.BytesIO())
        writer.header(samples.HEADER)
        with pytest.raises(ConfigError):
            writer.segment(replace(samples.SEGMENTS[0], **change))

    attempt(first_frame=1)
    attempt(pts=(), durations=())
    attempt(pts=(0,), durations=(1, 1))
    attempt(pts=(0, 0), durations=(1, 1))
    attempt(pts=(0, 1), durations=(1, -1))
    attempt(pts=(0, 2**61), durations=(1, 1))
    attempt(pts=range(2**16 + 1), durations=[1] * (2**16 + 1))
    attempt(predicted=True)


def test_calls_in_impossible_order_are_refused(samples):
    def fresh(*calls):
        writer = Writer(io.BytesIO())
        for name, *arguments in calls:
            getattr(writer, name)(*arguments)
        return writer

    head, segment = ("header", samples.HEADER), ("segment", samples.SEGMENTS[0])
    for calls in (
        [segment],
        [("finish",)],
        [("track", samples.TRACKS[0])],
        [("metadata", {})],
        [head, head],
        [head, ("finish",)],
        [head, ("packets", 0, [])],
        [head, segment, ("track", samples.TRACKS[0])],
        [head, segment, segment],
        [head, segment, ("segment", samples.SEGMENTS[2])],
        [head, segment, ("segment", replace(samples.SEGMENTS[1], pts=(3003,), durations=(1,)))],
        [head, segment, ("finish",), ("finish",)],
        [head, segment, ("finish",), ("segment", samples.SEGMENTS[1])],
        [head, ("track", Track(kind="data", codec="x", time_base=Fraction(1)))],
        [head, ("track", Track(kind="audio", codec="x" * 256, time_base=Fraction(1)))],
        [head, ("track", Track(kind="audio", codec="x", time_base=Fraction(1), title="\ud800"))],
    ):
        with pytest.raises(ConfigError):
            fresh(*calls)


def test_unknown_sections(samples):
    data = samples.stream()
    at = Reader(data).segments[1].offset
    skipped = data[:at] + framing.write_section("xtra", b"?" * 300) + data[at:]
    reader = Reader(skipped)  # scans, since the index does not list the section
    assert [reader.segment(k) for k in range(4)] == list(samples.SEGMENTS)
    assert len([s for s in read_forward(io.BytesIO(skipped)) if isinstance(s, Segment)]) == 4
    # A whole file of a later minor version can be read, but not resumed or appended to.
    later = bytearray(data)
    later[9] = 3
    size = later[14]
    end = 15 + size
    later[end : end + 4] = framing.write_section(
        "HEAD", bytes(later[15:end]), before=bytes(later[:10])
    )[-4:]
    assert Reader(bytes(later)).version == (1, 3)
    assert Reader(bytes(later)).complete
    for reopen in (Writer.resume, Writer.append):
        with pytest.raises(BitstreamError, match=r"1\.3"):
            reopen(io.BytesIO(later))
    refused = data[:at] + framing.write_section("XTRA", b"?") + data[at:]
    for read in (Reader, lambda stream: list(read_forward(io.BytesIO(stream)))):
        with pytest.raises(BitstreamError, match=f"XTRA section, byte {at}") as caught:
            read(refused)
        assert "unknown critical" in str(caught.value)
