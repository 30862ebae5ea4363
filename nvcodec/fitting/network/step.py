"""One step of a fit: what it is of, and how one network by itself takes it."""

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
    """What a step is of.

    Attributes:
        network: What is fitted.
        stage: Of the fit.
        batches: Of the fit.
        index: Frames to look at.
        bit_weight: What a bit is worth, in nepers of the loss, whatever its scale.
    """

    network: NetworkConfig
    stage: Stage
    batches: Batches
    index: Tensor
    bit_weight: float


class Outcome(NamedTuple):
    """What a step found, besides the gradients, which are with their tensors.

    Attributes:
        objective: What is minimised, a scalar.
        loss: The part of it that pictures decide.
        error: Squared error.
        bits: Estimated size; None in a float stage.
    """

    objective: Tensor
    loss: Tensor
    error: Tensor
    bits: Tensor | None

    def detached(self) -> Outcome:
        """Without what gradients are computed from."""
        bits = None if self.bits is None else self.bits.detach()
        return Outcome(self.objective.detach(), self.loss.detach(), self.error.detach(), bits)


StepFunction = Callable[[Step], Outcome]
"""Computes a step. Tensors have no gradients before, and have them after."""


def compute_step(step: Step) -> Outcome:
    """Compute a step by itself."""
    batch = step.batches.batch(step.index)
    with autocast(step.index.device):
        output, bits = step.stage.predict(step.index, batch.inputs, batch.window)
    found = evaluate(step, batch, output, bits)
    found.objective.backward()  # type: ignore[no-untyped-call]
    return found.detached()


def evaluate(step: Step, batch: Batch, output: Tensor, bits: Tensor | None) -> Outcome:
    """What a network made, against what it is to make.

    Args:
        step: Of the network.
        batch: What the step looks at.
        output: Of the network, shape (B, channels, H, W), on the padded grid if not of a window.
        bits: Its estimated size; None in a float stage.
    """
    if batch.window is None:
        height, width = step.network.native_size
        output = output[..., :height, :width]
    batch = step.batches.laid_out_as(output, batch)
    colour, kind = step.network.colour, step.network.recipe.loss
    loss, error = distortion(output, batch.target, colour, kind, batch.valid_mask)
    objective = loss
    if bits is not None:
        objective = loss.log() + step.bit_weight * bits
    return Outcome(objective, loss, error, bits)


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """In which convolutions run in the device's `working_type`."""
    dtype = working_type(device)
    if dtype is torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype)
