"""Uniform quantisation with step sizes on a logarithmic scale, and its differentiable form.

The values of a tensor are integers times a step. Steps lie an eighth of an octave apart, so that a
step costs one small integer in the stream and is the same float32 everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from nvcodec.entropy.coder.distributions import bits, fitted_scale
from nvcodec.entropy.coder.probability_tables import LARGEST_SYMBOL, DistributionFamily
from nvcodec.entropy.weights.coding_plan import HEADER_BITS, SIDE_BITS, table_count, table_numbers
from nvcodec.entropy.weights.tensor_codec import QuantisedTensor
from nvcodec.media import Int32Array
from nvcodec.models.base.tensor_spec import TensorSpec

STEPS = 256
_STEPS_PER_OCTAVE = 8
_MIN_EXPONENT = -20  # the finest step is 2**-20
# 2**23 * 2**(i / 8), rounded: the steps' mantissas. Part of the bitstream.
_MANTISSAS = (8388608, 9147842, 9975792, 10878679, 11863283, 12937002, 14107901, 15384775)


def step_values(indices: Int32Array) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return steps as float32, exactly `mantissa * 2**(index // 8 - 43)`.

    Args:
        indices: Step indices, 0 to 255, any shape.
    """
    mantissas = np.array(_MANTISSAS, np.float32)[indices % _STEPS_PER_OCTAVE]
    return np.ldexp(mantissas, indices // _STEPS_PER_OCTAVE + _MIN_EXPONENT - 23).astype(np.float32)


def dequantise(tensor: QuantisedTensor, spec: TensorSpec) -> Tensor:
    """Return symbols times steps, in float32.

    Args:
        tensor: Symbols and step indices.
        spec: The tensor's shape and channel axis.

    Returns:
        Shape of the spec, float32; bit for bit the same on every machine.
    """
    channels = spec.shape[spec.channel_axis]
    sharing = [table_count(spec, rule) for rule in range(3)].index(len(tensor.steps))
    steps = step_values(tensor.steps[table_numbers(spec, sharing)])
    shape = [1] * len(spec.shape)
    shape[spec.channel_axis] = channels
    values = tensor.symbols.astype(np.float32) * steps.reshape(shape)
    return torch.from_numpy(np.ascontiguousarray(values))


class _Round(torch.autograd.Function):
    """Rounding to nearest with an unchanged gradient."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        return gradient


def round_ste(x: Tensor) -> Tensor:
    """Round to the nearest integer with a straight-through gradient."""
    rounded: Tensor = _Round.apply(x)  # type: ignore[no-untyped-call]
    return rounded


def step_indices(log2_step: Tensor) -> Tensor:
    """Return the step indices that learned steps round to, as float, differentiable; any shape."""
    return round_ste((log2_step - _MIN_EXPONENT) * _STEPS_PER_OCTAVE).clamp(0, STEPS - 1)


def step_sizes(indices: Tensor) -> Tensor:
    """Return the steps of step indices, as float, differentiable; any shape."""
    return torch.exp2(indices / _STEPS_PER_OCTAVE + _MIN_EXPONENT)


def quantise(values: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    """Quantise values with steps.

    Args:
        values: Any shape.
        step: The step of each value, in a shape that broadcasts to that of the values.

    Returns:
        The quantised values and their symbols (integers, as float), both of the shape of the
        values, differentiable in values and steps.
    """
    symbols = round_ste(values / step).clamp(-LARGEST_SYMBOL, LARGEST_SYMBOL)
    return symbols * step, symbols


class RateModel(NamedTuple):
    """The rate model of a tensor: how its size is estimated.

    Attributes:
        family: Laplace or logistic.
        sharing: Channels per probability table: 0 all, 1 the spec's groups, 2 one.
        differences: Whether differences to the previous frame are coded.
    """

    family: DistributionFamily
    sharing: int
    differences: bool


class TensorQuantiser(nn.Module):
    """Quantises one tensor with learned steps.

    Args:
        spec: The tensor.
        values: Its values when quantisation begins, which determine the first steps.
        fineness: Root mean square of a channel's values in steps, at the start.
        sharing: Channels per step: 0 all, 1 the spec's groups, 2 one.

    Attributes:
        spec: The tensor.
        shape: Shape in which a value per channel broadcasts to the tensor.
        step_of: Index of the step of each channel.
        steps: Number of steps.
        log2_step: Learned base-2 logarithms of the steps, shape (steps,).
        rate_model: How the size is estimated.
    """

    def __init__(self, spec: TensorSpec, values: Tensor, fineness: float, sharing: int) -> None:
        super().__init__()
        self.spec = spec
        channels = spec.shape[spec.channel_axis]
        self.shape = [
            channels if axis == spec.channel_axis else 1 for axis in range(len(spec.shape))
        ]
        self.step_of: Tensor
        self.register_buffer("step_of", torch.from_numpy(table_numbers(spec, sharing)), False)
        self.steps = table_count(spec, sharing)
        energy = self._means(values.detach().square(), self.step_of, self.steps)
        # A channel of zeros still needs a step: that of the quietest channel with other values.
        quietest = energy[energy > 0].min() if bool((energy > 0).any()) else torch.ones(())
        rms = torch.where(energy > 0, energy, quietest).sqrt()
        self.log2_step = nn.Parameter(torch.log2(rms / fineness))
        self.rate_model = RateModel(DistributionFamily.LAPLACE, 1, spec.latent)

    def indices(self) -> Tensor:
        """Return the step indices that the learned steps round to, as float, differentiable.

        Returns:
            Shape (steps,), 0 to 255.
        """
        return step_indices(self.log2_step)

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Quantise values.

        Args:
            values: Shape of the spec.

        Returns:
            The quantised values, and their symbols (integers, as float); both differentiable in the
            values and the steps.
        """
        return quantise(values, step_sizes(self.indices())[self.step_of.view(self.shape)])

    def bits(self, symbols: Tensor) -> Tensor:
        """Estimate the size of symbols under the current rate model.

        Args:
            symbols: Symbols from `forward`.

        Returns:
            Bits, side information included, a scalar, differentiable in the symbols.
        """
        return self._bits(symbols, self.rate_model)

    @torch.no_grad()
    def choose_rate_model(self, symbols: Tensor) -> None:
        """Choose the rate model of lowest estimated size among those that the encoder may choose.

        Args:
            symbols: Symbols from `forward`.
        """
        models = [
            RateModel(family, sharing, differences)
            for family in (DistributionFamily.LAPLACE, DistributionFamily.LOGISTIC)
            for sharing in range(3)
            for differences in ((False, True) if self.spec.latent else (False,))
        ]
        self.rate_model = min(models, key=lambda model: float(self._bits(symbols, model)))

    def _bits(self, symbols: Tensor, model: RateModel) -> Tensor:
        """Estimate the size of symbols under a rate model, in bits."""
        if model.differences:
            first = symbols[:1]
            # The encoder may subtract a location from each channel.
            channels = first.detach().movedim(self.spec.channel_axis, 0).flatten(1)
            location = channels.median(dim=1).values.view(self.shape)
            symbols = torch.cat([first - location, symbols[1:] - symbols[:-1]])
        tables = table_count(self.spec, model.sharing)
        table_of = torch.from_numpy(table_numbers(self.spec, model.sharing)).to(symbols.device)
        magnitude = self._means(symbols.detach().abs(), table_of, tables)
        scale = fitted_scale(magnitude, model.family)[table_of].view(self.shape)
        overhead = HEADER_BITS + SIDE_BITS * (tables + self.steps)
        return bits(symbols, scale, model.family).sum() + overhead

    @torch.no_grad()
    def export(self, values: Tensor) -> QuantisedTensor:
        """Return the symbols and step indices that the stream will hold.

        Args:
            values: Shape of the spec.
        """
        _, symbols = self(values)
        return QuantisedTensor(
            symbols.round().to(torch.int32).cpu().numpy(),
            self.indices().round().to(torch.int32).cpu().numpy(),
        )

    def _means(self, values: Tensor, group_of: Tensor, count: int) -> Tensor:
        """Return means over the channels of each group.

        Args:
            values: Shape of the spec.
            group_of: Group of each channel, shape (channels,).
            count: Number of groups.

        Returns:
            Shape (count,).
        """
        axes = [axis for axis in range(values.dim()) if axis != self.spec.channel_axis]
        per_channel = values.mean(axes) if axes else values
        total = torch.zeros(count, device=values.device).index_add_(0, group_of, per_channel)
        return total / torch.bincount(group_of, minlength=count)


class StateQuantiser(nn.Module):
    """Quantises all tensors of a model, each with steps of its own.

    Args:
        specs: The model's tensors.
        tensors: Their values when quantisation begins.
        fineness: Root mean square of a weight in steps at the start. Biases and latents, which are
            few and sensitive, begin four times as fine.
    """

    def __init__(
        self, specs: Sequence[TensorSpec], tensors: Sequence[Tensor], fineness: float
    ) -> None:
        super().__init__()
        self.quantisers = nn.ModuleList()
        for spec, tensor in zip(specs, tensors, strict=True):
            is_weight = not spec.latent and len(spec.shape) > 1
            tensor_fineness = spec.fineness * fineness if is_weight else 4 * fineness
            self.quantisers.append(
                TensorQuantiser(spec, tensor, tensor_fineness, 1 if is_weight else 0)
            )

    def forward(self, tensors: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Quantise every tensor.

        Args:
            tensors: One for each spec.

        Returns:
            The quantised values, and the estimated size of all symbols in bits.
        """
        values, sizes = [], []
        for quantiser, tensor in zip(self.quantisers, tensors, strict=True):
            quantised, symbols = quantiser(tensor)
            values.append(quantised)
            sizes.append(cast(TensorQuantiser, quantiser).bits(symbols))
        return values, torch.stack(sizes).sum()

    @torch.no_grad()
    def scale_steps(self, octaves: float) -> None:
        """Scale all steps by the same number of octaves."""
        for quantiser in self.quantisers:
            cast(TensorQuantiser, quantiser).log2_step.add_(octaves)

    def choose_rate_models(self, tensors: Sequence[Tensor]) -> None:
        """Choose the rate model of every tensor for its present symbols."""
        for quantiser, tensor in zip(self.quantisers, tensors, strict=True):
            cast(TensorQuantiser, quantiser).choose_rate_model(quantiser(tensor)[1])

    def export(self, tensors: Sequence[Tensor]) -> list[QuantisedTensor]:
        """Return what the stream will hold of every tensor."""
        return [
            cast(TensorQuantiser, quantiser).export(tensor)
            for quantiser, tensor in zip(self.quantisers, tensors, strict=True)
        ]
