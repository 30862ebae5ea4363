"""Tests of files whose clock jumps: transport and program streams that were joined with `cat`."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

import nvcodec
from nvcodec.video import open_sink, open_source, open_tracks
from tests.fixtures.clips import drifting

RATE = 48000
WRAP = Fraction(2**33, 90000)  # seconds at which the clock of MPEG starts again


@pytest.fixture
def part(tmp_path):
    """Return a function that writes a short transport or program stream: `part(seconds, start)`."""

    def make(frames, start=0, *, codecs=("mpeg2video", "mp2"), kind="mpegts", sound=0):
        path = tmp_path / "part"
        with av.open(str(path), "w", format=kind) as container:
            video = container.add_stream(codecs[0], rate=25)
            video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
            audio = container.add_stream(codecs[1], rate=RATE)
            audio.codec_context.layout = "stereo"
            size = {"mp2": 1152, "aac": 1024}[codecs[1]]
            for index in range((frames * RATE // 25 + sound) // size):
                silence = av.AudioFrame(audio.codec_context.format.name, "stereo", size)
                for plane in silence.planes:
                    plane.update(bytes(plane.buffer_size))
                silence.sample_rate, silence.time_base = RATE, Fraction(1, RATE)
                silence.pts = round(start * RATE) + index * size
                container.mux(audio.encode(silence))
            container.mux(audio.encode(None))
            for t in range(frames):
                picture = av.VideoFrame.from_ndarray(drifting(t, 32, 32), "rgb24")
                picture.pts = round(start * 25) + t
                picture.time_base = Fraction(1, 25)
                container.mux(video.encode(picture.reformat(format="yuv420p")))
            container.mux(video.encode(None))
        return path.read_bytes()

    return make


def timeline(path, **options):
    """Return frame times and track times of a file, each with the end as its last entry, seconds."""
    with open_source(path, **options) as source, open_tracks(path) as tracks:
        frames, packets = source.read(1000), tracks.rest()
    base = source.info.time_base
    shown = [int(p) * base for p in frames.pts] + [
        int(frames.pts[-1] + frames.durations[-1]) * base
    ]
    heard = [
        [p.pts * track.time_base for p in part]
        + [(part[-1].pts + part[-1].duration) * track.time_base]
        for track, part in zip(tracks.tracks, packets, strict=True)
    ]
    return source, shown, heard


def joined(tmp_path, *parts):
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(parts))
    return path


def assert_one_clock(path, frames, slack=Fraction(1, 25)):
    """Check that pictures and sound go on at every jump and end together."""
    source, shown, heard = timeline(path)
    assert len(shown) == frames + 1
    gaps = np.diff(shown)
    assert gaps.min() == Fraction(1, 25) and gaps.max() <= Fraction(1, 25) + slack
    for times in heard:
        steps = np.diff(times)
        assert steps.min() >= steps[-1] - Fraction(1, 10000) and steps.max() <= steps[-1] + slack
        assert abs(times[-1] - shown[-1]) <= slack
        assert abs(times[0] - shown[0]) <= slack
    assert not any("damaged" in w or "moved just behind" in w for w in source.warnings)
    return source


@pytest.mark.parametrize(
    ("codecs", "kind"),
    [
        (("mpeg2video", "mp2"), "mpegts"),
        (("libx264", "aac"), "mpegts"),
        (("mpeg2video", "mp2"), "vob"),
    ],
)
def test_a_clock_that_jumps_back(part, tmp_path, codecs, kind):
    options = {"codecs": codecs, "kind": kind}
    path = joined(tmp_path, *(part(count, **options) for count in (20, 12, 30)))
    source = assert_one_clock(path, 62)
    assert sum("the clock of the file jumps 2 times" in w for w in source.warnings) == 1
    assert abs(source.duration - Fraction(62, 25)) < Fraction(1, 10)


@pytest.mark.parametrize("starts", [(0, 1000), (1000, 0), (0, 1000, 3), (5000, 90000, 0)])
def test_a_clock_that_jumps_far(part, tmp_path, starts):
    path = joined(tmp_path, *(part(15, start) for start in starts))
    assert_one_clock(path, 15 * len(starts))


def test_a_clock_that_wraps_does_not_jump(part, tmp_path):
    """libav unrolls one turn of 33 bits only if the file begins a minute before it."""
    path = joined(tmp_path, part(20), part(20, WRAP - Fraction(2, 5)))
    source = assert_one_clock(path, 40, slack=Fraction(1, 10))
    assert sum("jumps once" in w for w in source.warnings) == 1
    path = joined(tmp_path, part(20, WRAP - Fraction(2, 5)))
    assert not any("jumps" in w for w in assert_one_clock(path, 20).warnings)


def test_sound_that_is_longer_does_not_overlap(part, tmp_path):
    path = joined(tmp_path, part(20, sound=RATE // 2), part(20))
    _, shown, (heard,) = timeline(path)
    assert min(np.diff(heard)) >= Fraction(20, 1000)
    # The pictures wait for the sound; it is not squeezed.
    assert max(np.diff(shown)) > Fraction(2, 5)
    assert abs(heard[-1] - shown[-1]) < Fraction(1, 20)


def test_a_pause_of_the_pictures_is_no_jump(tmp_path):
    """A slide show: the sound goes on while a picture stands for 15 seconds."""
    path = tmp_path / "slides.ts"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg2video", rate=25, options={"bf": "0"})
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        audio = container.add_stream("mp2", rate=RATE)
        slides = [0, 10, 385, 395]  # frames of 1/25 second
        for second in range(17):
            for slide in (s for s in slides if s // 25 == second):
                picture = av.VideoFrame.from_ndarray(drifting(slide, 32, 32), "rgb24")
                picture.pts, picture.time_base = slide, Fraction(1, 25)
                container.mux(video.encode(picture.reformat(format="yuv420p")))
            for block in range(40):
                silence = av.AudioFrame("s16", "stereo", 1152)
                silence.planes[0].update(bytes(silence.planes[0].buffer_size))
                silence.sample_rate, silence.time_base = RATE, Fraction(1, RATE)
                silence.pts = (second * 40 + block) * 1152
                container.mux(audio.encode(silence))
        container.mux(video.encode(None))
    source, shown, _ = timeline(path)
    assert [round((time - shown[0]) * 25) for time in shown[:-1]] == slides
    assert not any("jumps" in warning for warning in source.warnings)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_outputs_take_the_sound(part, tmp_path, suffix):
    path = joined(tmp_path, *(part(count, codecs=("libx264", "aac")) for count in (20, 12, 16)))
    target = tmp_path / f"out.{suffix}"
    with open_source(path) as source, open_tracks(path) as tracks:
        with open_sink(target, source.info, tracks=tracks.tracks) as sink:
            sink.write(source.read(100))
            for number, packets in enumerate(tracks.rest()):
                sink.write_packets(number, packets)
        assert not any("decreasing" in warning for warning in sink.warnings)
    assert_one_clock(target, 48)


def test_a_range_and_a_resumed_run_have_the_same_times(part, tmp_path):
    path = joined(tmp_path, *(part(count) for count in (20, 12, 30)))
    with open_source(path) as source, open_tracks(path) as tracks:
        frames, (packets,) = source.read(100), tracks.rest()
    with open_source(path, frames=slice(25, 45)) as source:
        part_of_it = source.read(100)
    assert part_of_it.pts.tolist() == frames.pts[25:45].tolist()
    assert source.start_time == int(frames.pts[25]) * source.info.time_base
    with open_tracks(path) as tracks:
        tracks.skip([40])
        assert tracks.rest()[0] == packets[40:]


def test_an_encode_is_resumed_and_compared(part, tmp_path, settings, interrupt):
    path = joined(tmp_path, part(6), part(6))
    whole, cut = tmp_path / "whole.nvc", tmp_path / "cut.nvc"
    nvcodec.encode(path, whole, settings(), measure=False)
    interrupt(path, cut, settings(), 2)
    nvcodec.encode(path, cut, settings(), resume=True, measure=False)
    assert cut.read_bytes() == whole.read_bytes()
    comparison = nvcodec.compare(path, whole)
    assert comparison.quality.frames == 12 and comparison.warnings == ()
