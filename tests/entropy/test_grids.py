"""The payload of grids: whatever goes in comes out, and no bytes do harm."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from nvcodec.entropy.latents import decoder as reading
from nvcodec.entropy.latents import encoder as module
from nvcodec.entropy.latents.context_model import Grids
from nvcodec.entropy.latents.context_network import numbers_of
from nvcodec.entropy.latents.decoder import GridReader, decode_grids
from nvcodec.entropy.latents.default_networks import default_network
from nvcodec.entropy.latents.encoder import CodedGrids, encode_grids
from nvcodec.errors import BitstreamError
from nvcodec.media import ColourMode
from nvcodec.models.latentgrid.config import LatentGridConfig
from nvcodec.models.latentgrid.gop import TemporalLayer
from nvcodec.models.latentgrid.step_sizes import StepIndices
from nvcodec.models.latentgrid.subbands import PlaneKind, scales

STEPS = StepIndices(base=0, chroma=-64, motion=255, mix=0, offsets=(-64, 63, 0, 0, 0, 0, 0, 1))


def make_config(size=(24, 32), frames=3, colour=ColourMode.YUV420, cell=4, group=8, most=3):
    field = tuple(-(-side // cell) for side in size)
    return LatentGridConfig(
        size=size,
        frames=frames,
        colour=colour,
        group=group,
        cell=cell,
        scales=scales(size, most),
        field_scales=scales(field, 2),
    )


def decoded(body, config):
    return decode_grids(body, config.layouts, config.frames, config.levels)


def still(config):
    """Grids of zeros."""
    networks = {kind: default_network(kind, layout) for kind, layout in config.layouts.items()}
    return CodedGrids(STEPS, Grids(config.layouts, config.frames, networks))


def assert_same(ours, theirs):
    assert ours.steps == theirs.steps
    for kind, bands in theirs.grids.symbols.items():
        for found, wanted in zip(ours.grids.symbols[kind], bands, strict=True):
            assert found.dtype == wanted.dtype == np.int16
            assert (found == wanted).all()
        ours_, theirs_ = ours.grids.networks[kind], theirs.grids.networks[kind]
        assert (numbers_of(ours_) == numbers_of(theirs_)).all()


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
    assert_same(decoded(encode_grids(coded, config.levels), config), coded)


def test_the_largest_symbols(make_grids):
    config = make_config()
    coded = make_grids(config, seed=1, busy=1.0, largest=1023)
    coarse = coded.grids.symbols[1][0]
    coarse[0, 0, 0, 0], coarse[0, 0, 1, 1] = 2047, -2047
    assert_same(decoded(encode_grids(coded, config.levels), config), coded)


def test_random_symbols_cost_what_their_tables_say(make_grids):
    config = make_config((96, 96), 2)
    coded = make_grids(config, seed=2, busy=0.3, largest=3)
    body = encode_grids(coded, config.levels)
    symbols = np.concatenate([b.ravel() for bands in coded.grids.symbols.values() for b in bands])
    counts = np.bincount(np.abs(symbols))
    entropy = -(counts * np.log2(counts / counts.sum())).sum() + counts[1:].sum()
    # Networks that were fitted to videos serve noise badly, but not arbitrarily so.
    assert 0.5 * entropy < 8 * len(body) < 2 * entropy


def test_a_still_black_segment_is_tiny_and_filled_up():
    config = make_config((288, 352), 40, most=5)
    body = encode_grids(still(config), config.levels)
    assert len(body) < 200
    assert_same(decoded(body, config), still(config))


def test_zeros_are_filled_up_to_the_limits(monkeypatch):
    config = make_config((64, 64), 2, most=0)
    coded = still(config)
    # One symbol that is not zero makes its whole band coded.
    coded.grids.symbols[1][0][:, 0, 5, 5] = 1
    body = encode_grids(coded, config.levels)
    assert_same(decoded(body, config), coded)
    for place in (module, reading):
        monkeypatch.setattr(place, "SYMBOLS_PER_BYTE", 1)
    with pytest.raises(BitstreamError, match="more than 1 symbols a byte"):
        decoded(body, config)
    longer = encode_grids(coded, config.levels)
    assert len(longer) > 2 * 64 * 64 > len(body)
    assert_same(decoded(longer, config), coded)
    monkeypatch.undo()
    for place in (module, reading):
        monkeypatch.setattr(place, "COEFFICIENTS_PER_BYTE", 20)
    larger = encode_grids(coded, config.levels)
    assert 20 * len(larger) >= 2 * (64 * 64 + 2 * 32 * 32 + 5 * 16 * 16)
    assert_same(decoded(larger, config), coded)


@pytest.fixture(scope="module")
def sample(make_grids):
    config = make_config((18, 22), 2)
    return config, encode_grids(make_grids(config, seed=5, busy=0.2), config.levels)


def test_every_truncation_is_refused(sample):
    config, body = sample
    for length in range(len(body)):
        with pytest.raises(BitstreamError):
            decoded(body[:length], config)
    with pytest.raises(BitstreamError):
        decoded(body + b"\0", config)


def test_flipped_bytes_are_refused_or_decode(sample):
    config, body = sample
    chance = np.random.default_rng(0)
    refused = survived = 0
    header = 50  # and a little more
    places = [*range(header), *range(header), *chance.integers(header, len(body), 60)]
    for place in places:
        broken = bytearray(body)
        broken[place] ^= int(chance.integers(1, 256))
        try:
            found = decoded(bytes(broken), config)
        except BitstreamError:
            refused += 1
            continue
        survived += 1
        for bands in found.grids.symbols.values():
            assert max(int(np.abs(band).max()) for band in bands) <= 2047
    assert refused > 20
    assert survived > 60


def test_garbage_for_messages(make_grids, monkeypatch):
    config = make_config((40, 40), 5)
    coded = make_grids(config, seed=3, busy=0.5)
    chance = np.random.default_rng(1)
    outcomes = set()
    fills = [lambda n: bytes(n), lambda n: b"\xff" * n, lambda n: chance.bytes(n)]
    for length in (0, 1, 7, 8, 9, 50, 2000):
        for fill in fills:
            monkeypatch.setattr(module, "_message", lambda *_, n=length, fill=fill: fill(n))
            body = encode_grids(coded, config.levels)
            try:
                decoded(body, config)
                outcomes.add("decoded")
            except BitstreamError as error:
                outcomes.add(str(error).split(" bytes ")[-1])
    assert {"decoded", "begins with an invalid state"} <= outcomes
    assert "segment payload: a message holds more than 64 symbols a byte" in outcomes


def test_what_is_not_asked_for_is_not_read(make_grids):
    config = make_config((32, 48), 9)
    coded = make_grids(config, seed=8, busy=0.3)
    reader = GridReader(
        encode_grids(coded, config.levels), config.layouts, config.frames, config.levels
    )
    deepest = config.levels[-1].depth
    for depth in range(-1, deepest + 1):
        reader.read(depth)
        known = [f for level in config.levels if level.depth <= depth for f in level.frames]
        others = sorted({*range(config.frames)} - {*known})
        for kind, bands in reader.coded.grids.symbols.items():
            for symbols, wanted in zip(bands, coded.grids.symbols[kind], strict=True):
                assert np.array_equal(symbols[known], wanted[known])
                assert not symbols[others].any()
    assert_same(reader.coded, coded)


def test_a_message_that_ends_early_is_noticed(make_grids, monkeypatch):
    config = make_config((64, 64), 1)
    coded = make_grids(config, seed=3, busy=1.0, largest=1000)
    whole = module._message
    monkeypatch.setattr(module, "_message", lambda *args: whole(*args)[:400])
    with pytest.raises(BitstreamError, match="400 bytes ends before its symbols"):
        decoded(encode_grids(coded, config.levels), config)


def test_a_tiny_payload_that_claims_much_is_refused_at_once(sample):
    _, body = sample
    config = make_config((8192, 8192), 4)
    levels = tuple(TemporalLayer((t,), ((),), 0) for t in range(65536))
    tracemalloc.start()
    try:
        for frames in (1, 65536):
            with pytest.raises(BitstreamError, match="coefficients in"):
                decode_grids(body[:100], config.layouts, frames, levels[:frames])
        with pytest.raises(BitstreamError, match="coefficients in"):
            decode_grids(bytes(1 << 22), config.layouts, 65536, levels)
        assert tracemalloc.get_traced_memory()[1] < 30 << 20
    finally:
        tracemalloc.stop()


def test_what_passes_the_first_check_takes_little_memory():
    # As many frames as the bytes allow, but nothing in them.
    config = make_config((64, 64), 1, most=5)
    body = encode_grids(still(config), config.levels)
    frames = 65536 * len(body) // sum(layout.values for layout in config.layouts.values())
    many = make_config((64, 64), frames, most=5)
    chance = np.random.default_rng(0)
    tracemalloc.start()
    try:
        for _ in range(30):
            with pytest.raises(BitstreamError):
                decoded(chance.bytes(len(body)), many)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def test_extents_out_of_range_are_refused(make_grids, monkeypatch):
    config = make_config(frames=2)
    coded = make_grids(config, seed=1)
    body = encode_grids(coded, config.levels)
    assert_same(decoded(body, config), coded)
    for wrong in (-1, 5):
        monkeypatch.setattr(Grids, "extents", lambda *_, wrong=wrong: [wrong])
        monkeypatch.setattr(module, "_message", lambda *_: b"")
        with pytest.raises(BitstreamError, match="extents of motion out of range"):
            decoded(encode_grids(coded, config.levels), config)


@pytest.mark.parametrize("wrong", [0, 12])
def test_ranges_out_of_range_are_refused(make_grids, monkeypatch, wrong):
    config = make_config(frames=3)
    body = encode_grids(make_grids(config, seed=1), config.levels)
    count = len(module._lengths(decoded(body, config).grids, [config.levels]))
    monkeypatch.setattr(module, "_lengths", lambda *_: np.full(2 * count, wrong, np.int32))
    monkeypatch.setattr(module, "_message", lambda *_: b"")
    with pytest.raises(BitstreamError, match="ranges of symbols out of range"):
        decoded(encode_grids(still(config), config.levels), config)


def test_every_rank_of_every_depth_has_its_own_range():
    config = make_config(size=(48, 64), frames=9)
    coded = still(config)
    # Large values in the coarsest band of an anchor must not widen the tables of all others.
    chance = np.random.default_rng(0)
    for band, symbols in zip(
        config.luma_layout.bands, coded.grids.symbols[PlaneKind.LUMA], strict=True
    ):
        height, width = band.size
        shape = (*symbols.shape[:2], height, width)
        symbols[..., :height, :width] = chance.integers(-1, 2, shape)
    plain = len(encode_grids(coded, config.levels))
    coded.grids.symbols[PlaneKind.LUMA][0][0, 0, 0, 0] = 1500
    body = encode_grids(coded, config.levels)
    assert len(body) < plain + 64
    assert decoded(body, config).grids.symbols[PlaneKind.LUMA][0][0, 0, 0, 0] == 1500


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"base": 4096}, "steps out of range"),
        ({"chroma": 64}, "steps out of range"),
        ({"offsets": (0, 0, 0, 0, 0, 0, 0, -65)}, "steps out of range"),
    ],
)
def test_steps_out_of_range_are_refused(change, named):
    config = make_config()
    coded = still(config)
    fields = {name: getattr(STEPS, name) for name in StepIndices.__dataclass_fields__}
    body = encode_grids(CodedGrids(StepIndices(**fields | change), coded.grids), config.levels)
    with pytest.raises(BitstreamError, match=named):
        decoded(body, config)
    # The outermost values that are allowed.
    for edge in ({"base": 4095, "chroma": 63}, {"base": 0, "offsets": (-64,) * 8, "mix": 255}):
        steps = StepIndices(**fields | edge)
        body = encode_grids(CodedGrids(steps, coded.grids), config.levels)
        assert decoded(body, config).steps == steps


def test_steps():
    first, anchor, deep = (
        TemporalLayer((0,), ((),), 0),
        TemporalLayer((8,), ((0,),), 0),
        TemporalLayer((4,), ((0, 8),), 9),
    )
    steps = StepIndices(
        base=2048, chroma=-16, motion=96, mix=112, offsets=(-16, 0, 0, 0, 0, 0, 0, 16)
    )
    assert [steps.luma_step(level) for level in (first, anchor, deep)] == [8, 16, 32]
    assert [steps.chroma_step(level) for level in (first, anchor, deep)] == [4, 8, 16]
    assert (steps.motion_step, steps.mix_step) == (1, 2)
