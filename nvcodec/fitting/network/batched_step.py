"""Batched steps: optimiser steps of several fits, computed together for networks of equal shape.

The result of a fit is the same, bit for bit, whatever other fits its steps are computed with. A
file therefore does not depend on how many of its networks were fitted at a time. For the same
reason, a step that can be batched is computed in the same way if it is the only one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from nvcodec.config import FitConfig
from nvcodec.entropy.weights.joint_quantisation import JointQuantiser, quantise_batch
from nvcodec.fitting.network.stages import QuantisedStage
from nvcodec.fitting.network.step import Step, StepResult, evaluate
from nvcodec.models.base.config import ModelConfig
from nvcodec.models.base.network_config import NetworkConfig
from nvcodec.models.nirvana.batched import render_batch
from nvcodec.models.nirvana.config import NirvanaConfig

# Largest number of networks in a batch, and of pixels of one frame of each, in all. Larger batches
# save no time, because arithmetic dominates then.
_MOST_NETWORKS = 8
_MOST_PIXELS = {"cpu": 1 << 18, "cuda": 1 << 22}


def largest_batch(kind: type[ModelConfig], fit: FitConfig, pixels: int, device: str) -> int:
    """Return the largest number of networks in a batched step; 1 if steps cannot be batched.

    Args:
        kind: Configuration class of the model family.
        fit: Configuration of the fits.
        pixels: Number of pixels of a frame.
        device: Type of the device to compute on, `"cpu"` or `"cuda"`.
    """
    if not issubclass(kind, NirvanaConfig) or fit.compile_step or fit.patch is not None:
        return 1
    return max(min(_MOST_NETWORKS, _MOST_PIXELS[device] // pixels), 1)


def compute_step_alone(step: Step) -> StepResult:
    """Compute one step that could be batched, in the same way as with others."""
    return batched_step([step])[0]


def batched_step(steps: Sequence[Step]) -> list[StepResult]:
    """Compute the steps of different fits, and return their results in the order of `steps`."""
    batches: dict[tuple[NetworkConfig, str], list[int]] = {}
    for place, step in enumerate(steps):
        batches.setdefault((step.network, step.stage.name), []).append(place)
    results: dict[int, StepResult] = {}
    for places in batches.values():
        results.update(zip(places, _compute_batch([steps[place] for place in places]), strict=True))
    return [results[place] for place in range(len(steps))]


def _compute_batch(steps: Sequence[Step]) -> list[StepResult]:
    """Compute the steps of networks with equal configurations, all in the same stage."""
    network = steps[0].network
    assert isinstance(network, NirvanaConfig)
    # All in float32: products of lower precision could depend on the other networks of the batch.
    tensors = [step.stage.tensors for step in steps]
    # What is optimised: the tensors of each network, and the same values as rows of a matrix.
    optimised, matrices = [tensors], [_row_each(tensors)]
    values = matrices[0]
    sizes: Sequence[Tensor | None] = [None] * len(steps)
    stages = [step.stage for step in steps if isinstance(step.stage, QuantisedStage)]
    if stages:
        quantisers = [cast(JointQuantiser, stage.quantiser) for stage in stages]
        optimised.append([[quantiser.log2_step] for quantiser in quantisers])
        matrices.append(_row_each(optimised[1]))
        previous_weights = torch.stack([stage.previous_weights for stage in stages])
        quantised, sizes = quantise_batch(quantisers, values - previous_weights, matrices[1])
        values = quantised + previous_weights
    outputs = render_batch(network, _split_columns(values, [tensor.shape for tensor in tensors[0]]))
    results = [
        evaluate(step, step.batches.batch(step.index), _select_frames(output, step.index), bits)
        for step, output, bits in zip(steps, outputs, sizes, strict=True)
    ]
    gradients = torch.autograd.grad([result.objective for result in results], matrices)
    for networks, rows in zip(optimised, gradients, strict=True):
        for parameters, row in zip(networks, rows, strict=True):
            parts = torch.split(row, [parameter.numel() for parameter in parameters])
            for parameter, part in zip(parameters, parts, strict=True):
                parameter.grad = part.view(parameter.shape)
    return [result.detached() for result in results]


@torch.no_grad()
def _row_each(lists: Sequence[Sequence[Tensor]]) -> Tensor:
    """Return a matrix with one row per list of tensors, which gradients can be computed for."""
    flat = torch.cat([tensor.flatten() for tensors in lists for tensor in tensors])
    return flat.view(len(lists), -1).requires_grad_()


def _split_columns(rows: Tensor, shapes: Sequence[torch.Size]) -> list[Tensor]:
    """Split the columns of a matrix into tensors of shape (rows, *shape)."""
    parts = torch.split(rows, [shape.numel() for shape in shapes], 1)
    return [part.view(-1, *shape) for part, shape in zip(parts, shapes, strict=True)]


def _select_frames(frames: Tensor, index: Tensor) -> Tensor:
    """Return the frames of a step's batch, in most cases all of them."""
    return frames if len(index) == len(frames) else frames[index]
