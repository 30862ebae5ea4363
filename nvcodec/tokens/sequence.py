"""The sequence of tokens that a language model reads: all tokens of a grid, or a reduction of it."""

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
    """Converter of tokens to vectors of a language model, such as `nvcodec.tokens.Projector`."""

    def embeds(self, tokens: Tokens) -> Tensor:
        """Return a vector per token, shape (N, width of the language model)."""
        ...


_PER_TOKEN = ("codes", "ids", "positions", "counts", "times", "spans", "bits")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tokens:
    """N tokens in reading order, each of which represents one or more tokens of a grid.

    Attributes:
        codes: Code vectors, float32, shape (N, 6), or (N, 6 k) where each is the concatenation of k
            neighbours.
        ids: Token ids whose code vectors are nearest to `codes`, uint16, shape (N,). Tokens that
            were not merged keep their id.
        positions: Time step of the grid, and row and column of the picture in cells, float32, shape
            (N, 3); averages for merged tokens.
        counts: Number of tokens of the grid that each represents, int64, shape (N,).
        times: Time of each token, seconds, float64, shape (N,); averages for merged tokens.
        spans: Start and end of the time that each token represents, seconds, shape (N, 2).
        bits: Bits in the file of all tokens that each represents, float32, shape (N,).
        grid: Number of time steps, rows and columns of the grid that the tokens come from.
        size: Width and height of the video, samples.
        tokenizer_id: Identity of the tokenizer that made the tokens, 32 hexadecimal digits.
        method: Name of the reduction method; `"all"` for all tokens of the grid.
        note: Remark for the user, one sentence; may be empty.
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
        """Check that the shapes match.

        Raises:
            ConfigError: If they do not.
        """
        shapes = [getattr(self, name).shape for name in _PER_TOKEN]
        count, width = len(self.ids), self.codes.shape[-1]
        expected = [(count, width), (count,), (count, 3), (count,), (count,), (count, 2), (count,)]
        if shapes != expected or width % len(LEVELS):
            raise ConfigError(
                f"expected {', '.join(_PER_TOKEN)} of {count} tokens as {expected}, got {shapes}"
            )
        if self.whole and count != prod(self.grid):
            raise ConfigError(f"expected all tokens of a grid of {self.grid}, got {count}")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def whole(self) -> bool:
        """Whether these are all tokens of the grid, in their order."""
        return self.method == "all"

    def prompt(self, style: str = "qwen3", placeholder: str = "<|video_pad|>") -> str:
        """Return a text with a placeholder for every token, and times between them.

        Args:
            style: Style of the times, one of `nvcodec.tokens.timestamps.STYLES`.
            placeholder: Word of the language model's vocabulary that stands for a token.

        Raises:
            ConfigError: If there is no such style, or a time cannot be written in it.
        """
        if not len(self):
            stamp_of(style)  # fails for an unknown style
            return ""
        return prompt(self.times, float(self.spans[:, 1].max()), style, placeholder)

    def to_embeds(self, projector: Embedder) -> Tensor:
        """Return the vectors of the tokens in a language model, shape (N, width of the model).

        Args:
            projector: Projector for tokens of the same tokenizer.

        Raises:
            ConfigError: If the projector was made for tokens of another tokenizer.
        """
        return projector.embeds(self)


def flatten(grid: TokenGrid, note: str = "") -> Tokens:
    """Return all tokens of a grid, time step by time step and row by row.

    Args:
        grid: Tokens of a video.
        note: Remark for the user.

    Raises:
        ConfigError: If the grid has no tokens.
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
    """Replace every group of tokens by its average.

    Args:
        grid: T time steps of H x W tokens.
        labels: Group of each token, 0 to N - 1, shape (T, H, W). No group is empty; tokens of label
            -1 are left out.
        method: Name of the method that made the groups.
        core: Tokens that enter the averages of codes, positions and times, bool, shape (T, H, W), at
            least one per group; None for all tokens.
        note: Remark for the user.

    Returns:
        N tokens in order of time, then rows, then columns.
    """
    flat = labels.reshape(-1)
    included = np.flatnonzero(flat >= 0)
    order = included[np.argsort(flat[included], kind="stable")]
    ends = np.flatnonzero(np.diff(flat[order], append=-1)) + 1
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
    counts = (ends - starts).astype(np.int64)
    weights = np.ones(len(order)) if core is None else core.reshape(-1)[order].astype(np.float64)
    totals = np.add.reduceat(weights, starts)

    def mean(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        sums = np.add.reduceat(values.astype(np.float64) * weights, starts)
        average: npt.NDArray[np.float64] = sums / totals
        return average

    steps, rows, columns = np.unravel_index(order, grid.shape)
    positions = [mean(steps), mean(rows) + grid.cells[0], mean(columns) + grid.cells[1]]
    vectors = grid.codes.reshape(-1, len(LEVELS))[order]
    codes = np.stack([mean(channel) for channel in vectors.T], 1).astype(np.float32)
    begin = np.minimum.reduceat(grid.starts[steps], starts)
    end = np.maximum.reduceat(grid.ends[steps], starts)
    reading = np.lexsort((positions[2], positions[1], positions[0]))
    return Tokens(
        codes=codes[reading],
        ids=pack_ids(nearest_fsq_indices(codes))[reading],
        positions=np.stack(positions, 1)[reading].astype(np.float32),
        counts=counts[reading],
        times=mean(grid.times[steps])[reading],
        spans=np.stack([begin, end], 1)[reading],
        bits=np.add.reduceat(grid.bits.reshape(-1)[order], starts)[reading],
        grid=grid.shape,
        size=grid.size,
        tokenizer_id=grid.tokenizer_id,
        method=method,
        note=note,
    )


def joined(parts: Sequence[Tokens]) -> Tokens:
    """Concatenate tokens of one grid that were selected in several ways."""
    fields = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _PER_TOKEN}
    return replace(parts[0], **fields)
