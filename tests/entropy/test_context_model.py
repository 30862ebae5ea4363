"""The context model of latents: active symbols are coded once, in order, from earlier symbols."""

from __future__ import annotations

import numpy as np
import pytest

from nvcodec.entropy.latents import neighbourhood
from nvcodec.entropy.latents.context_model import LatentSymbols
from nvcodec.entropy.latents.default_networks import default_network
from nvcodec.entropy.latents.neighbourhood import _sums
from nvcodec.media import ColourMode
from nvcodec.models.latentgrid.config import LatentGridConfig
from nvcodec.models.latentgrid.subbands import PlaneKind


def make_config(size=(19, 30), frames=6, colour=ColourMode.YUV420, scales=3):
    return LatentGridConfig(
        size=size,
        frames=frames,
        colour=colour,
        group=4,
        cell=4,
        scales=scales,
    )


def empty(config):
    networks = {kind: default_network(kind, layout) for kind, layout in config.layouts.items()}
    return LatentSymbols(config.layouts, config.frames, networks)


def code_all(config, draw):
    """Code all ranks of all frames with the symbols of `draw`; return them and the passes."""
    grids, passes = empty(config), []

    def code(coding_pass):
        symbols = draw(coding_pass)
        passes.append((coding_pass, symbols))
        return symbols

    for layer in config.temporal_layers:
        for kind, layout in config.layouts.items():
            grids.code_band(layer, kind, [layout.scales + 1] * len(layer.frames), code)
    return grids, passes


def sparse(seed, busy=0.2):
    chance = np.random.default_rng(seed)

    def draw(coding_pass):
        count = len(coding_pass.scales)
        return (chance.integers(-4, 5, count) * (chance.random(count) < busy)).astype(np.int16)

    return draw


@pytest.mark.parametrize("colour", list(ColourMode))
@pytest.mark.parametrize("size", [(19, 30), (16, 16), (9, 2), (2, 31)])
def test_active_positions_are_coded_once(colour, size):
    config = make_config(size=size, colour=colour, scales=1 if 2 in size else 3)
    grids, passes = code_all(config, sparse(0))
    for kind, layout in config.layouts.items():
        for number, band in enumerate(layout.bands):
            band_passes = [
                coding_pass
                for coding_pass, _ in passes
                if (coding_pass.kind, coding_pass.band) == (kind, number)
            ]
            coded = np.zeros(grids.symbols[kind][number].shape, int)
            for coding_pass in band_passes:
                np.add.at(coded, coding_pass.positions, 1)
            expected = np.zeros_like(coded)
            expected[..., : band.size[0], : band.size[1]] = 1
            if band.rank > 1:
                sides = [(0, 0), (0, 0), (1, 1), (1, 1)]
                parents = np.pad(grids.symbols[kind][band.parent], sides)
                for frame, channel, y, x in np.argwhere(expected):
                    rows = parents[frame, channel, y // 2 : y // 2 + 3, x // 2 : x // 2 + 3]
                    expected[frame, channel, y, x] = rows.any()
            assert (coded == expected).all()
            assert not grids.symbols[kind][number][coded == 0].any()


def test_coding_order():
    config = make_config()
    _, passes = code_all(config, sparse(1))
    depths = {frame: layer.depth for layer in config.temporal_layers for frame in layer.frames}
    keys = []
    for coding_pass, _ in passes:
        frame, channel, y, x = coding_pass.positions
        turn = (channel + y + x) % 2
        assert len(set(turn)) <= 1, "a pass has one colour of the checkerboard"
        flat = np.ravel_multi_index((frame, channel, y, x), (config.frames, 5, 64, 64))
        assert (np.diff(flat) > 0).all()
        assert (
            {depths[t] for t in frame.tolist()} <= {depths[int(frame[0])]} if len(frame) else True
        )
        if len(frame):
            keys.append((depths[int(frame[0])], int(turn[0])))
    assert [depth for depth, _ in keys] == sorted(depth for depth, _ in keys)
    kinds = [
        coding_pass.kind for coding_pass, _ in passes if 0 in coding_pass.positions[0].tolist()
    ]
    assert kinds == sorted(kinds), "motion, luma, chroma of a frame"
    assert {turn for _, turn in keys} == {0, 1}


def test_contexts_do_not_depend_on_later_symbols():
    config = make_config()
    _, passes = code_all(config, sparse(2))
    for changed in range(0, len(passes), 7):
        count = 0

        def draw(coding_pass, changed=changed):
            nonlocal count
            count += 1
            symbols = passes[count - 1][1] if count <= changed else None
            if symbols is None:
                return np.full(len(coding_pass.scales), 3, np.int16)
            assert (coding_pass.inputs == passes[count - 1][0].inputs).all()
            assert (coding_pass.scales == passes[count - 1][0].scales).all()
            return symbols

        _, others = code_all(config, draw)
        same, other = passes[changed][0], others[changed][0]
        assert (same.inputs == other.inputs).all()
        assert all((a == b).all() for a, b in zip(same.positions, other.positions, strict=True))


def test_the_second_pass_has_the_first_as_context():
    config = make_config(frames=1)
    _, passes = code_all(config, lambda coding_pass: np.full(len(coding_pass.scales), 2, np.int16))
    coarse = [
        coding_pass
        for coding_pass, _ in passes
        if coding_pass.kind is PlaneKind.LUMA and coding_pass.band == 0
    ]
    first, second = coarse
    assert not first.inputs[:, [4, 5, 13]].any()
    inner = (second.positions[2] == 1) & (second.positions[3] == 1)
    inner |= (second.positions[2] == 1) & (second.positions[3] == 2)
    # 16 times log2 of 1 + 2 + 2, linear between 4 and 8, for the neighbours on both sides.
    assert (second.inputs[inner][:, 4:6] == 36).all()
    assert (second.inputs[:, 13] == 64).all()


def test_inputs_are_bytes():
    # Training of the networks stores them as bytes.
    config = make_config(colour=ColourMode.RGB, frames=5)
    _, passes = code_all(
        config, lambda coding_pass: np.full(len(coding_pass.scales), 1023, np.int16)
    )
    inputs = np.concatenate([coding_pass.inputs for coding_pass, _ in passes])
    assert inputs.min() >= 0
    assert inputs.max() <= 160
    assert (inputs == np.floor(inputs)).all()
    magnitudes, sums = [0, 2, 4, 5, 6, 8, 10], [1, 3, 9, 11]
    assert (inputs[:, magnitudes].max(axis=0) == 144).all()
    assert (inputs[:, sums].max(axis=0) == 128).all(), "sums are limited to 255"
    assert inputs[:, 7].max() == 143, "twice 255"


def test_neighbourhoods_of_the_largest_symbols():
    values = np.zeros((1, 1, 5, 6), np.int16)
    values[0, 0, 2, 2] = -2047
    values[0, 0, 4, 5] = 7
    near = _sums(np.pad(np.abs(values), [(0, 0), (0, 0), (1, 1), (1, 1)]))[0, 0]
    expected = np.zeros((5, 6), int)
    expected[1:4, 1:4] = 255
    expected[3:, 4:] += 7
    assert (near == expected).all()
    assert (_sums(np.full((2, 2, 3, 3), 2047, np.int16)) == 255).all()


@pytest.mark.parametrize("shape", [(3, 2, 7, 9), (2, 5, 1, 4), (1, 1, 1, 1), (4, 1, 6, 1)])
def test_sums_of_sparse_bands_are_the_same(monkeypatch, shape):
    chance = np.random.default_rng(0)
    count, channels, height, width = shape
    frames = np.array([5, 1, 2, 0])[:count]
    for busy in (0.0, 0.1, 0.9):
        magnitudes = np.zeros((count, channels, height + 2, width + 2), np.int16)
        drawn = chance.integers(1, 600, shape) * (chance.random(shape) < busy)
        magnitudes[..., 1:-1, 1:-1] = drawn
        found = []
        for sparse in (0, 10**9):
            monkeypatch.setattr(neighbourhood, "_SPARSE", sparse)
            near = np.zeros((6, *shape[1:]), np.uint8)
            nonzero = np.flatnonzero(magnitudes)
            neighbourhood.store_neighbour_sums(near, frames, magnitudes.copy(), nonzero)
            found.append(near)
        assert (found[0] == found[1]).all()
        assert found[0].any() == drawn.any()
        assert not np.delete(found[0], frames, axis=0).any()


def test_extents_are_the_least_that_hold_everything():
    config = make_config(frames=3)
    grids = empty(config)
    layer = next(layer for layer in config.temporal_layers if layer.depth == 1)
    assert grids.extents(layer, PlaneKind.LUMA) == [0]
    for number, band in enumerate(config.luma_layout.bands):
        grids.symbols[PlaneKind.LUMA][number][layer.frames[0], 0, 0, 0] = -1
        assert grids.extents(layer, PlaneKind.LUMA) == [band.rank + 1]


def test_ranks_beyond_the_extent_are_not_coded():
    config = make_config(frames=1)
    grids, coded = empty(config), []

    def code(coding_pass):
        coded.append(coding_pass.band)
        return np.ones(len(coding_pass.scales), np.int16)

    grids.code_band(config.temporal_layers[0], PlaneKind.LUMA, [2], code)
    assert set(coded) == {0, 1, 2, 3}
    coded.clear()
    grids.code_band(config.temporal_layers[0], PlaneKind.CHROMA, [0], code)
    assert not coded
