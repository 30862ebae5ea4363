"""A multi-resolution grid of features (Mueller et al., SIGGRAPH 2022, section 3), axis by axis."""

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

# Entries at first, uniform to both sides (section 4, initialisation).
_REACH = 1e-4


class HashGrid(nn.Module):
    """Points to features, by interpolation between the vertices of grids, coarse to fine.

    A point x lies at x_a * (n_a - 1) along an axis of n_a vertices. The vertex (i, j, k) of a level
    has entry i + n_x * (j + n_y * k) of its table, or, where they are more than 2**log2_entries,
    (i ^ 2654435761 j ^ 805459861 k) mod 2**log2_entries (uint32; equation 4).

    Attributes:
        tables: One parameter per level, in the order of `resolutions`: of shape (n_t, n_y, n_x,
            features) if every vertex has an entry of its own, else (entries, features).

    Args:
        resolutions: One per level: vertices along each axis, (x, y) or (x, y, t).
        features: Of an entry.
        log2_entries: Of the largest table.

    Raises:
        ConfigError: If levels differ in the number of axes or anything is out of range.
    """

    def __init__(
        self, resolutions: Sequence[tuple[int, ...]], features: int, log2_entries: int
    ) -> None:
        super().__init__()
        self.resolutions = tuple(tuple(resolution) for resolution in resolutions)
        self.axes = len(self.resolutions[0]) if self.resolutions else 0
        if features < 1 or any(len(one) != self.axes for one in self.resolutions):
            raise ConfigError(
                "expected at least one feature and levels of the same axes, got "
                f"{features} and {self.resolutions}"
            )
        if not self.resolutions:
            raise ConfigError("expected at least one level, got none")
        self.tables = nn.ParameterList(
            torch.empty(*table_shape(resolution, log2_entries), features).uniform_(-_REACH, _REACH)
            for resolution in self.resolutions
        )

    def forward(self, x: Tensor) -> Tensor:
        """Look points up.

        Args:
            x: Shape (N, axes), in [0, 1]; what is outside counts as on the edge.

        Returns:
            Shape (N, levels * features), float32: the features of the first level, then the next.
        """
        return self._encode(x, range(len(self.resolutions)))

    def lattice(self, places: Sequence[Tensor]) -> Tensor:
        """Look up all points of a lattice.

        Args:
            places: Along the axes, the last of them first: t, y, x; each of shape (count,), in
                [0, 1].

        Returns:
            Shape (T, Y, X, levels * features), float32.
        """
        places = [place.float().clamp(0, 1) for place in places]
        counts = [len(place) for place in places]
        made = []
        for number, table in enumerate(self.tables):
            first, *rest = places
            # What does not change along the first axis, time, is looked up once.
            some = [first[:1] if self.resolutions[number][-1] == 1 else first, *rest]
            if table.dim() > 2:
                found = interpolate(table, some)
            else:
                points = torch.stack(torch.meshgrid(*some, indexing="ij")[::-1], dim=-1)
                found = self._encode(points.flatten(0, -2), [number]).view(*points.shape[:-1], -1)
            made.append(found.expand(*counts, -1))
        return torch.cat(made, dim=-1)

    def _encode(self, x: Tensor, levels: Sequence[int]) -> Tensor:
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
        made: Tensor = encode(x, tables, resolutions)
        return made


def _try(
    module: ModuleType,
    x: Tensor,
    tables: list[Tensor],
    resolutions: tuple[tuple[int, ...], ...],
) -> None:
    """One point there and, where gradients may be asked for, back."""
    learns = torch.is_grad_enabled()
    point = x.new_zeros(1, x.shape[1]).requires_grad_(learns)
    copies = [table.detach().requires_grad_(learns) for table in tables]
    made: Tensor = module.encode(point, copies, resolutions)
    if learns:
        torch.autograd.grad(made.sum(), [point, *copies])
    if x.device.type == "cuda":
        torch.cuda.synchronize(x.device)
