"""Fitting context networks to symbols: fewer bits, their own weights counted."""

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
    network_of,
    numbers_of,
)
from nvcodec.media import Int16Array

# Symbols that stand for all.
_MOST_ROWS = 200_000
_BATCH = 8192
_RATE = 0.6  # of Adam, in units of weights


class Gathering:
    """A visitor's memory: the inputs and the symbols of every stop."""

    def __init__(self) -> None:
        self._inputs: list[npt.NDArray[np.uint8]] = []
        self._cells: list[npt.NDArray[np.int16]] = []
        self._symbols: list[Int16Array] = []

    def add(self, coding_pass: CodingPass, symbols: Int16Array) -> None:
        """Remember a stop, and the symbols that were chosen there."""
        self._inputs.append(coding_pass.inputs.astype(np.uint8))
        channels = coding_pass.shape[1]
        self._cells.append((coding_pass.band * channels + coding_pass.channels).astype(np.int16))
        self._symbols.append(symbols)

    def extend(self, other: Gathering) -> None:
        """Remember what another memory does, too."""
        self._inputs += other._inputs
        self._cells += other._cells
        self._symbols += other._symbols

    def rows(self) -> tuple[Tensor, Tensor, Tensor] | None:
        """Inputs, bias numbers and symbols; None if there are none."""
        if not self._symbols or not sum(map(len, self._symbols)):
            return None
        inputs = torch.from_numpy(np.concatenate(self._inputs))
        cells = torch.from_numpy(np.concatenate(self._cells))
        symbols = torch.from_numpy(np.concatenate(self._symbols))
        return inputs, cells, symbols


def code_length(symbols: Tensor, octaves: Tensor) -> Tensor:
    """Bits of symbols under Laplace distributions of scales 2**octaves, differentiable."""
    scale = torch.exp2(octaves)
    magnitude = symbols.abs()
    zero = -torch.expm1(-0.5 / scale)
    other = 0.5 * torch.exp((0.5 - magnitude.clamp_min(1)) / scale) * -torch.expm1(-1 / scale)
    return -torch.log2(torch.where(magnitude == 0, zero, other).clamp_min(2.0**-16))


def fit_network(
    network: ContextNetwork,
    default: ContextNetwork,
    gathered: Gathering,
    *,
    steps: int,
    generator: torch.Generator,
    most_rows: int | None = _MOST_ROWS,
) -> ContextNetwork:
    """A network that tells the scales of some symbols better.

    Args:
        network: Where to begin.
        default: What its weights will be coded as differences to.
        gathered: Inputs and symbols.
        steps: Of Adam.
        generator: Of the order of rows.
        most_rows: So many symbols stand for all; None for all.
    """
    rows = gathered.rows()
    if rows is None:
        return default
    inputs, cells, symbols = rows
    total = len(symbols)
    if most_rows is not None and total > most_rows:
        chosen = torch.randperm(total, generator=generator)[:most_rows]
        inputs, cells, symbols = inputs[chosen], cells[chosen], symbols[chosen]
    origin = torch.from_numpy(numbers_of(default)).float()
    weights = torch.from_numpy(numbers_of(network)).float().requires_grad_()
    optimiser = torch.optim.Adam([weights], lr=_RATE, betas=(0.9, 0.98))
    size = min(_BATCH, len(symbols))
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = _RATE * 0.5 * (1 + cos(pi * step / steps))
        rows_now = torch.randint(len(symbols), (size,), generator=generator)
        hard = weights + (weights.round() - weights).detach()
        octaves = _octaves(hard, inputs[rows_now].float(), cells[rows_now].long())
        bits = code_length(symbols[rows_now].float(), octaves).mean() * total
        difference = hard - origin
        spread = difference.detach().abs().mean().clamp_min(0.05)
        own = (difference.abs() / spread).sum() / log(2) + len(weights) * torch.log2(2 * spread)
        loss = (bits + own) / total
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        with torch.no_grad():
            weights.clamp_(-WEIGHT_LIMIT, WEIGHT_LIMIT)
    fitted = weights.detach().round()
    candidates = [fitted, torch.from_numpy(numbers_of(network)).float(), origin]
    least = min(
        candidates, key=lambda numbers: _total(numbers, origin, inputs, cells, symbols, total)
    )
    return network_of(least.numpy().astype(np.int32), *network.biases.shape)


@torch.no_grad()
def _total(
    numbers: Tensor, origin: Tensor, inputs: Tensor, cells: Tensor, symbols: Tensor, total: int
) -> float:
    """Bits of symbols and of weights."""
    bits = 0.0
    for start in range(0, len(symbols), 1 << 18):
        part = slice(start, start + (1 << 18))
        octaves = _octaves(numbers, inputs[part].float(), cells[part].long())
        bits += float(code_length(symbols[part].float(), octaves).sum())
    difference = (numbers - origin).abs()
    spread = float(difference.mean())
    own = len(numbers) * max(np.log2(max(2 * spread, 1e-3)) + 1.44, 0.02) if spread else 0.0
    return bits * total / len(symbols) + own


def _octaves(weights: Tensor, inputs: Tensor, cells: Tensor) -> Tensor:
    """What `ContextNetwork.scales` computes, without rounding: base-2 logarithms of scales."""
    ends = [INPUTS * HIDDEN, INPUTS, HIDDEN]
    ends.append(len(weights) - sum(ends))
    hidden, linear, output, biases = torch.split(weights, ends)
    # Rounding down takes off a half on average.
    first = (inputs @ hidden.view(INPUTS, HIDDEN) / 32 - 0.5).clamp(0, 255)
    total = inputs @ linear + first @ output + 16 * biases[cells]
    index = total / 128 - 0.5
    # A little of the gradient passes beyond the ends, so that nothing gets stuck there.
    limited = index.clamp(0, 63)
    return (limited + 0.02 * (index - limited)) / 4 - 4
