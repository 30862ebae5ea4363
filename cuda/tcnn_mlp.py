"""The perceptron by tiny-cuda-nn's FullyFusedMLP.

Its parameters are one row: the matrices in order, each (out, in) row by row, inputs and outputs
padded to multiples of 16. What it puts into padded inputs is 1, so their weights must be 0.
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
# It works derivatives out from what activations return, so it lacks those that turn back.
_ACTIVATIONS = {"none": "None", "relu": "ReLU", "tanh": "Tanh", "sigmoid": "Sigmoid"}


def refusal(
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    activation: str,
    output_activation: str,
    dtype: torch.dtype,
) -> str | None:
    """Why these layers are not for it, or None; arguments as of `perceive`."""
    if dtype not in (torch.bfloat16, torch.float16):
        return "it computes in float16, for autocast to a type of 16 bits, only"
    if biases[0] is not None:
        return "it has no biases"
    if len(weights) < 2 or len(weights[0]) not in _WIDTHS:
        return f"it has hidden layers, of widths {_WIDTHS}"
    for name in (activation, output_activation):
        if name not in _ACTIVATIONS:
            return f"it has no {name}"
    return None


def perceive(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    activation: str,
    output_activation: str,
    dtype: torch.dtype,
) -> Tensor:
    """Apply layers; see `triton_mlp.perceive`."""
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
    made: Tensor = torch.func.functional_call(network, {"params": flat}, (x,))
    return made.to(dtype)


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
    """The native network; its own parameters are never used."""
    config = {
        "otype": "FullyFusedMLP",
        "activation": _ACTIVATIONS[activation],
        "output_activation": _ACTIVATIONS[output_activation],
        "n_neurons": width,
        "n_hidden_layers": depth,
    }
    return tinycudann.Network(n_in, n_out, config).to(device)
