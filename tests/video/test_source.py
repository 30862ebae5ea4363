"""Tests of reading a source: frames, ranges, timestamps, image folders, errors and damage."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from nvcodec.errors import ConfigError, VideoError
from nvcodec.video import open_source
from nvcodec.video.sources.libav_decoder import VideoFile
from tests.fixtures.videos import plane_samples, read_all


def test_420_comes_through_bit_exact(bunny):
    with open_source(bunny, frames=slice(0, 4)) as source:
        frames = source.read(10)
    assert source.info.width == 1280 and source.info.height == 720
    assert source.info.time_base == Fraction(1, 12800)
    assert source.info.frame_rate == 25
    assert source.warnings == []
    assert frames.pts.tolist() == [0, 512, 1024, 1536]
    assert frames.durations.tolist() == [512] * 4
    with av.open(str(bunny)) as container:
        for t, frame in zip(range(4), container.decode(video=0), strict=False):
            for k, got in enumerate((frames.y, frames.u, frames.v)):
                assert (got[t] == plane_samples(frame, k)).all()


def test_reading_in_pieces_gives_the_same(carphone):
    _, whole = read_all(carphone)
    assert len(whole) == 120
    with open_source(carphone, threads=1) as source:
        assert source.estimated_frames == 120
        assert float(source.duration) == pytest.approx(4.004)
        pieces = []
        while len(piece := source.read(7)):
            pieces.append(piece)
    assert [len(p) for p in pieces] == [7] * 17 + [1]
    for name in ("y", "u", "v", "pts", "durations"):
        assert (np.concatenate([getattr(p, name) for p in pieces]) == getattr(whole, name)).all()


def test_frames_slice_is_exact(carphone):
    _, whole = read_all(carphone)
    source, part = read_all(carphone, frames=slice(50, 61))
    assert (part.y == whole.y[50:61]).all()
    assert (part.pts == whole.pts[50:61]).all()
    assert source.start_time == int(whole.pts[50]) * source.info.time_base
    assert source.estimated_frames == 11
    assert len(read_all(carphone, frames=slice(115, 500))[1]) == 5
    assert len(read_all(carphone, frames=slice(None, 3))[1]) == 3


@pytest.mark.parametrize("frames", [slice(-1, 3), slice(0, 4, 2), slice(5, 5), slice(9, 2)])
def test_bad_ranges_are_config_errors(carphone, frames):
    with pytest.raises(ConfigError, match="expected A:B"):
        open_source(carphone, frames=frames)


def test_a_range_past_the_end_says_how_many_there_are(carphone):
    with pytest.raises(VideoError, match="120 frames"):
        open_source(carphone, frames=slice(500, 510))


def test_variable_frame_rate(make_clip):
    pts = [0, 40, 45, 300, 301, 1000, 1040]
    path = make_clip(frames=7, pts=pts, time_base=Fraction(1, 1000))
    source, frames = read_all(path)
    seconds = [int(p) * source.info.time_base for p in frames.pts]
    assert seconds == [Fraction(p, 1000) for p in pts]
    assert (frames.durations[:-1] == np.diff(frames.pts)).all()
    assert frames.durations[-1] > 0


def test_a_stream_without_times_gets_them_from_its_rate(make_clip):
    source, frames = read_all(make_clip("raw.h264", frames=10))
    step = 1 / (source.info.frame_rate * source.info.time_base)
    assert frames.pts.tolist() == [round(i * step) for i in range(10)]
    assert frames.durations[-1] == round(step)
    assert source.warnings == [
        "10 frames have no timestamp; they were placed at the nominal frame rate"
    ]


def test_image_folder_in_natural_order(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in (1, 2, 10):
        frame = av.VideoFrame.from_ndarray(np.full((6, 9, 3), number * 20, np.uint8), "rgb24")
        frame.save(folder / f"shot{number}.png")
    (folder / "notes.md").write_text("not an image")
    source, frames = read_all(folder)
    assert frames.y[:, 0, 0].tolist() == [33, 50, 188]
    assert (source.info.width, source.info.height, len(frames)) == (9, 6, 3)
    assert source.info.frame_rate == 25 and frames.pts.tolist() == [0, 1, 2]


def test_one_line_for_everything_that_is_no_video(tmp_path, make_clip):
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("hello, this is text\n" * 40)
    (tmp_path / "text.txt").write_text("hello, this is text\n" * 40)
    (tmp_path / "noise.mkv").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "folder").mkdir()
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame(format="s16", layout="stereo", samples=800)
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    names = "missing.mp4 empty.mp4 text.mp4 text.txt noise.mkv folder sound.wav"
    for name in names.split():
        with pytest.raises(VideoError) as caught:
            open_source(tmp_path / name)
        message = str(caught.value)
        assert name in message and "\n" not in message and len(message) < 300


def test_an_animated_webp_is_refused_with_the_true_reason(make_clip):
    path = make_clip("a.webp", frames=2, codec="libwebp_anim")
    with pytest.raises(VideoError, match="animated WebP, which this libav build cannot decode"):
        open_source(path)


def test_names_with_colons_and_percent_signs(make_clip):
    assert len(read_all(make_clip("concat:a %03d.mp4", frames=2))[1]) == 2


def test_a_truncated_file_gives_what_it_has(make_clip, tmp_path):
    whole = make_clip("w.mkv", frames=40, options={"g": "10"}).read_bytes()
    path = tmp_path / "cut.mkv"
    path.write_bytes(whole[: len(whole) * 2 // 3])
    source, frames = read_all(path)
    assert 5 < len(frames) < 40
    assert any("damaged" in w or "header announces" in w for w in source.warnings)


def test_damage_is_counted_and_independent_of_threads(make_clip, tmp_path):
    path = make_clip("w.mp4", frames=40, size=(160, 128))
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 1500
    for position in range(start, start + 6000, 600):
        data[position] ^= 0xFF
    path.write_bytes(data)
    results = [read_all(path, threads=n) for n in (1, 2, 5)]
    assert any("damaged source" in w for w in results[0][0].warnings)
    for source, frames in results[1:]:
        # Concealed samples may differ, as libavcodec reads uninitialised memory; nothing else may.
        assert source.warnings == results[0][0].warnings
        assert (frames.pts == results[0][1].pts).all()
        assert (frames.y[0] == results[0][1].y[0]).all()


def test_threads_do_not_lose_the_last_frames(make_clip):
    path = make_clip("w.mkv", frames=30, codec="mpeg4")
    counts = [sum(1 for _ in VideoFile(path, n).pictures()) for n in (1, 3, 16)]
    assert counts == [30, 30, 30]


def test_closing_early_is_fine_and_repeatable(carphone):
    source = open_source(carphone)
    source.read(3)
    source.close()
    source.close()
    assert len(source.read(3)) == 0
    with pytest.raises(ConfigError):
        source.read(0)
