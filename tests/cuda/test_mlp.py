"""Perceptrons: layout, shapes and invalid arguments."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nvcodec.cuda.mlp import FusedMLP
from nvcodec.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("none", nn.Identity()),
        ("relu", nn.ReLU()),
        ("silu", nn.SiLU()),
        ("gelu", nn.GELU()),
        ("tanh", nn.Tanh()),
        ("sigmoid", nn.Sigmoid()),
    ],
)
@pytest.mark.parametrize("bias", [False, True])
def test_a_perceptron_applies_its_layers_in_order(name, module, bias):
    perceptron = FusedMLP(5, 3, 16, 2, name, "sine", bias=bias)
    first, second, last = perceptron.layers
    x = torch.randn(2, 7, 5)
    expected = last(module(second(module(first(x))))).sin()
    torch.testing.assert_close(perceptron(x), expected, atol=0, rtol=0)


def test_the_layout_is_that_of_linear_layers():
    perceptron = FusedMLP(5, 3, 16, 2, "relu", "none")
    shapes = [tuple(parameter.shape) for parameter in perceptron.parameters()]
    assert shapes == [(16, 5), (16, 16), (3, 16)]
    biased = FusedMLP(5, 3, 16, 1, "relu", "none", bias=True)
    assert [name for name, _ in biased.named_parameters()] == [
        "layers.0.weight",
        "layers.0.bias",
        "layers.1.weight",
        "layers.1.bias",
    ]
    assert FusedMLP(5, 3, 16, 0, "relu", "none").layers[0].weight.shape == (3, 5)


def test_weights_may_be_replaced_while_they_are_quantised():
    perceptron = FusedMLP(4, 2, 8, 1, "relu", "none")
    state = {name: torch.zeros_like(weight) for name, weight in perceptron.named_parameters()}
    output = torch.func.functional_call(perceptron, state, (torch.randn(3, 4),))
    assert not output.any()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0, 1, 1, 1, "relu", "none"), "positive sizes"),
        ((1, 1, 1, -1, "relu", "none"), "positive sizes"),
        ((1, 1, 1, 1, "swish", "none"), "expected an activation of none, relu"),
        ((1, 1, 1, 1, "relu", "swish"), "'swish'"),
    ],
)
def test_invalid_perceptrons_are_refused(arguments, words):
    with pytest.raises(ConfigError, match=words):
        FusedMLP(*arguments)
