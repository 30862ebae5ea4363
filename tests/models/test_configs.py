"""Layer lists of the papers, and configurations for any picture."""

from __future__ import annotations

import dataclasses
import functools
import random

import pytest

from nvcodec.errors import BitstreamError, ConfigError, UnsupportedVersionError
from nvcodec.media import ColourMode
from nvcodec.models import MODELS, build, config_class, family, name_of
from nvcodec.models.base.network_config import NetworkConfig, NetworkTarget
from nvcodec.models.hnerv.config import HNeRVConfig, published_width
from nvcodec.models.nerv.config import NeRVConfig
from nvcodec.models.nirvana.config import NirvanaConfig
from nvcodec.models.stacks.config import StackConfig
from nvcodec.models.stacks.geometry import derive, grid_for

MILLION = 1_000_000
NETWORKS = [name for name in MODELS if issubclass(config_class(name), NetworkConfig)]
# Families that are stacks of convolutions.
STACKS = [name for name in NETWORKS if issubclass(config_class(name), StackConfig)]


@pytest.mark.parametrize(("channels", "millions"), [(26, 3.2), (58, 6.3), (112, 12.5)])
def test_nerv_has_the_papers_parameter_counts(channels, millions):
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


@pytest.mark.parametrize(
    ("budget", "width", "macs"),
    [(0.35, 32, 7.2), (0.75, 48, 17.0), (1.5, 68, 35.2), (3.0, 97, 72.4)],
)
def test_hnerv_widths_and_cost_are_those_of_its_authors(budget, width, macs):
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
    # The three sizes of their Bunny script, 0.75M, 1.5M and 3M.
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
    # Where the budget is met within a per cent, the width is theirs or the next.
    assert 0 <= config.widths[0] - width <= 1


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("boosted", [False, True])
def test_a_network_has_the_layers_of_its_configuration(name, boosted):
    if boosted and name == "nirvana":
        pytest.skip("it has no blocks that time could condition")
    config = config_class(name).from_budget(
        90_000, size=(90, 160), frames=5, colour=ColourMode.YUV420, boosted=boosted
    )
    assert 0.6 * 90_000 < config.parameters <= 1.01 * 90_000
    shapes = [tuple(tensor.shape) for tensor in build(name, config).transmitted()]
    assert shapes == [spec.shape for spec in config.tensors()]
    assert any("layer" in spec.name and spec.group > 1 for spec in config.tensors())
    packed = config.pack()
    assert packed[0] >> 7 == boosted
    again = config_class(name).unpack(
        packed, size=config.size, frames=config.frames, colour=config.colour
    )
    assert again == config


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
    one, eight = (
        NirvanaConfig.from_budget(10_000 + 600 * frames, frames=frames, **picture)
        for frames in (1, 8)
    )
    assert eight.macs_per_pixel < one.macs_per_pixel / 3


def test_the_width_solver_of_a_hopeless_budget_is_zero():
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
    found = derive(size, area)
    assert (found.strides, found.grid, found.padded) == (strides, grid, size)


def _sizes(count: int) -> list[tuple[int, int]]:
    chooser = random.Random(7)
    fixed = [(16, 16), (2160, 3840), (3840, 2160), (17, 3840), (2159, 17), (33, 47), (31, 31)]
    return fixed + [
        (int(2 ** chooser.uniform(4, 11.07)), int(2 ** chooser.uniform(4, 11.9)))
        for _ in range(count)
    ]


@pytest.mark.parametrize("area", [8, 144])
def test_any_size_derives_with_little_padding(area):
    for size in _sizes(200):
        found = derive(size, area)
        height, width = found.padded
        assert height >= size[0] and width >= size[1]
        assert found.grid == grid_for(size, found.strides)
        # No row of cells lies wholly outside the picture.
        scale = height // found.grid[0]
        assert height - size[0] < scale and width - size[1] < scale
        # Few embeddings leave little choice of sizes.
        limit = 4 / 3 if area == 8 else 1.2
        assert height * width <= limit * size[0] * size[1], (size, found)


@pytest.mark.parametrize("name", ["nerv", "nervpp"])
@pytest.mark.parametrize("boosted", [False, True])
def test_small_networks_of_equal_budgets_have_as_many_values(name, boosted):
    for budget in (20_000, 50_000, 100_000, 200_000, 350_000, 1_000_000):
        config = config_class(name).from_budget(
            budget, size=(160, 320), frames=66, colour=ColourMode.RGB, boosted=boosted
        )
        assert 0.98 * budget < config.parameters <= budget


def test_the_budget_of_a_published_nerv_gives_that_network():
    published = NeRVConfig.published(26, size=(720, 1280), frames=132)
    made = NeRVConfig.from_budget(
        published.parameters, size=(720, 1280), frames=132, colour=ColourMode.RGB
    )
    assert made == published


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
def test_what_is_counted_is_what_is_transmitted(name, colour, size):
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
    again = config_class(name).unpack(packed, size=(50, 70), frames=6, colour=colour)
    assert again == config
    for other in (packed[:-1], packed + b"\0", b""):
        with pytest.raises(BitstreamError):
            config_class(name).unpack(other, size=(50, 70), frames=6, colour=colour)


@pytest.mark.parametrize("name", NETWORKS)
def test_hostile_configurations_raise_nothing_else(name):
    chooser = random.Random(3)
    packed = _config(name).pack()
    refused = accepted = 0
    for _ in range(3000):
        data = bytearray(packed)
        if chooser.random() < 0.3:
            data = bytearray(chooser.randbytes(chooser.randrange(40)))
        else:
            for _ in range(chooser.randrange(1, 4)):
                data[chooser.randrange(len(data))] = chooser.randrange(256)
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
def test_impossible_configurations_are_refused(changes):
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
