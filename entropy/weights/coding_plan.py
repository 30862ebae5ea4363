"""How one tensor is coded: the choices an encoder makes, and finding the cheapest ones.

A tensor of symbols is seen as channels x values. Probability tables may be shared by all channels,
by groups of channels, or be each channel's own; latents may be coded as differences in time and
relative to a location per channel. The encoder tries them and keeps what costs least.
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
    Family,
    cumulative,
    frequencies,
    from_masses,
    histogram,
)
from nvcodec.media import Int32Array
from nvcodec.models.base.tensor_spec import TensorSpec

# What one number of side information costs, roughly, in bits; measured on fitted networks.
SIDE_BITS = 3.0
# And the plain header of a tensor.
HEADER_BITS = 72.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The coding choices for one tensor; with the symbols, everything the stream holds of it.

    Attributes:
        family: Distribution family.
        sharing: Channels per probability table: 0 all, 1 the spec's groups, 2 one.
        differences: Values are differences to the previous frame (latents only).
        low: Smallest coded value.
        high: Largest coded value.
        parameters: Scale index per table; for a histogram, an exponent per value.
        locations: Integer subtracted from each channel's values; empty for none.
    """

    family: Family
    sharing: int
    differences: bool
    low: int
    high: int
    parameters: Int32Array
    locations: Int32Array


def tables_of(spec: TensorSpec, sharing: int) -> int:
    """How many tables a tensor has under a sharing rule."""
    channels = spec.shape[spec.channel_axis]
    return (1, -(-channels // spec.group), channels)[sharing]


def to_channels(symbols: Int32Array, spec: TensorSpec) -> Int32Array:
    """Bring the channel axis to the front and flatten the rest: (channels, values)."""
    moved = np.moveaxis(symbols, spec.channel_axis, 0)
    return np.ascontiguousarray(moved).reshape(moved.shape[0], -1)


def from_channels(rows: Int32Array, spec: TensorSpec) -> Int32Array:
    """Inverse of `to_channels`."""
    shape = list(spec.shape)
    channels = shape.pop(spec.channel_axis)
    return np.moveaxis(rows.reshape(channels, *shape), 0, spec.channel_axis)


def residuals(symbols: Int32Array, spec: TensorSpec, plan: Plan) -> Int32Array:
    """The values that are coded, shape (channels, values)."""
    rows = to_channels(symbols, spec)
    if plan.locations.size:
        rows = rows - plan.locations[:, None]
    return _time_differences(rows, spec) if plan.differences else rows


def restore(rows: Int32Array, spec: TensorSpec, plan: Plan) -> Int32Array:
    """Inverse of `residuals`; sums wrap silently at 32 bits, as no valid stream reaches them."""
    if plan.differences:
        frames = rows.reshape(rows.shape[0], spec.shape[0], -1)
        rows = np.cumsum(frames, axis=1, dtype=np.int32).reshape(rows.shape)
    if plan.locations.size:
        rows = rows + plan.locations[:, None]
    return from_channels(rows, spec)


def _time_differences(rows: Int32Array, spec: TensorSpec) -> Int32Array:
    frames = rows.reshape(rows.shape[0], spec.shape[0], -1)
    return np.diff(frames, axis=1, prepend=np.int32(0)).reshape(rows.shape)


def table_numbers(spec: TensorSpec, sharing: int) -> npt.NDArray[np.int64]:
    """The table of each channel, counted from 0."""
    channels = spec.shape[spec.channel_axis]
    return np.arange(channels) // (channels, spec.group, 1)[sharing]


def plan_tables(plan: Plan) -> list[tuple[int, ...]]:
    """The cumulative frequencies of a plan's tables."""
    if plan.family is Family.HISTOGRAM:
        return [histogram(plan.parameters.tolist())]
    return [cumulative(plan.family, int(index), plan.low, plan.high) for index in plan.parameters]


def cheapest_plan(symbols: Int32Array, spec: TensorSpec) -> Plan:
    """Choose how to code a tensor.

    Args:
        symbols: Integers of the spec's shape; what is coded must stay within +-2047.
        spec: The tensor.

    Returns:
        The plan of lowest estimated cost, side information included.
    """
    best: tuple[float, Plan] | None = None
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


def _representations(symbols: Int32Array, spec: TensorSpec) -> Iterator[Plan]:
    """Plain values; for latents also differences in time, with and without locations."""
    nothing = np.empty(0, np.int32)
    plain = Plan(
        family=Family.LAPLACE,
        sharing=0,
        differences=False,
        low=0,
        high=0,
        parameters=nothing,
        locations=nothing,
    )
    yield plain
    if spec.latent:
        rows = to_channels(symbols, spec)
        middle = np.rint(np.median(rows, axis=1)).astype(np.int32)
        first = rows.reshape(len(rows), spec.shape[0], -1)[:, 0]
        start = np.rint(np.median(first, axis=1)).astype(np.int32)
        yield replace(plain, differences=True)
        # Locations are coded as differences, which have the range of symbols.
        if np.abs(np.diff(middle)).max(initial=0) <= LARGEST_SYMBOL:
            yield replace(plain, locations=middle)
        if np.abs(np.diff(start)).max(initial=0) <= LARGEST_SYMBOL:
            yield replace(plain, differences=True, locations=start)


def _distributions(
    counts: npt.NDArray[np.int64], spec: TensorSpec, base: Plan, low: int, high: int
) -> Iterator[tuple[float, Plan]]:
    """Cost in bits and plan for each family and sharing rule."""
    side = SIDE_BITS * base.locations.size

    def plan(family: Family, sharing: int, parameters: Int32Array) -> Plan:
        return replace(
            base, family=family, sharing=sharing, low=low, high=high, parameters=parameters
        )

    if low == high:
        yield side, plan(Family.LAPLACE, 0, np.empty(0, np.int32))
        return
    whole = counts.sum(axis=0)
    exponents = _exponents(whole)
    bits = _bits(histogram(exponents.tolist()))
    yield side + 6.0 * len(exponents) + float(whole @ bits), plan(Family.HISTOGRAM, 0, exponents)
    for family in (Family.LAPLACE, Family.LOGISTIC):
        costs = _costs(family, low, high)
        seen: set[int] = set()
        for sharing in range(3):
            tables = tables_of(spec, sharing)
            if tables in seen:
                continue
            seen.add(tables)
            first = np.searchsorted(table_numbers(spec, sharing), np.arange(tables))
            total = np.add.reduceat(counts, first).astype(np.float64) @ costs
            chosen = total.argmin(axis=1).astype(np.int32)
            cost = side + SIDE_BITS * tables + float(total.min(axis=1).sum())
            yield cost, plan(family, sharing, chosen)


def _counts(rows: Int32Array, width: int) -> npt.NDArray[np.int64]:
    """How often each row has each value from 0 to below `width`, shape (rows, width)."""
    places = rows + width * np.arange(len(rows), dtype=np.int64)[:, None]
    return np.bincount(places.ravel(), minlength=len(rows) * width).reshape(-1, width)


def _bits(bounds: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Code length of each symbol of a table."""
    bits: npt.NDArray[np.float64] = np.log2(TOTAL) - np.log2(np.diff(bounds))
    return bits


@lru_cache(maxsize=256)
def _costs(family: Family, low: int, high: int) -> npt.NDArray[np.float64]:
    """Code length of the symbols from `low` to `high` at every scale, shape (symbols, SCALES)."""
    costs: npt.NDArray[np.float64] = np.log2(TOTAL) - np.log2(frequencies(family, low, high))
    return np.ascontiguousarray(costs.T)


def _exponents(counts: npt.NDArray[np.int64]) -> Int32Array:
    """Four times the base-2 logarithm of the frequencies, within 0..63, largest near 63."""
    frequencies = np.diff(from_masses([int(count) for count in counts]))
    rounded: Int32Array = np.clip(np.rint(4 * np.log2(frequencies)) - 1, 0, 63).astype(np.int32)
    return rounded
