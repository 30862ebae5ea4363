"""Networks of convolutions against plain implementations of the same papers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from nvcodec.errors import ConfigError
from nvcodec.media import ColourMode
from nvcodec.models.base.windows import Window
from nvcodec.models.hnerv.config import HNeRVConfig
from nvcodec.models.stacks.inference import Synthesis
from nvcodec.models.stacks.layers import UpsamplingStack
from tests.models.networks import STACKS, build_model, plain_stack

# Families whose blocks are one convolution each.
PLAIN = ["nerv", "hnerv"]


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("colour", list(ColourMode))
def test_the_stack_equals_a_plain_implementation(name, colour):
    model = build_model(name, colour)
    index = torch.tensor([0, 3, 1])
    embedded = model.embed(index)
    with torch.no_grad():
        whole = model.stack(embedded)
        assert tuple(whole.shape[2:]) == model.config.padded
        torch.testing.assert_close(whole, plain_stack(model.stack, embedded))


@pytest.mark.parametrize(("strides", "folds"), [((3, 2), True), ((2, 3), False), ((2, 1), False)])
@pytest.mark.parametrize("activation", ["gelu", "silu"])
def test_stacks_with_and_without_a_folded_head(strides, folds, activation):
    config = HNeRVConfig(
        size=(12, 18), frames=1, colour=ColourMode.RGB, strides=strides, kernels=(3, 5),
        widths=(7, 5, 3), channels=4,
    )  # fmt: skip
    torch.manual_seed(0)
    stack = UpsamplingStack(config.layers(), activation)
    assert stack.folds_head is folds
    x = torch.randn(2, 4, *config.grid)
    with torch.no_grad():
        torch.testing.assert_close(stack(x), plain_stack(stack, x))


def test_gradients_of_the_stack_equal_those_of_a_plain_implementation():
    model = build_model("hnerv", ColourMode.RGB)
    index = torch.tensor([2])
    gradients = []
    for stack in (model.stack, lambda x: plain_stack(model.stack, x)):
        model.zero_grad()
        (stack(model.embed(index)) ** 2).sum().backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    for ours, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("colour", list(ColourMode))
def test_a_patch_is_the_crop_of_the_whole(name, colour):
    model = build_model(name, colour, size=(45, 66))
    height, width = model.config.padded
    index = torch.tensor([1, 2])
    windows = [
        Window(0, 0, height, width),
        Window(0, 0, 5, 7),
        Window(height - 3, width - 1, height, width),
        Window(0, width - 8, height, width),
        Window(6, 9, 7, 10),
        Window(5, 3, height - 4, 20),
    ]
    with torch.no_grad():
        whole = model.render(index)
        for window in windows:
            part = model.render(index, window)
            crop = whole[:, :, window.top : window.bottom, window.left : window.right]
            torch.testing.assert_close(part, crop, msg=lambda text, w=window: f"{w}: {text}")


@pytest.mark.parametrize("name", STACKS)
def test_forward_gives_three_planes_of_the_picture(name):
    for colour in ColourMode:
        model = build_model(name, colour, size=(33, 47))
        index = torch.tensor([1, 0])
        with torch.no_grad():
            frames, planes = model(index), model.planes(index)
        assert frames.shape == (2, 3, 33, 47)
        if colour is ColourMode.RGB:
            assert torch.equal(frames, planes)
            continue
        assert planes.shape == (2, 6, 17, 24)
        for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
            phase = planes[:, 2 * row + column]
            part = frames[:, 0, row::2, column::2]
            assert torch.equal(part, phase[:, : part.shape[1], : part.shape[2]])
            chroma = frames[:, 1:, row::2, column::2]
            assert torch.equal(chroma, planes[:, 4:, : part.shape[1], : part.shape[2]])


def test_load_refuses_other_shapes():
    model = build_model("hnerv", ColourMode.RGB)
    tensors = [tensor.detach().clone() + 1 for tensor in model.transmitted()]
    model.load(tensors)
    assert all(torch.equal(a, b) for a, b in zip(model.transmitted(), tensors, strict=True))
    with pytest.raises(ConfigError):
        model.load(tensors[:-1])
    with pytest.raises(ConfigError):
        model.load([tensors[0][:1], *tensors[1:]])


def test_hnerv_encoder_makes_embeddings_of_the_stored_shape():
    for colour in ColourMode:
        model = build_model("hnerv", colour)
        pictures = torch.rand(2, colour.channels, *model.config.padded)
        assert model.fit_encoder()(pictures).shape == model.latents["embedding"][:2].shape
    assert build_model("nerv", ColourMode.RGB).fit_encoder() is None


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("colour", list(ColourMode))
def test_synthesis_equals_planes(name, colour):
    model = build_model(name, colour, size=(33, 47)).eval()
    index = torch.tensor([3, 0])
    with torch.no_grad():
        expected = model.planes(index)
    decoded = Synthesis(model, torch.float32)(index)
    assert decoded.dtype is torch.float32
    torch.testing.assert_close(decoded, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", STACKS)
def test_bfloat16_is_within_one_8_bit_level_on_a_fitted_network(name):
    model = build_model(name, ColourMode.YUV420, size=(48, 64))
    height, width = model.config.native_size
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    pictures = torch.stack(
        [
            torch.stack([0.4 + 0.3 * torch.sin((rows + c * t) / 9 + columns / 7) for c in range(6)])
            for t in range(4)
        ]
    )
    index = torch.arange(4)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(100):
        loss = F.mse_loss(model.planes(index), pictures)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.5 * float(pictures.var())
    exact, rounded = (
        (Synthesis(model, dtype)(index) * 255).round() for dtype in (torch.float32, torch.bfloat16)
    )
    assert float(((exact - rounded).abs() <= 1).float().mean()) >= 0.999
