"""Training of context networks on the symbols of a segment; the bits of their weights count."""

from __future__ import annotations

from math import cos, log, pi

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nvcodec.entropy.latents.context_model import CodingPass
from nvcodec.entropy.latents.context_network import (
    HIDDEN,
    INPUTS,
    WEIGHT_LIMIT,
    ContextNetwork,
    flatten_weights,
    unflatten_weights,
)
from nvcodec.fitting.network.optimisers import Adam
from nvcodec.media import Int16Array

# Largest number of symbols that networks are trained on.
_MAX_SAMPLES = 200_000
_BATCH = 8192
_LEARNING_RATE = 0.6  # of Adam, for weights of up to 127


class ContextSamples:
    """Context samples: the network inputs and the symbols of coding passes."""

    def __init__(self) -> None:
        self._inputs: list[npt.NDArray[np.uint8]] = []
        self._bias_numbers: list[npt.NDArray[np.int16]] = []
        self._symbols: list[Int16Array] = []

    def add(self, coding_pass: CodingPass, symbols: Int16Array) -> None:
        """Add the samples of a coding pass.

        Args:
            coding_pass: The pass.
            symbols: Its symbols, shape (N,).
        """
        self._inputs.append(coding_pass.inputs.astype(np.uint8))
        channels = coding_pass.shape[1]
        self._bias_numbers.append(
            (coding_pass.band * channels + coding_pass.channels).astype(np.int16)
        )
        self._symbols.append(symbols)

    def extend(self, other: ContextSamples) -> None:
        """Add the samples of another collection."""
        self._inputs += other._inputs
        self._bias_numbers += other._bias_numbers
        self._symbols += other._symbols

    def rows(self) -> tuple[Tensor, Tensor, Tensor] | None:
        """Return inputs, numbers of biases and symbols; None if there are none."""
        if not self._symbols or not sum(map(len, self._symbols)):
            return None
        inputs = torch.from_numpy(np.concatenate(self._inputs))
        bias_numbers = torch.from_numpy(np.concatenate(self._bias_numbers))
        symbols = torch.from_numpy(np.concatenate(self._symbols))
        return inputs, bias_numbers, symbols


def code_length(symbols: Tensor, octaves: Tensor) -> Tensor:
    """Return the bits of symbols under Laplace distributions, differentiable.

    Args:
        symbols: Any shape.
        octaves: Base-2 logarithms of the scales, same shape.
    """
    scale = torch.exp2(octaves)
    magnitude = symbols.abs()
    zero = -torch.expm1(-0.5 / scale)
    other = 0.5 * torch.exp((0.5 - magnitude.clamp_min(1)) / scale) * -torch.expm1(-1 / scale)
    return -torch.log2(torch.where(magnitude == 0, zero, other).clamp_min(2.0**-16))


def fit_network(
    network: ContextNetwork,
    default: ContextNetwork,
    context_samples: ContextSamples,
    *,
    steps: int,
    generator: torch.Generator,
    max_samples: int | None = _MAX_SAMPLES,
) -> ContextNetwork:
    """Return a network that predicts the scales of symbols better.

    Args:
        network: Network to start from.
        default: Network to whose weights the differences will be coded.
        context_samples: Inputs and symbols.
        steps: Number of steps of Adam.
        generator: Random numbers for the choice of samples.
        max_samples: Largest number of samples to train on; None for all.
    """
    samples = context_samples.rows()
    if samples is None:
        return default
    inputs, bias_numbers, symbols = samples
    total = len(symbols)
    if max_samples is not None and total > max_samples:
        chosen = torch.randperm(total, generator=generator)[:max_samples]
        inputs, bias_numbers, symbols = inputs[chosen], bias_numbers[chosen], symbols[chosen]
    reference = torch.from_numpy(flatten_weights(default)).float()
    weights = torch.from_numpy(flatten_weights(network)).float().requires_grad_()
    optimiser = Adam([{"params": [weights]}], (0.9, 0.98), fused=False)
    size = min(_BATCH, len(symbols))
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = _LEARNING_RATE * 0.5 * (1 + cos(pi * step / steps))
        batch = torch.randint(len(symbols), (size,), generator=generator)
        rounded = weights + (weights.round() - weights).detach()
        octaves = _octaves(rounded, inputs[batch].float(), bias_numbers[batch].long())
        bits = code_length(symbols[batch].float(), octaves).mean() * total
        difference = rounded - reference
        spread = difference.detach().abs().mean().clamp_min(0.05)
        weight_bits = (difference.abs() / spread).sum() / log(2) + len(weights) * torch.log2(
            2 * spread
        )
        loss = (bits + weight_bits) / total
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        with torch.no_grad():
            weights.clamp_(-WEIGHT_LIMIT, WEIGHT_LIMIT)
    fitted = weights.detach().round()
    candidates = [fitted, torch.from_numpy(flatten_weights(network)).float(), reference]
    best = min(
        candidates,
        key=lambda numbers: _cost(numbers, reference, inputs, bias_numbers, symbols, total),
    )
    return unflatten_weights(best.numpy().astype(np.int32), *network.biases.shape)


@torch.no_grad()
def _cost(
    numbers: Tensor,
    reference: Tensor,
    inputs: Tensor,
    bias_numbers: Tensor,
    symbols: Tensor,
    total: int,
) -> float:
    """Return the bits of symbols and of weights.

    Args:
        numbers: Weights of the network, shape (weights,).
        reference: Weights of the default network, same shape.
        inputs: Shape (N, 20).
        bias_numbers: Number of each symbol's bias, shape (N,).
        symbols: Shape (N,).
        total: Number of symbols that these N stand for.
    """
    bits = 0.0
    for start in range(0, len(symbols), 1 << 18):
        part = slice(start, start + (1 << 18))
        octaves = _octaves(numbers, inputs[part].float(), bias_numbers[part].long())
        bits += float(code_length(symbols[part].float(), octaves).sum())
    difference = (numbers - reference).abs()
    spread = float(difference.mean())
    weight_bits = len(numbers) * max(np.log2(max(2 * spread, 1e-3)) + 1.44, 0.02) if spread else 0.0
    return bits * total / len(symbols) + weight_bits


def _octaves(weights: Tensor, inputs: Tensor, bias_numbers: Tensor) -> Tensor:
    """Return base-2 logarithms of scales, as `ContextNetwork.scales` without rounding.

    Args:
        weights: Weights of the network, shape (weights,).
        inputs: Shape (N, 20).
        bias_numbers: Number of each symbol's bias, shape (N,).
    """
    sizes = [INPUTS * HIDDEN, INPUTS, HIDDEN]
    sizes.append(len(weights) - sum(sizes))
    hidden, linear, output, biases = torch.split(weights, sizes)
    # Rounding down subtracts one half on average.
    first = (inputs @ hidden.view(INPUTS, HIDDEN) / 32 - 0.5).clamp(0, 255)
    total = inputs @ linear + first @ output + 16 * biases[bias_numbers]
    index = total / 128 - 0.5
    # A small part of the gradient passes beyond the ends, so that weights do not get stuck there.
    limited = index.clamp(0, 63)
    return (limited + 0.02 * (index - limited)) / 4 - 4
