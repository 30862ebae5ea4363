"""The tiny-cuda-nn backend against plain torch, through a stand-in with the same parameter layout.

The stand-in is written from tiny-cuda-nn's sources (`fully_fused_mlp.cu`, `identity.h`, `grid.h`
and `common_device.h` at 6ee3546), in float32, and is independent of our layout.
"""

from __future__ import annotations

import sys
from itertools import product
from types import ModuleType

import pytest
import torch
from torch import nn

from nvcodec.cuda import torch_grid, torch_mlp
from nvcodec.cuda.grid import HashGrid
from nvcodec.cuda.mlp import FusedMLP

PRIMES = (1, 2654435761, 805459861)
ACTIVATIONS = {
    "None": lambda x: x,
    "ReLU": torch.relu,
    "Tanh": torch.tanh,
    "Sigmoid": torch.sigmoid,
}


def multiple(value, of):
    return (value + of - 1) // of * of


class Network(nn.Module):
    """A FullyFusedMLP behind an identity encoding, which pads its output with ones."""

    def __init__(self, n_input_dims, n_output_dims, network_config, seed=1337):
        super().__init__()
        config = network_config
        assert config["otype"] == "FullyFusedMLP" and config["n_neurons"] in (16, 32, 64, 128)
        width, hidden = config["n_neurons"], config["n_hidden_layers"]
        self.inputs, self.outputs = multiple(n_input_dims, 16), multiple(n_output_dims, 16)
        self.n_input_dims, self.n_output_dims = n_input_dims, n_output_dims
        self.shapes = [
            (width, self.inputs),
            *[(width, width)] * (hidden - 1),
            (self.outputs, width),
        ]
        self.activations = [ACTIVATIONS[config["activation"]]] * hidden
        self.activations.append(ACTIVATIONS[config["output_activation"]])
        self.params = nn.Parameter(torch.zeros(sum(a * b for a, b in self.shapes)))

    def forward(self, x):
        x = torch.cat([x.float(), x.new_ones(len(x), self.inputs - self.n_input_dims)], dim=1)
        sizes = [a * b for a, b in self.shapes]
        for part, shape, activation in zip(
            self.params.split(sizes), self.shapes, self.activations, strict=True
        ):
            x = activation(x @ part.view(shape).T)
        return x[:, : self.n_output_dims]


class Encoding(nn.Module):
    """A grid of one level."""

    def __init__(self, n_input_dims, encoding_config, seed=1337, dtype=None):
        super().__init__()
        config = encoding_config
        assert config["otype"] == "Grid" and config["n_levels"] == 1 and dtype == torch.float32
        assert config["interpolation"] == "Linear" and config["per_level_scale"] > 0
        self.features = config["n_features_per_level"]
        assert self.features in (1, 2, 4, 8)
        self.side = config["base_resolution"]
        self.hashes = config["type"] == "Hash"
        self.size = multiple(self.side**n_input_dims, 8)
        if self.hashes:
            self.size = min(self.size, 1 << config["log2_hashmap_size"])
        self.params = nn.Parameter(torch.zeros(self.size * self.features))

    def forward(self, x):
        table = self.params.view(self.size, self.features)
        position = x * (self.side - 1) + 0.5
        cell = position.detach().floor()
        above = position - cell
        total = 0
        for corner in product((0, 1), repeat=x.shape[1]):
            index = torch.zeros(len(x), dtype=torch.int64)
            hashed = torch.zeros(len(x), dtype=torch.int64)
            weight, stride = 1, 1
            for axis, step in enumerate(corner):
                vertex = (cell[:, axis].long() + step) & 0xFFFFFFFF
                index = (index + vertex * stride) & 0xFFFFFFFF
                hashed ^= (vertex * PRIMES[axis]) & 0xFFFFFFFF
                stride *= self.side
                weight = weight * (above[:, axis] if step else 1 - above[:, axis])
            if self.hashes and self.size < stride:
                index = hashed
            total = total + weight[:, None] * table[index % self.size]
        return total


@pytest.fixture
def tcnn(monkeypatch):
    """The two modules that import tiny-cuda-nn, imported with the stand-in."""
    from importlib import import_module

    fake = ModuleType("tinycudann")
    fake.Network, fake.Encoding = Network, Encoding
    monkeypatch.setitem(sys.modules, "tinycudann", fake)
    modules = []
    for name in ("nvcodec.cuda.tcnn_mlp", "nvcodec.cuda.tcnn_grid"):
        monkeypatch.delitem(sys.modules, name, raising=False)
        modules.append(import_module(name))
        monkeypatch.delitem(sys.modules, name)  # so that the next test imports it anew
        monkeypatch.delattr(sys.modules["nvcodec.cuda"], name.rpartition(".")[2])
    return modules


@pytest.mark.parametrize(
    "arguments",
    [
        (5, 3, 16, 1, "relu", "none"),
        (16, 16, 32, 3, "tanh", "sigmoid"),
        (33, 20, 64, 2, "sigmoid", "tanh"),
        (1, 1, 128, 1, "none", "relu"),
    ],
)
def test_perceptrons_are_packed_in_the_layout_of_tinycudann(tcnn, arguments):
    module, _ = tcnn
    perceptron = FusedMLP(*arguments)
    weights = [layer.weight for layer in perceptron.layers]
    biases = [None] * len(weights)
    x = torch.randn(20, arguments[0], requires_grad=True)
    names = perceptron.activation, perceptron.output_activation
    assert module.refusal(weights, biases, *names, torch.bfloat16) is None
    output = module.apply_layers(x, weights, biases, *names, torch.float32)
    expected = torch_mlp.apply_layers(x, weights, biases, *names)
    torch.testing.assert_close(output, expected)
    up = torch.randn_like(expected)
    for gradient, expected_gradient in zip(
        torch.autograd.grad(output, [x, *weights], up),
        torch.autograd.grad(expected, [x, *weights], up),
        strict=True,
    ):
        torch.testing.assert_close(gradient, expected_gradient)


@pytest.mark.parametrize(
    ("arguments", "bias", "dtype", "words"),
    [
        ((5, 3, 16, 1, "relu", "none"), True, torch.float16, "no biases"),
        ((5, 3, 48, 1, "relu", "none"), False, torch.float16, "widths"),
        ((5, 3, 16, 0, "relu", "none"), False, torch.float16, "hidden layers"),
        ((5, 3, 16, 1, "gelu", "none"), False, torch.float16, "no gelu"),
        ((5, 3, 16, 1, "relu", "sine"), False, torch.float16, "no sine"),
        ((5, 3, 16, 1, "relu", "none"), False, torch.float32, "float16"),
    ],
)
def test_unsupported_perceptrons_are_refused(tcnn, arguments, bias, dtype, words):
    perceptron = FusedMLP(*arguments, bias=bias)
    weights = [layer.weight for layer in perceptron.layers]
    biases = [layer.bias for layer in perceptron.layers]
    assert words in tcnn[0].refusal(weights, biases, *arguments[4:], dtype)


def rows(grid):
    """Return the tables in the form that backends take, with one row per entry."""
    return [table.flatten(0, -2) for table in grid.tables]


@pytest.mark.parametrize(
    "levels",
    [((3, 2), (40, 31), (8, 8)), ((2, 3, 1), (5, 4, 3), (17, 9, 12)), ((1, 1, 4), (1, 90, 2))],
)
@pytest.mark.parametrize("features", [1, 4])
def test_points_lie_at_the_same_positions_as_in_our_grids(tcnn, levels, features):
    _, module = tcnn
    torch.manual_seed(0)
    grid = HashGrid(levels, features, 6)
    for table in grid.tables:
        torch.nn.init.normal_(table)
    tables = rows(grid)
    assert module.refusal(tables, grid.resolutions) is None
    corners = torch.tensor(list(product((0.0, 1.0), repeat=grid.axes)))
    x = torch.cat([torch.rand(60, grid.axes), corners]).requires_grad_()
    results = []
    for backend in (module, torch_grid):
        output = backend.encode(x, tables, grid.resolutions)
        up = torch.arange(output.numel()).view_as(output).cos()
        results.append((output, *torch.autograd.grad(output, [x, *tables], up)))
    result, expected = results
    torch.testing.assert_close(result[0], expected[0], atol=1e-4, rtol=1e-4)
    # On a vertex, the gradient of a point is that of either side.
    torch.testing.assert_close(result[1][:60], expected[1][:60], atol=2e-3, rtol=1e-3)
    for gradient, expected_gradient in zip(result[2:], expected[2:], strict=True):
        torch.testing.assert_close(gradient, expected_gradient, atol=2e-4, rtol=1e-3)


def test_unsupported_grids_are_refused(tcnn):
    _, module = tcnn
    odd = HashGrid(((4, 4),), 3, 10)
    assert "features" in module.refusal(rows(odd), odd.resolutions)
    long = HashGrid(((1000, 2, 2),), 2, 12)
    assert "too long" in module.refusal(rows(long), long.resolutions)
