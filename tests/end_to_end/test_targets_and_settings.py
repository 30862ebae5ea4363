"""Encodes meet their targets and limits, and refuse settings that cannot work."""

from __future__ import annotations

import pytest

import nvcodec
from nvcodec.container import Reader
from nvcodec.errors import ConfigError


def test_only_networks_are_boosted(clip, tmp_path, settings):
    with pytest.raises(ConfigError, match=r"boost.*latentgrid"):
        nvcodec.encode(clip, tmp_path / "a.nvc", settings(model="latentgrid", boost=True))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["size", "bpp"])
def test_a_size_is_reached(make_clip, tmp_path, settings, target):
    clip = make_clip("a.mp4", frames=16, size=(96, 64))
    wanted = 4000
    value = wanted if target == "size" else 8 * wanted / (16 * 96 * 64)
    config = settings(parameters=None, segment=8, epochs=12, **{target: value})
    report = nvcodec.encode(clip, tmp_path / "a.nvc", config, measure=False)
    assert report.video_bytes == pytest.approx(wanted, rel=0.05)


def test_progress_of_an_encode(clip, tmp_path, settings):
    seen = []
    nvcodec.encode(
        clip, tmp_path / "a.nvc", settings(epochs=2), measure=False, on_progress=seen.append
    )
    assert [p.segment for p in seen] == [0] * 3 + [1] * 3 + [2] * 3
    assert {p.segments for p in seen} == {3}
    assert all(isinstance(p, nvcodec.Progress) for p in seen)
    assert [p.seconds for p in seen] == sorted(p.seconds for p in seen)
    assert seen[2].bpp > 0 and seen[0].bpp is None


def test_a_time_limit_ends_in_a_whole_file(clip, tmp_path, settings):
    config = settings(epochs=1_000_000, time_limit=1.0)
    report = nvcodec.encode(clip, tmp_path / "a.nvc", config, measure=False)
    assert report.frames == 12 and report.segments == 3
    assert nvcodec.inspect(tmp_path / "a.nvc").complete


@pytest.mark.parametrize("model", ["nerv", "hnerv"])
def test_lmbda_sets_network_and_rate(clip, tmp_path, settings, model):
    reports = []
    for lmbda in (0.1, 0.4):
        config = settings(model=model, parameters=None, lmbda=lmbda, segment=6, epochs=2)
        target = tmp_path / f"{lmbda}.nvc"
        reports.append(nvcodec.encode(clip, target, config, measure=False))
    fine, coarse = reports
    assert fine.parameters == pytest.approx(0.3 / 0.1 * 12 * 48 * 32, rel=0.1)
    assert coarse.parameters == pytest.approx(fine.parameters / 4, rel=0.3)  # of tiny ones
    assert coarse.bpp < 0.5 * fine.bpp


def test_header_overhead_is_small(silent, tmp_path, settings):
    target = tmp_path / "one.nvc"
    nvcodec.encode(silent, target, settings(model="nerv", segment=6), measure=False)
    with Reader(target) as reader:
        assert len(reader.segments) == 1
        assert target.stat().st_size - len(reader.payload(0)) <= 150


@pytest.mark.parametrize(
    "bad",
    [
        {"model": "nevr"},
        {"preset": "quick"},
        {"size": 10, "bpp": 0.1},
        {"lmbda": 2.0, "psnr": 30.0},
        {"lmbda": 0.0},
        {"bpp": 0.0},
        {"bpp": float("nan")},
        {"size": -1},
        {"epochs": 0},
        {"segment": 0},
        {"time_limit": 0.0},
        {"seed": -1},
    ],
)
def test_settings_are_checked(bad):
    with pytest.raises(ConfigError):
        nvcodec.EncoderConfig(**bad)


def test_devices_that_are_not_there(clip, stream, tmp_path, settings):
    for device in ("tpu", "cuda:99", "meta"):
        with pytest.raises(ConfigError):
            nvcodec.encode(clip, tmp_path / "a.nvc", settings(device=device), measure=False)
        with pytest.raises(ConfigError):
            nvcodec.open(stream, device=device)
    assert list(tmp_path.iterdir()) == []
