"""How a hash grid's levels lie in their tables: arithmetic only, for configurations. No torch."""

from __future__ import annotations

from math import prod

from nvcodec.errors import ConfigError

# Of the spatial hash, one per axis (Mueller et al., SIGGRAPH 2022, equation 4).
PRIMES = (1, 2654435761, 805459861)

_AXES = (2, 3)
_MOST_VERTICES = 1 << 16  # along an axis: what is between two of them keeps 8 bits in float32
_MOST_LOG2_ENTRIES = 24


def is_dense(resolution: tuple[int, ...], log2_entries: int) -> bool:
    """Whether every vertex of a level has an entry of its own; else they are hashed.

    Args:
        resolution: Vertices along x, y and, with three axes, t.
        log2_entries: Of the largest table.

    Raises:
        ConfigError: If there are not two or three axes, or either argument is out of range.
    """
    if len(resolution) not in _AXES:
        raise ConfigError(f"expected a grid of 2 or 3 axes, got {resolution}")
    if not all(1 <= count <= _MOST_VERTICES for count in resolution):
        raise ConfigError(f"expected 1..{_MOST_VERTICES} vertices along an axis, got {resolution}")
    if not 1 <= log2_entries <= _MOST_LOG2_ENTRIES:
        raise ConfigError(
            f"expected tables of 2**1 to 2**{_MOST_LOG2_ENTRIES} entries, got 2**{log2_entries}"
        )
    return prod(resolution) <= 1 << log2_entries


def entries(resolution: tuple[int, ...], log2_entries: int) -> int:
    """Entries of a level's table; arguments and errors as of `is_dense`."""
    return prod(resolution) if is_dense(resolution, log2_entries) else 1 << log2_entries


def table_shape(resolution: tuple[int, ...], log2_entries: int) -> tuple[int, ...]:
    """Shape of a level's table but for its features; arguments and errors as of `is_dense`.

    Returns:
        (n_t, n_y, n_x) or (n_y, n_x) if every vertex has an entry of its own, else (entries,).
    """
    if is_dense(resolution, log2_entries):
        return tuple(reversed(resolution))
    return (1 << log2_entries,)
