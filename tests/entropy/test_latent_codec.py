"""The codec of latents: exact round trips, and sizes."""

from __future__ import annotations

import numpy as np
import pytest

from nvcodec.entropy.latents import decoder, encoder
from nvcodec.entropy.latents import symbols as symbol_limits
from nvcodec.entropy.latents.encoder import encode_grids
from nvcodec.errors import BitstreamError
from nvcodec.media import ColourMode
from nvcodec.models.latentgrid.subbands import PlaneKind
from tests.fixtures.latents import assert_same, decoded, empty_latents, make_config, open_latents


@pytest.mark.parametrize("colour", list(ColourMode))
@pytest.mark.parametrize(
    ("size", "frames"),
    [
        ((1, 40), 2),
        ((33, 1), 1),
        ((1, 1), 3),
        ((17, 35), 2),
        ((2, 3), 40),
        ((12, 9), 40),
        ((48, 64), 1),
    ],
)
@pytest.mark.parametrize("busy", [0.05, 0.6])
def test_round_trip(make_grids, size, frames, colour, busy):
    config = make_config(size, frames, colour, most=5)
    coded = make_grids(config, seed=frames, busy=busy)
    assert_same(decoded(encode_grids(coded, config.temporal_layers), config), coded)


def test_the_largest_symbols(make_grids):
    config = make_config()
    coded = make_grids(config, seed=1, busy=1.0, largest=1023)
    coarse = coded.grids.symbols[PlaneKind.LUMA][0]
    coarse[0, 0, 0, 0], coarse[0, 0, 1, 1] = 2047, -2047
    assert_same(decoded(encode_grids(coded, config.temporal_layers), config), coded)


def test_random_symbols_cost_what_their_tables_say(make_grids):
    config = make_config((96, 96), 2)
    coded = make_grids(config, seed=2, busy=0.3, largest=3)
    body = encode_grids(coded, config.temporal_layers)
    symbols = np.concatenate([b.ravel() for bands in coded.grids.symbols.values() for b in bands])
    counts = np.bincount(np.abs(symbols))
    entropy = -(counts * np.log2(counts / counts.sum())).sum() + counts[1:].sum()
    # Networks that were trained on videos code noise badly, but within limits.
    assert 0.5 * entropy < 8 * len(body) < 2 * entropy


def test_a_segment_of_zeros_is_tiny_and_padded():
    config = make_config((288, 352), 40, most=5)
    body = encode_grids(empty_latents(config), config.temporal_layers)
    assert len(body) < 200
    assert_same(decoded(body, config), empty_latents(config))


def test_messages_are_padded_to_the_limits(monkeypatch):
    config = make_config((64, 64), 2, most=0)
    coded = empty_latents(config)
    # One symbol that is not zero makes its whole band coded.
    coded.grids.symbols[PlaneKind.LUMA][0][:, 0, 5, 5] = 1
    body = encode_grids(coded, config.temporal_layers)
    assert_same(decoded(body, config), coded)
    for module in (encoder, decoder, symbol_limits):
        monkeypatch.setattr(module, "SYMBOLS_PER_BYTE", 1)
    with pytest.raises(BitstreamError, match="more than 1 symbols a byte"):
        decoded(body, config)
    longer = encode_grids(coded, config.temporal_layers)
    assert len(longer) > 2 * 64 * 64 > len(body)
    assert_same(decoded(longer, config), coded)
    monkeypatch.undo()
    for module in (encoder, decoder):
        monkeypatch.setattr(module, "COEFFICIENTS_PER_BYTE", 20)
    larger = encode_grids(coded, config.temporal_layers)
    assert 20 * len(larger) >= 2 * (64 * 64 + 2 * 32 * 32)
    assert_same(decoded(larger, config), coded)


def test_only_depths_that_are_asked_for_are_read(make_grids):
    config = make_config((32, 48), 9)
    coded = make_grids(config, seed=8, busy=0.3)
    reader = open_latents(encode_grids(coded, config.temporal_layers), config)
    deepest = config.temporal_layers[-1].depth
    for depth in range(-1, deepest + 1):
        reader.read(depth)
        read_frames = [
            f for layer in config.temporal_layers if layer.depth <= depth for f in layer.frames
        ]
        other_frames = sorted({*range(config.frames)} - {*read_frames})
        assert reader.motion.keys() == coded.fields.keys() & {*read_frames}
        for kind, bands in reader.grids.symbols.items():
            for symbols, expected in zip(bands, coded.grids.symbols[kind], strict=True):
                assert np.array_equal(symbols[read_frames], expected[read_frames])
                assert not symbols[other_frames].any()
    assert_same(reader, coded)


def test_every_rank_of_every_depth_has_its_own_range():
    config = make_config(size=(48, 64), frames=9)
    coded = empty_latents(config)
    # Large values in the coarsest band of an anchor must not widen the tables of all others.
    rng = np.random.default_rng(0)
    for band, symbols in zip(
        config.luma_layout.bands, coded.grids.symbols[PlaneKind.LUMA], strict=True
    ):
        height, width = band.size
        shape = (*symbols.shape[:2], height, width)
        symbols[..., :height, :width] = rng.integers(-1, 2, shape)
    plain = len(encode_grids(coded, config.temporal_layers))
    coded.grids.symbols[PlaneKind.LUMA][0][0, 0, 0, 0] = 1500
    body = encode_grids(coded, config.temporal_layers)
    assert len(body) < plain + 64
    assert decoded(body, config).grids.symbols[PlaneKind.LUMA][0][0, 0, 0, 0] == 1500
