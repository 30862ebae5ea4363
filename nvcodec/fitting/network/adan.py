"""Adan, the optimiser of boosted networks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer


class Adan(Optimizer):
    """Adaptive Nesterov momentum (Xie et al., TPAMI 2024, algorithm 1), without weight decay.

    Momentum of the gradient, of how it changes from step to step, and of the square of the gradient
    looked ahead, each corrected for its start.

    Args:
        groups: Parameters, or groups of them as every optimiser takes them.
        lr: Learning rate of groups without their own.
        betas: Decay rates of the three.
        eps: Added to the root.
    """

    def __init__(
        self,
        groups: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float, float] = (0.98, 0.92, 0.99),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take a step."""
        assert closure is None
        for group in self.param_groups:
            parameters = [tensor for tensor in group["params"] if tensor.grad is not None]
            if not parameters:
                continue
            gradients = [tensor.grad for tensor in parameters]
            states = [self._state(tensor) for tensor in parameters]
            names = ("mean", "change", "square", "before")
            means, changes, squares, before = ([state[name] for state in states] for name in names)
            for state in states:
                state["step"] += 1
            _step(parameters, gradients, means, changes, squares, before, group, states[0]["step"])

    def _state(self, tensor: Tensor) -> dict[str, Any]:
        state: dict[str, Any] = self.state[tensor]
        if not state:
            state["step"] = 0
            for name in ("mean", "change", "square"):
                state[name] = torch.zeros_like(tensor)
            state["before"] = tensor.grad.clone() if tensor.grad is not None else None
        return state


def _step(
    parameters: list[Tensor],
    gradients: list[Tensor],
    means: list[Tensor],
    changes: list[Tensor],
    squares: list[Tensor],
    before: list[Tensor],
    group: dict[str, Any],
    step: int,
) -> None:
    first, second, third = group["betas"]
    rate = group["lr"]
    change = torch._foreach_sub(gradients, before)
    torch._foreach_copy_(before, gradients)
    torch._foreach_lerp_(means, gradients, 1 - first)
    torch._foreach_lerp_(changes, change, 1 - second)
    ahead = torch._foreach_add(gradients, change, alpha=second)
    torch._foreach_mul_(squares, third)
    torch._foreach_addcmul_(squares, ahead, ahead, value=1 - third)
    roots = torch._foreach_sqrt(squares)
    torch._foreach_div_(roots, (1 - third**step) ** 0.5)
    torch._foreach_add_(roots, group["eps"])
    torch._foreach_addcdiv_(parameters, means, roots, value=-rate / (1 - first**step))
    torch._foreach_addcdiv_(parameters, changes, roots, value=-rate * second / (1 - second**step))
