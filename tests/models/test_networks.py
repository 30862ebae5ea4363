"""Networks against plain implementations of the same papers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nvcodec.errors import ConfigError
from nvcodec.media import ColourMode
from nvcodec.models import MODELS, build, config_class
from nvcodec.models.base.pixel_shuffle import depth_to_space, fold_shuffle, phase_first
from nvcodec.models.base.windows import Window
from nvcodec.models.hnerv.config import HNeRVConfig
from nvcodec.models.stacks.config import StackConfig
from nvcodec.models.stacks.depthwise import depthwise, weight_gradient
from nvcodec.models.stacks.inference import Synthesis
from nvcodec.models.stacks.layers import UpsamplingStack
from nvcodec.models.stacks.positional_encoding import encoding

# Families that are stacks of convolutions, and those of one convolution a block.
STACKS = [name for name in MODELS if issubclass(config_class(name), StackConfig)]
STACKS += [f"{name}, boosted" for name in STACKS if name != "nirvana"]
PLAIN = ["nerv", "hnerv"]


def _model(name: str, colour: ColourMode, size=(34, 50), budget=None, frames=4):
    name, _, boosted = name.partition(", ")
    budget = budget or (60_000 if boosted or name == "nervpp" else 7000)
    config = config_class(name).from_budget(
        budget, size=size, frames=frames, colour=colour, boosted=bool(boosted)
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = build(name, config)
        for latent in model.latents.values():
            torch.nn.init.normal_(latent)
    return model


def _plain_stack(stack: UpsamplingStack, x: torch.Tensor) -> torch.Tensor:
    """Convolution, pixel shuffle, activation, as the authors write it."""
    act = {"gelu": F.gelu, "silu": F.silu}[stack.activation]
    *stages, head = zip(stack.convolutions, stack.upscales, strict=True)
    for convolution, scale in stages:
        x = F.conv2d(
            x, convolution.weight, convolution.bias, padding=convolution.weight.shape[-1] // 2
        )
        x = act(F.pixel_shuffle(x, scale))
    weight = head[0].weight
    x = F.conv2d(x, weight, head[0].bias, padding=weight.shape[-1] // 2)
    return 0.5 * torch.tanh(x) + 0.5


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("colour", list(ColourMode))
def test_the_stack_is_the_plain_one(name, colour):
    model = _model(name, colour)
    index = torch.tensor([0, 3, 1])
    embedded = model.embed(index)
    with torch.no_grad():
        whole = model.stack(embedded)
        assert tuple(whole.shape[2:]) == model.config.padded
        torch.testing.assert_close(whole, _plain_stack(model.stack, embedded))


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
        torch.testing.assert_close(stack(x), _plain_stack(stack, x))


def test_gradients_of_the_stack_are_those_of_the_plain_one():
    model = _model("hnerv", ColourMode.RGB)
    index = torch.tensor([2])
    found = []
    for make in (model.stack, lambda x: _plain_stack(model.stack, x)):
        model.zero_grad()
        (make(model.embed(index)) ** 2).sum().backward()
        found.append([parameter.grad.clone() for parameter in model.parameters()])
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-3, atol=1e-4)


def test_depth_to_space_is_a_reordered_pixel_shuffle():
    for scale in (1, 2, 3, 5):
        x = torch.randn(2, 4 * scale**2, 3, 5)
        reordered = phase_first(x.transpose(0, 1), scale).transpose(0, 1)
        assert torch.equal(depth_to_space(reordered, scale), F.pixel_shuffle(x, scale))


@pytest.mark.parametrize("kernel", [1, 3])
def test_a_folded_shuffle_convolves_alike(kernel):
    torch.manual_seed(kernel)
    x = torch.randn(2, 4 * 4, 5, 6, dtype=torch.float64)
    weight = torch.randn(3, 4, kernel, kernel, dtype=torch.float64)
    folded = fold_shuffle(weight)
    margin = folded.shape[-1] - 1
    one = F.conv2d(depth_to_space(x, 2), weight, padding=kernel // 2)
    other = depth_to_space(F.conv2d(x, folded, padding=margin), 2)
    height, width = other.shape[2:]
    torch.testing.assert_close(one, other[:, :, margin : height - margin, margin : width - margin])


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("colour", list(ColourMode))
def test_a_patch_is_the_crop_of_the_whole(name, colour):
    model = _model(name, colour, size=(45, 66))
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


@pytest.mark.parametrize("kernel", [3, 7])
@pytest.mark.parametrize("shape", [(2, 3, 9, 16), (1, 5, 4, 37), (3, 2, 1, 1), (2, 4, 20, 15)])
def test_depthwise_gradients_are_autograds(shape, kernel):
    torch.manual_seed(0)
    channels = shape[1]
    weight = torch.randn(channels, 1, kernel, kernel)
    bias = torch.randn(channels)
    # Both memory layouts that fitting hands over.
    for layout in (torch.contiguous_format, torch.channels_last):
        found = []
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
            found.append([out.detach(), *(tensor.grad for tensor in inputs)])
        for ours, autograds in zip(*found, strict=True):
            torch.testing.assert_close(ours, autograds, rtol=1e-4, atol=1e-4)


def test_depthwise_weight_gradient_in_bfloat16_is_near():
    torch.manual_seed(0)
    x, gradient = torch.randn(2, 8, 30, 40), torch.randn(2, 8, 30, 40)
    exact = weight_gradient(x, gradient, 7)
    near = weight_gradient(x.bfloat16(), gradient.bfloat16(), 7)
    assert near.dtype is torch.float32
    assert (near - exact).norm() < 0.02 * exact.norm()


def test_nerv_encodes_time_as_in_its_paper():
    index = torch.tensor([0, 3, 9])
    code = encoding(index, frames=10, levels=40, base=125)
    assert code.shape == (3, 80)
    for row, t in zip(code.tolist(), index.tolist(), strict=True):
        for level in (0, 1, 20, 39):
            angle = math.pi * 1.25**level * (t / 10)
            expected = (math.sin(angle), math.cos(angle))
            assert row[2 * level : 2 * level + 2] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", STACKS)
def test_forward_gives_three_planes_of_the_picture(name):
    for colour in ColourMode:
        model = _model(name, colour, size=(33, 47))
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
    model = _model("hnerv", ColourMode.RGB)
    tensors = [tensor.detach().clone() + 1 for tensor in model.transmitted()]
    model.load(tensors)
    assert all(torch.equal(a, b) for a, b in zip(model.transmitted(), tensors, strict=True))
    with pytest.raises(ConfigError):
        model.load(tensors[:-1])
    with pytest.raises(ConfigError):
        model.load([tensors[0][:1], *tensors[1:]])


def test_hnerv_encoder_makes_embeddings_of_the_stored_shape():
    for colour in ColourMode:
        model = _model("hnerv", colour)
        pictures = torch.rand(2, colour.channels, *model.config.padded)
        assert model.fit_encoder()(pictures).shape == model.latents["embedding"][:2].shape
    assert _model("nerv", ColourMode.RGB).fit_encoder() is None


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("colour", list(ColourMode))
def test_synthesis_is_planes(name, colour):
    model = _model(name, colour, size=(33, 47)).eval()
    index = torch.tensor([3, 0])
    with torch.no_grad():
        expected = model.planes(index)
    found = Synthesis(model, torch.float32)(index)
    assert found.dtype is torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", STACKS)
def test_bfloat16_is_within_one_level_on_a_fitted_network(name):
    model = _model(name, ColourMode.YUV420, size=(48, 64))
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
    for _ in range(150):
        loss = F.mse_loss(model.planes(index), pictures)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.5 * float(pictures.var())
    fine, coarse = (
        (Synthesis(model, dtype)(index) * 255).round() for dtype in (torch.float32, torch.bfloat16)
    )
    assert float(((fine - coarse).abs() <= 1).float().mean()) >= 0.999


# A video in the layout in which HNeRV's authors publish theirs.


def _triple(values: np.ndarray, axis: int | None, kind: str) -> dict:
    """Quantised as the authors do: 8 bits between the smallest and largest value."""
    axes = tuple(a for a in range(values.ndim) if a != axis) if axis is not None else None
    low = values.min(axis=axes, keepdims=axis is not None)
    scale = (values.max(axis=axes, keepdims=axis is not None) - low) / 255 + 1e-8
    quant = np.clip(np.rint((values - low) / scale), 0, 255).astype(np.uint8)
    # The authors store both in half precision.
    parts = {"quant": quant, "min": np.float16(low), "scale": np.float16(scale)}
    if kind == "torch":
        return {key: torch.as_tensor(value) for key, value in parts.items()}
    return parts


def _published(
    widths: tuple[int, ...], strides: tuple[int, ...], *, bias: bool, axis: int | None, kind: str
) -> dict:
    chance = np.random.default_rng(len(widths))

    def values(*shape: int) -> dict:
        fan = int(np.prod(shape[1:])) or 1
        made = chance.normal(0, 1.5 / np.sqrt(fan), shape).astype(np.float32)
        return _triple(made, axis if len(shape) > 1 else None, kind)

    kernels = (1, 3, 5, 5, 5)
    model = {"decoder.0.conv.downconv.weight": values(widths[0], 16, 1, 1)}
    if bias:
        model["decoder.0.conv.downconv.bias"] = values(widths[0])
    for stage, stride in enumerate(strides):
        name = f"decoder.{stage + 1}.conv.upconv.0"
        outputs = widths[stage + 1] * stride**2
        kernel = kernels[stage]
        model[f"{name}.weight"] = values(outputs, widths[stage], kernel, kernel)
        model[f"{name}.bias"] = values(outputs)
    model["head_layer.weight"] = values(3, widths[-1], 3, 3)
    model["head_layer.bias"] = values(3)
    return {"embed": values(5, 16, 2, 3), "model": model}


def _reference_frames(state: dict, index: list[int]) -> torch.Tensor:
    def value(triple: dict) -> torch.Tensor:
        quant, low, scale = (
            torch.as_tensor(np.asarray(triple[key]).astype(np.float32))
            for key in ("quant", "min", "scale")
        )
        return low + scale * quant

    weights = {name: value(triple) for name, triple in state["model"].items()}
    x = F.conv2d(
        value(state["embed"])[index],
        weights["decoder.0.conv.downconv.weight"],
        weights.get("decoder.0.conv.downconv.bias"),
    )
    x = F.gelu(x)
    stage = 1
    while f"decoder.{stage}.conv.upconv.0.weight" in weights:
        name = f"decoder.{stage}.conv.upconv.0"
        weight = weights[f"{name}.weight"]
        x = F.conv2d(x, weight, weights[f"{name}.bias"], padding=weight.shape[-1] // 2)
        following = weights.get(
            f"decoder.{stage + 1}.conv.upconv.0.weight", weights["head_layer.weight"]
        ).shape[1]
        x = F.gelu(F.pixel_shuffle(x, math.isqrt(x.shape[1] // following)))
        stage += 1
    x = F.conv2d(x, weights["head_layer.weight"], weights["head_layer.bias"], padding=1)
    return 0.5 * torch.tanh(x) + 0.5


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize(
    ("widths", "strides", "bias"),
    [((13, 7, 5, 3), (3, 2, 2), False), ((32, 27, 22), (2, 3), True), ((9, 9), (5,), True)],
)
def test_from_reference_is_the_authors_decoder(widths, strides, bias, axis, kind):
    from nvcodec.models.hnerv.model import from_reference

    state = _published(widths, strides, bias=bias, axis=axis, kind=kind)
    model = from_reference(state)
    assert model.config.strides == strides
    with torch.no_grad():
        frames = model(torch.tensor([4, 0, 2]))
    expected = _reference_frames(state, [4, 0, 2])
    assert frames.shape == expected.shape
    assert expected.std() > 0.05
    torch.testing.assert_close(frames, expected, rtol=1e-4, atol=1e-5)


def _without(name: str):
    def change(state: dict) -> None:
        del state["model"][name]

    return change


def _replaced(name: str, shape: tuple[int, ...]):
    def change(state: dict) -> None:
        triple = {"quant": np.zeros(shape, np.uint8), "min": 0.0, "scale": 1.0}
        if name == "embed":
            state["embed"] = triple
        else:
            state["model"][name] = triple

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("embed"),
        lambda state: state.pop("model"),
        lambda state: state["embed"].pop("scale"),
        lambda state: state["model"]["head_layer.weight"].pop("min"),
        _without("decoder.0.conv.downconv.weight"),
        _without("decoder.1.conv.upconv.0.weight"),
        _without("head_layer.weight"),
        _replaced("embed", (5, 16)),
        _replaced("embed", (5,)),
        _replaced("embed", (5, 16, 2, 3, 1)),
        _replaced("embed", (0, 16, 2, 3)),
        _replaced("embed", (5, 8, 2, 3)),
        _replaced("decoder.1.conv.upconv.0.weight", (20,)),
        _replaced("decoder.1.conv.upconv.0.weight", (2, 13, 1, 1)),
        _replaced("decoder.1.conv.upconv.0.weight", (64, 13, 1, 1)),
        _replaced("decoder.1.conv.upconv.0.weight", (63, 13, 2, 2)),
        _replaced("decoder.1.conv.upconv.0.weight", (63, 13, 1, 3)),
        _replaced("decoder.2.conv.upconv.0.bias", (4,)),
        _replaced("head_layer.weight", (4, 3, 3, 3)),
        _replaced("head_layer.weight", (3, 3, 1, 1)),
        _replaced("head_layer.weight", (3,)),
    ],
)
def test_from_reference_refuses_other_states(change):
    from nvcodec.models.hnerv.model import from_reference

    state = _published((13, 7, 5, 3), (3, 2, 2), bias=True, axis=None, kind="numpy")
    change(state)
    with pytest.raises(ConfigError):
        from_reference(state)
