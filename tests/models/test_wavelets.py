"""The wavelet transform: exact inverse, sizes, energy and gradients."""

from __future__ import annotations

import pytest
import torch

from nvcodec.models.latentgrid.subbands import band_sizes, count_scales
from nvcodec.models.latentgrid.wavelets import Pyramid, analysis, synthesis

SIZES = [(2, 2), (3, 2), (5, 7), (16, 16), (17, 33), (176, 320), (135, 241), (2, 90)]


@pytest.mark.parametrize("size", SIZES)
def test_the_inverse_is_exact_for_any_size(size: tuple[int, int]) -> None:
    planes = torch.randn(2, 3, *size)
    count = count_scales(size, 5)
    back = synthesis(analysis(planes, count))
    assert back.shape == planes.shape
    torch.testing.assert_close(back, planes, rtol=0, atol=2e-5)


@pytest.mark.parametrize("size", SIZES)
def test_there_are_as_many_coefficients_as_samples(size: tuple[int, int]) -> None:
    count = count_scales(size, 5)
    pyramid = analysis(torch.zeros(size), count)
    shapes = [tuple(tuple(band.shape) for band in bands) for bands in pyramid.details]
    shapes.append((tuple(pyramid.coarse.shape),))
    assert shapes == band_sizes(size, count)
    assert sum(h * w for bands in shapes for h, w in bands) == size[0] * size[1]


def test_noise_keeps_its_energy() -> None:
    planes = torch.randn(8, 128, 128, generator=torch.Generator().manual_seed(0))
    pyramid = analysis(planes, 4)
    energy = planes.square().mean()
    for bands in pyramid.details:
        for band in bands:
            assert float(band.square().mean() / energy) == pytest.approx(1, abs=0.35)


def test_a_constant_has_no_details() -> None:
    pyramid = analysis(torch.full((1, 40, 56), 3.0), 3)
    assert all(float(band.abs().max()) < 1e-5 for bands in pyramid.details for band in bands)
    torch.testing.assert_close(pyramid.coarse, pyramid.coarse[:, :1, :1].expand(1, 5, 7))


def test_a_ramp_has_details_at_its_ends_only() -> None:
    ramp = torch.arange(64.0).expand(64, 64)
    (across, down, both), *_ = analysis(ramp, 1).details
    assert float(across[:, 2:-2].abs().max()) < 1e-4
    assert float(down.abs().max()) < 1e-4
    assert float(both.abs().max()) < 1e-4


def test_gradients_reach_every_band() -> None:
    pyramid = analysis(torch.randn(1, 20, 24), 2)
    leaves = [pyramid.coarse, *(band for bands in pyramid.details for band in bands)]
    coarse, *flat = (leaf.clone().requires_grad_() for leaf in leaves)
    details = ((flat[0], flat[1], flat[2]), (flat[3], flat[4], flat[5]))
    synthesis(Pyramid(coarse, details)).square().sum().backward()
    assert all(leaf.grad is not None and leaf.grad.abs().sum() > 0 for leaf in (coarse, *flat))


def test_scales_end_where_a_side_is_one() -> None:
    assert count_scales((176, 320), 5) == 5
    assert count_scales((3, 100), 9) == 2
    assert count_scales((1, 100), 9) == 0
