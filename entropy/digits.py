"""Digits of tokens to bytes and back: a choice of four numbers, then one rANS message.

Tables depend on nothing but the message, so that any file can be read alone; `nvcodec.entropy.
digit_walk` says how they follow from it. Normative description: `docs/bitstream.md`. No torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

import numpy as np
import numpy.typing as npt

from nvcodec.entropy import rans
from nvcodec.entropy.digit_walk import CHOICE_SIZE, MOST_WEIGHT, Choice, DigitWalk
from nvcodec.entropy.rans import FrequencyRows, Int32Array, TableSet
from nvcodec.errors import BitstreamError, TruncatedStreamError

_TOKENS_PER_BYTE = 256
"""A message of n bytes holds at most so many times n tokens: memory stays in proportion."""


def encode_digits(digits: npt.NDArray[np.uint8], levels: Sequence[int]) -> bytes:
    """Code the tokens of a segment.

    Args:
        digits: Shape (t, h, w, n), no side 0; each below its level.
        levels: Values of each of the n digits, 2 to 16.

    Returns:
        A message that `decode_digits` reads; zero bytes at its end mean nothing.
    """
    choice = _chosen(lambda tried: _estimate(digits, levels, tried), digits.shape[0])
    tables = TableSet()
    symbols: list[Int32Array] = []
    numbers: list[Int32Array] = []

    def visit(used: Int32Array, rows: FrequencyRows) -> Int32Array:
        places = [
            tables.number(0, tuple(row[: size - 1]))
            for row, size in zip(rows.cumulatives, rows.sizes, strict=True)
        ]
        numbers.append(np.array(places, np.int32)[used])
        symbols.append(walk.known())
        return symbols[-1]

    walk = DigitWalk(digits.shape, levels, choice, visit, digits)
    walk.run()
    message = choice.pack() + rans.encode(np.concatenate(symbols), np.concatenate(numbers), tables)
    least = -(-digits[..., 0].size // _TOKENS_PER_BYTE)
    return message + bytes(max(least - len(message), 0))


def decode_digits(
    data: bytes, shape: tuple[int, int, int], levels: Sequence[int]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """The tokens of a segment, and what each of them takes.

    Args:
        data: What `encode_digits` returned.
        shape: Steps, rows and columns, at least 1.
        levels: Values of each of the n digits, 2 to 16.

    Returns:
        Digits, shape (*shape, n), and bits, shape `shape`.

    Raises:
        BitstreamError: If the message is malformed, or too short for so many tokens.
    """
    tokens = prod(shape)
    if len(data) < CHOICE_SIZE or tokens > _TOKENS_PER_BYTE * len(data):
        raise TruncatedStreamError(f"tokens: {len(data)} bytes cannot hold {tokens} of them")
    choice = Choice.unpack(data[:CHOICE_SIZE])
    stream = rans.Stream(data[CHOICE_SIZE:], tokens * len(levels))
    walk = DigitWalk((*shape, len(levels)), levels, choice, stream.decode)
    try:
        walk.run()
    except BitstreamError as error:
        raise BitstreamError(f"tokens: the message of {len(data)} bytes is damaged") from error
    digits = np.ascontiguousarray(np.moveaxis(walk.digits, 0, -1), np.uint8)
    return digits, walk.bits


def _chosen(cost: Callable[[Choice], float], steps: int) -> Choice:
    """The best of what is tried, one number after the other."""
    kept = Choice()
    least = cost(kept)

    def consider(choice: Choice) -> None:
        nonlocal kept, least
        if choice != kept and (tried := cost(choice)) < least:
            kept, least = choice, tried

    for kind in reversed(range(min(steps, len(kept.scales)))):
        for by in (-4, 4, -2, 2, -1, 1):
            scale = min(max(kept.scales[kind] + by, 0), 15)
            consider(replace(kept, scales=_with(kept.scales, kind, scale)))
        for weight in range(MOST_WEIGHT + 1):
            consider(replace(kept, weights=_with(kept.weights, kind, weight)))
    for strength in (2, 3, 5, 6):
        consider(replace(kept, strength=strength))
    return kept


def _with(numbers: tuple[int, ...], place: int, number: int) -> tuple[int, ...]:
    return (*numbers[:place], number, *numbers[place + 1 :])


def _estimate(digits: npt.NDArray[np.uint8], levels: Sequence[int], choice: Choice) -> float:
    """Bits of a message."""
    walk = DigitWalk(digits.shape, levels, choice, lambda numbers, rows: walk.known(), digits)
    walk.run()
    return float(walk.bits.sum(dtype=np.float64))
