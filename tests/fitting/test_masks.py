"""Losses and measures of which hidden samples are no part."""

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
    chance = torch.Generator().manual_seed(0)
    output, target = torch.rand(2, 2, 6, 24, 32, generator=chance).unbind()
    known = torch.rand(2, 6, 24, 32, generator=chance) > 0.4
    return output.requires_grad_(), target, known


@pytest.mark.parametrize("loss", ["l2", "fusion6", "frequency"])
def test_hidden_samples_have_no_weight(pictures, loss):
    output, target, known = pictures
    value, error = distortion(output, target, ColourMode.YUV420, loss, known)
    (gradient,) = torch.autograd.grad(value, output)
    assert not gradient[~known].any() and gradient[known].abs().mean() > 0
    changed = torch.where(known, output, torch.rand_like(output))
    assert distortion(changed, target, ColourMode.YUV420, loss, known)[0] == value
    assert error.item() == pytest.approx(
        masked_error(output, target, ColourMode.YUV420, known).item()
    )


def test_an_error_is_a_mean_over_what_is_known(pictures):
    output, target, known = pictures
    known[:] = known[:, :1]  # alike in all planes, whose weights then are all there is
    squares = (output - target).square()
    means = torch.stack([squares[:, c][known[:, c]].mean() for c in range(6)])
    expected = (means * torch.tensor([3, 3, 3, 3, 2, 2]) / 16).sum()
    error = masked_error(output, target, ColourMode.YUV420, known)
    assert error.item() == pytest.approx(expected.item(), rel=1e-5)
    whole = masked_error(output, target, ColourMode.YUV420, torch.ones_like(known))
    assert whole == squared_error(output, target, ColourMode.YUV420)


@pytest.mark.parametrize("loss", ["l2", "fusion6", "frequency"])
def test_nothing_known(pictures, loss):
    output, target, known = pictures
    value, error = distortion(output, target, ColourMode.YUV420, loss, torch.zeros_like(known))
    assert error == 0 and value.log().isfinite()
    (gradient,) = torch.autograd.grad(value.log(), output)
    assert not gradient.any()


def frames_of(size: tuple[int, int], known: np.ndarray | None) -> Frames:
    height, width = size
    y = np.arange(2 * height * width, dtype=np.uint8).reshape(2, height, width)
    half = np.zeros((2, (height + 1) // 2, (width + 1) // 2), np.uint8)
    ticks = np.arange(2)
    return Frames(y=y, u=half, v=half, pts=ticks, durations=ticks, valid_mask=known)


@pytest.mark.parametrize("colour", list(ColourMode))
def test_known_samples_lie_where_the_samples_do(colour):
    """A hidden pixel is where its luma is; chroma around it is hidden too."""
    known = np.ones((2, 13, 19), bool)
    known[1, 12, 18] = False
    frames = frames_of((13, 19), known)
    config = NeRVConfig.smallest(size=(13, 19), frames=2, colour=colour, boosted=False)
    found = valid_samples(frames, config)
    assert found is not None
    assert found.shape == model_samples(frames, config, frames_colour()).shape
    assert found[0].all() and valid_samples(frames_of((13, 19), None), config) is None
    if colour is ColourMode.RGB:
        assert not found[1, :, 12:, 18:].any() and found[1, :, :12].all()
    else:
        # The last row and column are repeated to fill the grid.
        assert not found[1, :4, 6:, 9:].any() and found[1, :4, :6].all()
        assert not found[1, 4:, 5:, 8:].any() and found[1, 4:, :5].all()


def frames_colour():
    from nvcodec.media import Colour

    return Colour()


def test_a_psnr_is_of_known_pixels():
    known = np.ones((2, 4, 6), bool)
    known[0, :2] = False
    known[1] = False
    frames = frames_of((4, 6), known)

    class Off:
        """One level off where it counts, far off elsewhere."""

        batch = 1

        def planes(self, numbers):
            luma = frames.y[numbers] + np.where(frames.valid_mask[numbers], 1, 90).astype(np.uint8)
            return luma, frames.u[numbers], frames.v[numbers]

        def state(self):
            return None

    assert luma_psnr(Off(), frames) == pytest.approx(20 * np.log10(255))
