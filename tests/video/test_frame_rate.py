"""Tests of the nominal frame rate."""

from __future__ import annotations

from fractions import Fraction

import pytest

from nvcodec.video import open_source


def rate_of(path):
    with open_source(path) as source:
        return source.info.frame_rate


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize(
    "rate",
    [
        Fraction(480),
        Fraction(1000),
        Fraction(240),
        Fraction(120000, 1001),
        Fraction(60000, 1001),
        Fraction(24000, 1001),
        Fraction(25),
        Fraction(1, 2),
    ],
)
def test_the_rate_is_what_the_timestamps_confirm(make_clip, suffix, rate):
    path = make_clip(f"a.{suffix}", frames=25, size=(16, 16), rate=rate)
    assert rate_of(path) == rate


def test_b_frames_and_a_long_video(make_clip):
    options = {"bf": "3", "preset": "ultrafast"}
    path = make_clip("a.mkv", frames=200, size=(16, 16), rate=480, options=options)
    assert rate_of(path) == 480


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_tick_rate_is_no_frame_rate(make_clip, suffix):
    """Times in milliseconds that vary: about 30 frames a second, announced as 1000."""
    pts = [33 * t + t % 3 + (t % 7 == 0) for t in range(40)]
    path = make_clip(
        f"a.{suffix}",
        frames=40,
        size=(16, 16),
        rate=1000,
        time_base=Fraction(1, 1000),
        pts=pts,
    )
    assert 29 < rate_of(path) < 31
