"""Layers of the networks: pixel shuffles, depthwise convolutions and the positional encoding."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from nvcodec.models.base.pixel_shuffle import depth_to_space, fold_shuffle, phase_first
from nvcodec.models.stacks.depthwise import depthwise, weight_gradient
from nvcodec.models.stacks.positional_encoding import encoding


def test_depth_to_space_is_a_reordered_pixel_shuffle():
    for scale in (1, 2, 3, 5):
        x = torch.randn(2, 4 * scale**2, 3, 5)
        reordered = phase_first(x.transpose(0, 1), scale).transpose(0, 1)
        assert torch.equal(depth_to_space(reordered, scale), F.pixel_shuffle(x, scale))


@pytest.mark.parametrize("kernel", [1, 3])
def test_a_folded_shuffle_equals_a_convolution_behind_the_shuffle(kernel):
    torch.manual_seed(kernel)
    x = torch.randn(2, 4 * 4, 5, 6, dtype=torch.float64)
    weight = torch.randn(3, 4, kernel, kernel, dtype=torch.float64)
    folded = fold_shuffle(weight)
    margin = folded.shape[-1] - 1
    expected = F.conv2d(depth_to_space(x, 2), weight, padding=kernel // 2)
    output = depth_to_space(F.conv2d(x, folded, padding=margin), 2)
    height, width = output.shape[2:]
    torch.testing.assert_close(
        expected, output[:, :, margin : height - margin, margin : width - margin]
    )


@pytest.mark.parametrize("kernel", [3, 7])
@pytest.mark.parametrize("shape", [(2, 3, 9, 16), (1, 5, 4, 37), (3, 2, 1, 1), (2, 4, 20, 15)])
def test_depthwise_gradients_are_autograds(shape, kernel):
    torch.manual_seed(0)
    channels = shape[1]
    weight = torch.randn(channels, 1, kernel, kernel)
    bias = torch.randn(channels)
    # Both memory layouts that occur in a fit.
    for layout in (torch.contiguous_format, torch.channels_last):
        results = []
        x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        direction = torch.randn(shape, generator=torch.Generator().manual_seed(2))
        for compute in (
            depthwise,
            lambda x, w, b: F.conv2d(x, w, b, padding=kernel // 2, groups=channels),
        ):
            inputs = [
                x.contiguous(memory_format=layout).requires_grad_(),
                weight.clone().requires_grad_(),
                bias.clone().requires_grad_(),
            ]
            out = compute(*inputs)
            (out * direction).sum().backward()
            results.append([out.detach(), *(tensor.grad for tensor in inputs)])
        for ours, autograds in zip(*results, strict=True):
            torch.testing.assert_close(ours, autograds, rtol=1e-4, atol=1e-4)


def test_depthwise_weight_gradient_in_bfloat16_is_near():
    torch.manual_seed(0)
    x, gradient = torch.randn(2, 8, 30, 40), torch.randn(2, 8, 30, 40)
    exact = weight_gradient(x, gradient, 7)
    approximate = weight_gradient(x.bfloat16(), gradient.bfloat16(), 7)
    assert approximate.dtype is torch.float32
    assert (approximate - exact).norm() < 0.02 * exact.norm()


def test_nerv_encodes_time_as_in_its_paper():
    index = torch.tensor([0, 3, 9])
    code = encoding(index, frames=10, levels=40, base=125)
    assert code.shape == (3, 80)
    for row, t in zip(code.tolist(), index.tolist(), strict=True):
        for level in (0, 1, 20, 39):
            angle = math.pi * 1.25**level * (t / 10)
            expected = (math.sin(angle), math.cos(angle))
            assert row[2 * level : 2 * level + 2] == pytest.approx(expected, abs=1e-5)
