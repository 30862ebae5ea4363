"""Instant-NGP: lattices against single points, pictures of any size, and configurations."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from nvcodec.errors import ConfigError
from nvcodec.media import ColourMode
from nvcodec.models import build
from nvcodec.models.base.pixel_shuffle import depth_to_space
from nvcodec.models.base.windows import Window
from nvcodec.models.ngp.config import NGPConfig
from nvcodec.models.ngp.model import NGP
from nvcodec.models.ngp.point_synthesis import PointSynthesis
from nvcodec.models.synthesis import synthesis

SIZE = (34, 50)


def _config(**changes) -> NGPConfig:
    config = NGPConfig.from_budget(9000, size=SIZE, frames=6, colour=ColourMode.YUV420)
    return replace(config, **changes)


def _model(config: NGPConfig) -> NGP:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = build("ngp", config)
        for table in model.grid.tables:
            torch.nn.init.normal_(table)
    return model


LEVELS = ((3, 4, 5), (13, 9, 2), (25, 17, 1))


# With tables of 64 entries, all but the first level are hashed.
@pytest.mark.parametrize("log2_entries", [19, 6])
def test_a_lattice_has_the_features_of_its_points(log2_entries):
    config = _config(levels=LEVELS, log2_entries=log2_entries)
    model = _model(config)
    hashed = [table.dim() == 2 for table in model.grid.tables]
    assert hashed == [False, log2_entries == 6, log2_entries == 6]
    t, y, x = torch.tensor([0.0, 0.31, 1.0]), torch.rand(5), torch.rand(4)
    points = torch.stack(torch.meshgrid(t, y, x, indexing="ij")[::-1], dim=-1).flatten(0, 2)
    with torch.no_grad():
        lattice = model.grid.lattice((t, y, x))
        torch.testing.assert_close(lattice.flatten(0, 2), model.grid(points))


def test_gradients_of_a_lattice_are_those_of_its_points():
    config = _config(levels=LEVELS, log2_entries=6)
    t, y, x = torch.rand(3), torch.rand(5), torch.rand(4)
    points = torch.stack(torch.meshgrid(t, y, x, indexing="ij")[::-1], dim=-1).flatten(0, 2)
    weight = torch.randn(60, len(config.levels) * config.features)
    gradients = []
    for encode in (lambda grid: grid.lattice((t, y, x)).flatten(0, 2), lambda grid: grid(points)):
        grid = _model(config).grid
        (encode(grid) * weight).sum().backward()
        gradients.append([table.grad for table in grid.tables])
    for of_lattice, of_points in zip(*gradients, strict=True):
        torch.testing.assert_close(of_lattice, of_points)


@pytest.mark.parametrize("colour", list(ColourMode))
def test_a_window_is_a_part_of_the_picture(colour):
    model = _model(_config(colour=colour))
    height, width = model.config.native_size
    index = torch.tensor([4, 1])
    with torch.no_grad():
        whole = model.render(index)
        assert whole.shape == (2, colour.channels, height, width)
        for window in (Window(3, 2, 9, 17), Window(1, 2, height, width, 4)):
            step = window.step
            part = model.render(index, window)
            rows = slice(window.top, window.bottom, step)
            torch.testing.assert_close(part, whole[:, :, rows, window.left : window.right : step])


def test_features_between_two_frames_are_interpolated():
    # A level with a vertex in time per frame: half-way, features are the mean of two frames.
    model = _model(replace(_config(), levels=((3, 3, 6),), depth=1))
    y, x = torch.rand(4), torch.rand(4)
    with torch.no_grad():
        early, middle, late = model.grid.lattice((torch.tensor([2.0, 2.5, 3.0]) / 5, y, x))
    torch.testing.assert_close(middle, (early + late) / 2)


@pytest.mark.parametrize("size", [(34, 50), (1, 1), (2, 3), (181, 2000)])
@pytest.mark.parametrize("colour", list(ColourMode))
def test_synthesis_equals_planes(size, colour):
    # The picture of the last size is decoded in parts.
    config = NGPConfig.from_budget(4000, size=size, frames=3, colour=colour)
    model = _model(config)
    index = torch.tensor([2, 0])
    with torch.no_grad():
        expected = model.planes(index)
    decoder = synthesis(model, torch.float32)
    torch.testing.assert_close(decoder(index), expected)
    error = (decoder.levels(index) - 255 * expected).abs()
    assert error.max() < 0.501  # not 0.5: a sample half-way between two levels may go either way


def test_levels_are_the_coarser_in_time_the_finer_in_space():
    config = NGPConfig.from_budget(100_000, size=(320, 640), frames=64, colour=ColourMode.YUV420)
    for (x, y, t), (finer_x, finer_y, later) in pairwise(config.levels):
        assert finer_x % x == finer_y % y == 0 and finer_x > x and later <= t
    assert config.levels[0][2] == 64
    assert config.levels[-1] == (320, 160, 1)
    # Only the static level is hashed.
    hashed = [len(spec.shape) == 2 for spec in config.tensors()][: len(config.levels)]
    assert hashed == [False] * (len(hashed) - 1) + [True]


def test_invalid_configurations_are_refused():
    config = _config()
    for changes in (
        {"levels": ()},
        {"levels": config.levels * 9},
        {"levels": ((0, 2, 2),)},
        {"features": 0},
        {"features": 256},
        {"log2_entries": 25},
        {"log2_entries": 0},
        {"width": 0},
        {"width": 1025},
        {"depth": 0},
        {"depth": 17},
    ):
        with pytest.raises(ConfigError):
            replace(config, **changes)
    with pytest.raises(ConfigError, match="boost"):
        NGPConfig.from_budget(9000, size=SIZE, frames=6, colour=ColourMode.RGB, boosted=True)


@pytest.mark.parametrize("colour", list(ColourMode))
@pytest.mark.parametrize("size", [SIZE, (33, 47)])
def test_decoding_at_the_size_of_the_video_gives_its_frames(colour, size):
    config = NGPConfig.from_budget(9000, size=size, frames=6, colour=colour)
    decoder = PointSynthesis(_model(config), torch.float32)
    times = torch.tensor([3.0, 0.0])
    expected = decoder.levels(times)
    planes = decoder.decode_at_size(times, size)
    if colour is ColourMode.YUV420:
        torch.testing.assert_close(planes[1], expected[:, 4:], atol=1, rtol=0)
        expected = depth_to_space(expected[:, :4], 2)[:, 0, : size[0], : size[1]]
    torch.testing.assert_close(planes[0], expected, atol=1, rtol=0)


@pytest.mark.parametrize("colour", list(ColourMode))
def test_pictures_of_other_sizes_have_the_same_content(colour):
    # A horizontal ramp, whose brightness depends on the position in the picture at any size.
    config = replace(_config(colour=colour), levels=((2, 2, 1),), features=1, width=1, depth=1)
    model = _model(config)
    with torch.no_grad():
        model.grid.tables[0][0, :, :, 0] = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
        for layer in model.mlp.layers:
            layer.weight.fill_(0.5)
    decoder = PointSynthesis(model, torch.float32)
    for size in ((68, 150), (17, 25)):
        luma = decoder.decode_at_size(torch.zeros(1), size)[0].reshape(-1, *size)[0].float()
        assert (luma - luma[0]).abs().max() <= 1
        position = (torch.arange(size[1]) + 0.5) / size[1]
        expected = 255 * (0.5 + 0.5 * (0.25 * position).tanh())
        assert (luma[0] - expected).abs().max() < 2
