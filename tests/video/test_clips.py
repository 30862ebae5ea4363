"""Tests of real and hostile files: each gives frames, with warnings about damage, or one error."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from nvcodec.errors import VideoError
from nvcodec.video import open_source, open_tracks

pytestmark = pytest.mark.clips

CLIPS = Path(__file__).resolve().parents[3] / "shared" / "clips"
ROBUST = sorted(p.name for p in (CLIPS / "robust").glob("*"))

# No picture of these files can be decoded.
HOPELESS = {
    "gen_empty.mp4",
    "gen_text.mp4",
    "gen_random_64k.mp4",
    "invalid-bitstream.webm",
    "invalid_vp9_bitstream-bug_1416.webm",
    "mp4-with-mov-in24-ver.mp4",
    "audio_only_popcorn_italia.mp4",
}


@pytest.mark.parametrize("name", ROBUST)
def test_every_robust_file_gives_frames_or_a_clear_error(clips, name, capfd):
    path = clips / "robust" / name
    if name in HOPELESS:
        with pytest.raises(VideoError) as caught:
            open_source(path)
        assert name in str(caught.value) and "\n" not in str(caught.value)
    else:
        limit = 2 if name == "portrait_4k60.mp4" else 12
        with open_source(path, frames=slice(0, limit)) as source:
            frames = source.read(limit)
        assert len(frames) >= 1
        assert (np.diff(frames.pts) > 0).all()
        assert (frames.durations > 0).all()
        info = source.info
        assert frames.y.shape[1:] == (info.height, info.width)
        assert frames.u.shape[1:] == ((info.height + 1) // 2, (info.width + 1) // 2)
    assert capfd.readouterr() == ("", "")


def drain(path):
    """Read a video to its end and return the number of frames, the source and the last batch."""
    with open_source(path) as source:
        count, last = 0, None
        while len(frames := source.read(16)):
            count, last = count + len(frames), frames
    return count, source, last


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("displaymatrix.mp4", 33),
        ("white_zombie_scrunch-part.mp4", 65),
        ("gen_truncated_half_flower.mp4", 72),
        ("empty_edit_5s.mp4", 100),
        ("Error_I_P.264", 6),
    ],
)
def test_damaged_files_keep_what_is_decodable(clips, name, count):
    found, source, _ = drain(clips / "robust" / name)
    assert found == count
    assert any("damaged source" in line for line in source.warnings)


def test_frame_size_change_warns_once(clips):
    path = clips / "robust" / "frame_size_change.mp4"
    with open_source(path, frames=slice(0, 60)) as source:
        assert source.read(60).y.shape == (60, 90, 160)
    assert sum("size changes" in line for line in source.warnings) == 1


def test_edit_list_variable_rate_and_rotation(clips):
    path = clips / "sample_edit_list.mp4"
    with open_source(path, frames=slice(0, 3)) as source:
        frames = source.read(3)
    assert (source.info.width, source.info.height) == (1080, 1920)
    assert source.info.colour.transfer == 18 and source.info.colour.matrix == 9
    with av.open(str(path)) as container:
        first = next(container.decode(video=0))
    assert first.rotation == -90
    stored = np.frombuffer(first.planes[0], np.uint16).reshape(1080, -1)[:, :1920].astype(int)
    upright = np.rot90(np.minimum((stored + 2) >> 2, 255), -1)
    assert (frames.y[0] == upright).all()
    assert frames.pts[0] == first.pts


@pytest.mark.parametrize(
    ("name", "size", "turns"),
    [("video_90.mov", (320, 568), -1), ("moviepy_fire2_rot180.mp4", (1280, 720), 2)],
)
def test_rotated_clips_are_upright(clips, name, size, turns):
    path = clips / "robust" / name
    with open_source(path, frames=slice(0, 1)) as source:
        frames = source.read(1)
    assert (source.info.width, source.info.height) == size
    with av.open(str(path)) as container:
        plane = next(container.decode(video=0)).planes[0]
    stored = np.frombuffer(plane, np.uint8).reshape(plane.height, -1)[:, : plane.width]
    assert (frames.y[0] == np.rot90(stored, turns)).all()


def test_rotation_inverts_the_sample_aspect_ratio(clips):
    with open_source(clips / "robust" / "displaymatrix.mp4") as source:
        assert (source.info.width, source.info.height) == (240, 160)
        assert source.info.sample_aspect_ratio == 2


def test_motion_jpeg_is_full_range_and_untouched(clips):
    path = clips / "davis_bmx-trees_854x480_80f.mkv"
    with open_source(path, frames=slice(0, 1)) as source:
        frames = source.read(1)
    assert source.info.colour.full_range and source.warnings == []
    with av.open(str(path)) as container:
        plane = next(container.decode(video=0)).planes[0]
    assert (frames.y[0] == np.frombuffer(plane, np.uint8).reshape(plane.height, -1)[:, :854]).all()


def test_all_tracks_of_a_file_with_four(clips):
    with open_tracks(clips / "nasa_13013.mp4") as tracks:
        assert [t.codec for t in tracks.tracks] == ["aac", "mov_text", "aac", "mov_text"]
        assert [t.language for t in tracks.tracks] == ["eng"] * 4
        packets = tracks.rest()
    assert packets[0][0].side_data[0][0] == 11  # samples to skip
    assert all(packets)
