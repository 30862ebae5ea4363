"""The plain torch backend of perceptrons: the reference of the others, and the one of CPUs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "relu": F.relu,
    "silu": F.silu,
    "gelu": F.gelu,
    "sine": torch.sin,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


def apply_layers(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    activation: str,
    output_activation: str,
) -> Tensor:
    """Apply the layers to points.

    Args:
        x: Points, shape (..., n_in).
        weights: One per layer, shape (out, in).
        biases: One per layer, shape (out,), or None.
        activation: Activation after every layer but the last.
        output_activation: Activation after the last layer.

    Returns:
        Shape (..., n_out), in the type of the weights, or in that of autocast.
    """
    last = len(weights) - 1
    for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        name = output_activation if number == last else activation
        x = ACTIVATIONS[name](F.linear(x, weight, bias))
    return x
