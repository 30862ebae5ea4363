"""The module of multi-resolution hash grids (Müller et al., SIGGRAPH 2022, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import torch
from torch import Tensor, nn

from nvcodec.cuda import torch_grid
from nvcodec.cuda.backend import Call, choose
from nvcodec.cuda.grid_layout import table_shape
from nvcodec.cuda.lattice import interpolate
from nvcodec.errors import ConfigError

# Entries are initially uniform in [-1e-4, 1e-4] (section 4, initialisation).
_INITIAL_RANGE = 1e-4


class HashGrid(nn.Module):
    """A multi-resolution grid that maps points to features by interpolation between vertices.

    A point x lies at x_a * (n_a - 1) along an axis of n_a vertices. The vertex (i, j, k) of a level
    has entry i + n_x * (j + n_y * k) of its table. If a level has more than 2**log2_entries
    vertices, they are hashed: (i ^ 2654435761 j ^ 805459861 k) mod 2**log2_entries (uint32;
    equation 4).

    Args:
        resolutions: Vertices along each axis of each level, (x, y) or (x, y, t), coarse to fine.
        features: Features of an entry.
        log2_entries: Binary logarithm of the number of entries of the largest table.

    Attributes:
        tables: One parameter per level, in the order of `resolutions`: of shape (n_t, n_y, n_x,
            features) if every vertex has an entry of its own, else (entries, features).

    Raises:
        ConfigError: If levels differ in the number of axes or an argument is out of range.
    """

    def __init__(
        self, resolutions: Sequence[tuple[int, ...]], features: int, log2_entries: int
    ) -> None:
        super().__init__()
        self.resolutions = tuple(tuple(resolution) for resolution in resolutions)
        self.axes = len(self.resolutions[0]) if self.resolutions else 0
        if features < 1 or any(len(level) != self.axes for level in self.resolutions):
            raise ConfigError(
                "expected at least one feature and levels of the same axes, got "
                f"{features} and {self.resolutions}"
            )
        if not self.resolutions:
            raise ConfigError("expected at least one level, got none")
        self.tables = nn.ParameterList(
            torch.empty(*table_shape(resolution, log2_entries), features).uniform_(
                -_INITIAL_RANGE, _INITIAL_RANGE
            )
            for resolution in self.resolutions
        )

    def forward(self, x: Tensor) -> Tensor:
        """Interpolate the features of points.

        Args:
            x: Points, shape (N, axes), in [0, 1]; coordinates are clamped to that range.

        Returns:
            Shape (N, levels * features), float32: the features of the first level, then the next.
        """
        return self._encode(x, range(len(self.resolutions)))

    def lattice(self, positions: Sequence[Tensor]) -> Tensor:
        """Interpolate the features of all points of a lattice.

        Args:
            positions: Coordinates along t, y and x (or y and x), each of shape (count,), in [0, 1].

        Returns:
            Shape (T, Y, X, levels * features), float32.
        """
        positions = [position.float().clamp(0, 1) for position in positions]
        counts = [len(position) for position in positions]
        features = []
        for number, table in enumerate(self.tables):
            first, *rest = positions
            # A level with one vertex along the first axis, time, is the same at all times.
            distinct = [first[:1] if self.resolutions[number][-1] == 1 else first, *rest]
            if table.dim() > 2:
                level = interpolate(table, distinct)
            else:
                points = torch.stack(torch.meshgrid(*distinct, indexing="ij")[::-1], dim=-1)
                level = self._encode(points.flatten(0, -2), [number]).view(*points.shape[:-1], -1)
            features.append(level.expand(*counts, -1))
        return torch.cat(features, dim=-1)

    def _encode(self, x: Tensor, levels: Sequence[int]) -> Tensor:
        """Interpolate the features of points in some levels, by the backend that serves the call.

        Args:
            x: Points, shape (N, axes).
            levels: Numbers of the levels.
        """
        x = x.float().clamp(0, 1)
        tables = [self.tables[number].flatten(0, -2) for number in levels]
        resolutions = tuple(self.resolutions[number] for number in levels)

        def call() -> Call:
            features = tables[0].shape[1]
            return Call(
                "grid",
                f"a grid of {features} features at {resolutions}",
                (resolutions, features, tuple(map(len, tables)), tables[0].dtype),
                lambda module: module.refusal(tables, resolutions),
                lambda module: _try(module, x, tables, resolutions),
            )

        module = choose(x.device, len(x), call)
        encode = torch_grid.encode if module is None else module.encode
        encoded: Tensor = encode(x, tables, resolutions)
        return encoded


def _try(
    module: ModuleType,
    x: Tensor,
    tables: list[Tensor],
    resolutions: tuple[tuple[int, ...], ...],
) -> None:
    """Compute one point with a module and, if gradients are enabled, its gradients."""
    with_gradients = torch.is_grad_enabled()
    point = x.new_zeros(1, x.shape[1]).requires_grad_(with_gradients)
    copies = [table.detach().requires_grad_(with_gradients) for table in tables]
    encoded: Tensor = module.encode(point, copies, resolutions)
    if with_gradients:
        torch.autograd.grad(encoded.sum(), [point, *copies])
    if x.device.type == "cuda":
        torch.cuda.synchronize(x.device)
