"""Tokens in a row, as a language model takes them: whole ones, or what remains of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from nvcodec.errors import ConfigError
from nvcodec.tokenizer.token_ids import LEVELS, nearest_fsq_indices, pack_ids
from nvcodec.tokens.grid import TokenGrid
from nvcodec.tokens.timestamps import prompt, stamp_of

if TYPE_CHECKING:
    from torch import Tensor


class Embedder(Protocol):
    """Turns tokens into vectors of a language model, as `nvcodec.tokens.Projector` does."""

    def embeds(self, tokens: Tokens) -> Tensor:
        """Return one vector per token, shape (N, width of the model)."""
        ...


_PER_TOKEN = ("codes", "ids", "positions", "counts", "times", "spans", "bits")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tokens:
    """N tokens in the order in which they are to be read.

    Attributes:
        codes: float32, shape (N, 6), or (N, 6 k) where k neighbours are side by side.
        ids: The id whose code is nearest to `codes`, uint16, shape (N,). The stored one, where
            nothing was merged.
        positions: Step in time of the grid, row and column of the picture, in cells, float32,
            shape (N, 3); averages for merged tokens.
        counts: How many tokens of the grid each stands for, int64, shape (N,).
        times: Seconds, float64, shape (N,); averages for merged tokens.
        spans: From when to when something is shown that a token stands for, seconds, shape (N, 2).
        bits: What all that it stands for takes in the file, float32, shape (N,).
        grid: Steps in time, rows and columns of the grid that they were taken from.
        size: Width and height of the video.
        tokenizer_id: See `TokenGrid`.
        method: Name of the operator that made them, `"all"` for none.
        note: What is to be known besides, in plain words; empty if nothing is.
    """

    codes: npt.NDArray[np.float32]
    ids: npt.NDArray[np.uint16]
    positions: npt.NDArray[np.float32]
    counts: npt.NDArray[np.int64]
    times: npt.NDArray[np.float64]
    spans: npt.NDArray[np.float64]
    bits: npt.NDArray[np.float32]
    grid: tuple[int, int, int]
    size: tuple[int, int]
    tokenizer_id: str
    method: str
    note: str = ""

    def __post_init__(self) -> None:
        """Check that shapes agree.

        Raises:
            ConfigError: If they do not.
        """
        found = [getattr(self, name).shape for name in _PER_TOKEN]
        count, width = len(self.ids), self.codes.shape[-1]
        wanted = [(count, width), (count,), (count, 3), (count,), (count,), (count, 2), (count,)]
        if found != wanted or width % len(LEVELS):
            raise ConfigError(
                f"expected {', '.join(_PER_TOKEN)} of {count} tokens as {wanted}, got {found}"
            )
        if self.whole and count != prod(self.grid):
            raise ConfigError(f"expected all tokens of a grid of {self.grid}, got {count}")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def whole(self) -> bool:
        """Whether these are all tokens of the grid, in its order."""
        return self.method == "all"

    def prompt(self, style: str = "qwen3", placeholder: str = "<|video_pad|>") -> str:
        """Write a placeholder for every token, with times between.

        Args:
            style: How times are written, one of `nvcodec.tokens.timestamps.STYLES`.
            placeholder: What the language model's vocabulary has where a token goes.

        Raises:
            ConfigError: If there is no such style, or a time cannot be written in it.
        """
        if not len(self):
            stamp_of(style)  # an unknown style is an error all the same
            return ""
        return prompt(self.times, float(self.spans[:, 1].max()), style, placeholder)

    def to_embeds(self, projector: Embedder) -> Tensor:
        """What stands for the tokens in a language model, shape (N, width of the model).

        Args:
            projector: Made for tokens of the same tokenizer.

        Raises:
            ConfigError: If it was made for others.
        """
        return projector.embeds(self)


def flatten(grid: TokenGrid, note: str = "") -> Tokens:
    """All tokens of a grid, step by step and row by row.

    Raises:
        ConfigError: If it has none.
    """
    size = grid.bits.size
    if not size:
        raise ConfigError("the grid has no tokens: nothing of the video could be read")
    return grouped(grid, np.arange(size).reshape(grid.shape), "all", note=note)


def grouped(
    grid: TokenGrid,
    labels: npt.NDArray[np.integer[Any]],
    method: str,
    *,
    core: npt.NDArray[np.bool_] | None = None,
    note: str = "",
) -> Tokens:
    """One token for every group of a grid's: their average.

    Args:
        grid: T steps of H x W tokens.
        labels: The group of each token, 0 to N - 1, none of them empty; -1 leaves a token out.
            Shape (T, H, W).
        method: Name of who grouped them.
        core: Tokens that alone count in averages of codes, positions and times, at least one in
            every group; all of them for None.
        note: See `Tokens`.

    Returns:
        N tokens in order of time, then rows, then columns.
    """
    flat = labels.reshape(-1)
    taken = np.flatnonzero(flat >= 0)
    order = taken[np.argsort(flat[taken], kind="stable")]
    ends = np.flatnonzero(np.diff(flat[order], append=-1)) + 1
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
    counts = (ends - starts).astype(np.int64)
    weights = np.ones(len(order)) if core is None else core.reshape(-1)[order].astype(np.float64)
    totals = np.add.reduceat(weights, starts)

    def mean(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        summed = np.add.reduceat(values.astype(np.float64) * weights, starts)
        average: npt.NDArray[np.float64] = summed / totals
        return average

    steps, rows, columns = np.unravel_index(order, grid.shape)
    places = [mean(steps), mean(rows) + grid.cells[0], mean(columns) + grid.cells[1]]
    vectors = grid.codes.reshape(-1, len(LEVELS))[order]
    codes = np.stack([mean(channel) for channel in vectors.T], 1).astype(np.float32)
    begin = np.minimum.reduceat(grid.starts[steps], starts)
    end = np.maximum.reduceat(grid.ends[steps], starts)
    row = np.lexsort((places[2], places[1], places[0]))
    return Tokens(
        codes=codes[row],
        ids=pack_ids(nearest_fsq_indices(codes))[row],
        positions=np.stack(places, 1)[row].astype(np.float32),
        counts=counts[row],
        times=mean(grid.times[steps])[row],
        spans=np.stack([begin, end], 1)[row],
        bits=np.add.reduceat(grid.bits.reshape(-1)[order], starts)[row],
        grid=grid.shape,
        size=grid.size,
        tokenizer_id=grid.tokenizer_id,
        method=method,
        note=note,
    )


def joined(parts: Sequence[Tokens]) -> Tokens:
    """Tokens of one grid, taken in several ways, one part after the other."""
    together = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in _PER_TOKEN
    }
    return replace(parts[0], **together)
