"""Tests of all kinds of output: exact formats, existing targets, errors and interrupted runs."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from nvcodec.errors import OutputExistsError, VideoError
from nvcodec.media import Colour, Packet, Track
from nvcodec.video import open_sink, rgb
from tests.fixtures import videos
from tests.fixtures.videos import VFR, read_back, synthetic_frames, video_info


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("size", [(64, 48), (7, 5), (1, 1)])
def test_y4m_is_exact(tmp_path, size, full):
    path = tmp_path / "out.y4m"
    described = video_info(
        size,
        frame_rate=Fraction(30000, 1001),
        time_base=Fraction(1001, 30000),
        sample_aspect_ratio=Fraction(128, 117),
        colour=Colour(full_range=full),
    )
    with open_sink(path, described) as sink:
        sink.write(synthetic_frames(2, size))
        sink.write(synthetic_frames(3, size, start=2))
    assert sink.warnings == []
    w, h = size
    half = ((w + 1) // 2) * ((h + 1) // 2)
    header = path.read_bytes().split(b"\n", 1)[0]
    assert path.stat().st_size == len(header) + 1 + 5 * (6 + w * h + 2 * half)
    source, back = read_back(path)
    assert (back.y[:2] == synthetic_frames(2, size).y).all() and (back.v == 150).all()
    assert source.info.frame_rate == Fraction(30000, 1001)
    assert source.info.sample_aspect_ratio == Fraction(128, 117)
    assert source.info.colour.full_range is full


def test_y4m_says_what_it_loses(tmp_path):
    track = Track(kind="audio", codec="aac", time_base=Fraction(1, 48000))
    described = video_info(time_base=Fraction(1, 1000))
    with open_sink(tmp_path / "a.y4m", described, tracks=[track]) as sink:
        sink.write(synthetic_frames(6, pts=VFR))
        sink.write_packets(0, [Packet(data=b"x", pts=0, dts=0)])
    assert len(sink.warnings) == 2
    assert "not stored" in sink.warnings[0] and "evenly" in sink.warnings[1]


@pytest.mark.parametrize("target", ["images", "images/"])
def test_png_folder_round_trip(tmp_path, target):
    colour = Colour(matrix=6)  # what a reader takes RGB of this size for
    described = video_info(
        (35, 27), time_base=Fraction(1, 1000), sample_aspect_ratio=Fraction(4, 3), colour=colour
    )
    frames = synthetic_frames(6, (35, 27), pts=VFR)
    with open_sink(f"{tmp_path}/{target}", described) as sink:
        sink.write(frames)
    folder = tmp_path / "images"
    names = sorted(p.name for p in folder.iterdir())
    assert names == [f"{i:06d}.png" for i in range(6)] + ["timestamps.txt"]
    with av.open(str(folder / "000003.png")) as image:
        got = next(image.decode(video=0)).to_ndarray(format="rgb24")
    assert (got == rgb(frames.y, frames.u, frames.v, colour)[3]).all()
    source, back = read_back(folder)
    assert back.pts.tolist() == VFR
    assert back.durations.tolist() == frames.durations.tolist()
    assert source.info.sample_aspect_ratio == Fraction(4, 3)
    assert np.abs(back.y.astype(int) - frames.y).max() <= 2


def test_png_folder_replaces_only_its_own_kind(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    with open_sink(folder, video_info()) as sink:  # an empty folder counts as absent
        sink.write(synthetic_frames(3))
    with pytest.raises(OutputExistsError):
        open_sink(folder, video_info())
    with open_sink(folder, video_info(), overwrite=True) as sink:
        sink.write(synthetic_frames(1))
    assert len(list(folder.glob("*.png"))) == 1
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(VideoError, match=r"thesis\.tex"):
        open_sink(folder, video_info(), overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["images"]


TARGETS = ["o.mp4", "o.mkv", "o.y4m", "o"]


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_is_left_by_an_aborted_run(tmp_path, name):
    with (
        pytest.raises(RuntimeError, match="stop"),
        open_sink(tmp_path / name, video_info()) as sink,
    ):
        sink.write(synthetic_frames(3))
        assert not (tmp_path / name).exists()
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []
    sink.abort()
    sink.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", TARGETS)
def test_a_video_without_frames_is_an_error(tmp_path, name):
    with pytest.raises(VideoError, match="no frames"), open_sink(tmp_path / name, video_info()):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", TARGETS)
def test_an_existing_target_is_safe(tmp_path, name):
    path = tmp_path / name
    with open_sink(path, video_info()) as sink:
        sink.write(synthetic_frames(2))
    with pytest.raises(OutputExistsError, match="exists"):
        open_sink(path, video_info())
    with pytest.raises(RuntimeError), open_sink(path, video_info(), overwrite=True) as sink:
        sink.write(synthetic_frames(5))
        raise RuntimeError
    assert len(read_back(path)[1]) == 2
    with open_sink(path, video_info(), overwrite=True) as sink:
        sink.write(synthetic_frames(5))
    assert len(read_back(path)[1]) == 5
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", TARGETS)
def test_unwritable_places_are_one_line(tmp_path, name):
    with pytest.raises(VideoError, match="folder does not exist"):
        open_sink(tmp_path / "nowhere" / name, video_info())
    other = tmp_path / name
    if "." in name:
        other.mkdir()
        (other / "x").write_text("x")
        with pytest.raises(VideoError, match="it is a folder"):
            open_sink(other, video_info(), overwrite=True)
    else:
        other.write_text("a file")
        with pytest.raises(VideoError, match="it is a file"):
            open_sink(other, video_info(), overwrite=True)


@pytest.mark.parametrize("name", TARGETS)
def test_wrong_frames_are_refused(tmp_path, name):
    with open_sink(tmp_path / name, video_info()) as sink:
        sink.write(synthetic_frames(3))
        with pytest.raises(VideoError, match="expected frames of 64x48, found 32x48"):
            sink.write(synthetic_frames(1, (32, 48), start=9))
        with pytest.raises(VideoError, match="is not after"):
            sink.write(synthetic_frames(1, start=2))


def script(body, *arguments):
    return [sys.executable, "-c", textwrap.dedent(body), *map(str, arguments)]


@pytest.mark.skipif(sys.platform == "win32", reason="limits the file size by POSIX means")
@pytest.mark.parametrize("name", TARGETS)
def test_a_full_disk_is_one_clear_error(tmp_path, name):
    body = """
        import resource, signal, sys
        sys.path.insert(0, sys.argv[2])
        from video_helpers import synthetic_frames, video_info
        from nvcodec.errors import VideoError
        from nvcodec.video import open_sink
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (900, 900))
        try:
            with open_sink(sys.argv[1], video_info()) as sink:
                for k in range(20):
                    sink.write(synthetic_frames(5, start=5 * k))
        except VideoError as error:
            print(error)
    """
    # A copy of the helpers under a name that the child process can import.
    helper = tmp_path / "helper"
    helper.mkdir()
    source = Path(videos.__file__).read_text(encoding="utf-8")
    (helper / "video_helpers.py").write_text(source, encoding="utf-8")
    out = tmp_path / "out"
    out.mkdir()
    done = subprocess.run(
        script(body, out / name, helper), capture_output=True, text=True, check=False
    )
    assert done.stderr == "" and done.returncode == 0
    assert done.stdout.count("\n") == 1
    assert "cannot be written" in done.stdout and "large" in done.stdout.lower()
    assert list(out.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_a_killed_run_leaves_no_target(tmp_path):
    body = """
        import sys, time
        import numpy as np
        from fractions import Fraction
        from nvcodec.media import Frames, VideoInfo
        from nvcodec.video import open_sink
        info = VideoInfo(width=8, height=8, time_base=Fraction(1, 25), frame_rate=Fraction(25))
        sink = open_sink(sys.argv[1], info)
        y, c = np.zeros((3, 8, 8), np.uint8), np.zeros((3, 4, 4), np.uint8)
        sink.write(Frames(y=y, u=c, v=c, pts=np.arange(3), durations=np.ones(3, np.int64)))
        print("ready", flush=True)
        time.sleep(60)
    """
    path = tmp_path / "o.mp4"
    child = subprocess.Popen(script(body, path), stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert not path.exists()
    with open_sink(path, video_info()) as sink:  # the remains of the killed run do not matter
        sink.write(synthetic_frames(2))
    assert [p.name for p in tmp_path.iterdir()] == ["o.mp4"]
