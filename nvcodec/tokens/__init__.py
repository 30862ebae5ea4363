"""Stored latents as tokens: read from a file, reduced, handed to a language model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nvcodec.tokens.grid import TokenGrid
    from nvcodec.tokens.pooling import shuffle_merge
    from nvcodec.tokens.reduction import METHODS, at_rate, reduce
    from nvcodec.tokens.regions import region
    from nvcodec.tokens.sequence import Tokens, flatten

__all__ = [
    "METHODS",
    "TokenGrid",
    "Tokens",
    "at_rate",
    "flatten",
    "reduce",
    "region",
    "shuffle_merge",
]

# Imported when first used: ids need no torch.
_HOMES = {
    "nvcodec.tokens.grid": ("TokenGrid",),
    "nvcodec.tokens.pooling": ("shuffle_merge",),
    "nvcodec.tokens.reduction": ("METHODS", "at_rate", "reduce"),
    "nvcodec.tokens.regions": ("region",),
    "nvcodec.tokens.sequence": ("Tokens", "flatten"),
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'nvcodec.tokens' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
