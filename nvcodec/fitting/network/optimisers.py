"""Adam as fits take it: PyTorch's fused step, without what its optimisers bring along.

The first call of any `torch.optim` optimiser imports PyTorch's compiler, which takes a second, as
long as it takes to fit a small segment.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam


class Adam:
    """Adam (Kingma and Ba, ICLR 2015), bit for bit `torch.optim.Adam(..., fused=True)`.

    Args:
        groups: Each with its tensors, `"params"`, in a list.
        betas: Decay rates of the moments.
        eps: Added to the root.

    Attributes:
        param_groups: The groups; `"lr"` of each is to be set before a step.
    """

    def __init__(
        self, groups: Iterable[dict[str, Any]], betas: tuple[float, float], eps: float = 1e-8
    ) -> None:
        self.param_groups = list(groups)
        self._betas, self._eps = betas, eps
        self._moments: dict[Tensor, tuple[Tensor, Tensor, Tensor]] = {}

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for group in self.param_groups:
            for tensor in group["params"]:
                tensor.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Take a step; tensors without a gradient stay."""
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
                fused=True,
                amsgrad=False,
                beta1=self._betas[0],
                beta2=self._betas[1],
                lr=group["lr"],
                weight_decay=0.0,
                eps=self._eps,
                maximize=False,
            )

    def _moments_of(self, tensor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """First and second moment, and how many steps they hold."""
        if tensor not in self._moments:
            steps = torch.zeros((), dtype=torch.float32, device=tensor.device)
            self._moments[tensor] = torch.zeros_like(tensor), torch.zeros_like(tensor), steps
        return self._moments[tensor]
