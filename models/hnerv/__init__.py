"""HNeRV (Chen et al., CVPR 2023): a small embedding per frame, decoded by convolutions."""

from __future__ import annotations

from importlib import import_module


def __getattr__(name: str) -> object:
    # Imported when first used: the network needs torch, its configuration does not.
    if not name.startswith("_"):
        return getattr(import_module("nvcodec.models.hnerv.model"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
