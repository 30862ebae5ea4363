"""Reduction methods: exact budgets, complete counts, and the purpose of each method."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nvcodec.errors import ConfigError
from nvcodec.tokenizer.token_ids import codes_of, nearest_fsq_indices, pack_ids, unpack_ids
from nvcodec.tokens.grid import TokenGrid
from nvcodec.tokens.reduction.keyframe_delta import keydelta
from nvcodec.tokens.reduction.methods import METHODS, at_rate, reduce
from nvcodec.tokens.reduction.nearest import nearest
from nvcodec.tokens.reduction.partition import areas, middles, shares, space_first, spread
from nvcodec.tokens.reduction.pooling import pool_s, pool_t, shuffle_merge, slowfast, stride_t
from nvcodec.tokens.reduction.regions import region
from nvcodec.tokens.reduction.shots import cubes, depths, scenes
from nvcodec.tokens.reduction.tracks import links, track
from nvcodec.tokens.sequence import Tokens, flatten, grouped

ONCE = sorted(set(METHODS) - {"stride_t", "slowfast"})
SHAPES = [(9, 4, 6), (1, 3, 5), (13, 1, 1), (7, 5, 2), (40, 3, 3)]


def fields(tokens: Tokens) -> list[np.ndarray]:
    """Return all arrays of some tokens."""
    names = ("codes", "ids", "positions", "counts", "times", "spans", "bits")
    return [getattr(tokens, name) for name in names]


def test_all_tokens_of_a_grid(grid):
    tokens = flatten(grid)
    assert tokens.whole and len(tokens) == grid.bits.size
    np.testing.assert_array_equal(tokens.ids.reshape(grid.shape), grid.indices)
    np.testing.assert_array_equal(tokens.codes, grid.codes.reshape(-1, 6))
    np.testing.assert_array_equal(tokens.bits, grid.bits.reshape(-1))
    np.testing.assert_array_equal(tokens.positions[-1], np.array(grid.shape) - 1)
    np.testing.assert_allclose(tokens.times.reshape(grid.shape)[:, 0, 0], grid.times)
    assert (tokens.counts == 1).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", SHAPES)
def test_budgets_are_exact_and_sizes_add_up(make_scene, method, shape):
    grid = make_scene(shape, cuts=(shape[0] // 2,) if shape[0] > 1 else ())
    total = grid.bits.size
    for budget in sorted({1, 2, 3, 5, total // 3, total // 2, total - 1} - {0}):
        if budget >= total:
            continue
        tokens = reduce(grid, method, budget)
        assert len(tokens) == budget and tokens.method == method and not tokens.note
        assert all(len(values) == budget for values in fields(tokens))
        assert (tokens.counts >= 1).all() and np.isfinite(tokens.codes).all()
        if method in ONCE:
            assert tokens.counts.sum() == total
            np.testing.assert_allclose(tokens.bits.sum(), grid.bits.sum(), rtol=1e-5)
        elif method == "stride_t":
            assert (tokens.counts == 1).all()
        assert (tokens.spans[:, 0] <= tokens.times).all()
        assert (tokens.times <= tokens.spans[:, 1]).all()
        expected = pack_ids(nearest_fsq_indices(tokens.codes))
        np.testing.assert_array_equal(tokens.ids, expected)


@pytest.mark.parametrize("method", METHODS)
def test_methods_are_deterministic(grid, method):
    for first, second in zip(
        fields(reduce(grid, method, 50)), fields(reduce(grid, method, 50)), strict=True
    ):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("method", METHODS)
def test_budget_above_the_number_of_tokens(grid, method):
    tokens = reduce(grid, method, 10**6)
    assert tokens.whole and len(tokens) == 216
    assert tokens.note == "there are 216 tokens, 1000000 were asked for: these are all"
    assert not reduce(grid, method, 216).note


def test_invalid_methods_and_budgets(grid):
    with pytest.raises(ConfigError, match=r"expected one of bits, cubes, .*, got 'magic'"):
        reduce(grid, "magic", 3)
    with pytest.raises(ConfigError, match="at least 1 token, got 0"):
        reduce(grid, "tome", 0)
    with pytest.raises(ConfigError, match="made from pixels take no bits"):
        reduce(replace(grid, bits=np.zeros_like(grid.bits)), "bits", 3)


def test_averages_weigh_every_token_alike(make_scene):
    grid = make_scene((8, 2, 3))
    tokens = pool_t(grid, 6)
    np.testing.assert_allclose(tokens.codes, grid.codes.mean(0).reshape(6, 6), atol=1e-6)
    tokens = pool_s(grid, 8)
    np.testing.assert_allclose(tokens.codes, grid.codes.mean((1, 2)), atol=1e-6)
    np.testing.assert_allclose(tokens.times, grid.times)


def test_stride_keeps_whole_time_steps(grid):
    tokens = stride_t(grid, 3 * 24)
    np.testing.assert_array_equal(tokens.ids.reshape(3, 4, 6), grid.indices[[1, 4, 7]])
    assert set(tokens.positions[:, 0]) == {1, 4, 7}


def test_slowfast(make_scene):
    grid = make_scene((12, 4, 4))
    tokens = slowfast(grid, 36)
    # 100 of 356 tokens are averages: here ten, then 26 areas of four time steps.
    assert (tokens.counts[:10].sum(), len(set(tokens.positions[10:, 0]))) == (192, 4)
    np.testing.assert_allclose(tokens.codes[0], grid.codes[:2].mean((0, 1, 2)), atol=1e-6)


def test_shuffle_merge_concatenates_neighbours_in_time(make_scene):
    grid = make_scene((5, 2, 3))
    tokens = shuffle_merge(grid, 2)
    assert tokens.codes.shape == (3 * 6, 12)
    np.testing.assert_array_equal(tokens.codes[7, :6], grid.codes[2, 0, 1])
    np.testing.assert_array_equal(tokens.codes[7, 6:], grid.codes[3, 0, 1])
    np.testing.assert_array_equal(tokens.codes[-1, :6], tokens.codes[-1, 6:])
    assert tokens.counts.tolist() == [2] * 12 + [1] * 6
    with pytest.raises(ConfigError, match="at least 1 neighbour"):
        shuffle_merge(grid, 0)


def test_equal_tokens_are_merged_first(make_scene):
    still = make_scene((6, 3, 4))
    still = replace(still, digits=np.repeat(still.digits[:1], 6, 0))
    # Twelve different tokens occur six times each, and can be merged without loss.
    stored = {tuple(code) for code in still.codes[0].reshape(-1, 6).tolist()}
    tokens = reduce(still, "track", 12)
    assert {tuple(code) for code in tokens.codes.tolist()} == stored
    assert (tokens.counts == 6).all()
    for method in ("tome", "slots"):
        kept = {tuple(code) for code in reduce(still, method, 12).codes.tolist()}
        assert len(kept & stored) >= 10, method


def test_merging_more_tokens_than_the_window(make_scene):
    grid = make_scene((300, 4, 6), cuts=(100, 200))
    for method in ("tome", "bits", "slots"):
        tokens = reduce(grid, method, 1500)
        assert len(tokens) == 1500 and tokens.counts.sum() == 7200


def test_keydelta(make_scene):
    grid = make_scene((6, 4, 6), cuts=(3,))
    tokens = keydelta(grid, 24 + 24 + 8)
    # Both backgrounds are kept completely. In each other time step, the two cells are kept that the
    # spot leaves and enters.
    np.testing.assert_array_equal(tokens.ids[:24], grid.indices[0].reshape(-1))
    starts = np.bincount(tokens.positions[:, 0].astype(int), minlength=6)
    assert starts.tolist() == [24, 2, 2, 24, 2, 2]
    background = tokens.spans[(tokens.positions == (0, 0, 0)).all(1)][0]
    np.testing.assert_allclose(background, [0, grid.ends[2]])


def test_expensive_tokens_are_not_merged(make_scene):
    grid = make_scene((9, 4, 6))
    tokens = reduce(grid, "bits", 27)
    alone = np.abs(tokens.codes[:, None] - codes_of(unpack_ids(tokens.ids))).sum(-1).min(1) < 1e-3
    assert alone.sum() > 10
    # A ninth of the tokens, and of the kept ones, belong to the first time step.
    cheap = replace(grid, bits=np.where(np.arange(9)[:, None, None] == 0, 99, grid.bits))
    starts = reduce(cheap.at(np.arange(9)), "bits", 27).spans[:, 0]
    assert (starts > 0).sum() >= 12


def test_cubes_and_scenes_cut_where_the_picture_changes(make_scene):
    grid = make_scene((20, 3, 4), cuts=(6, 13))
    for tokens in (cubes(grid, 48), scenes(grid, 36)):
        for cut in (6, 13):
            time = grid.starts[cut]
            across = (tokens.spans[:, 0] < time - 1e-9) & (tokens.spans[:, 1] > time + 1e-9)
            assert not across.any()
    # Budgets are by length: 6, 7 and 7 of 20 time steps.
    assert np.bincount(np.searchsorted([6, 13], scenes(grid, 40).positions[:, 0])).sum() == 40


def test_depths_of_valleys():
    deep = depths(np.array([1.0, 0.8, 0.2, 0.6, 0.9, 0.7, 0.8]))
    np.testing.assert_allclose(deep, [0, 0, (0.8 + 0.7) / 2, 0, 0, 0.15, 0])
    assert depths(np.zeros(0)).size == 0


def test_track_follows_a_moving_spot(make_scene):
    grid = make_scene((6, 3, 6))
    before, far = links(grid)
    cells = np.arange(1, 6) * 18 + 6 + np.arange(1, 6)
    np.testing.assert_array_equal(before[cells], cells - 19)
    assert (far[cells] == 0).all() and (before[:18] == -1).all()
    used = before[before >= 0]
    assert len(set(used.tolist())) == len(used)
    tokens = track(grid, grid.bits.size - int((far == 0).sum()))
    spot = (np.abs(tokens.codes - grid.codes[0, 1, 0]) < 1e-6).all(1)
    assert tokens.counts[spot].tolist() == [6]
    np.testing.assert_allclose(tokens.spans[spot], [[0, grid.ends[-1]]])


def test_a_region(make_scene):
    grid = make_scene((5, 3, 4))
    tokens = region(grid, (33, 0, 90, 40), 100)
    assert len(tokens) == 5 * 4 and "20 tokens, 100 were asked" in tokens.note
    assert set(tokens.positions[:, 2]) == {1, 2} and set(tokens.positions[:, 1]) == {0, 1}
    mask = np.zeros((96, 128), np.bool_)
    mask[:40, 33:90] = True
    cells = np.zeros((3, 4), np.bool_)
    cells[:2, 1:3] = True
    for budget in (1, 3, 5, 7, 19):
        results = [region(grid, where, budget) for where in ((33, 0, 90, 40), mask, cells)]
        for tokens in results:
            assert len(tokens) == budget and tokens.counts.sum() == 20
            np.testing.assert_array_equal(tokens.codes, results[0].codes)
    moving = np.zeros(grid.shape, np.bool_)
    moving[np.arange(2, 5), 1, np.arange(2, 5) % 4] = True
    tokens = region(grid, moving, 1)
    assert tokens.counts.tolist() == [3]
    np.testing.assert_allclose(tokens.codes[0], grid.codes[moving].mean(0), atol=1e-6)
    part = grid.region(slice(1, 3), slice(1, 4))
    assert len(region(part, (33, 0, 90, 40), 99)) == 5 * 2


@pytest.mark.parametrize("where", [(5, 5, 5, 9), (900, 900, 950, 950), np.zeros((2, 2)), (1, 2)])
def test_empty_and_invalid_regions(grid, where):
    with pytest.raises(ConfigError, match=r"region holds no token|expected a box"):
        region(grid, where, 3)


def test_rates(make_scene):
    grid = make_scene((26, 1, 1))  # a step every 0.16 s, but for the first
    assert at_rate(grid, 1000).shape[0] == 26
    assert at_rate(grid, 1).shape[0] == 4
    slow = at_rate(grid, 3)
    gaps = np.diff(slow.starts)
    assert 11 <= slow.shape[0] <= 13 and gaps.max() < 0.5
    with pytest.raises(ConfigError, match="positive"):
        at_rate(grid, 0)


def test_parts_are_even():
    assert spread(10, 4).sum() == 10 and set(spread(10, 4)) == {2, 3}
    assert middles(9, 3).tolist() == [1, 4, 7]
    for height, width in [(1, 1), (3, 7), (8, 5), (1, 9)]:
        for parts in range(1, height * width + 1):
            counts = np.bincount(areas(height, width, parts).reshape(-1))
            assert len(counts) == parts and counts.min() >= 1
            both = np.bincount(space_first(3, height, width, parts).reshape(-1))
            assert len(both) == parts and both.min() >= 1
    given = shares(50, np.array([1.0, 2.0, 100.0, 1.0]), np.array([9, 30, 11, 9]))
    assert given.sum() == 50 and given[2] == 11 and (given >= 1).all()


def test_nearest_is_nearest():
    chance = np.random.default_rng(0)
    queries = chance.random((3000, 5), np.float32)
    places = np.sort(chance.choice(3000, 800, replace=False))
    chosen, far = nearest(queries, queries[places], places)
    table = ((queries[:, None] - queries[places]) ** 2).sum(-1)
    np.testing.assert_allclose(far, table.min(1), atol=1e-5)
    assert (chosen == table.argmin(1)).mean() > 0.999


def test_tokens_must_agree(grid):
    tokens = flatten(grid)
    with pytest.raises(ConfigError, match="expected codes, ids"):
        replace(tokens, times=tokens.times[:3])
    assert isinstance(grouped(grid, np.zeros(grid.shape, np.int64), "one"), Tokens)
    assert isinstance(grid, TokenGrid)
