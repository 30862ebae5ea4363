"""Configurations of the papers: layers, numbers of parameters, and strides."""

from __future__ import annotations

import pytest

from nvcodec.media import ColourMode
from nvcodec.models import build
from nvcodec.models.base.network_config import NetworkTarget
from nvcodec.models.hnerv.config import HNeRVConfig, published_width
from nvcodec.models.nerv.config import NeRVConfig
from nvcodec.models.stacks.geometry import derive

MILLION = 1_000_000


@pytest.mark.parametrize(("channels", "millions"), [(26, 3.2), (58, 6.3), (112, 12.5)])
def test_nerv_has_the_numbers_of_parameters_of_the_paper(channels, millions):
    config = NeRVConfig.published(channels, size=(720, 1280), frames=132)
    assert config.strides == (5, 2, 2, 2, 2)
    assert config.grid == (9, 16)
    assert round(config.parameters / MILLION, 1) == millions


def test_nerv_small_has_the_published_state():
    model = build("nerv", NeRVConfig.published(26, size=(720, 1280), frames=132))
    expected = [(512, 80), (512,), (9 * 16 * 26, 512), (9 * 16 * 26,)]
    for inputs, outputs in [(26, 25 * 26), (26, 4 * 96), (96, 4 * 96), (96, 4 * 96), (96, 4 * 96)]:
        expected += [(outputs, inputs, 3, 3), (outputs,)]
    expected += [(3, 96, 1, 1), (3,)]
    assert [tuple(tensor.shape) for tensor in model.state_dict().values()] == expected
    assert [tuple(tensor.shape) for tensor in model.transmitted()] == expected


def test_the_budget_of_a_published_nerv_gives_that_network():
    published = NeRVConfig.published(26, size=(720, 1280), frames=132)
    config = NeRVConfig.from_budget(
        published.parameters, size=(720, 1280), frames=132, colour=ColourMode.RGB
    )
    assert config == published


@pytest.mark.parametrize(
    ("budget", "width", "macs"),
    [(0.35, 32, 7.2), (0.75, 48, 17.0), (1.5, 68, 35.2), (3.0, 97, 72.4)],
)
def test_hnerv_has_the_widths_and_the_cost_of_its_authors(budget, width, macs):
    config = HNeRVConfig.from_budget(
        int(budget * MILLION), size=(640, 1280), frames=132, colour=ColourMode.RGB
    )
    assert config.widths[0] == width
    assert config.kernels == (1, 3, 5, 5, 5)
    assert config.strides == (5, 4, 4, 2, 2)
    assert config.latents()[0].shape == (132, 16, 2, 4)
    assert round(config.macs_per_pixel / 1000, 1) == macs
    assert 0.93 < config.parameters / (budget * MILLION) < 1.01


def test_hnerv_has_the_published_state():
    config = HNeRVConfig.from_budget(350_000, size=(640, 1280), frames=132, colour=ColourMode.RGB)
    shapes = [tuple(tensor.shape) for tensor in build("hnerv", config).transmitted()]
    assert shapes[:4] == [(32, 16, 1, 1), (32,), (27 * 25, 32, 1, 1), (27 * 25,)]
    assert shapes[4:6] == [(22 * 16, 27, 3, 3), (22 * 16,)]
    assert shapes[6:8] == [(18 * 16, 22, 5, 5), (18 * 16,)]
    assert shapes[-3:] == [(3, 12, 3, 3), (3,), (132, 16, 2, 4)]


@pytest.mark.parametrize(
    ("width", "parameters", "macs"),
    [(50, 758_921, 34.5), (86, 1_507_946, 104.6), (134, 3_080_653, 249.3)],
)
def test_boosted_hnerv_is_as_large_as_its_authors(width, parameters, macs):
    # The three sizes of the authors' script for Big Buck Bunny, 0.75M, 1.5M and 3M.
    config = HNeRVConfig.from_budget(
        parameters, size=(720, 1280), frames=132, colour=ColourMode.RGB, boosted=True
    )
    assert config.grid == (9, 16)
    assert [stride for stride in config.strides if stride > 1] == [5, 2, 2, 2, 2]
    assert config.strides == (5, 2, 2, 1, 2, 1, 2, 1)
    assert config.kernels == (1, 3, 3, 3, 3, 3, 3, 3)
    assert config.latents()[0].shape == (132, 16, 9, 16)
    exact = HNeRVConfig._with_width(
        width,
        derive((720, 1280), 144),
        NetworkTarget(size=(720, 1280), frames=132, colour=ColourMode.RGB),
        time_width=32,
    )
    assert exact.parameters == parameters
    assert round(exact.macs_per_pixel / 1000, 1) == macs
    # The budget may be exceeded by one per cent, so that the width is the authors' or the next one.
    assert 0 <= config.widths[0] - width <= 1


def test_the_width_for_a_budget_that_is_too_small_is_zero():
    assert published_width(0, (5, 4, 4, 2, 2)) == 0
    assert published_width(-5, (5, 4, 4, 2, 2)) == 0


@pytest.mark.parametrize(
    ("size", "area", "strides", "grid"),
    [
        ((480, 960), 8, (5, 4, 3, 2, 2), (2, 4)),
        ((640, 1280), 8, (5, 4, 4, 2, 2), (2, 4)),
        ((960, 1920), 8, (5, 4, 4, 3, 2), (2, 4)),
        ((720, 1280), 144, (5, 2, 2, 2, 2), (9, 16)),
        ((1080, 1920), 144, (5, 3, 2, 2, 2), (9, 16)),
    ],
)
def test_published_strides(size, area, strides, grid):
    geometry = derive(size, area)
    assert (geometry.strides, geometry.grid, geometry.padded) == (strides, grid, size)
