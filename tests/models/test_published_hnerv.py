"""Videos in the layout in which the authors of HNeRV publish their networks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nvcodec.errors import ConfigError


def _triple(values: np.ndarray, axis: int | None, kind: str) -> dict:
    """Quantise like the authors: 8 bits between the smallest and the largest value."""
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
    """Return a random network in the published layout."""
    generator = np.random.default_rng(len(widths))

    def values(*shape: int) -> dict:
        fan = int(np.prod(shape[1:])) or 1
        tensor = generator.normal(0, 1.5 / np.sqrt(fan), shape).astype(np.float32)
        return _triple(tensor, axis if len(shape) > 1 else None, kind)

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
    """Decode frames of a published network with plain torch."""

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
