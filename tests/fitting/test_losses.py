"""The losses of fits: SSIM, MS-SSIM, squared error, and the losses of recipes."""

from __future__ import annotations

import numpy as np
import pytest
import pytorch_msssim
import torch
import torch.nn.functional as F
from skimage.metrics import structural_similarity

from nvcodec.fitting.network.losses import distortion, ms_ssim, squared_error, ssim
from nvcodec.media import ColourMode


@pytest.mark.parametrize("shape", [(32, 48), (11, 11), (17, 40)])
def test_ssim_equals_that_of_scikit_image(shape):
    rng = np.random.default_rng(0)
    for noise in (0.02, 0.3):
        one = rng.random((2, 3, *shape)).astype(np.float32)
        other = np.clip(one + noise * rng.standard_normal(one.shape), 0, 1).astype(np.float32)
        expected = []
        for x, y in zip(one.reshape(-1, *shape), other.reshape(-1, *shape), strict=True):
            _, values = structural_similarity(
                x.astype(float), y.astype(float), data_range=1.0, gaussian_weights=True, sigma=1.5,
                use_sample_covariance=False, full=True,
            )  # fmt: skip
            expected.append(values[5 : shape[0] - 5, 5 : shape[1] - 5].mean())
        found = float(ssim(torch.from_numpy(one), torch.from_numpy(other)))
        assert found == pytest.approx(np.mean(expected), abs=2e-4)


def test_ssim_of_equal_and_of_tiny_pictures():
    picture = torch.rand(1, 3, 20, 20)
    assert float(ssim(picture, picture)) == pytest.approx(1.0, abs=1e-5)
    tiny = torch.rand(1, 3, 4, 30)
    assert float(ssim(tiny, tiny)) == pytest.approx(1.0, abs=1e-5)
    assert float(ssim(tiny, 1 - tiny)) < 0.5


def test_squared_error_weights_planes_like_psnr():
    rng = torch.Generator().manual_seed(0)
    one, other = torch.rand(2, 6, 4, 5, generator=rng), torch.rand(2, 6, 4, 5, generator=rng)
    means = (one - other).square().mean((0, 2, 3))
    expected = (6 * means[:4].mean() + means[4] + means[5]) / 8
    assert float(squared_error(one, other, ColourMode.YUV420)) == pytest.approx(float(expected))
    rgb = squared_error(one[:, :3], other[:, :3], ColourMode.RGB)
    assert float(rgb) == pytest.approx(float((one - other)[:, :3].square().mean()))


def test_distortions():
    rng = torch.Generator().manual_seed(0)
    one = torch.rand(1, 3, 16, 16, generator=rng).requires_grad_()
    other = torch.rand(1, 3, 16, 16, generator=rng)
    loss, error = distortion(one, other, ColourMode.RGB, "l2")
    assert loss is error
    loss, error = distortion(one, other, ColourMode.RGB, "fusion6")
    expected = 0.7 * (one - other).abs().mean() + 0.3 * (1 - ssim(one, other))
    assert float(loss.detach()) == pytest.approx(float(expected.detach()))
    assert not error.requires_grad
    loss.backward()
    assert one.grad.isfinite().all() and one.grad.abs().sum() > 0
    loss, error = distortion(one, other, ColourMode.RGB, "frequency")
    difference = (one - other).detach()
    spectrum = np.fft.rfft2(difference.numpy(), norm="ortho")
    expected = 42 * difference.abs().mean() + 18 * (1 - ms_ssim(one, other).detach())
    # Scaled like an unnormalised spectrum of 720 x 1280 samples.
    expected += 960 * (np.abs(spectrum.real).mean() + np.abs(spectrum.imag).mean()) / 2
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-4)
    assert not error.requires_grad


def test_ms_ssim_equals_that_of_the_metric():
    rng = torch.Generator().manual_seed(0)
    one = F.avg_pool2d(torch.rand(1, 3, 416, 384, generator=rng), 2)
    other = (one + 0.05 * torch.randn(one.shape, generator=rng)).clamp(0, 1)
    expected = pytorch_msssim.ms_ssim(one, other, data_range=1.0)
    assert float(ms_ssim(one, other)) == pytest.approx(float(expected), abs=1e-4)
    # Frames too small for five scales use fewer.
    assert float(ms_ssim(one[..., :40, :30], one[..., :40, :30])) == pytest.approx(1.0, abs=1e-5)
    assert 0 < float(ms_ssim(one[..., :40, :30], other[..., :40, :30])) < 1
    # Negative structure still has a finite gradient.
    against = (1 - one).requires_grad_()
    (1 - ms_ssim(against, one)).backward()
    assert against.grad.isfinite().all()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_error_of_planes_has_the_gradient_of_its_definition(layout):
    draw = torch.Generator().manual_seed(0)
    output, target = (
        torch.rand((3, 6, 9, 14), generator=draw).contiguous(memory_format=layout) for _ in range(2)
    )
    output.requires_grad_()
    weights = torch.tensor([6 / 32] * 4 + [1 / 8] * 2)
    defined = ((output - target).square().mean((0, 2, 3)) * weights).sum()
    found = squared_error(output, target, ColourMode.YUV420)
    assert torch.equal(found, defined)
    slopes = [torch.autograd.grad(error.log(), output)[0] for error in (found, defined)]
    assert torch.equal(*slopes)
    assert slopes[0].stride() == output.stride()
