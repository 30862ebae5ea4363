"""Losses and measures with masks: hidden samples have no influence."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nvcodec.fitting.network.losses import distortion, masked_error, squared_error
from nvcodec.media import ColourMode, Frames
from nvcodec.models.nerv.config import NeRVConfig
from nvcodec.reconstruction.sample_layout import model_samples, valid_samples
from nvcodec.reconstruction.segment_decoder import luma_psnr


@pytest.fixture
def pictures():
    generator = torch.Generator().manual_seed(0)
    output, target = torch.rand(2, 2, 6, 24, 32, generator=generator).unbind()
    valid_mask = torch.rand(2, 6, 24, 32, generator=generator) > 0.4
    return output.requires_grad_(), target, valid_mask


@pytest.mark.parametrize("loss", ["l2", "fusion6", "frequency"])
def test_hidden_samples_have_no_weight(pictures, loss):
    output, target, valid_mask = pictures
    value, error = distortion(output, target, ColourMode.YUV420, loss, valid_mask)
    (gradient,) = torch.autograd.grad(value, output)
    assert not gradient[~valid_mask].any() and gradient[valid_mask].abs().mean() > 0
    changed = torch.where(valid_mask, output, torch.rand_like(output))
    assert distortion(changed, target, ColourMode.YUV420, loss, valid_mask)[0] == value
    assert error.item() == pytest.approx(
        masked_error(output, target, ColourMode.YUV420, valid_mask).item()
    )


def test_an_error_is_a_mean_over_valid_samples(pictures):
    output, target, valid_mask = pictures
    # Equal masks in all planes, so that only the weights of the planes differ.
    valid_mask[:] = valid_mask[:, :1]
    squares = (output - target).square()
    means = torch.stack([squares[:, c][valid_mask[:, c]].mean() for c in range(6)])
    expected = (means * torch.tensor([3, 3, 3, 3, 2, 2]) / 16).sum()
    error = masked_error(output, target, ColourMode.YUV420, valid_mask)
    assert error.item() == pytest.approx(expected.item(), rel=1e-5)
    whole = masked_error(output, target, ColourMode.YUV420, torch.ones_like(valid_mask))
    assert whole == squared_error(output, target, ColourMode.YUV420)


@pytest.mark.parametrize("loss", ["l2", "fusion6", "frequency"])
def test_everything_hidden(pictures, loss):
    output, target, valid_mask = pictures
    value, error = distortion(output, target, ColourMode.YUV420, loss, torch.zeros_like(valid_mask))
    assert error == 0 and value.log().isfinite()
    (gradient,) = torch.autograd.grad(value.log(), output)
    assert not gradient.any()


def frames_of(size: tuple[int, int], valid_mask: np.ndarray | None) -> Frames:
    height, width = size
    y = np.arange(2 * height * width, dtype=np.uint8).reshape(2, height, width)
    half = np.zeros((2, (height + 1) // 2, (width + 1) // 2), np.uint8)
    ticks = np.arange(2)
    return Frames(y=y, u=half, v=half, pts=ticks, durations=ticks, valid_mask=valid_mask)


@pytest.mark.parametrize("colour", list(ColourMode))
def test_masks_match_the_sample_layout(colour):
    """A hidden pixel hides its luma sample and the chroma samples around it."""
    valid_mask = np.ones((2, 13, 19), bool)
    valid_mask[1, 12, 18] = False
    frames = frames_of((13, 19), valid_mask)
    config = NeRVConfig.smallest(size=(13, 19), frames=2, colour=colour, boosted=False)
    mask = valid_samples(frames, config)
    assert mask is not None
    assert mask.shape == model_samples(frames, config, frames_colour()).shape
    assert mask[0].all() and valid_samples(frames_of((13, 19), None), config) is None
    if colour is ColourMode.RGB:
        assert not mask[1, :, 12:, 18:].any() and mask[1, :, :12].all()
    else:
        # The last row and column are repeated to fill the grid.
        assert not mask[1, :4, 6:, 9:].any() and mask[1, :4, :6].all()
        assert not mask[1, 4:, 5:, 8:].any() and mask[1, 4:, :5].all()


def frames_colour():
    from nvcodec.media import Colour

    return Colour()


def test_a_psnr_is_of_valid_pixels():
    valid_mask = np.ones((2, 4, 6), bool)
    valid_mask[0, :2] = False
    valid_mask[1] = False
    frames = frames_of((4, 6), valid_mask)

    class OffByOneDecoder:
        """A decoder whose valid samples are off by 1, and whose hidden samples are far off."""

        batch = 1

        def planes(self, numbers):
            luma = frames.y[numbers] + np.where(frames.valid_mask[numbers], 1, 90).astype(np.uint8)
            return luma, frames.u[numbers], frames.v[numbers]

        def reference_state(self):
            return None

    assert luma_psnr(OffByOneDecoder(), frames) == pytest.approx(20 * np.log10(255))
