"""The optimisers of fits: Adam and Adan.

They do not derive from `torch.optim.Optimizer`: the first step of any `torch.optim` optimiser imports
PyTorch's compiler. That takes two seconds, longer than a small segment takes to fit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam


class Adam:
    """Adam (Kingma and Ba, ICLR 2015), bit for bit `torch.optim.Adam` on the same parameters.

    Args:
        groups: Parameter groups, each with a list of its tensors under `"params"`.
        betas: Decay rates of the first and the second moment.
        eps: Term added to the root of the second moment.
        fused: Whether a step is one operation, which rounds a little differently.

    Attributes:
        param_groups: The groups. The caller sets `"lr"` of each before a step.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        betas: tuple[float, float],
        eps: float = 1e-8,
        *,
        fused: bool = True,
    ) -> None:
        self.param_groups = list(groups)
        self._betas, self._eps, self._fused = betas, eps, fused
        self._moments: dict[Tensor, tuple[Tensor, Tensor, Tensor]] = {}

    def zero_grad(self) -> None:
        """Clear the gradients of all tensors."""
        _clear_gradients(self.param_groups)

    @torch.no_grad()
    def step(self) -> None:
        """Take a step. Tensors without a gradient keep their values."""
        for group in self.param_groups:
            tensors = [tensor for tensor in group["params"] if tensor.grad is not None]
            moments = [self._moments_of(tensor) for tensor in tensors]
            adam(
                tensors,
                [tensor.grad for tensor in tensors if tensor.grad is not None],
                [first for first, _, _ in moments],
                [second for _, second, _ in moments],
                [],
                [steps for _, _, steps in moments],
                foreach=False,
                fused=self._fused,
                amsgrad=False,
                beta1=self._betas[0],
                beta2=self._betas[1],
                lr=group["lr"],
                weight_decay=0.0,
                eps=self._eps,
                maximize=False,
            )

    def _moments_of(self, tensor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the first moment, the second moment and the number of steps of a tensor."""
        if tensor not in self._moments:
            steps = torch.zeros((), dtype=torch.float32, device=tensor.device)
            self._moments[tensor] = torch.zeros_like(tensor), torch.zeros_like(tensor), steps
        return self._moments[tensor]


class Adan:
    """Adaptive Nesterov momentum (Xie et al., TPAMI 2024, algorithm 1), without weight decay.

    It averages the gradient, the change of the gradient between two steps, and the square of the
    extrapolated gradient, each with a bias correction. Boosted networks are fitted with it.

    Args:
        groups: Parameter groups, each with a list of its tensors under `"params"`.
        betas: Decay rates of the three averages, in the order above.
        eps: Term added to the root of the third average.

    Attributes:
        param_groups: The groups. The caller sets `"lr"` of each before a step.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        betas: tuple[float, float, float] = (0.98, 0.92, 0.99),
        eps: float = 1e-8,
    ) -> None:
        self.param_groups = [{"betas": betas, "eps": eps, **group} for group in groups]
        self._states: dict[Tensor, dict[str, Any]] = {}

    def zero_grad(self) -> None:
        """Clear the gradients of all tensors."""
        _clear_gradients(self.param_groups)

    @torch.no_grad()
    def step(self) -> None:
        """Take a step. Tensors without a gradient keep their values."""
        for group in self.param_groups:
            parameters = [tensor for tensor in group["params"] if tensor.grad is not None]
            if not parameters:
                continue
            gradients = [tensor.grad for tensor in parameters]
            states = [self._state(tensor) for tensor in parameters]
            names = ("mean", "change", "square", "previous_gradient")
            means, changes, squares, previous = (
                [state[name] for state in states] for name in names
            )
            for state in states:
                state["step"] += 1
            step = states[0]["step"]
            _adan_step(parameters, gradients, means, changes, squares, previous, group, step)

    def _state(self, tensor: Tensor) -> dict[str, Any]:
        """Return the averages of a tensor, all zero before its first step."""
        state = self._states.setdefault(tensor, {})
        if not state:
            state["step"] = 0
            for name in ("mean", "change", "square"):
                state[name] = torch.zeros_like(tensor)
            state["previous_gradient"] = tensor.grad.clone() if tensor.grad is not None else None
        return state


def _clear_gradients(groups: Iterable[dict[str, Any]]) -> None:
    """Clear the gradients of all tensors of parameter groups."""
    for group in groups:
        for tensor in group["params"]:
            tensor.grad = None


def _adan_step(
    parameters: list[Tensor],
    gradients: list[Tensor],
    means: list[Tensor],
    changes: list[Tensor],
    squares: list[Tensor],
    previous_gradients: list[Tensor],
    group: dict[str, Any],
    step: int,
) -> None:
    """Update the parameters of one group and their averages in place.

    Args:
        parameters: Tensors to update.
        gradients: Their gradients.
        means: Averages of their gradients.
        changes: Averages of the changes of their gradients.
        squares: Averages of the squares of their extrapolated gradients.
        previous_gradients: Their gradients at the previous step.
        group: Parameter group with `"lr"`, `"betas"` and `"eps"`.
        step: Number of this step, from 1.
    """
    first, second, third = group["betas"]
    rate = group["lr"]
    change = torch._foreach_sub(gradients, previous_gradients)
    torch._foreach_copy_(previous_gradients, gradients)
    torch._foreach_lerp_(means, gradients, 1 - first)
    torch._foreach_lerp_(changes, change, 1 - second)
    extrapolated = torch._foreach_add(gradients, change, alpha=second)
    torch._foreach_mul_(squares, third)
    torch._foreach_addcmul_(squares, extrapolated, extrapolated, value=1 - third)
    roots = torch._foreach_sqrt(squares)
    torch._foreach_div_(roots, (1 - third**step) ** 0.5)
    torch._foreach_add_(roots, group["eps"])
    torch._foreach_addcdiv_(parameters, means, roots, value=-rate / (1 - first**step))
    torch._foreach_addcdiv_(parameters, changes, roots, value=-rate * second / (1 - second**step))
