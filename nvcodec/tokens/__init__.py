"""Stored latents as tokens: read from a file, reduced, handed to a language model.

with nvcodec.tokens.open_tokens("clip.nvc") as tokens:
    ids = tokens.grid(start=2.0, end=4.5).indices      # uint16, shape (t, h, w)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nvcodec.tokens.grid import TokenGrid
    from nvcodec.tokens.reader import TokenReader, open_tokens

__all__ = ["TokenGrid", "TokenReader", "open_tokens"]

# Imported when first used: ids are read without torch, and some of what is here needs it.
_HOMES = {
    "nvcodec.tokens.grid": ("TokenGrid",),
    "nvcodec.tokens.reader": ("TokenReader", "open_tokens"),
}


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
