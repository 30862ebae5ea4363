"""Batched steps: optimiser steps of several fits, computed together for networks of equal shape.

The result of a fit is the same, bit for bit, whatever other fits its steps are computed with. A file
therefore does not depend on how many of its networks were fitted at a time. For the same reason, a
step that can be batched is computed in the same way if it is the only one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from nvcodec.config import FitConfig
from nvcodec.entropy.weights.joint_quantisation import JointQuantiser, quantise_batch
from nvcodec.fitting.network.stages import QuantisedStage
from nvcodec.fitting.network.step import Outcome, Step, evaluate
from nvcodec.models.base.config import ModelConfig
from nvcodec.models.base.network_config import NetworkConfig
from nvcodec.models.nirvana.batched import render_batch
from nvcodec.models.nirvana.config import NirvanaConfig

# Largest number of networks in a batch, and of pixels of one frame of each, in all. Larger batches
# save no time, because arithmetic dominates then.
_MOST = 8
_PIXELS = {"cpu": 1 << 18, "cuda": 1 << 22}


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
    return max(min(_MOST, _PIXELS[device] // pixels), 1)


def compute_step_alone(step: Step) -> Outcome:
    """Compute one step that could be batched, in the same way as with others."""
    return batched_step([step])[0]


def batched_step(steps: Sequence[Step]) -> list[Outcome]:
    """Compute the steps of different fits, and return their results in the order of `steps`."""
    alike: dict[tuple[NetworkConfig, str], list[int]] = {}
    for place, step in enumerate(steps):
        alike.setdefault((step.network, step.stage.name), []).append(place)
    found: dict[int, Outcome] = {}
    for places in alike.values():
        found.update(zip(places, _take([steps[place] for place in places]), strict=True))
    return [found[place] for place in range(len(steps))]


def _take(steps: Sequence[Step]) -> list[Outcome]:
    """Compute the steps of networks with equal configurations, all in the same stage."""
    network = steps[0].network
    assert isinstance(network, NirvanaConfig)
    # All in float32: products of lower precision could depend on the other networks of the batch.
    tensors = [step.stage.tensors for step in steps]
    moved, made = [tensors], [_row_each(tensors)]
    values = made[0]
    sizes: Sequence[Tensor | None] = [None] * len(steps)
    stages = [step.stage for step in steps if isinstance(step.stage, QuantisedStage)]
    if stages:
        quantisers = [cast(JointQuantiser, stage.quantiser) for stage in stages]
        moved.append([[one.log2_step] for one in quantisers])
        made.append(_row_each(moved[1]))
        previous_weights = torch.stack([stage.previous_weights for stage in stages])
        quantised, sizes = quantise_batch(quantisers, values - previous_weights, made[1])
        values = quantised + previous_weights
    outputs = render_batch(network, _shaped(values, [one.shape for one in tensors[0]]))
    found = [
        evaluate(step, step.batches.batch(step.index), _picked(output, step.index), bits)
        for step, output, bits in zip(steps, outputs, sizes, strict=True)
    ]
    gradients = torch.autograd.grad([one.objective for one in found], made)
    for each, rows in zip(moved, gradients, strict=True):
        for parameters, row in zip(each, rows, strict=True):
            parts = torch.split(row, [one.numel() for one in parameters])
            for parameter, part in zip(parameters, parts, strict=True):
                parameter.grad = part.view(parameter.shape)
    return [one.detached() for one in found]


@torch.no_grad()
def _row_each(lists: Sequence[Sequence[Tensor]]) -> Tensor:
    """Return a matrix with one row per list of tensors, which gradients can be computed for."""
    flat = torch.cat([tensor.flatten() for tensors in lists for tensor in tensors])
    return flat.view(len(lists), -1).requires_grad_()


def _shaped(rows: Tensor, shapes: Sequence[torch.Size]) -> list[Tensor]:
    """Split the columns of a matrix into tensors of shape (rows, *shape)."""
    parts = torch.split(rows, [shape.numel() for shape in shapes], 1)
    return [part.view(-1, *shape) for part, shape in zip(parts, shapes, strict=True)]


def _picked(frames: Tensor, index: Tensor) -> Tensor:
    """Return the frames of a step's batch, in most cases all of them."""
    return frames if len(index) == len(frames) else frames[index]
