"""Real and hostile videos: each gives a file that decodes, or one clear error and no file."""

from __future__ import annotations

from pathlib import Path

import pytest

import nvcodec
from nvcodec.errors import VideoError

pytestmark = pytest.mark.clips

ROBUST = Path(__file__).resolve().parents[3] / "shared" / "clips" / "robust"
HOPELESS = {
    "gen_empty.mp4",
    "gen_text.mp4",
    "gen_random_64k.mp4",
    "invalid-bitstream.webm",
    "invalid_vp9_bitstream-bug_1416.webm",
    "mp4-with-mov-in24-ver.mp4",
    "audio_only_popcorn_italia.mp4",
}


@pytest.mark.parametrize("name", sorted(path.name for path in ROBUST.glob("*")))
def test_every_robust_file_is_encoded_or_refused(clips, tmp_path, settings, name):
    target = tmp_path / "a.nvc"
    config = settings(frames=slice(0, 4), resize=(32, 24), model="nerv", parameters=3000)
    if name in HOPELESS:
        with pytest.raises(VideoError) as caught:
            nvcodec.encode(clips / "robust" / name, target, config, measure=False)
        assert "\n" not in str(caught.value)
        assert list(tmp_path.iterdir()) == []
        return
    report = nvcodec.encode(clips / "robust" / name, target, config, measure=False)
    assert 1 <= report.frames <= 4
    with nvcodec.open(target, device="cpu") as video:
        assert video[:].shape == (report.frames, 24, 32, 3)
        assert video.warnings == []
    assert nvcodec.inspect(target).complete
    # Files that end early give a warning.
    if report.frames < 4 and "frames" not in "".join(report.warnings):
        assert nvcodec.compare(clips / "robust" / name, target).quality.frames == report.frames
