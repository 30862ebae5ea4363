"""Codec of network tensors: symbols, steps and tables of a segment as the bytes of a payload.

    headers    plain bytes: one short header per tensor
    side       rANS: step and scale indices, histograms, locations, as differences
    symbols    rANS: the tensors themselves

`docs/bitstream.md`, part 2, is the normative description.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nvcodec.entropy.coder import rans
from nvcodec.entropy.coder.frequency_tables import TableSet
from nvcodec.entropy.coder.integers import (
    ByteCursor,
    IntegerArrayCoder,
    pack_varint,
    read_array,
    zigzag,
)
from nvcodec.entropy.coder.probability_tables import LARGEST_SYMBOL, SCALES, DistributionFamily
from nvcodec.entropy.weights.coding_plan import (
    CodingPlan,
    cheapest_plan,
    plan_tables,
    residuals,
    restore,
    table_count,
    table_numbers,
)
from nvcodec.errors import BitstreamError
from nvcodec.media import Int32Array
from nvcodec.models.base.tensor_spec import TensorSpec

# Largest number of symbols per byte of a payload, so that a few hostile bytes cannot ask for
# gigabytes. Fitted networks have a few per byte; a payload with more is padded with zero bytes.
SYMBOLS_PER_BYTE = 256


@dataclass(frozen=True, slots=True)
class QuantisedTensor:
    """The symbols of a tensor and the steps that scale them.

    Attributes:
        symbols: int32, the spec's shape.
        steps: Step indices, one per channel, one per group of channels, or one for all.
    """

    symbols: Int32Array
    steps: Int32Array


def encode_tensors(tensors: Sequence[QuantisedTensor], specs: Sequence[TensorSpec]) -> bytes:
    """Encode tensors.

    Args:
        tensors: One per spec.
        specs: The model's tensors in order.

    Returns:
        The payload; `decode_tensors` with the same specs restores the tensors exactly.

    Raises:
        ValueError: If symbols exceed the range of tables, or steps fit no sharing rule.
    """
    headers, side = bytearray(), IntegerArrayCoder()
    symbols: list[Int32Array] = []
    numbers: list[Int32Array] = []
    tables = TableSet()
    for tensor, spec in zip(tensors, specs, strict=True):
        plan = cheapest_plan(tensor.symbols, spec)
        sharing = _find_sharing(len(tensor.steps), spec)
        headers.append(
            plan.family
            | plan.sharing << 2
            | sharing << 4
            | plan.differences << 6
            | bool(plan.locations.size) << 7
        )
        headers += pack_varint(zigzag(plan.low)) + pack_varint(plan.high - plan.low)
        for values in (tensor.steps, plan.parameters, plan.locations):
            if values.size:
                headers += side.append(values)
        if plan.low < plan.high:
            rows = residuals(tensor.symbols, spec, plan)
            symbols.append(rows.ravel())
            numbers.append(_value_tables(rows.shape[1], spec, plan, tables))
    coded_side = side.encode()
    main = rans.encode(_concatenate(symbols), _concatenate(numbers), tables)
    payload = (
        pack_varint(len(headers))
        + pack_varint(len(coded_side))
        + bytes(headers)
        + coded_side
        + main
    )
    shortfall = -(-sum(spec.size for spec in specs) // SYMBOLS_PER_BYTE) - len(payload)
    return payload + bytes(max(0, shortfall))


def decode_tensors(data: bytes, specs: Sequence[TensorSpec]) -> list[QuantisedTensor]:
    """Decode what `encode_tensors` returned.

    Args:
        data: A payload.
        specs: The model's tensors in order.

    Returns:
        One tensor per spec.

    Raises:
        BitstreamError: If the payload is malformed, or too short for so many symbols.
    """
    total = sum(spec.size for spec in specs)
    if total > SYMBOLS_PER_BYTE * len(data):
        raise BitstreamError(
            f"segment payload: {len(data)} bytes cannot hold {total} symbols; expected at least "
            f"{-(-total // SYMBOLS_PER_BYTE)} bytes"
        )
    cursor = ByteCursor(data)
    header_size, side_size = cursor.varint(), cursor.varint()
    end = cursor.position + header_size
    if end + side_size > len(data):
        raise BitstreamError(
            f"segment payload: headers and side information end at {end + side_size}, "
            f"beyond its {len(data)} bytes"
        )
    side = IntegerArrayCoder()
    parsed = [_read_header(cursor, spec, side) for spec in specs]
    if cursor.position != end:
        raise BitstreamError(f"segment payload: headers end at byte {cursor.position}, not {end}")
    arrays = side.decode(data[end : end + side_size])
    plans, steps = [], []
    for spec, (plan, slots) in zip(specs, parsed, strict=True):
        step, parameters, locations = (
            arrays[slot] if slot is not None else np.empty(0, np.int32) for slot in slots
        )
        _check_range(spec, "step index", step, 0, 255)
        limit = SCALES - 1
        _check_range(spec, "table parameter", parameters, 0, limit)
        plans.append(replace(plan, parameters=parameters, locations=locations))
        steps.append(step)
    tables = TableSet()
    coded = [(spec, plan) for spec, plan in zip(specs, plans, strict=True) if plan.low < plan.high]
    numbers = [
        _value_tables(spec.size // spec.shape[spec.channel_axis], spec, plan, tables)
        for spec, plan in coded
    ]
    symbols = rans.decode(data[end + side_size :], _concatenate(numbers), tables)
    tensors, position = [], 0
    for spec, plan, step in zip(specs, plans, steps, strict=True):
        shape = (spec.shape[spec.channel_axis], -1)
        if plan.low < plan.high:
            rows = symbols[position : position + spec.size].reshape(shape)
            position += spec.size
        else:
            rows = np.full(spec.size, plan.low, np.int32).reshape(shape)
        tensors.append(QuantisedTensor(restore(rows, spec, plan), step))
    return tensors


def _find_sharing(count: int, spec: TensorSpec) -> int:
    """Return the sharing rule under which a tensor has `count` steps."""
    for sharing in range(3):
        if table_count(spec, sharing) == count:
            return sharing
    raise ValueError(f"{spec.name}: {count} steps fit no sharing rule")


def _concatenate(parts: Sequence[Int32Array]) -> Int32Array:
    """Concatenate arrays, possibly none."""
    return np.concatenate(parts) if parts else np.empty(0, np.int32)


def _value_tables(values: int, spec: TensorSpec, plan: CodingPlan, tables: TableSet) -> Int32Array:
    """Return the table number of every coded value of a tensor, in coding order.

    Args:
        values: Number of values per channel.
        spec: The tensor.
        plan: Its plan.
        tables: Set that the tensor's tables are added to.
    """
    if plan.family is DistributionFamily.HISTOGRAM or plan.parameters.size == 1:
        distinct, inverse = plan.parameters, np.zeros(1, np.int64)
    else:
        # Many channels share few scales, so each table is made and looked up only once.
        distinct, inverse = np.unique(plan.parameters, return_inverse=True)
    tables_to_number = plan_tables(replace(plan, parameters=distinct))
    numbers = np.array([tables.number(plan.low, table) for table in tables_to_number], np.int32)
    return np.repeat(numbers[inverse][table_numbers(spec, plan.sharing)], values)


def _read_header(
    cursor: ByteCursor, spec: TensorSpec, side: IntegerArrayCoder
) -> tuple[CodingPlan, list[int | None]]:
    """Read the header of one tensor.

    Returns:
        The plan without arrays, and the positions of steps, parameters and locations among the
        arrays of the side information; None for absent ones.
    """
    start = cursor.position
    flags = cursor.byte()
    family, sharing, step_sharing = flags & 3, flags >> 2 & 3, flags >> 4 & 3
    low = cursor.zigzag()
    span = cursor.varint()
    differences, located = bool(flags & 64), bool(flags & 128)
    bad_values = abs(low) > LARGEST_SYMBOL or low + span > LARGEST_SYMBOL
    bad_flags = family == 3 or 3 in (sharing, step_sharing) or (family == 2 and sharing != 0)
    if bad_values or bad_flags or ((differences or located) and not spec.latent):
        raise BitstreamError(
            f"segment payload, byte {start}: {spec.name} has flags {flags:#04x} and values "
            f"{low}..{low + span}, which no encoder writes"
        )
    slots: list[int | None] = [
        read_array(cursor, table_count(spec, step_sharing), side),
        None,
        None,
    ]
    if span:
        count = span + 1 if family == DistributionFamily.HISTOGRAM else table_count(spec, sharing)
        slots[1] = read_array(cursor, count, side)
    if located:
        slots[2] = read_array(cursor, spec.shape[spec.channel_axis], side)
    plan = CodingPlan(
        family=DistributionFamily(family),
        sharing=sharing,
        differences=differences,
        low=low,
        high=low + span,
        parameters=np.empty(0, np.int32),
        locations=np.empty(0, np.int32),
    )
    return plan, slots


def _check_range(spec: TensorSpec, name: str, values: Int32Array, low: int, high: int) -> None:
    """Refuse an array with values outside of a range."""
    if values.size and (values.min() < low or values.max() > high):
        raise BitstreamError(
            f"segment payload: {spec.name} has a {name} outside {low}..{high}: "
            f"{values.min()}..{values.max()}"
        )
