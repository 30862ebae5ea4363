"""The perceptron in plain torch: what the other backends must agree with, and what CPUs run."""

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


def perceive(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    activation: str,
    output_activation: str,
) -> Tensor:
    """Apply layers one after the other.

    Args:
        x: Shape (..., n_in).
        weights: One per layer, shape (out, in).
        biases: One per layer, shape (out,), or None.
        activation: After every layer but the last.
        output_activation: After the last.

    Returns:
        Shape (..., n_out), in the type of the layers, or of autocast.
    """
    last = len(weights) - 1
    for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        name = output_activation if number == last else activation
        x = ACTIVATIONS[name](F.linear(x, weight, bias))
    return x
