"""Configurations for pictures of any size, their packed form, and the table of families."""

from __future__ import annotations

import dataclasses
import functools
import random

import pytest

from nvcodec.errors import BitstreamError, ConfigError, UnsupportedVersionError
from nvcodec.media import ColourMode
from nvcodec.models import MODELS, build, config_class, family, name_of
from nvcodec.models.base.network_config import NetworkConfig
from nvcodec.models.hnerv.config import HNeRVConfig
from nvcodec.models.nirvana.config import NirvanaConfig
from nvcodec.models.stacks.geometry import derive, grid_for
from tests.models.networks import STACK_FAMILIES

NETWORKS = [name for name in MODELS if issubclass(config_class(name), NetworkConfig)]


@pytest.mark.parametrize("name", STACK_FAMILIES)
@pytest.mark.parametrize("boosted", [False, True])
def test_a_network_has_the_layers_of_its_configuration(name, boosted):
    if boosted and name == "nirvana":
        pytest.skip("nirvana cannot be boosted")
    config = config_class(name).from_budget(
        90_000, size=(90, 160), frames=5, colour=ColourMode.YUV420, boosted=boosted
    )
    assert 0.6 * 90_000 < config.parameters <= 1.01 * 90_000
    shapes = [tuple(tensor.shape) for tensor in build(name, config).transmitted()]
    assert shapes == [spec.shape for spec in config.tensors()]
    assert any("layer" in spec.name and spec.group > 1 for spec in config.tensors())
    packed = config.pack()
    assert packed[0] >> 7 == boosted
    unpacked = config_class(name).unpack(
        packed, size=config.size, frames=config.frames, colour=config.colour
    )
    assert unpacked == config


def test_nirvana_is_not_boosted():
    picture = {"size": (64, 64), "frames": 4, "colour": ColourMode.RGB}
    with pytest.raises(ConfigError, match="boost"):
        NirvanaConfig.from_budget(10_000, **picture, boosted=True)
    with pytest.raises(ConfigError, match="boost"):
        NirvanaConfig.smallest(**picture, boosted=True)
    config = NirvanaConfig.from_budget(10_000, **picture)
    with pytest.raises(ConfigError, match="boost"):
        dataclasses.replace(config, time_width=4)
    with pytest.raises(ConfigError, match="coordinate layers"):
        dataclasses.replace(config, depth=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_variants_that_a_family_does_not_have_are_refused_by_its_name(name):
    kind = config_class(name)
    target = {"size": (64, 64), "frames": 4, "colour": ColourMode.RGB}
    for variant, supported in (
        ({"boosted": True}, kind.SUPPORTS_BOOST),
        ({"latents": "shared"}, kind.SUPPORTS_TOKENS),
        ({"latents": "both"}, kind.SUPPORTS_TOKENS),
    ):
        for make in (kind.smallest, functools.partial(kind.from_budget, 50_000)):
            if supported:
                assert make(**target, **variant).parameters > 0
                continue
            with pytest.raises(ConfigError, match=rf"^{name} "):
                make(**target, **variant)


def test_a_pass_of_nirvana_is_shared_by_its_frames():
    picture = {"size": (64, 64), "colour": ColourMode.RGB}
    one_frame, eight_frames = (
        NirvanaConfig.from_budget(10_000 + 600 * frames, frames=frames, **picture)
        for frames in (1, 8)
    )
    assert eight_frames.macs_per_pixel < one_frame.macs_per_pixel / 3


def _sizes(count: int) -> list[tuple[int, int]]:
    generator = random.Random(7)
    fixed = [(16, 16), (2160, 3840), (3840, 2160), (17, 3840), (2159, 17), (33, 47), (31, 31)]
    return fixed + [
        (int(2 ** generator.uniform(4, 11.07)), int(2 ** generator.uniform(4, 11.9)))
        for _ in range(count)
    ]


@pytest.mark.parametrize("area", [8, 144])
def test_any_size_has_a_geometry_with_little_padding(area):
    for size in _sizes(200):
        geometry = derive(size, area)
        height, width = geometry.padded
        assert height >= size[0] and width >= size[1]
        assert geometry.grid == grid_for(size, geometry.strides)
        # No row or column of positions lies entirely outside the picture.
        scale = height // geometry.grid[0]
        assert height - size[0] < scale and width - size[1] < scale
        # A small grid leaves a small choice of padded sizes.
        limit = 4 / 3 if area == 8 else 1.2
        assert height * width <= limit * size[0] * size[1], (size, geometry)


@pytest.mark.parametrize("name", ["nerv", "nervpp"])
@pytest.mark.parametrize("boosted", [False, True])
def test_small_networks_of_equal_budgets_have_as_many_values(name, boosted):
    for budget in (20_000, 50_000, 100_000, 200_000, 350_000, 1_000_000):
        config = config_class(name).from_budget(
            budget, size=(160, 320), frames=66, colour=ColourMode.RGB, boosted=boosted
        )
        assert 0.98 * budget < config.parameters <= budget


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("colour", list(ColourMode))
def test_any_size_has_a_network(name, colour):
    for size in _sizes(12):
        frames = 5
        budget = max(60_000, size[0] * size[1] * frames // 30)
        config = config_class(name).from_budget(budget, size=size, frames=frames, colour=colour)
        assert 0.5 * budget < config.parameters <= 1.01 * budget, (size, config)
        assert config.padded[0] >= config.native_size[0]
        assert config.padded[1] >= config.native_size[1]
        assert config.macs_per_pixel > 0


@pytest.mark.parametrize("name", NETWORKS)
def test_a_budget_too_small_is_refused_with_the_smallest_that_works(name):
    with pytest.raises(ConfigError, match=r"expected at least [0-9]+"):
        config_class(name).from_budget(10, size=(64, 64), frames=4, colour=ColourMode.RGB)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("colour", list(ColourMode))
@pytest.mark.parametrize("size", [(32, 48), (33, 47), (90, 61)])
def test_the_specified_tensors_are_the_transmitted_ones(name, colour, size):
    config = config_class(name).from_budget(9000, size=size, frames=3, colour=colour)
    model = build(name, config)
    transmitted = [tuple(tensor.shape) for tensor in model.transmitted()]
    assert transmitted == [spec.shape for spec in config.tensors()]
    assert sum(tensor.numel() for tensor in model.transmitted()) == config.parameters
    assert sum(tensor.numel() for tensor in model.parameters()) == config.parameters
    assert all(
        spec.shape[spec.channel_axis] % spec.group == 0
        for spec in config.tensors()
    )  # fmt: skip


def _config(name: str, colour: ColourMode = ColourMode.YUV420) -> NetworkConfig:
    return config_class(name).from_budget(9000, size=(50, 70), frames=6, colour=colour)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("colour", list(ColourMode))
def test_pack_and_unpack(name, colour):
    config = _config(name, colour)
    packed = config.pack()
    assert len(packed) <= 48
    unpacked = config_class(name).unpack(packed, size=(50, 70), frames=6, colour=colour)
    assert unpacked == config
    for invalid in (packed[:-1], packed + b"\0", b""):
        with pytest.raises(BitstreamError):
            config_class(name).unpack(invalid, size=(50, 70), frames=6, colour=colour)


@pytest.mark.parametrize("name", NETWORKS)
def test_hostile_configurations_raise_bitstream_errors_only(name):
    generator = random.Random(3)
    packed = _config(name).pack()
    refused = accepted = 0
    for _ in range(3000):
        data = bytearray(packed)
        if generator.random() < 0.3:
            data = bytearray(generator.randbytes(generator.randrange(40)))
        else:
            for _ in range(generator.randrange(1, 4)):
                data[generator.randrange(len(data))] = generator.randrange(256)
        try:
            config = config_class(name).unpack(
                bytes(data), size=(50, 70), frames=6, colour=ColourMode.RGB
            )
        except BitstreamError as error:
            assert "model configuration" in str(error)
            refused += 1
        else:
            accepted += 1
            assert config.parameters > 0 and config.largest_tensor > 0
            assert config.pack() == bytes(data)
    assert refused and accepted


@pytest.mark.parametrize(
    "changes",
    [
        {"size": (0, 5)},
        {"frames": 0},
        {"strides": ()},
        {"strides": (2, 2, 9)},
        {"strides": (2, 2, 0)},
        {"kernels": (3, 3)},
        {"kernels": (3, 3, 4)},
        {"kernels": (3, 3, 17)},
        {"kernels": (3, 3, -1)},
        {"widths": (8, 8, 8)},
        {"widths": (8, 0, 8, 8)},
        {"widths": (8, 5000, 8, 8)},
        {"channels": 0},
        {"channels": 256},
        {"time_width": -1},
        {"time_width": 256},
    ],
)
def test_invalid_configurations_are_refused(changes):
    good = {
        "size": (16, 16),
        "frames": 2,
        "colour": ColourMode.RGB,
        "strides": (2, 2, 2),
        "kernels": (1, 3, 5),
        "widths": (8, 6, 4, 4),
    }
    assert HNeRVConfig(**good).grid == (2, 2)
    with pytest.raises(ConfigError):
        HNeRVConfig(**{**good, **changes})


def test_the_model_table():
    assert {name: row.number for name, row in MODELS.items()} == {
        "nerv": 1,
        "hnerv": 2,
        "latentgrid": 3,
        "nervpp": 4,
        "nirvana": 5,
        "ngp": 6,
    }
    assert [name_of(row.number) for row in MODELS.values()] == list(MODELS)
    with pytest.raises(ConfigError, match="nerv, hnerv"):
        family("nevr")
    with pytest.raises(UnsupportedVersionError, match="77"):
        name_of(77)
