"""The model `latentgrid`: its configuration, and frames decoded in any order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from nvcodec.errors import BitstreamError, ConfigError
from nvcodec.media import ColourMode
from nvcodec.models.latentgrid.config import LatentGridConfig
from nvcodec.models.latentgrid.model import LatentGrid, QuantisationSteps
from nvcodec.models.latentgrid.motion.grids import LARGEST_VECTOR
from nvcodec.models.latentgrid.picture import Picture
from nvcodec.models.latentgrid.subband_arrays import (
    round_to_uint8,
    to_pyramid,
    to_subbands,
)
from nvcodec.models.latentgrid.wavelets import Pyramid, analysis, synthesis
from tests.fixtures.latents import KnownGrids, still_motion

CPU = torch.device("cpu")
SIZES = [(1, 1), (1, 500), (35, 17), (144, 176), (720, 1280), (1080, 1920), (2160, 3840)]


def make_config(**changes) -> LatentGridConfig:
    settings = {
        "size": (24, 34),
        "frames": 11,
        "colour": ColourMode.YUV420,
        "group": 4,
        "cell": 8,
        "scales": 3,
    }
    return LatentGridConfig(**settings | changes)


@pytest.mark.parametrize("colour", list(ColourMode))
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("frames", [1, 100])
def test_suited_configurations_come_back(size, frames, colour) -> None:
    config = LatentGridConfig.suited(size=size, frames=frames, colour=colour)
    packed = config.pack()
    assert len(packed) == 4
    again = LatentGridConfig.unpack(packed, size=size, frames=frames, colour=colour)
    assert again == config
    assert config.parameters >= frames * size[0] * size[1]
    assert {layout.channels for layout in config.layouts.values()} == {1, 2}


def test_cells_grow_with_the_picture() -> None:
    cells = [
        LatentGridConfig.suited(size=size, frames=2, colour=ColourMode.YUV420).cell
        for size in SIZES
    ]
    assert cells == sorted(cells)
    assert cells[0] < cells[-1]


@pytest.mark.parametrize(
    "change",
    [
        {"group": 3},
        {"group": 128},
        {"group": 0},
        {"cell": 2},
        {"cell": 12},
        {"cell": 64},
        {"scales": -1},
        {"scales": 6},
        {"scales": 11},
        {"frames": 0},
        {"size": (0, 5)},
    ],
)
def test_bad_configurations_are_refused(change) -> None:
    with pytest.raises(ConfigError):
        make_config(**change)


@pytest.mark.parametrize(
    "packed",
    [b"", b"\2\2\3", b"\2\2\3\3\0", b"\1\2\3\3", b"\3\2\3\3", b"\2\7\3\3", b"\2\2\1\3", b"\2\2\6\3",
     b"\2\2\3\6", b"\2\2\xff\3", b"\2\xff\3\3", b"\2\2\3\xff"],
)  # fmt: skip
def test_bad_bytes_are_refused(packed) -> None:
    settings = {"size": (24, 34), "frames": 11, "colour": ColourMode.YUV420}
    assert LatentGridConfig.unpack(b"\2\2\3\3", **settings) == make_config()
    with pytest.raises(BitstreamError, match="model configuration"):
        LatentGridConfig.unpack(packed, **settings)


def test_layers_hold_all_frames_at_most_sixteen_together() -> None:
    config = make_config(frames=140, group=4)
    frames = [frame for layer in config.temporal_layers for frame in layer.frames]
    assert sorted(frames) == list(range(140))
    assert max(len(layer.frames) for layer in config.temporal_layers) == 16
    depths = [layer.depth for layer in config.temporal_layers]
    assert depths == sorted(depths)
    coded_frames: set[int] = set()
    for layer in config.temporal_layers:
        assert len({len(of_frame) for of_frame in layer.references}) == 1
        for references in layer.references:
            assert coded_frames.issuperset(references)
        coded_frames.update(layer.frames)


def test_chroma_reaches_the_same_coarsest_scale() -> None:
    for size in ((24, 34), (17, 35)):
        config = make_config(size=size)
        luma, chroma = config.luma_layout, config.chroma_layout
        assert luma.bands[0].size == chroma.bands[0].size
        assert [band.size for band in chroma.bands] == [band.size for band in luma.bands[:-3]]
    config = make_config(colour=ColourMode.RGB)
    assert config.luma_layout.bands == config.chroma_layout.bands


@pytest.fixture(scope="module")
def coded(make_grids: Callable[..., KnownGrids]) -> tuple[LatentGridConfig, KnownGrids]:
    config = make_config()
    return config, make_grids(config, seed=3, busy=0.2)


@pytest.fixture(scope="module")
def chained(make_grids: Callable[..., KnownGrids]) -> tuple[LatentGridConfig, KnownGrids]:
    """Frames each of which is predicted from the previous one."""
    config = make_config(group=1)
    return config, make_grids(config, seed=3, busy=0.2)


def model(coded: tuple[LatentGridConfig, KnownGrids]) -> LatentGrid:
    config, latents = coded
    steps = QuantisationSteps.of(latents.steps, config)
    return LatentGrid(config, steps, latents.grids.symbols, latents.fields, CPU)


def same(ours: Picture, theirs: Picture) -> bool:
    """Return whether frames are equal; batching may change sums, and so samples, by one level."""
    pairs = [(ours.luma, theirs.luma), (ours.chroma, theirs.chroma)]
    assert all(a.shape == b.shape for a, b in pairs)
    return all(int((a.int() - b.int()).abs().max()) <= 1 for a, b in pairs)


def test_random_access_is_what_decoding_in_order_gives(coded) -> None:
    config, _ = coded
    whole = model(coded).planes(range(config.frames))
    assert whole.luma.dtype == torch.uint8
    assert whole.luma.shape == (11, 1, 24, 34)
    assert whole.chroma.shape == (11, 2, 12, 17)
    assert len({frame.numpy().tobytes() for frame in whole.luma}) == 11
    for frame in range(config.frames):
        assert same(model(coded).planes([frame]), whole[frame : frame + 1])


def test_frames_in_any_order_and_more_than_once(coded) -> None:
    config, _ = coded
    whole = model(coded).planes(range(config.frames))
    warm = model(coded)
    rng = np.random.default_rng(0)
    for count in (1, 3, 11, 25):
        frames = rng.integers(0, config.frames, count).tolist()
        for tested in (warm, model(coded)):
            assert same(tested.planes(frames), whole[frames])
    assert same(warm.planes([4, 4, 0, 4]), whole[[4, 4, 0, 4]])


def test_the_cache_is_bounded_and_changes_nothing(chained) -> None:
    config, _ = chained
    small = model(chained)
    reference = model(chained).planes(range(config.frames))
    for frames in ([10], [0], [5, 6], [10, 0], [3], list(range(11)), [2], [9, 1]):
        assert same(small.planes(frames), reference[frames])
        assert len(small._decoded) <= max(4, len(frames))


def test_a_long_chain_is_not_kept_whole(chained, monkeypatch) -> None:
    chain, held = model(chained), []
    decode = chain._decode

    def counted(*args):
        held.append(len(chain._decoded))
        return decode(*args)

    monkeypatch.setattr(chain, "_decode", counted)
    last = chain.planes([10, 2])
    assert len(held) == 11
    assert max(held) <= 5
    assert same(last, model(chained).planes(range(11))[[10, 2]])


def test_a_frame_without_latents_is_grey_or_its_reference(coded) -> None:
    config, latents = coded
    symbols = {
        kind: [band.copy() for band in bands] for kind, bands in latents.grids.symbols.items()
    }
    for bands in symbols.values():
        for band in bands:
            band[1:] = 0
    steps = QuantisationSteps.of(latents.steps, config)
    still = {
        frame: still_motion(config, config.hierarchy.references(frame)) for frame in range(1, 11)
    }
    planes = LatentGrid(config, steps, symbols, still, CPU).planes(range(11))
    assert planes.luma[0].unique().numel() > 5
    for frame in range(1, 11):
        assert same(planes[frame : frame + 1], planes[:1])
    for bands in symbols.values():
        for band in bands:
            band[:] = 0
    planes = LatentGrid(config, steps, symbols, latents.fields, CPU).planes([7])
    assert (planes.luma == 128).all()
    assert (planes.chroma == 128).all()


def test_the_largest_latents_steps_and_vectors_stay_finite() -> None:
    config = make_config(frames=5)
    symbols = {
        kind: [
            np.full((5, layout.channels, *band.padded_size), 1023, np.int16)
            for band in layout.bands
        ]
        for kind, layout in config.layouts.items()
    }
    largest = 2.0 ** (4095 / 256 + 63 / 16 - 4)
    steps = QuantisationSteps((largest,) * 5, (largest * 16,) * 5)
    motion = {}
    for frame, corner in zip(range(1, 5), [(-1, -1), (-1, 1), (1, -1), (1, 1)], strict=True):
        motion[frame] = still_motion(config, config.hierarchy.references(frame))
        motion[frame].vectors[:] = np.multiply(LARGEST_VECTOR, corner)
    extreme = LatentGrid(config, steps, symbols, motion, CPU)
    planes = extreme.planes(range(5))
    assert set(planes.luma[1].unique().tolist()) <= set(range(256))
    assert same(extreme.planes([3]), planes[3:4])


def test_rounding() -> None:
    values = torch.tensor([-1e9, -0.6, -0.5, 0.49, 0.5, 1.5, 2.5, 254.49, 254.5, 255.4, 300, 1e9])
    assert round_to_uint8(values).tolist() == [0, 0, 0, 0, 1, 2, 3, 254, 255, 255, 255, 255]


@pytest.mark.parametrize("size", [(24, 34), (17, 35), (2, 2)])
def test_bands_and_back(size) -> None:
    config = make_config(size=size, scales=1)
    layout = config.luma_layout
    planes = torch.randn(3, 1, *size, generator=torch.Generator().manual_seed(0)) * 40
    padded = to_subbands(layout, planes)
    assert [plane.shape[2:] for plane in padded] == [band.padded_size for band in layout.bands]
    whole = [np.rint(plane).astype(np.int16) for plane in padded]
    back = synthesis(to_pyramid(layout, whole))
    assert back.shape == planes.shape
    assert float((back - planes).abs().max()) < 3


def test_cached_tensors_of_a_decode_serve_a_fit() -> None:
    with torch.inference_mode():
        synthesis(analysis(torch.zeros(1, 21, 22), 2))
    pyramid = analysis(torch.randn(1, 21, 22), 2)
    coarse = pyramid.coarse.requires_grad_()
    synthesis(Pyramid(coarse, pyramid.details)).square().sum().backward()
    assert coarse.grad is not None and bool((coarse.grad != 0).any())
