"""The documented bound on the memory of a decoder (`docs/bitstream.md`, section 6)."""

from __future__ import annotations

from nvcodec.container import Reader
from nvcodec.errors import NvcodecError
from nvcodec.models import config_class, name_of
from nvcodec.models.base.network_config import NetworkConfig

CONSTANT = 2**30
PER_BYTE = 2**17
LATENTS_PER_PIXEL = 128
NETWORK_PER_PIXEL = 2**13


def bound(data: bytes) -> int:
    """Return how much memory a decoder may take for a file beyond that of its imports, bytes."""
    try:
        with Reader(data) as reader:
            video = reader.header.video
            pixels, model = video.width * video.height, reader.header.model
    except NvcodecError:
        return CONSTANT
    try:
        network = issubclass(config_class(name_of(model)), NetworkConfig)
    except NvcodecError:
        network = False
    per_pixel = NETWORK_PER_PIXEL if network else LATENTS_PER_PIXEL
    return CONSTANT + PER_BYTE * len(data) + per_pixel * pixels
