"""Tests of what a file says of itself: tags and chapters are kept, other things are named as lost."""

from __future__ import annotations

import json
import logging
from fractions import Fraction

import av
import numpy as np
import pytest

import nvcodec
from nvcodec.media import Chapter
from nvcodec.video import open_source
from tests.fixtures.clips import drifting
from tests.fixtures.commands import run_here

TAGS = {"title": "Ein Film", "artist": "Müller", "comment": "aus Köln", "date": "2020"}
CHAPTERS = (
    Chapter(Fraction(0), Fraction(2, 25), "Vorspann"),
    Chapter(Fraction(2, 25), Fraction(6, 25), "Mitte"),
    Chapter(Fraction(6, 25), Fraction(12, 25), ""),
)


@pytest.fixture
def described(tmp_path):
    """Return a function that writes 12 frames at 25 fps with tags, chapters and whatever is added."""

    def make(name="described.mkv", *, tags=TAGS, chapters=CHAPTERS, prepare=None):
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            container.metadata.update(tags)
            video = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
            video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
            if chapters:
                container.set_chapters(
                    [
                        {
                            "id": number,
                            "start": round(c.start * 1000),
                            "end": round(c.end * 1000),
                            "time_base": Fraction(1, 1000),
                            "metadata": {"title": c.title} if c.title else {},
                        }
                        for number, c in enumerate(chapters, 1)
                    ]
                )
            if prepare:
                prepare(container, video)
            for t in range(12):
                picture = av.VideoFrame.from_ndarray(drifting(t, 32, 32), "rgb24")
                picture.pts, picture.time_base = t, Fraction(1, 25)
                container.mux(video.encode(picture.reformat(format="yuv420p")))
            container.mux(video.encode(None))
        return path

    return make


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_tags_and_chapters_come_through(described, tmp_path, settings, suffix):
    stream, target = tmp_path / "a.nvc", tmp_path / f"out.{suffix}"
    report = nvcodec.encode(described(f"in.{suffix}"), stream, settings(), measure=False)
    assert report.warnings == ()
    info = nvcodec.inspect(stream)
    assert info.chapters == CHAPTERS and info.metadata == TAGS
    assert info.version == (1, 2) and info.complete
    fields = json.loads(run_here(["info", stream, "--json"]).stdout)
    assert fields["title"] == "Ein Film" and fields["tags"] == TAGS
    assert fields["chapters"][1] == {"start": 0.08, "end": 0.24, "title": "Mitte"}
    nvcodec.decode(stream, target)
    with open_source(target) as source:
        assert source.chapters == CHAPTERS and source.tags == TAGS
        assert not any("not kept" in warning for warning in source.warnings)
    nvcodec.decode(stream, target, frames=slice(4, 8), overwrite=True)
    with open_source(target) as source:
        assert source.tags == TAGS
        assert source.chapters == (
            Chapter(Fraction(0), Fraction(2, 25), "Mitte"),
            Chapter(Fraction(2, 25), Fraction(4, 25), ""),
        )
    assert "tags and chapters" in nvcodec.decode(stream, tmp_path / "out.y4m").warnings[0]


def test_a_part_has_the_chapters_of_the_part(described, tmp_path, settings, interrupt):
    source, whole, cut = described(), tmp_path / "whole.nvc", tmp_path / "cut.nvc"
    config = settings(frames=slice(1, 10))
    nvcodec.encode(source, whole, config, measure=False)
    assert nvcodec.inspect(whole).chapters == (
        Chapter(Fraction(1, 25), Fraction(2, 25), "Vorspann"),
        Chapter(Fraction(2, 25), Fraction(6, 25), "Mitte"),
        Chapter(Fraction(6, 25), Fraction(10, 25), ""),
    )
    interrupt(source, cut, config, 1)
    nvcodec.encode(source, cut, config, resume=True, measure=False)
    assert cut.read_bytes() == whole.read_bytes()


def test_what_says_nothing_costs_nothing(described, tmp_path, settings):
    stream = tmp_path / "a.nvc"
    nvcodec.encode(described(tags={}, chapters=()), stream, settings(), measure=False)
    data = stream.read_bytes()
    assert data[8:10] == b"\1\0" and b"meta" not in data and b"chap" not in data


def test_tags_count_towards_a_size():
    from nvcodec.encoding.rate_allocation import RateBudget

    config = nvcodec.EncoderConfig(size=5000)
    plain, described = RateBudget(config, 10, 1), RateBudget(config, 10, 1, 700)
    assert plain.bits(0, 0, 10, 1000) - described.bits(0, 0, 10, 1000) == pytest.approx(8 * 700)


def warnings_of(path):
    with open_source(path) as source:
        source.read(100)
    return source.warnings


def test_covers_and_fonts_are_named_as_lost(described, tmp_path, caplog):
    cover = tmp_path / "cover.png"
    av.VideoFrame.from_ndarray(np.zeros((8, 8, 3), np.uint8), "rgb24").save(cover)

    def attach(container, video):
        container.add_attachment("cover.png", "image/png", cover.read_bytes())
        for name in ("a.ttf", "b.ttf"):
            container.add_attachment(name, "application/x-truetype-font", bytes(100))

    with caplog.at_level(logging.WARNING):
        assert warnings_of(described(prepare=attach)) == [
            "not kept: 1 cover picture: cover.png",
            "not kept: 2 attachments, such as fonts: a.ttf, b.ttf",
        ]
    assert len(caplog.records) == 2


def test_a_time_code_is_named_as_lost(described):
    def start_at_one(container, video):
        video.metadata["timecode"] = "01:00:00:00"

    path = described("a.mov", chapters=(), prepare=start_at_one)
    assert warnings_of(path) == ["not kept: the time code, which starts at 01:00:00:00"]


def test_data_tracks_are_named_as_lost(described):
    def add_data(container, video):
        container.add_data_stream("klv")

    (line,) = warnings_of(described("a.ts", tags={}, chapters=(), prepare=add_data))
    assert line.startswith("not kept: 1 data track: stream 1")


def test_an_aspect_that_changes_is_named(tmp_path):
    data = b""
    for aspect in (Fraction(1), Fraction(4, 3), Fraction(1)):
        path = tmp_path / "part.h264"
        with av.open(str(path), "w") as container:
            video = container.add_stream("libx264", rate=25)
            video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
            video.codec_context.sample_aspect_ratio = aspect
            for t in range(3):
                picture = av.VideoFrame.from_ndarray(drifting(t, 32, 32), "rgb24")
                picture.pts, picture.time_base = t, Fraction(1, 25)
                container.mux(video.encode(picture.reformat(format="yuv420p")))
            container.mux(video.encode(None))
        data += path.read_bytes()
    whole = tmp_path / "whole.h264"
    whole.write_bytes(data)
    lines = [line for line in warnings_of(whole) if "aspect" in line]
    assert lines == [
        "the sample aspect ratio changes mid-stream, from 1:1 to 4:3; all frames have the first one"
    ]
