"""The layout of a hash grid's tables, for configurations. No torch."""

from __future__ import annotations

from math import prod

from nvcodec.errors import ConfigError

# Factors of the spatial hash, one per axis (Müller et al., SIGGRAPH 2022, equation 4).
PRIMES = (1, 2654435761, 805459861)

_AXES = (2, 3)
# Largest number of vertices along an axis; float32 then keeps 8 bits for positions between two.
_MOST_VERTICES = 1 << 16
_MOST_LOG2_ENTRIES = 24


def is_dense(resolution: tuple[int, ...], log2_entries: int) -> bool:
    """Return whether every vertex of a level has an entry of its own; else they are hashed.

    Args:
        resolution: Vertices along x, y and, with three axes, t.
        log2_entries: Binary logarithm of the number of entries of the largest table.

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
    """Return the number of entries of a level's table.

    Args:
        resolution: Vertices along x, y and, with three axes, t.
        log2_entries: Binary logarithm of the number of entries of the largest table.

    Raises:
        ConfigError: If there are not two or three axes, or either argument is out of range.
    """
    return prod(resolution) if is_dense(resolution, log2_entries) else 1 << log2_entries


def table_shape(resolution: tuple[int, ...], log2_entries: int) -> tuple[int, ...]:
    """Return the shape of a level's table without the axis of features.

    Args:
        resolution: Vertices along x, y and, with three axes, t.
        log2_entries: Binary logarithm of the number of entries of the largest table.

    Returns:
        (n_t, n_y, n_x) or (n_y, n_x) if every vertex has an entry of its own, else (entries,).

    Raises:
        ConfigError: If there are not two or three axes, or either argument is out of range.
    """
    if is_dense(resolution, log2_entries):
        return tuple(reversed(resolution))
    return (1 << log2_entries,)
