"""The tiny-cuda-nn backend of perceptrons, FullyFusedMLP.

Its parameters are one vector: the matrices in order, each of shape (out, in) in row-major order,
with inputs and outputs padded to multiples of 16. Padded inputs have the value 1, so that their
weights must be 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import tinycudann
import torch
import torch.nn.functional as F
from torch import Tensor

_ALIGNMENT = 16
_WIDTHS = (16, 32, 64, 128)
# It computes derivatives from the values of activations, so that it lacks activations that are not
# monotonic.
_ACTIVATIONS = {"none": "None", "relu": "ReLU", "tanh": "Tanh", "sigmoid": "Sigmoid"}


def refusal(
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    activation: str,
    output_activation: str,
    dtype: torch.dtype,
) -> str | None:
    """Return the reason why tiny-cuda-nn cannot compute these layers, or None.

    Args:
        weights: One per layer, shape (out, in).
        biases: One per layer, shape (out,), or None.
        activation: Activation after every layer but the last.
        output_activation: Activation after the last layer.
        dtype: Type of the output.
    """
    if dtype not in (torch.bfloat16, torch.float16):
        return "it computes in float16 only, under autocast to a type of 16 bits"
    if biases[0] is not None:
        return "it has no biases"
    if len(weights) < 2 or len(weights[0]) not in _WIDTHS:
        return f"it needs one or more hidden layers of widths {_WIDTHS}"
    for name in (activation, output_activation):
        if name not in _ACTIVATIONS:
            return f"it has no {name} activation"
    return None


def apply_layers(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    activation: str,
    output_activation: str,
    dtype: torch.dtype,
) -> Tensor:
    """Apply the layers to points.

    Args:
        x: Points, shape (N, n_in).
        weights: One per layer, shape (out, in).
        biases: One per layer, None.
        activation: Activation after every layer but the last.
        output_activation: Activation after the last layer.
        dtype: Type of the output; the layers are computed in float16.

    Returns:
        Shape (N, n_out), of `dtype`.
    """
    network = _network(
        weights[0].shape[1],
        len(weights[-1]),
        len(weights[0]),
        len(weights) - 1,
        activation,
        output_activation,
        x.device,
    )
    first, *rest = weights
    *hidden, last = rest
    parts = (
        F.pad(first, (0, -first.shape[1] % _ALIGNMENT)),
        *hidden,
        F.pad(last, (0, 0, 0, -len(last) % _ALIGNMENT)),
    )
    flat = torch.cat([part.flatten() for part in parts]).float()
    output: Tensor = torch.func.functional_call(network, {"params": flat}, (x,))
    return output.to(dtype)


@lru_cache(maxsize=64)
def _network(
    n_in: int,
    n_out: int,
    width: int,
    depth: int,
    activation: str,
    output_activation: str,
    device: torch.device,
) -> Any:
    """Return a native network; its own parameters are never used."""
    config = {
        "otype": "FullyFusedMLP",
        "activation": _ACTIVATIONS[activation],
        "output_activation": _ACTIVATIONS[output_activation],
        "n_neurons": width,
        "n_hidden_layers": depth,
    }
    return tinycudann.Network(n_in, n_out, config).to(device)
