"""Coding plans of tensors: the choices of an encoder, and the search for the cheapest ones.

A tensor of symbols is seen as channels x values. Probability tables may be shared by all channels
or by groups of channels, or each channel has its own. Latents may be coded as differences in time
and relative to a location per channel. The encoder estimates the cost of all of these and keeps the
cheapest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from nvcodec.entropy.coder.probability_tables import (
    LARGEST_SYMBOL,
    TOTAL,
    DistributionFamily,
    cumulative,
    frequencies,
    from_masses,
    histogram,
)
from nvcodec.media import Int32Array
from nvcodec.models.base.tensor_spec import TensorSpec

# Approximate bits of one integer of side information, measured on fitted networks.
SIDE_BITS = 3.0
# Approximate bits of the plain header of a tensor.
HEADER_BITS = 72.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CodingPlan:
    """The coding choices for one tensor: with its symbols, everything the stream holds of it.

    Attributes:
        family: Distribution family.
        sharing: Channels per probability table: 0 all, 1 the spec's groups, 2 one.
        differences: Whether values are differences to the previous frame (latents only).
        low: Smallest coded value.
        high: Largest coded value.
        parameters: Scale index of each table; for a histogram, an exponent of each value.
        locations: Integer that is subtracted from each channel's values; empty for none.
    """

    family: DistributionFamily
    sharing: int
    differences: bool
    low: int
    high: int
    parameters: Int32Array
    locations: Int32Array


def table_count(spec: TensorSpec, sharing: int) -> int:
    """Return the number of tables of a tensor under a sharing rule, 0 to 2."""
    channels = spec.shape[spec.channel_axis]
    return (1, -(-channels // spec.group), channels)[sharing]


def to_channels(symbols: Int32Array, spec: TensorSpec) -> Int32Array:
    """Move the channel axis to the front and flatten the rest: (channels, values)."""
    channels_first = np.moveaxis(symbols, spec.channel_axis, 0)
    return np.ascontiguousarray(channels_first).reshape(channels_first.shape[0], -1)


def from_channels(rows: Int32Array, spec: TensorSpec) -> Int32Array:
    """Return rows of shape (channels, values) as a tensor, the inverse of `to_channels`."""
    shape = list(spec.shape)
    channels = shape.pop(spec.channel_axis)
    return np.moveaxis(rows.reshape(channels, *shape), 0, spec.channel_axis)


def residuals(symbols: Int32Array, spec: TensorSpec, plan: CodingPlan) -> Int32Array:
    """Return the values that are coded, shape (channels, values)."""
    rows = to_channels(symbols, spec)
    if plan.locations.size:
        rows = rows - plan.locations[:, None]
    return _time_differences(rows, spec) if plan.differences else rows


def restore(rows: Int32Array, spec: TensorSpec, plan: CodingPlan) -> Int32Array:
    """Return the symbols of coded values, the inverse of `residuals`.

    Sums wrap silently at 32 bits, which no valid stream reaches.
    """
    if plan.differences:
        frames = rows.reshape(rows.shape[0], spec.shape[0], -1)
        rows = np.cumsum(frames, axis=1, dtype=np.int32).reshape(rows.shape)
    if plan.locations.size:
        rows = rows + plan.locations[:, None]
    return from_channels(rows, spec)


def _time_differences(rows: Int32Array, spec: TensorSpec) -> Int32Array:
    """Return differences to the previous frame, shape (channels, values)."""
    frames = rows.reshape(rows.shape[0], spec.shape[0], -1)
    return np.diff(frames, axis=1, prepend=np.int32(0)).reshape(rows.shape)


def table_numbers(spec: TensorSpec, sharing: int) -> npt.NDArray[np.int64]:
    """Return the number of each channel's table, from 0, shape (channels,)."""
    channels = spec.shape[spec.channel_axis]
    return np.arange(channels) // (channels, spec.group, 1)[sharing]


def plan_tables(plan: CodingPlan) -> list[tuple[int, ...]]:
    """Return the cumulative frequencies of a plan's tables."""
    if plan.family is DistributionFamily.HISTOGRAM:
        return [histogram(plan.parameters.tolist())]
    return [cumulative(plan.family, int(index), plan.low, plan.high) for index in plan.parameters]


def cheapest_plan(symbols: Int32Array, spec: TensorSpec) -> CodingPlan:
    """Choose how to code a tensor.

    Args:
        symbols: Integers of the spec's shape; the coded values must stay within +-2047.
        spec: The tensor.

    Returns:
        The plan of lowest estimated cost, side information included.

    Raises:
        ValueError: If the symbols exceed that range.
    """
    best: tuple[float, CodingPlan] | None = None
    for candidate in _representations(symbols, spec):
        rows = residuals(symbols, spec, candidate)
        low, high = int(rows.min()), int(rows.max())
        if max(-low, high) > LARGEST_SYMBOL:
            continue
        counts = _counts(rows - low, high - low + 1)
        for cost, plan in _distributions(counts, spec, candidate, low, high):
            if best is None or cost < best[0]:
                best = cost, plan
    if best is None:
        raise ValueError(f"{spec.name}: symbols exceed +-{LARGEST_SYMBOL}")
    return best[1]


def _representations(symbols: Int32Array, spec: TensorSpec) -> Iterator[CodingPlan]:
    """Yield plans for plain values, and for latents also differences in time and locations."""
    empty = np.empty(0, np.int32)
    plain = CodingPlan(
        family=DistributionFamily.LAPLACE,
        sharing=0,
        differences=False,
        low=0,
        high=0,
        parameters=empty,
        locations=empty,
    )
    yield plain
    if spec.latent:
        rows = to_channels(symbols, spec)
        medians = np.rint(np.median(rows, axis=1)).astype(np.int32)
        first_frame = rows.reshape(len(rows), spec.shape[0], -1)[:, 0]
        first_medians = np.rint(np.median(first_frame, axis=1)).astype(np.int32)
        yield replace(plain, differences=True)
        # Locations are coded as differences, which have the range of symbols.
        if np.abs(np.diff(medians)).max(initial=0) <= LARGEST_SYMBOL:
            yield replace(plain, locations=medians)
        if np.abs(np.diff(first_medians)).max(initial=0) <= LARGEST_SYMBOL:
            yield replace(plain, differences=True, locations=first_medians)


def _distributions(
    counts: npt.NDArray[np.int64], spec: TensorSpec, representation: CodingPlan, low: int, high: int
) -> Iterator[tuple[float, CodingPlan]]:
    """Yield cost in bits and plan for each family and sharing rule.

    Args:
        counts: Number of times that each channel has each value, shape (channels, high - low + 1).
        spec: The tensor.
        representation: Plan that says which values are coded.
        low: Smallest coded value.
        high: Largest coded value.
    """
    side_bits = SIDE_BITS * representation.locations.size

    def plan(family: DistributionFamily, sharing: int, parameters: Int32Array) -> CodingPlan:
        return replace(
            representation,
            family=family,
            sharing=sharing,
            low=low,
            high=high,
            parameters=parameters,
        )

    if low == high:
        yield side_bits, plan(DistributionFamily.LAPLACE, 0, np.empty(0, np.int32))
        return
    total_counts = counts.sum(axis=0)
    exponents = _exponents(total_counts)
    bits = _bits(histogram(exponents.tolist()))
    yield (
        side_bits + 6.0 * len(exponents) + float(total_counts @ bits),
        plan(DistributionFamily.HISTOGRAM, 0, exponents),
    )
    for family in (DistributionFamily.LAPLACE, DistributionFamily.LOGISTIC):
        costs = _costs(family, low, high)
        table_counts: set[int] = set()
        for sharing in range(3):
            tables = table_count(spec, sharing)
            if tables in table_counts:
                continue
            table_counts.add(tables)
            first_channels = np.searchsorted(table_numbers(spec, sharing), np.arange(tables))
            table_costs = np.add.reduceat(counts, first_channels).astype(np.float64) @ costs
            scales = table_costs.argmin(axis=1).astype(np.int32)
            cost = side_bits + SIDE_BITS * tables + float(table_costs.min(axis=1).sum())
            yield cost, plan(family, sharing, scales)


def _counts(rows: Int32Array, width: int) -> npt.NDArray[np.int64]:
    """Count how often each row has each value from 0 to below `width`, shape (rows, width)."""
    places = rows + width * np.arange(len(rows), dtype=np.int64)[:, None]
    return np.bincount(places.ravel(), minlength=len(rows) * width).reshape(-1, width)


def _bits(bounds: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Return the code length of each symbol of a table, in bits."""
    bits: npt.NDArray[np.float64] = np.log2(TOTAL) - np.log2(np.diff(bounds))
    return bits


@lru_cache(maxsize=256)
def _costs(family: DistributionFamily, low: int, high: int) -> npt.NDArray[np.float64]:
    """Return the code lengths of `low` to `high` at every scale, in bits: (symbols, SCALES)."""
    costs: npt.NDArray[np.float64] = np.log2(TOTAL) - np.log2(frequencies(family, low, high))
    return np.ascontiguousarray(costs.T)


def _exponents(counts: npt.NDArray[np.int64]) -> Int32Array:
    """Return four times the base-2 logarithms of frequencies, within 0..63, the largest near 63."""
    table_frequencies = np.diff(from_masses([int(count) for count in counts]))
    rounded: Int32Array = np.clip(np.rint(4 * np.log2(table_frequencies)) - 1, 0, 63).astype(
        np.int32
    )
    return rounded
