"""Motion compensation: expected motion fields, and pictures warped by fields."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nvcodec.models.latentgrid.gop import Hierarchy
from nvcodec.models.latentgrid.picture import (
    CHANNELS,
    Picture,
    expected_fields,
    flows,
    predict,
)
from nvcodec.models.latentgrid.subbands import cell_grid_size

CELL = 8


def picture(seed: int, size: tuple[int, int] = (40, 56), rgb: bool = False) -> Picture:
    rng = np.random.default_rng(seed)
    height, width = size
    small = size if rgb else ((height + 1) // 2, (width + 1) // 2)
    luma = rng.integers(0, 256, (1, 1, *size))
    chroma = rng.integers(0, 256, (1, 2, *small))
    return Picture(torch.from_numpy(luma).float(), torch.from_numpy(chroma).float())


def constant_field(m: tuple[float, float], s: tuple[float, float], k: float, size=(40, 56)):
    values = torch.tensor([*m, *s, k], dtype=torch.float32).view(1, CHANNELS, 1, 1)
    return values.expand(1, CHANNELS, *cell_grid_size(size, CELL)).clone()


def moved(planes: torch.Tensor, dx: int, dy: int) -> torch.Tensor:
    """Return sample (y + dy, x + dx) for every (y, x), the border repeated."""
    height, width = planes.shape[-2:]
    rows = (torch.arange(height) + dy).clamp(0, height - 1)
    columns = (torch.arange(width) + dx).clamp(0, width - 1)
    return planes[..., rows, :][..., columns]


@pytest.mark.parametrize("rgb", [False, True])
@pytest.mark.parametrize("shift", [(0, 0), (2, -4), (-6, 2), (40, 0), (-300, 2000)])
def test_whole_samples_are_exact(rgb: bool, shift: tuple[int, int]) -> None:
    source = picture(0, rgb=rgb)
    predicted = predict(constant_field((0, 0), shift, 0), [source], CELL)
    dx, dy = shift
    torch.testing.assert_close(predicted.luma, moved(source.luma, dx, dy), rtol=0, atol=0.02)
    halved = (dx, dy) if rgb else (dx // 2, dy // 2)
    torch.testing.assert_close(predicted.chroma, moved(source.chroma, *halved), rtol=0, atol=0.02)


def test_steady_motion_comes_from_both_sides() -> None:
    # m leads to the first reference, and in the opposite direction to the second.
    sources = [picture(0), picture(1)]
    first = predict(constant_field((4, -2), (0, 0), 20), sources, CELL)
    torch.testing.assert_close(first.luma, moved(sources[0].luma, 4, -2), rtol=0, atol=0.02)
    second = predict(constant_field((4, -2), (0, 0), -20), sources, CELL)
    torch.testing.assert_close(second.luma, moved(sources[1].luma, -4, 2), rtol=0, atol=0.02)
    both = predict(constant_field((4, -2), (0, 0), 0), sources, CELL)
    torch.testing.assert_close(both.luma, (first.luma + second.luma) / 2, rtol=0, atol=0.02)
    torch.testing.assert_close(both.chroma, (first.chroma + second.chroma) / 2, rtol=0, atol=0.02)


def test_half_a_sample_is_keys_kernel_in_luma_and_a_mean_in_chroma() -> None:
    source = picture(2)
    predicted = predict(constant_field((0, 0), (1, 0), 0), [source], CELL)
    mean = (source.chroma + moved(source.chroma, 1, 0)) / 2
    torch.testing.assert_close(predicted.chroma, mean, rtol=0, atol=0.01)
    predicted = predict(constant_field((0.25, 0), (0.25, 0), 0), [source], CELL)
    near = source.luma + moved(source.luma, 1, 0)
    far = moved(source.luma, -1, 0) + moved(source.luma, 2, 0)
    torch.testing.assert_close(predicted.luma, 0.59375 * near - 0.09375 * far, rtol=0, atol=0.01)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (17, 33)])
def test_pictures_of_any_size(size: tuple[int, int]) -> None:
    source = picture(3, size)
    predicted = predict(constant_field((2, 2), (0, 0), 0, size), [source, source], CELL)
    assert (predicted.luma.shape, predicted.chroma.shape) == (
        source.luma.shape,
        source.chroma.shape,
    )
    expected = (moved(source.chroma, 1, 1) + moved(source.chroma, -1, -1)) / 2
    torch.testing.assert_close(predicted.chroma, expected, rtol=0, atol=0.01)


def test_steady_motion_is_expected() -> None:
    hierarchy = Hierarchy(17, 8)
    speed = torch.tensor([0.75, -0.5])
    size = (6, 9)
    all_flows = torch.zeros(17, 2, 2, *size)
    for layer in hierarchy.layers:
        for prediction in layer:
            frame, references = prediction.frame, prediction.references
            field = expected_fields(
                [frame], [references], hierarchy.all_references, all_flows, CELL
            )
            assert field.shape == (1, CHANNELS, *size)
            if len(references) < 2:
                assert not field.any()
                # The motion of anchors is coded, not expected.
                for side, other in enumerate(references):
                    all_flows[frame, side] = (speed * (other - frame)).view(2, 1, 1)
                continue
            found_flows = flows(field)[0]
            for side, other in enumerate(references):
                expected = (speed * (other - frame)).view(2, 1, 1).expand(2, *size)
                torch.testing.assert_close(found_flows[side], expected)
            assert not field[:, 2:].any(), "half-way between two others, s and k are 0"
            all_flows[frame] = found_flows


def test_expected_motion_follows_its_trajectory() -> None:
    # Cells 6 to 9 of frame 2 moved 4 cells to the right since frame 0: 2 cells a frame.
    all_flows = torch.zeros(3, 2, 2, 1, 12)
    all_flows[2, 0, 0, 0, 6:10] = -4 * CELL
    field = expected_fields([1], [(0, 2)], [(), (0, 2), (0,)], all_flows, CELL)
    # A cell of frame 1 takes the motion at its place in frame 2 and follows it there by 2 cells.
    assert field[0, 0, 0].tolist() == pytest.approx([0] * 6 + [-2 * CELL] * 2 + [0] * 4)
    assert not field[:, 1:].any()


def test_gradients_flow_into_fields() -> None:
    sources = [picture(4), picture(5)]
    field = constant_field((0.3, -0.4), (0.2, 0.1), 0.5).requires_grad_()
    with torch.inference_mode():
        # Tensors that a decoder has cached must not prevent gradients.
        predict(field.detach(), sources, CELL)
    predicted = predict(field, sources, CELL)
    (predicted.luma.square().mean() + predicted.chroma.square().mean()).backward()
    assert field.grad is not None
    assert (field.grad.abs().sum(dim=(0, 2, 3)) > 0).all()
