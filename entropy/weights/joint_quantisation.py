"""Quantisation of small networks: what `quantisation` does tensor by tensor, for all in one go.

Of a network of some thousand values the calls cost more than the arithmetic. Here all tensors
together take as many as one takes there.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from nvcodec.entropy.coder.distributions import bits, fitted_scale
from nvcodec.entropy.coder.probability_tables import Family
from nvcodec.entropy.weights.coding_plan import HEADER_BITS, SIDE_BITS, table_numbers, tables_of
from nvcodec.entropy.weights.quantisation import (
    StateQuantiser,
    TensorQuantiser,
    quantised,
    step_indices,
    steps_of,
)
from nvcodec.entropy.weights.tensor_codec import QuantisedTensor
from nvcodec.media import Int64Array
from nvcodec.models.base.tensor_spec import TensorSpec

# How the size of a tensor may be estimated: family and sharing.
_MODELS = tuple(product((Family.LAPLACE, Family.LOGISTIC), range(3)))


class JointQuantiser(nn.Module):
    """The quantiser of all tensors of a network without latents; see `StateQuantiser`.

    Args:
        specs: The network's tensors, channels first.
        tensors: Their values when quantisation begins.
        fineness: As for `StateQuantiser`.
    """

    _tensor_of: Tensor
    _step_of: Tensor
    _tables_of: Tensor
    _table_sizes: Tensor
    _overheads: Tensor
    _overhead: Tensor
    _table_of: Tensor
    _logistic: Tensor

    def __init__(
        self, specs: Sequence[TensorSpec], tensors: Sequence[Tensor], fineness: float
    ) -> None:
        super().__init__()
        if any(spec.latent or spec.channel_axis for spec in specs):
            raise AssertionError("latents are quantised tensor by tensor")
        made = StateQuantiser(specs, tensors, fineness).quantisers
        alone = [cast(TensorQuantiser, one) for one in made]
        self.log2_step = nn.Parameter(torch.cat([one.log2_step.detach() for one in alone]))
        self._shapes = [spec.shape for spec in specs]
        self._sizes = [spec.size for spec in specs]
        self._steps = [one.steps for one in alone]
        # The tensor of every value, its step, and by sharing rule its table: numbered throughout.
        rules = [_numbered(specs, [table_numbers(one, rule) for one in specs]) for rule in range(3)]
        counts = torch.tensor([[tables_of(one, rule) for one in specs] for rule in range(3)])
        firsts = counts.sum(1).cumsum(0) - counts.sum(1)
        tables = torch.stack(rules) + firsts[:, None]
        for name, buffer in {
            "_tensor_of": _numbered(specs, [table_numbers(spec, 0) for spec in specs]),
            "_step_of": _numbered(specs, [one.step_of.cpu().numpy() for one in alone]),
            "_tables_of": tables,
            "_table_sizes": torch.bincount(tables.flatten()),
            "_overheads": HEADER_BITS + SIDE_BITS * (counts + torch.tensor(self._steps)),
            "_overhead": torch.zeros(()),
            "_table_of": tables[0],
            "_logistic": torch.zeros_like(tables[0], dtype=torch.bool),
        }.items():
            self.register_buffer(name, buffer, persistent=False)
        self._choose(torch.full((len(specs),), _MODELS.index((Family.LAPLACE, 1))))

    def forward(self, tensors: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Quantise every tensor; see `StateQuantiser`."""
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        (made,), (size,) = quantise_batch([self], flat[None], self.log2_step[None])
        parts = torch.split(made, self._sizes)
        return [one.view(shape) for one, shape in zip(parts, self._shapes, strict=True)], size

    @torch.no_grad()
    def scale_steps(self, octaves: float) -> None:
        """Scale all steps alike."""
        self.log2_step.add_(octaves)

    @torch.no_grad()
    def choose_rate_models(self, tensors: Sequence[Tensor]) -> None:
        """Adapt every tensor's rate model to its present symbols."""
        _, symbols = self._quantised(tensors)
        costs = self._overheads.repeat(2, 1)
        for cost, (family, rule) in zip(costs, _MODELS, strict=True):
            cost.index_add_(0, self._tensor_of, self._bits(symbols, self._tables_of[rule], family))
        self._choose(costs.argmin(0))

    @torch.no_grad()
    def export(self, tensors: Sequence[Tensor]) -> list[QuantisedTensor]:
        """What the stream will hold of every tensor."""
        _, symbols = self._quantised(tensors)
        indices = step_indices(self.log2_step)
        parts = torch.split(symbols.round().to(torch.int32).cpu(), self._sizes)
        steps = torch.split(indices.round().to(torch.int32).cpu(), self._steps)
        return [
            QuantisedTensor(part.view(shape).numpy(), step.numpy())
            for part, shape, step in zip(parts, self._shapes, steps, strict=True)
        ]

    def _quantised(self, tensors: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        values = torch.cat([tensor.flatten() for tensor in tensors])
        return quantised(values, steps_of(step_indices(self.log2_step))[self._step_of])

    def _bits(self, symbols: Tensor, table_of: Tensor, family: Family) -> Tensor:
        """Bits of every symbol, its table's scale fitted to all symbols of that table.

        Args:
            symbols: Shape (values,), or (N, values) of as many networks.
            table_of: Same shape.
            family: Of all tables.
        """
        place, magnitudes = self._magnitudes(symbols, table_of)
        return bits(symbols, fitted_scale(magnitudes, family).flatten()[place], family)

    def _magnitudes(self, symbols: Tensor, table_of: Tensor) -> tuple[Tensor, Tensor]:
        """Mean absolute value of the symbols of each table.

        Args:
            symbols: Shape (values,), or (N, values) of as many networks.
            table_of: Same shape.

        Returns:
            The number of each symbol's table, counted over all networks, in the shape of the
            symbols; and the means, shape (N, tables).
        """
        count = len(self._table_sizes)
        networks = torch.arange(symbols.numel() // symbols.shape[-1], device=symbols.device)
        place = table_of + (networks * count).view(*symbols.shape[:-1], 1)
        total = torch.zeros(len(networks) * count, device=symbols.device)
        total.index_add_(0, place.flatten(), symbols.detach().abs().flatten())
        return place, total.view(-1, count) / self._table_sizes

    def _choose(self, model_of: Tensor) -> None:
        """Estimate by these models, a number in `_MODELS` for every tensor."""
        rule_of = model_of % 3
        self._overhead = self._overheads.gather(0, rule_of[None]).sum()
        self._table_of = self._tables_of.gather(0, rule_of[self._tensor_of][None])[0]
        self._logistic = (model_of >= 3)[self._tensor_of]
        self._any_logistic = bool(self._logistic.any())


def quantise_batch(
    quantisers: Sequence[JointQuantiser], values: Tensor, log2_steps: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """Quantise networks whose tensors are of the same shapes, each as if it were alone.

    Args:
        quantisers: Of each.
        values: Of all tensors of each, shape (N, values).
        log2_steps: Those of the quantisers, shape (N, steps).

    Returns:
        Quantised values, shape (N, values), and the estimated size of each network in bits.
    """
    first = quantisers[0]
    # Powers of two and sigmoids, which torch rounds by where in a tensor they stand, and sums, by
    # what else is summed, are made network by network. So is what hangs on them. `index_select`,
    # because its backward pass sums in a fixed order; that of plain indexing lets threads race.
    of_values = [steps_of(row).index_select(0, first._step_of) for row in step_indices(log2_steps)]
    made, symbols = quantised(values, torch.stack(of_values))
    tables = torch.stack([one._table_of for one in quantisers])
    place, magnitudes = first._magnitudes(symbols, tables)
    scales = fitted_scale(magnitudes, Family.LAPLACE).flatten()[place]
    laplace = bits(symbols, scales, Family.LAPLACE)
    sizes = []
    for quantiser, own, some, magnitude in zip(
        quantisers, symbols, laplace, magnitudes, strict=True
    ):
        if quantiser._any_logistic:
            scale = fitted_scale(magnitude, Family.LOGISTIC)[quantiser._table_of]
            some = torch.where(quantiser._logistic, bits(own, scale, Family.LOGISTIC), some)
        sizes.append(some.sum() + quantiser._overhead)
    return made, sizes


def _numbered(specs: Sequence[TensorSpec], of_channels: Sequence[Int64Array]) -> Tensor:
    """What every value of a list of tensors belongs to, from the numbers of their channels.

    Args:
        specs: The tensors, channels first.
        of_channels: For each of them the number of every channel, from 0 on.

    Returns:
        Numbers that go on from tensor to tensor, shape (values,).
    """
    parts, first = [], 0
    for spec, numbers in zip(specs, of_channels, strict=True):
        parts.append(np.repeat(numbers + first, spec.size // spec.shape[0]))
        first += int(numbers.max()) + 1
    return torch.from_numpy(np.concatenate(parts))
