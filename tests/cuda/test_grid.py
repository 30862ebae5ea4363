"""The hash grid against a loop over points and corners that implements the README of `cuda/`."""

from __future__ import annotations

from itertools import product
from math import floor

import pytest
import torch

from nvcodec.cuda.grid import HashGrid
from nvcodec.cuda.grid_layout import entries
from nvcodec.errors import ConfigError

LEVELS_2D = ((3, 2), (7, 5), (40, 31))
LEVELS_3D = ((2, 3, 1), (5, 4, 3), (17, 9, 12))


def reference_features(grid, point):
    """Compute the features of one point; gradients reach point and tables."""
    features = []
    tables = [table.flatten(0, -2) for table in grid.tables]
    for table, counts in zip(tables, grid.resolutions, strict=True):
        cells = [
            0 if n == 1 else min(floor(x * (n - 1)), n - 2)
            for x, n in zip(point.tolist(), counts, strict=True)
        ]
        total = torch.zeros(table.shape[1], dtype=point.dtype)
        for corner in product((0, 1), repeat=len(counts)):
            if any(step and n == 1 for step, n in zip(corner, counts, strict=True)):
                continue
            weight, vertex = 1.0, []
            for x, n, cell, step in zip(point, counts, cells, corner, strict=True):
                above = x * (n - 1) - cell
                weight = weight * (above if step else 1 - above)
                vertex.append(cell + step)
            x, y, t = (*vertex, 0)[:3]
            nx, ny, nt = (*counts, 1)[:3]
            if nx * ny * nt <= len(table):
                entry = x + nx * (y + ny * t)
            else:
                entry = (x ^ y * 2654435761 & 0xFFFFFFFF ^ t * 805459861 & 0xFFFFFFFF) % len(table)
            total = total + weight * table[entry].to(point.dtype)
        features.append(total)
    return torch.cat(features)


def points(count, axes):
    edges = torch.tensor(list(product((0.0, 1.0, 0.5), repeat=axes)))
    return torch.cat([edges, torch.rand(count, axes)])


@pytest.mark.parametrize("levels", [LEVELS_2D, LEVELS_3D])
@pytest.mark.parametrize("features", [1, 2, 4])
def test_features_and_gradients_are_those_of_the_definition(levels, features):
    torch.manual_seed(0)
    grid = HashGrid(levels, features, log2_entries=6)
    for table in grid.tables:
        torch.nn.init.normal_(table)
    x = points(30, len(levels[0])).requires_grad_()
    expected = torch.stack([reference_features(grid, point) for point in x])
    up = torch.randn_like(expected)
    expected_gradients = torch.autograd.grad(expected, [x, *grid.tables], up)
    output = grid(x)
    assert output.shape == (len(x), len(levels) * features)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)
    gradients = torch.autograd.grad(output, [x, *grid.tables], up)
    inside = ((x > 0) & (x < 1)).all(dim=1)  # the gradient at the edge is one-sided
    torch.testing.assert_close(
        gradients[0][inside], expected_gradients[0][inside], atol=2e-4, rtol=1e-4
    )
    for gradient, expected_gradient in zip(gradients[1:], expected_gradients[1:], strict=True):
        torch.testing.assert_close(gradient, expected_gradient, atol=1e-4, rtol=1e-4)


def test_coordinates_are_clamped_to_the_edge():
    grid = HashGrid(LEVELS_2D, 2, 10)
    x = torch.tensor([[-3.0, 0.5], [0.2, 7.0]])
    torch.testing.assert_close(grid(x), grid(x.clamp(0, 1)), atol=0, rtol=0)


def test_tables_begin_with_small_entries_and_hashed_ones_have_the_largest_size():
    grid = HashGrid(LEVELS_3D, 2, 8)
    assert [tuple(table.shape) for table in grid.tables] == [
        (1, 3, 2, 2),
        (3, 4, 5, 2),
        (256, 2),
    ]
    assert all(0 < float(table.detach().abs().max()) <= 1e-4 for table in grid.tables)


def test_a_level_is_dense_as_long_as_it_fits():
    assert entries((16, 16), 8) == 256
    assert entries((16, 15, 1), 8) == 240
    assert entries((16, 17), 8) == 256


@pytest.mark.parametrize(
    ("resolution", "log2_entries", "words"),
    [
        ((4,), 10, "2 or 3 axes"),
        ((4, 4, 4, 4), 10, "2 or 3 axes"),
        ((4, 0), 10, "vertices along an axis"),
        ((4, 1 << 20), 10, "vertices along an axis"),
        ((4, 4), 0, "entries"),
        ((4, 4), 40, "entries"),
    ],
)
def test_invalid_layouts_are_refused(resolution, log2_entries, words):
    with pytest.raises(ConfigError, match=words):
        entries(resolution, log2_entries)


@pytest.mark.parametrize("levels", [(), ((4, 4), (4, 4, 4))])
def test_invalid_grids_are_refused(levels):
    with pytest.raises(ConfigError, match="level"):
        HashGrid(levels, 2, 10)


def test_a_grid_needs_features():
    with pytest.raises(ConfigError, match="feature"):
        HashGrid(LEVELS_2D, 0, 10)
