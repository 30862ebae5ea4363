"""Encode, decode and compare: the decoded video is the fitted one."""

from __future__ import annotations

import subprocess
import sys

import av
import numpy as np
import pytest

import nvcodec
from nvcodec.errors import ConfigError, OutputExistsError
from nvcodec.media import ColourMode
from tests.fixtures.videos import mean_psnr, read_back


@pytest.mark.parametrize(
    ("model", "colour", "boost"),
    [
        *((model, colour, False) for model in ("nerv", "hnerv") for colour in ColourMode),
        ("nervpp", ColourMode.RGB, False),
        ("nirvana", ColourMode.RGB, False),
        ("ngp", ColourMode.YUV420, False),
        ("nerv", ColourMode.RGB, True),
        ("hnerv", ColourMode.YUV420, True),
        ("nervpp", ColourMode.YUV420, True),
    ],
)
def test_what_is_decoded_is_what_was_fitted(clip, tmp_path, settings, model, colour, boost):
    target = tmp_path / "a.nvc"
    seen = []
    chosen = {"epochs": 8, "parameters": 3000}
    if boost:
        chosen = {"boost": True, "epochs": 4, "parameters": 12_000}
    report = nvcodec.encode(
        clip, target, settings(model=model, colour=colour, frames=slice(0, 8), **chosen),
        measure=False, on_progress=seen.append,
    )  # fmt: skip
    info = nvcodec.inspect(target)
    assert (info.model, info.boosted) == (model, boost)
    assert report.parameters == 2 * info.parameters
    _, original = read_back(clip, frames=slice(0, 8))
    with nvcodec.open(target, device="cpu") as video:
        assert video.warnings == []
        decoded = video.planes(range(len(video)))
    assert decoded.y.shape == (8, 32, 48)
    assert decoded.u.shape == decoded.v.shape == (8, 16, 24)
    assert (decoded.pts == original.pts).all()
    assert (decoded.durations == original.durations).all()
    # As good as the last epoch of each segment reports.
    fitted = np.mean([p.fit.psnr for p in seen if p.fit.epoch == p.fit.epochs])
    found = (
        6 * mean_psnr(original.y, decoded.y)
        + mean_psnr(original.u, decoded.u)
        + mean_psnr(original.v, decoded.v)
    ) / 8
    assert found > fitted - 2.5


@pytest.mark.parametrize("size", [(47, 33), (49, 32), (16, 16)])
@pytest.mark.parametrize("colour", list(ColourMode))
def test_odd_sizes(make_clip, tmp_path, settings, size, colour):
    clip = make_clip("odd.mkv", frames=3, size=size, codec="ffv1", pix_fmt="yuv444p")
    config = settings(model="nerv", colour=colour, parameters=3000)
    report = nvcodec.encode(clip, tmp_path / "odd.nvc", config, measure=False)
    assert (report.width, report.height) == size
    with nvcodec.open(tmp_path / "odd.nvc") as video:
        assert video[:].shape == (3, size[1], size[0], 3)


def test_another_process_decodes_the_same(stream, environment):
    with nvcodec.open(stream, device="cpu") as video:
        expected = video.planes(range(12))
    program = (
        "import sys, hashlib, nvcodec\n"
        "video = nvcodec.open(sys.argv[1], device='cpu')\n"
        "part = video.planes(range(12))\n"
        "digest = hashlib.sha256(b''.join(p.tobytes() for p in (part.y, part.u, part.v)))\n"
        "print(digest.hexdigest())\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, str(stream)], capture_output=True, text=True,
        env=environment, check=True,
    )  # fmt: skip
    import hashlib

    planes = b"".join(plane.tobytes() for plane in (expected.y, expected.u, expected.v))
    assert run.stdout.strip() == hashlib.sha256(planes).hexdigest()


def test_the_same_seed_gives_the_same_file(clip, stream, tmp_path, settings):
    nvcodec.encode(clip, tmp_path / "again.nvc", settings(), measure=False)
    assert (tmp_path / "again.nvc").read_bytes() == stream.read_bytes()
    nvcodec.encode(clip, tmp_path / "other.nvc", settings(seed=1), measure=False)
    assert (tmp_path / "other.nvc").read_bytes() != stream.read_bytes()


def test_a_part_of_a_video(clip, tmp_path, settings):
    target = tmp_path / "a.nvc"
    report = nvcodec.encode(clip, target, settings(frames=slice(3, 8)), measure=False)
    assert report.frames == 5
    with nvcodec.open(target) as video:
        assert (video.planes(range(5)).pts == read_back(clip)[1].pts[3:8]).all()
    comparison = nvcodec.compare(clip, target)
    assert comparison.quality.frames == 5
    out = tmp_path / "part.y4m"
    assert nvcodec.decode(target, out, frames=slice(1, 3)).frames == 2
    with nvcodec.open(target) as video:
        assert (read_back(out)[1].y == video.planes([1, 2]).y).all()
    with pytest.raises(ConfigError):
        nvcodec.decode(target, tmp_path / "none.y4m", frames=slice(7, 9))
    assert not (tmp_path / "none.y4m").exists()


def test_resize(clip, tmp_path, settings):
    report = nvcodec.encode(clip, tmp_path / "a.nvc", settings(resize=(32, 18)), measure=False)
    assert (report.width, report.height) == (32, 18)
    comparison = nvcodec.compare(clip, tmp_path / "a.nvc")
    assert (comparison.width, comparison.height) == (32, 18)


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.y4m", "pictures"])
def test_every_kind_of_output(stream, tmp_path, name):
    counts = []
    target = tmp_path / name
    done = nvcodec.decode(stream, target, on_progress=lambda n, total: counts.append((n, total)))
    assert isinstance(done, nvcodec.Decoded)
    assert (done.frames, done.width, done.height) == (12, 48, 32)
    assert counts[-1] == (12, 12)
    assert len(read_back(target)[1]) == 12
    if target.suffix in (".mp4", ".mkv"):
        with av.open(str(target)) as container:
            assert [s.type for s in container.streams] == ["video", "audio"]
    else:
        assert done.warnings  # the sound has no place there
    with pytest.raises(OutputExistsError):
        nvcodec.decode(stream, target)
    assert nvcodec.decode(stream, target, overwrite=True).frames == 12
