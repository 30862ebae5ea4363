"""The Triton kernels against plain torch: forward and gradients, sizes that do not fill tiles."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nvcodec.cuda import torch_grid, torch_mlp
from nvcodec.cuda.grid import HashGrid
from nvcodec.cuda.mlp import FusedMLP
from nvcodec.errors import ConfigError

pytest.importorskip("triton", reason="Triton is not installed")

from nvcodec.cuda import triton_grid, triton_mlp

# The relative error of a rounding is up to 2**-9 and 2**-12; that of the interpreter, which
# truncates, is twice as large.
TOLERANCES = {torch.bfloat16: 2**-5, torch.float16: 2**-9}


def results_of(device, arguments, count, *, dtype, bias):
    """Return outputs and gradients of the kernels, and those of float32 with the same weights."""
    torch.manual_seed(0)
    perceptron = FusedMLP(*arguments, bias=bias).to(device)
    for parameter in perceptron.parameters():
        parameter.data = parameter.detach().to(dtype).float()
    x = torch.randn(count, arguments[0], device=device).to(dtype).float().requires_grad_()
    up = torch.randn(count, arguments[1], device=device).to(dtype)
    weights = [layer.weight for layer in perceptron.layers]
    biases = [layer.bias for layer in perceptron.layers]
    names = perceptron.activation, perceptron.output_activation
    leaves = [x, *perceptron.parameters()]
    results = []
    for output in (
        triton_mlp.apply_layers(x, weights, biases, *names, dtype),
        torch_mlp.apply_layers(x, weights, biases, *names),
    ):
        results.append((output.detach(), *torch.autograd.grad(output, leaves, up.to(output.dtype))))
    return results


def assert_near(result, expected, tolerance):
    for tensor, reference in zip(result, expected, strict=True):
        assert tensor.shape == reference.shape
        error = (tensor.float() - reference).norm()
        assert error <= tolerance * reference.norm(), f"{float(error / reference.norm()):.2g}"


@pytest.mark.parametrize("activation", torch_mlp.ACTIVATIONS)
@pytest.mark.parametrize("bias", [False, True])
def test_every_activation(device, activation, bias):
    arguments = (5, 3, 32, 2, activation, activation)
    result, expected = results_of(device, arguments, 70, dtype=torch.float16, bias=bias)
    assert result[0].dtype == torch.float16
    kink = activation == "relu"  # a rounding near the kink changes the slope
    assert_near(result, expected, 2**-5 if kink else TOLERANCES[torch.float16])


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize(
    ("n_in", "n_out", "width", "depth", "count"),
    [(16, 16, 16, 1, 128), (2, 1, 64, 4, 1), (33, 20, 48, 3, 300), (100, 128, 128, 2, 129)],
)
def test_every_shape(device, n_in, n_out, width, depth, count, dtype):
    arguments = (n_in, n_out, width, depth, "silu", "none")
    result, expected = results_of(device, arguments, count, dtype=dtype, bias=True)
    assert_near(result, expected, TOLERANCES[dtype])


def test_an_empty_batch_is_valid(device):
    result, expected = results_of(
        device, (4, 3, 16, 1, "relu", "none"), 0, dtype=torch.float16, bias=True
    )
    assert result[0].shape == (0, 3)
    for gradient, expected_gradient in zip(result[1:], expected[1:], strict=True):
        torch.testing.assert_close(gradient, expected_gradient)


def test_gradients_are_reproducible(device):
    arguments = (8, 4, 32, 2, "sine", "none")
    first, _ = results_of(device, arguments, 500, dtype=torch.bfloat16, bias=True)
    second, _ = results_of(device, arguments, 500, dtype=torch.bfloat16, bias=True)
    for tensor, repeated in zip(first, second, strict=True):
        assert torch.equal(tensor, repeated)


def test_samples_differ_by_less_than_an_8_bit_level(device):
    """Compare float16 with float32 for a decoder's head whose output spans the range."""
    torch.manual_seed(0)
    perceptron = FusedMLP(32, 3, 64, 2, "relu", "none").to(device)
    weights = [layer.weight for layer in perceptron.layers]
    torch.nn.init.normal_(weights[-1], std=1.2)
    x = torch.randn(1000, 32, device=device)
    names = "relu", "none"
    result = (
        triton_mlp.apply_layers(x, weights, [None] * 3, *names, torch.float16).float().sigmoid()
    )
    expected = perceptron(x).sigmoid()
    assert float(expected.detach().std()) > 0.2
    assert float((result - expected).detach().abs().max()) < 1 / 255


@pytest.mark.parametrize("features", [1, 2, 3])
@pytest.mark.parametrize(
    "levels", [((3, 2), (40, 31)), ((2, 3, 1), (5, 4, 3), (17, 9, 12)), ((1, 1, 1), (1, 9, 1))]
)
def test_grids(device, levels, features):
    torch.manual_seed(0)
    grid = HashGrid(levels, features, 6).to(device)
    for table in grid.tables:
        torch.nn.init.normal_(table)
    tables = [table.flatten(0, -2) for table in grid.tables]
    edges = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * grid.axes)
    x = torch.cat([edges, torch.rand(150, grid.axes)]).to(device).requires_grad_()
    results = []
    for module in (triton_grid, torch_grid):
        output = module.encode(x, tables, grid.resolutions)
        up = torch.arange(output.numel(), device=device).view_as(output).cos()
        results.append((output, *torch.autograd.grad(output, [x, *tables], up)))
    for tensor, expected in zip(*results, strict=True):
        torch.testing.assert_close(tensor, expected, atol=2e-5, rtol=1e-5)


def test_it_serves_under_autocast_if_requested(device, monkeypatch):
    monkeypatch.setenv("NVCODEC_BACKEND", "triton")
    served = []
    real = triton_mlp.apply_layers
    monkeypatch.setattr(
        triton_mlp, "apply_layers", lambda x, *rest: served.append(tuple(x.shape)) or real(x, *rest)
    )
    perceptron = FusedMLP(4, 3, 16, 1, "relu", "none").to(device)
    x = torch.randn(2, 5, 4, device=device)
    with torch.autocast(device.type, torch.bfloat16):
        result = perceptron(x)
    assert result.shape == (2, 5, 3) and result.dtype == torch.bfloat16
    assert served == [(1, 4), (10, 4)]  # a trial, then the points
    torch.testing.assert_close(
        result.float(), perceptron_in_torch(perceptron, x), atol=0.02, rtol=0
    )


def perceptron_in_torch(perceptron, x):
    weights = [layer.weight for layer in perceptron.layers]
    return torch_mlp.apply_layers(x, weights, [None] * len(weights), "relu", "none")


@pytest.mark.parametrize(
    ("arguments", "dtype", "words"),
    [
        ((4, 3, 16, 1, "relu", "none"), torch.float32, "bfloat16 or float16"),
        ((4, 3, 200, 1, "relu", "none"), torch.bfloat16, "16 to 128"),
        ((4, 3, 8, 1, "relu", "none"), torch.bfloat16, "16 to 128"),
        ((129, 3, 16, 1, "relu", "none"), torch.bfloat16, "at most 128"),
        ((4, 3, 16, 0, "relu", "none"), torch.bfloat16, "hidden layers"),
    ],
)
def test_unsupported_perceptrons_are_refused_with_a_reason(
    device, monkeypatch, arguments, dtype, words
):
    monkeypatch.setenv("NVCODEC_BACKEND", "triton")
    perceptron = FusedMLP(*arguments).to(device)
    x = torch.randn(3, arguments[0], device=device)
    with (
        torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16),
        pytest.raises(ConfigError, match=words),
    ):
        perceptron(x)


def test_kernels_compile_for_a_gpu():
    """The interpreter accepts code that the compiler refuses; compiling needs no GPU."""
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    subprocess.run(
        [sys.executable, "-W", "error", Path(__file__).with_name("compile_kernels.py")],
        env=environment,
        check=True,
        timeout=300,
    )
