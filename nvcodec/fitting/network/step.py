"""One optimiser step of a fit: its inputs, its result, and how one network computes it alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from nvcodec.device import working_type
from nvcodec.fitting.network.batches import Batch, Batches
from nvcodec.fitting.network.losses import distortion
from nvcodec.fitting.network.stages import Stage
from nvcodec.models.base.network_config import NetworkConfig


@dataclass(frozen=True, slots=True)
class Step:
    """The inputs of an optimiser step.

    Attributes:
        network: Configuration of the network that is fitted.
        stage: Stage of the fit.
        batches: Batches of the fit.
        index: Frame numbers of the step's batch, shape (B,).
        bit_weight: Cost of one bit in nepers of the loss, so that it does not depend on the scale
            of the loss.
    """

    network: NetworkConfig
    stage: Stage
    batches: Batches
    index: Tensor
    bit_weight: float


class StepResult(NamedTuple):
    """The result of an optimiser step, apart from the gradients, which the tensors hold.

    Attributes:
        objective: Quantity that is minimised, a scalar.
        loss: Distortion of the frames, a scalar.
        error: Weighted squared error, a scalar.
        bits: Estimated size in bits, a scalar; None in a float stage.
    """

    objective: Tensor
    loss: Tensor
    error: Tensor
    bits: Tensor | None

    def detached(self) -> StepResult:
        """Return the result without the graph that gradients are computed from."""
        bits = None if self.bits is None else self.bits.detach()
        return StepResult(self.objective.detach(), self.loss.detach(), self.error.detach(), bits)


StepFunction = Callable[[Step], StepResult]
"""Function that computes a step, and sets the gradients of its tensors, which had none before."""


def compute_step(step: Step) -> StepResult:
    """Compute a step and its gradients for one network alone."""
    batch = step.batches.batch(step.index)
    with autocast(step.index.device):
        output, bits = step.stage.predict(step.index, batch.inputs, batch.window)
    result = evaluate(step, batch, output, bits)
    result.objective.backward()  # type: ignore[no-untyped-call]
    return result.detached()


def evaluate(step: Step, batch: Batch, output: Tensor, bits: Tensor | None) -> StepResult:
    """Compare the output of a network with its target.

    Args:
        step: Step that the output belongs to.
        batch: Batch of the step.
        output: Output of the network, shape (B, channels, H, W); on the padded grid if the batch
            has no window.
        bits: Estimated size of the network in bits, a scalar; None in a float stage.

    Returns:
        Objective, loss, squared error and size, all differentiable.
    """
    if batch.window is None:
        height, width = step.network.native_size
        output = output[..., :height, :width]
    batch = step.batches.match_layout(output, batch)
    colour, loss_name = step.network.colour, step.network.recipe.loss
    loss, error = distortion(output, batch.target, colour, loss_name, batch.valid_mask)
    objective = loss
    if bits is not None:
        objective = loss.log() + step.bit_weight * bits
    return StepResult(objective, loss, error, bits)


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which convolutions run in the device's `working_type`."""
    dtype = working_type(device)
    if dtype is torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype)
