"""The optimisers compute the steps of their papers."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from nvcodec.fitting.network.optimisers import Adam, Adan


def test_adan_takes_the_steps_of_its_paper():
    first, second, third, rate, eps = 0.98, 0.92, 0.99, 0.03, 1e-8
    rng = np.random.default_rng(0)
    x = rng.standard_normal(5)
    tensor = torch.tensor(x, requires_grad=True)
    optimiser = Adan([{"params": [tensor], "lr": rate}])
    mean = change = square = np.zeros(5)
    before = None
    for step in range(1, 8):
        gradient = 2 * x + np.sin(5 * x)
        optimiser.zero_grad()
        (tensor**2 - torch.cos(5 * tensor) / 5).sum().backward()
        np.testing.assert_allclose(tensor.grad.numpy(), gradient, rtol=1e-9)
        optimiser.step()
        difference = np.zeros(5) if before is None else gradient - before
        mean = first * mean + (1 - first) * gradient
        change = second * change + (1 - second) * difference
        square = third * square + (1 - third) * (gradient + second * difference) ** 2
        root = np.sqrt(square / (1 - third**step)) + eps
        move = mean / (1 - first**step) + second * change / (1 - second**step)
        x, before = x - rate * move / root, gradient
        np.testing.assert_allclose(tensor.detach().numpy(), x, rtol=1e-9)


@pytest.mark.parametrize("fused", [False, True])
def test_adam_is_bit_for_bit_that_of_pytorch(fused):
    draw = torch.Generator().manual_seed(0)
    start = [torch.randn(shape, generator=draw) for shape in ((5, 3), (7,), (2,))]
    sides = []
    for made in (
        lambda groups: torch.optim.Adam(groups, betas=(0.8, 0.99), fused=fused),
        lambda groups: Adam(groups, (0.8, 0.99), fused=fused),
    ):
        tensors = [tensor.clone().requires_grad_() for tensor in start]
        groups = [{"params": tensors[:2], "lr": 0.0}, {"params": tensors[2:], "lr": 0.0}]
        optimiser = made(groups)
        for step in range(4):
            for group, rate in zip(optimiser.param_groups, (0.1, 0.02), strict=True):
                group["lr"] = rate / (step + 1)
            optimiser.zero_grad()
            # The last tensor has no gradient in the first step, and must not change in it.
            used = tensors if step else tensors[:2]
            sum((tensor * tensor.cos()).sum() for tensor in used).backward()
            optimiser.step()
        sides.append(tensors)
    assert all(torch.equal(one, other) for one, other in zip(*sides, strict=True))
    assert not any(torch.equal(one, other) for one, other in zip(start, sides[0], strict=True))


_STEPS = """
import sys, torch
from nvcodec.fitting.latentgrid import context_training
from nvcodec.fitting.network.optimisers import Adam, Adan
tensor = torch.ones(3, requires_grad=True)
for make in (Adam, Adan):
    optimiser = make([{"params": [tensor], "lr": 0.1}], *([(0.9, 0.99)] if make is Adam else []))
    optimiser.zero_grad()
    tensor.sum().backward()
    optimiser.step()
assert context_training.Adam is Adam
assert "torch._dynamo" not in sys.modules
"""


def test_a_step_does_not_import_the_compiler(environment):
    """It takes longer to import than a small segment takes to fit."""
    subprocess.run([sys.executable, "-c", _STEPS], env=environment, check=True)
