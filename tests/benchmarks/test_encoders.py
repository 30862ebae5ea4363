"""Tests of the encoders beside the models: the anchors, and the reference's quantisation."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from benchmarks.harness import anchor_codecs
from benchmarks.harness.anchor_codecs import ENCODERS
from benchmarks.reproduction.hnerv_reference import quantise_tensor
from nvcodec.entropy.weights.quantisation import dequantise, step_values
from nvcodec.metrics import psnr
from nvcodec.models.base.tensor_spec import TensorSpec
from nvcodec.video import open_source


@pytest.fixture
def frames(make_clip):
    with open_source(make_clip("source.mkv", frames=10, size=(64, 64), codec="ffv1")) as source:
        return source.read(99), source.info


@pytest.mark.parametrize("name", ["x264-medium", "x265-medium", "svtav1-6"])
@pytest.mark.parametrize("suffix", [".nut", ".mkv"])
def test_anchors_are_real_files_of_all_frames(frames, tmp_path, name, suffix):
    pictures, info = frames
    path = tmp_path / f"anchor{suffix}"
    made = anchor_codecs.encode(ENCODERS[name], pictures, info, path, 30, 1)
    assert made.bytes == path.stat().st_size > made.stream_bytes > 0
    assert made.options["crf"] == "30"
    with open_source(path) as source:
        decoded = source.read(99)
    assert decoded.y.shape == pictures.y.shape
    assert psnr(pictures.y, decoded.y).min() > 20
    # The SEI with the encoder's options is removed from the stream.
    assert b"options:" not in path.read_bytes()


def test_versions():
    assert anchor_codecs.version("libx264").startswith("x264 - core ")
    assert anchor_codecs.version("libsvtav1").startswith("SVT-AV1 Encoder Lib v")


def test_an_anchor_of_given_bytes(frames, tmp_path):
    pictures, info = frames
    x264 = ENCODERS["x264-medium"]
    wanted = anchor_codecs.encode(x264, pictures, info, tmp_path / "a.nut", 33, 1).bytes
    made = anchor_codecs.encode_at(x264, pictures, info, tmp_path / "b.nut", wanted, 1)
    assert abs(made.bytes / wanted - 1) <= anchor_codecs.TOLERANCE
    with pytest.raises(SystemExit, match="bytes at best, 10 are wanted"):
        anchor_codecs.encode_at(x264, pictures, info, tmp_path / "c.nut", 10, 1)


def test_anchors_from_the_command_line(make_clip, tmp_path, capsys):
    source = make_clip(frames=4)
    anchor_codecs.main(
        [str(source), str(tmp_path / "a.nut"), "--encoder", "x264-medium", "--crf", "30"]
    )
    made = json.loads(capsys.readouterr().out)
    assert made["bytes"] == (tmp_path / "a.nut").stat().st_size
    assert made["crf"] == 30 and made["seconds"] > 0


@pytest.mark.parametrize("bits", [6, 8])
@pytest.mark.parametrize(
    ("shape", "group", "latent"),
    [((48, 12, 3, 3), 4, False), ((48,), 4, False), ((20, 16, 2, 4), 1, True)],
)
def test_the_reference_has_as_many_levels_as_published(shape, group, latent, bits):
    spec = TensorSpec("t", shape, channel_axis=1 if latent else 0, latent=latent, group=group)
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 0.1 + 0.02
    made = quantise_tensor(tensor, spec, bits)
    assert made.symbols.shape == shape
    channels = np.moveaxis(made.symbols, spec.channel_axis, 0).reshape(shape[spec.channel_axis], -1)
    assert np.ptp(channels, axis=1).max() <= 2**bits
    error = (dequantise(made, spec) - tensor).abs().max()
    assert error <= step_values(made.steps).max() / 2 * 1.001
    # At most an eighth of an octave coarser than free levels would be.
    free = float(tensor.max() - tensor.min()) / (2**bits - 1)
    assert step_values(made.steps).max() <= free * 2**0.125 * 1.001


def test_the_reference_gives_channels_steps_of_their_own_where_that_serves():
    spec = TensorSpec("t", (8, 64, 3, 3))
    tensor = torch.randn(spec.shape, generator=torch.Generator().manual_seed(0))
    assert (
        len(quantise_tensor(tensor * torch.logspace(-2, 0, 8)[:, None, None, None], spec, 8).steps)
        == 8
    )


def test_the_reference_copes_with_constants():
    spec = TensorSpec("t", (4, 3))
    for value in (0.0, 0.7, -1e-5):
        made = quantise_tensor(torch.full(spec.shape, value), spec, 8)
        assert np.abs(made.symbols).max() <= 2047
        restored = dequantise(made, spec)
        assert math.isclose(float(restored[0, 0]), value, rel_tol=1e-3, abs_tol=1e-6)
