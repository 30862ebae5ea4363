"""The module of pointwise multilayer perceptrons."""

from __future__ import annotations

from itertools import pairwise
from types import ModuleType
from typing import cast

import torch
from torch import Tensor, nn

from nvcodec.cuda import torch_mlp
from nvcodec.cuda.backend import Call, choose
from nvcodec.errors import ConfigError


class FusedMLP(nn.Module):
    """A perceptron with hidden layers of equal width, applied to every point separately.

    Args:
        n_in: Number of inputs.
        n_out: Number of outputs.
        width: Width of the hidden layers.
        depth: Number of hidden layers; with none, one layer from input to output.
        activation: Activation after every hidden layer: none, relu, silu, gelu, sine, tanh or
            sigmoid.
        output_activation: Activation after the last layer.
        bias: Whether layers have biases.

    Attributes:
        layers: `depth + 1` linear layers from input to output, with weights of shape (out, in). A
            stream stores them in this order.

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
        """Apply the perceptron.

        Args:
            x: Points, shape (..., n_in).

        Returns:
            Shape (..., n_out), in the type of the weights, or in that of autocast.
        """
        # `cast`, because weights are plain tensors while they are quantised.
        weights = [cast(Tensor, layer.weight) for layer in self.layers]
        biases = [cast("Tensor | None", layer.bias) for layer in self.layers]
        names = self.activation, self.output_activation
        dtype = weights[0].dtype
        if torch.is_autocast_enabled(x.device.type):
            dtype = torch.get_autocast_dtype(x.device.type)
        else:
            x = x.to(dtype)

        def call() -> Call:
            shapes = tuple(tuple(weight.shape) for weight in weights)
            values = " to ".join(str(size) for size in (x.shape[-1], *map(len, weights)))
            return Call(
                "mlp",
                f"a perceptron of {values} values ({', '.join(names)}) in {dtype}",
                (shapes, biases[0] is None, names, dtype, weights[0].dtype, x.dtype),
                lambda module: module.refusal(weights, biases, *names, dtype),
                lambda module: _try(module, x, weights, biases, names, dtype),
            )

        module = choose(x.device, x.shape[:-1].numel(), call)
        if module is None:
            return torch_mlp.apply_layers(x, weights, biases, *names)
        points = x.reshape(-1, x.shape[-1])
        output: Tensor = module.apply_layers(points, weights, biases, *names, dtype)
        return output.view(*x.shape[:-1], -1)


def _try(
    module: ModuleType,
    x: Tensor,
    weights: list[Tensor],
    biases: list[Tensor | None],
    names: tuple[str, str],
    dtype: torch.dtype,
) -> None:
    """Compute one point with a module and, if gradients are enabled, its gradients."""
    with_gradients = torch.is_grad_enabled()
    point, *copies = (
        tensor.detach().clone().requires_grad_(with_gradients)
        for tensor in (x.new_zeros(1, x.shape[-1]), *weights)
    )
    constants = [None if bias is None else bias.detach() for bias in biases]
    output: Tensor = module.apply_layers(point, copies, constants, *names, dtype)
    if with_gradients:
        torch.autograd.grad(output.sum(), [point, *copies])
    if x.device.type == "cuda":
        torch.cuda.synchronize(x.device)
