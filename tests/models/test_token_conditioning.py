"""The conditioning of a network on the tokens around a frame."""

from __future__ import annotations

import pytest
import torch

from nvcodec.errors import BitstreamError, ConfigError
from nvcodec.media import ColourMode
from nvcodec.models import build
from nvcodec.models.hnerv.config import HNeRVConfig
from nvcodec.models.tokenizer.conditioning import TokenConditioning
from nvcodec.models.tokenizer.layout import (
    CHANNELS,
    SPACE_STRIDE,
    frames_of_token_steps,
    token_channels,
    token_step_count,
)

FRAMES = 11


@pytest.fixture
def conditioning() -> TokenConditioning:
    conditioning = TokenConditioning(FRAMES, (2, 3), (2, 3), SPACE_STRIDE)
    conditioning.set_tokens(torch.rand(conditioning.codes.shape) * 2 - 1)
    return conditioning


def test_a_frame_is_conditioned_on_its_time_step_and_the_neighbouring_ones(conditioning):
    features = conditioning(torch.arange(FRAMES))
    assert features.shape == (FRAMES, token_channels(), 2, 3)
    steps = token_step_count(FRAMES)
    for step, frames in enumerate(frames_of_token_steps(FRAMES)):
        neighbours = [max(step - 1, 0), step, min(step + 1, steps - 1)]
        for frame in frames:
            expected = torch.cat([conditioning.codes[neighbour] for neighbour in neighbours])
            assert torch.equal(features[frame, : 3 * CHANNELS], expected)


def test_frames_of_a_time_step_differ_by_their_place(conditioning):
    features = conditioning(torch.arange(FRAMES))
    places = features[:, -2, 0, 0]
    assert places[0] == 1
    torch.testing.assert_close(places[1:5], torch.tensor([-1, -1 / 3, 1 / 3, 1.0]))
    assert torch.equal(places[1:5], places[5:9])
    scaled = features[:, : 3 * CHANNELS] * places[:, None, None, None]
    torch.testing.assert_close(features[:, 3 * CHANNELS : 6 * CHANNELS], scaled)


def test_positions_take_the_mean_of_the_cells_they_overlap():
    # Rows of 48 samples on cells of 32: the last one lies beyond all cells. Columns of 16 samples.
    conditioning = TokenConditioning(1, (2, 2), (3, 4), 48)
    rows = torch.tensor([[2 / 3, 1 / 3], [0, 1], [0, 1]])
    assert torch.allclose(conditioning.rows, rows)
    conditioning = TokenConditioning(1, (2, 2), (3, 4), 16)
    columns = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    assert torch.equal(conditioning.columns, columns)
    codes = torch.rand(1, CHANNELS, 2, 2)
    conditioning.set_tokens(codes)
    assert torch.equal(conditioning.codes, codes.repeat_interleave(2, 3)[:, :, [0, 0, 1]])


@pytest.mark.parametrize("colour", list(ColourMode))
@pytest.mark.parametrize("latents", ["shared", "both"])
@pytest.mark.parametrize("boosted", [False, True])
def test_configurations_conditioned_on_tokens(colour, latents, boosted):
    size, budget = (100, 175), 20_000
    config = HNeRVConfig.from_budget(
        budget, size=size, frames=30, colour=colour, boosted=boosted, latents=latents
    )
    assert config.token_conditioned and config.boosted == (boosted or latents == "shared")
    assert 0.8 * budget < config.parameters <= 1.01 * budget
    assert bool(config.latents()) == (latents == "both")
    if latents == "both":  # the grid is the one of a network without tokens
        unconditioned = HNeRVConfig.from_budget(
            budget, size=size, frames=30, colour=colour, boosted=boosted, latents="private"
        )
        assert (config.grid, config.strides) == (unconditioned.grid, unconditioned.strides)
    unpacked = HNeRVConfig.unpack(config.pack(), size=size, frames=30, colour=colour)
    assert unpacked == config
    model = build("hnerv", config)
    assert model.planes(torch.tensor([0, 29])).shape[2:] == colour.native_size(size)
    # The tokens have an influence on the pictures.
    model.set_tokens(torch.ones(token_step_count(30), CHANNELS, 4, 6))
    assert not torch.equal(model.planes(torch.tensor([5])), model.planes(torch.tensor([0])))


def test_invalid_configurations_are_refused():
    size, colour = (64, 64), ColourMode.RGB
    config = HNeRVConfig.smallest(size=size, frames=2, colour=colour, latents="shared")
    with pytest.raises(BitstreamError, match="expected 1 at its end"):
        HNeRVConfig.unpack(config.pack()[:-1] + b"\2", size=size, frames=2, colour=colour)
    with pytest.raises(ConfigError, match=r"1\.\.255 embedding channels"):
        HNeRVConfig(
            size=size, frames=2, colour=colour, strides=(4, 4, 2), kernels=(1, 3, 5),
            widths=(4, 4, 4, 4), channels=0,
        )  # fmt: skip
