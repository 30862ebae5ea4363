"""Pointwise multilayer perceptrons: the same few layers for millions of points."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

from torch import Tensor, nn

from nvcodec.cuda import torch_mlp
from nvcodec.errors import ConfigError


class FusedMLP(nn.Module):
    """Layers of a common width, applied to every point by itself.

    Attributes:
        layers: `depth + 1` linear layers from input to output, weights of shape (out, in): what a
            stream stores, in this order.

    Args:
        n_in: Values of a point.
        n_out: Values made of it.
        width: Of the hidden layers.
        depth: Number of hidden layers; with none, one layer from input to output.
        activation: After every hidden layer: none, relu, silu, gelu, sine, tanh or sigmoid.
        output_activation: After the last layer.
        bias: Whether layers have one.

    Raises:
        ConfigError: If an activation is unknown or a size is not positive.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        width: int,
        depth: int,
        activation: str,
        output_activation: str,
        *,
        bias: bool = False,
    ) -> None:
        super().__init__()
        if min(n_in, n_out, width, depth + 1) < 1:
            raise ConfigError(
                "expected a perceptron of positive sizes, got "
                f"{n_in=}, {n_out=}, {width=}, {depth=}"
            )
        for name in (activation, output_activation):
            if name not in torch_mlp.ACTIVATIONS:
                raise ConfigError(
                    f"expected an activation of {', '.join(torch_mlp.ACTIVATIONS)}, got {name!r}"
                )
        self.activation, self.output_activation = activation, output_activation
        sizes = (n_in, *(width,) * depth, n_out)
        self.layers = nn.ModuleList(
            nn.Linear(inputs, outputs, bias=bias) for inputs, outputs in pairwise(sizes)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers.

        Args:
            x: Shape (..., n_in).

        Returns:
            Shape (..., n_out), in the type of the layers, or of autocast.
        """
        # Weights may be plain tensors while they are quantised.
        weights = [cast(Tensor, layer.weight) for layer in self.layers]
        biases = [cast("Tensor | None", layer.bias) for layer in self.layers]
        return torch_mlp.perceive(x, weights, biases, self.activation, self.output_activation)
