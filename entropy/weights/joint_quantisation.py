"""Joint quantisation of the tensors of a small network: all tensors in one sequence of calls.

In a network of some thousand values the calls take longer than the arithmetic. Here all tensors
together need as many calls as one tensor needs in `nvcodec.entropy.weights.quantisation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from nvcodec.entropy.coder.distributions import bits, fitted_scale
from nvcodec.entropy.coder.probability_tables import DistributionFamily
from nvcodec.entropy.weights.coding_plan import HEADER_BITS, SIDE_BITS, table_count, table_numbers
from nvcodec.entropy.weights.quantisation import (
    StateQuantiser,
    TensorQuantiser,
    quantise,
    step_indices,
    step_sizes,
)
from nvcodec.entropy.weights.tensor_codec import QuantisedTensor
from nvcodec.media import Int64Array
from nvcodec.models.base.tensor_spec import TensorSpec

# Rate models of a tensor: distribution family and sharing rule.
_MODELS = tuple(product((DistributionFamily.LAPLACE, DistributionFamily.LOGISTIC), range(3)))


class JointQuantiser(nn.Module):
    """Quantises all tensors of a network without latents, like `StateQuantiser`.

    Args:
        specs: The network's tensors, channels first.
        tensors: Their values when quantisation begins.
        fineness: Root mean square of a weight in steps at the start; biases begin four times as
            fine.

    Attributes:
        log2_step: Learned base-2 logarithms of the steps of all tensors, shape (steps,).
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
        separate = StateQuantiser(specs, tensors, fineness).quantisers
        quantisers = [cast(TensorQuantiser, quantiser) for quantiser in separate]
        self.log2_step = nn.Parameter(
            torch.cat([quantiser.log2_step.detach() for quantiser in quantisers])
        )
        self._shapes = [spec.shape for spec in specs]
        self._sizes = [spec.size for spec in specs]
        self._steps = [quantiser.steps for quantiser in quantisers]
        # The table of every value under each sharing rule; tables of all rules are numbered in one
        # sequence.
        rules = [
            _number_values(specs, [table_numbers(spec, rule) for spec in specs])
            for rule in range(3)
        ]
        counts = torch.tensor([[table_count(spec, rule) for spec in specs] for rule in range(3)])
        first_tables = counts.sum(1).cumsum(0) - counts.sum(1)
        tables = torch.stack(rules) + first_tables[:, None]
        for name, buffer in {
            "_tensor_of": _number_values(specs, [table_numbers(spec, 0) for spec in specs]),
            "_step_of": _number_values(
                specs, [quantiser.step_of.cpu().numpy() for quantiser in quantisers]
            ),
            "_tables_of": tables,
            "_table_sizes": torch.bincount(tables.flatten()),
            "_overheads": HEADER_BITS + SIDE_BITS * (counts + torch.tensor(self._steps)),
            "_overhead": torch.zeros(()),
            "_table_of": tables[0],
            "_logistic": torch.zeros_like(tables[0], dtype=torch.bool),
        }.items():
            self.register_buffer(name, buffer, persistent=False)
        self._choose(torch.full((len(specs),), _MODELS.index((DistributionFamily.LAPLACE, 1))))

    def forward(self, tensors: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Quantise every tensor.

        Args:
            tensors: One for each spec.

        Returns:
            The quantised values, and the estimated size of all symbols in bits.
        """
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        (values,), (size,) = quantise_batch([self], flat[None], self.log2_step[None])
        parts = torch.split(values, self._sizes)
        return [part.view(shape) for part, shape in zip(parts, self._shapes, strict=True)], size

    @torch.no_grad()
    def scale_steps(self, octaves: float) -> None:
        """Scale all steps by the same number of octaves."""
        self.log2_step.add_(octaves)

    @torch.no_grad()
    def choose_rate_models(self, tensors: Sequence[Tensor]) -> None:
        """Choose the rate model of every tensor for its present symbols."""
        _, symbols = self._quantised(tensors)
        costs = self._overheads.repeat(2, 1)
        for cost, (family, rule) in zip(costs, _MODELS, strict=True):
            cost.index_add_(0, self._tensor_of, self._bits(symbols, self._tables_of[rule], family))
        self._choose(costs.argmin(0))

    @torch.no_grad()
    def export(self, tensors: Sequence[Tensor]) -> list[QuantisedTensor]:
        """Return what the stream will hold of every tensor."""
        _, symbols = self._quantised(tensors)
        indices = step_indices(self.log2_step)
        parts = torch.split(symbols.round().to(torch.int32).cpu(), self._sizes)
        steps = torch.split(indices.round().to(torch.int32).cpu(), self._steps)
        return [
            QuantisedTensor(part.view(shape).numpy(), step.numpy())
            for part, shape, step in zip(parts, self._shapes, steps, strict=True)
        ]

    def _quantised(self, tensors: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Quantise every tensor; return the values and their symbols, shape (values,) each."""
        values = torch.cat([tensor.flatten() for tensor in tensors])
        return quantise(values, step_sizes(step_indices(self.log2_step))[self._step_of])

    def _bits(self, symbols: Tensor, table_of: Tensor, family: DistributionFamily) -> Tensor:
        """Return the bits of every symbol, with the scale of each table fitted to its symbols.

        Args:
            symbols: Shape (values,), or (N, values) for N networks.
            table_of: Table of each symbol, same shape.
            family: Distribution family of all tables.
        """
        table_index, magnitudes = self._mean_magnitudes(symbols, table_of)
        return bits(symbols, fitted_scale(magnitudes, family).flatten()[table_index], family)

    def _mean_magnitudes(self, symbols: Tensor, table_of: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean magnitude of the symbols of each table.

        Args:
            symbols: Shape (values,), or (N, values) for N networks.
            table_of: Table of each symbol, same shape.

        Returns:
            The table of each symbol, numbered over all networks, in the shape of the symbols; and
            the means, shape (N, tables).
        """
        count = len(self._table_sizes)
        networks = torch.arange(symbols.numel() // symbols.shape[-1], device=symbols.device)
        table_index = table_of + (networks * count).view(*symbols.shape[:-1], 1)
        total = torch.zeros(len(networks) * count, device=symbols.device)
        total.index_add_(0, table_index.flatten(), symbols.detach().abs().flatten())
        return table_index, total.view(-1, count) / self._table_sizes

    def _choose(self, model_of: Tensor) -> None:
        """Set the rate model of every tensor.

        Args:
            model_of: Index in `_MODELS` for every tensor, shape (tensors,).
        """
        rule_of = model_of % 3
        self._overhead = self._overheads.gather(0, rule_of[None]).sum()
        self._table_of = self._tables_of.gather(0, rule_of[self._tensor_of][None])[0]
        self._logistic = (model_of >= 3)[self._tensor_of]
        self._any_logistic = bool(self._logistic.any())


def quantise_batch(
    quantisers: Sequence[JointQuantiser], values: Tensor, log2_steps: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """Quantise networks whose tensors have the same shapes, each as if it were alone.

    Args:
        quantisers: The quantiser of each of the N networks.
        values: Values of all tensors of each network, shape (N, values).
        log2_steps: Logarithms of the steps of each quantiser, shape (N, steps).

    Returns:
        Quantised values, shape (N, values), and the estimated size of each network in bits.
    """
    first = quantisers[0]
    # Some operations are done network by network, and so is what depends on them: torch rounds
    # powers of two and sigmoids by their place in a tensor, and sums by what else is summed. The
    # backward pass of `index_select` sums in a fixed order; that of plain indexing lets threads race.
    step_rows = [
        step_sizes(row).index_select(0, first._step_of) for row in step_indices(log2_steps)
    ]
    quantised, symbols = quantise(values, torch.stack(step_rows))
    tables = torch.stack([quantiser._table_of for quantiser in quantisers])
    table_index, magnitudes = first._mean_magnitudes(symbols, tables)
    scales = fitted_scale(magnitudes, DistributionFamily.LAPLACE).flatten()[table_index]
    laplace = bits(symbols, scales, DistributionFamily.LAPLACE)
    sizes = []
    for quantiser, network_symbols, network_bits, magnitude in zip(
        quantisers, symbols, laplace, magnitudes, strict=True
    ):
        if quantiser._any_logistic:
            scale = fitted_scale(magnitude, DistributionFamily.LOGISTIC)[quantiser._table_of]
            logistic = bits(network_symbols, scale, DistributionFamily.LOGISTIC)
            network_bits = torch.where(quantiser._logistic, logistic, network_bits)
        sizes.append(network_bits.sum() + quantiser._overhead)
    return quantised, sizes


def _number_values(specs: Sequence[TensorSpec], channel_numbers: Sequence[Int64Array]) -> Tensor:
    """Return a number for every value of a list of tensors, from the numbers of their channels.

    Args:
        specs: The tensors, channels first.
        channel_numbers: Number of every channel of each tensor, from 0.

    Returns:
        Numbers that continue from tensor to tensor, shape (values,).
    """
    parts, first = [], 0
    for spec, numbers in zip(specs, channel_numbers, strict=True):
        parts.append(np.repeat(numbers + first, spec.size // spec.shape[0]))
        first += int(numbers.max()) + 1
    return torch.from_numpy(np.concatenate(parts))
