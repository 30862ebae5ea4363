"""Prediction of `latentgrid`: predicted segments are smaller, resumable and decodable at random."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import nvcodec
from nvcodec.api import ladder_paths
from nvcodec.container import Reader
from nvcodec.errors import BitstreamError, ConfigError, UnsupportedVersionError
from nvcodec.reconstruction.payload import split_payload
from nvcodec.reconstruction.segment_decoder import make_segment_decoder, open_segment_decoder

CPU = torch.device("cpu")


def texture(shot: int) -> np.ndarray:
    """Return clouds with detail at all scales, uint8, shape (48, 96, 3)."""
    chance = np.random.default_rng(shot)
    spectrum = np.fft.rfft2(chance.normal(size=(3, 48, 96)))
    y, x = np.fft.fftfreq(48)[:, None], np.fft.rfftfreq(96)
    clouds = np.fft.irfft2(spectrum / (0.003 + x**2 + y**2) ** 0.75, s=(48, 96))
    levels = 128 + 45 * clouds / clouds.std(axis=(1, 2), keepdims=True)
    return np.clip(np.moveaxis(levels, 0, -1), 0, 255).astype(np.uint8)


def panning(t: int, width: int, height: int) -> np.ndarray:
    """Return pictures of a texture that moves to the left."""
    return texture(0)[:height, 2 * t : 2 * t + width]


def cutting(t: int, width: int, height: int) -> np.ndarray:
    """Return pictures of one shot, and from frame 4 on of another."""
    return texture(t // 4)[:height, 2 * t : 2 * t + width]


@pytest.fixture
def shot(shared_folder, make_clip):
    path = shared_folder / "panning.mkv"
    if not path.exists():
        make_clip("panning.mkv", frames=8, codec="ffv1", picture=panning).rename(path)
    return path


@pytest.fixture
def config(settings, few_context_steps) -> nvcodec.EncoderConfig:
    return settings(model="latentgrid", parameters=None, psnr=34.0, epochs=1, segment=2)


@pytest.fixture
def chain(encode_once, shot, config):
    """A file of four segments, all predicted except the first."""
    return encode_once("chain.nvc", shot, config)


def predicted_flags(source) -> list[bool]:
    with Reader(source) as reader:
        return [entry.predicted for entry in reader.segments]


def test_predicted_segments_are_smaller_at_equal_quality(
    shot, chain, config, tmp_path, measured_here
):
    alone = nvcodec.encode(shot, tmp_path / "a.nvc", replace(config, refresh=1))
    assert predicted_flags(tmp_path / "a.nvc") == [False] * 4
    assert predicted_flags(chain) == [False, True, True, True]
    assert nvcodec.inspect(chain).predicted == (1, 2, 3)
    assert chain.stat().st_size < 0.8 * alone.video_bytes
    found = nvcodec.compare(shot, chain).quality
    assert found.psnr_y == pytest.approx(alone.psnr_y, abs=0.2)


def test_a_decoder_can_begin_at_every_refresh(shot, config, tmp_path):
    nvcodec.encode(shot, tmp_path / "a.nvc", replace(config, refresh=2), measure=False)
    assert predicted_flags(tmp_path / "a.nvc") == [False, True, False, True]


def test_a_segment_after_a_cut_is_not_predicted(make_clip, config, tmp_path):
    clip = make_clip("cut.mkv", frames=8, codec="ffv1", picture=cutting)
    nvcodec.encode(clip, tmp_path / "a.nvc", config, measure=False)
    assert predicted_flags(tmp_path / "a.nvc") == [False, True, False, True]


@pytest.mark.parametrize("colour", list(nvcodec.ColourMode))
def test_any_frame_is_what_playing_shows(shot, chain, encode_once, config, colour):
    path = chain
    if colour is not config.colour:
        path = encode_once("chain-in-another-colour.nvc", shot, replace(config, colour=colour))
    assert any(predicted_flags(path))
    with nvcodec.open(path, device="cpu") as video:
        played = np.stack(list(video))
    for order in ([7], [5, 2, 7, 0], list(range(7, -1, -1))):
        with nvcodec.open(path, device="cpu") as video:
            assert np.array_equal(video[order], played[order])


@pytest.mark.parametrize("segment", [1, 3])
def test_an_interrupted_encode_goes_on_to_the_same_file(
    shot, chain, config, tmp_path, interrupt, segment
):
    path = tmp_path / "a.nvc"
    interrupt(shot, path, config, segment)
    nvcodec.encode(shot, path, config, measure=False, resume=True)
    assert path.read_bytes() == chain.read_bytes()


def test_files_of_a_ladder_are_predicted_from_themselves(shot, config, tmp_path):
    sizes = (2500, 5000)
    nvcodec.encode_ladder(
        shot, tmp_path / "a.nvc", replace(config, psnr=None, ladder=sizes), measure=False
    )
    paths = ladder_paths(tmp_path / "a.nvc", sizes)
    assert predicted_flags(paths[0]) == predicted_flags(paths[1]) == [False, True, True, True]
    small, large = (nvcodec.compare(shot, path).quality.psnr_y for path in paths)
    assert 20 < small < large - 1


def test_damage_loses_the_segments_predicted_from_it(chain):
    data = bytearray(chain.read_bytes())
    with nvcodec.open(bytes(data), device="cpu") as video:
        played = np.stack(list(video))
        payload = video.reader.segment(1).payload
    data[bytes(data).index(payload) + len(payload) // 2] ^= 0x55
    with nvcodec.open(bytes(data), device="cpu") as video:
        assert np.array_equal(video[0:2], played[0:2])
        for frame in (2, 4, 7):
            with pytest.raises(BitstreamError):
                video[frame]
        assert sum(len(part) for part in video.frames()) == 2
        assert len(video.warnings) == 3


def test_a_missing_reference_is_refused(chain):
    with Reader(chain) as reader:
        stored, header = reader.segment(1), reader.header
    with pytest.raises(BitstreamError, match="which is missing"):
        open_segment_decoder(stored, header, CPU, number=1)
    config, body = split_payload(stored, header)
    with pytest.raises(BitstreamError, match="which is missing"):
        make_segment_decoder("latentgrid", config, body, header.video.colour, CPU, object())


def test_networks_are_not_predicted(stream):
    with Reader(stream) as reader:
        stored, header = reader.segment(1), reader.header
    with pytest.raises(UnsupportedVersionError, match="hnerv"):
        open_segment_decoder(replace(stored, predicted=True), header, CPU, number=1)
    config, _ = split_payload(stored, header)
    with pytest.raises(ConfigError):
        replace(config, predicted=True)


@pytest.mark.parametrize("refresh", [0, -1])
def test_a_refresh_is_at_least_one(refresh):
    with pytest.raises(ConfigError, match="refresh"):
        nvcodec.EncoderConfig(refresh=refresh)
