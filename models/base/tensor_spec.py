"""The description of a stored tensor: its name, shape and how it is quantised."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor of the bitstream.

    Attributes:
        name: Name in the model's state; for messages, never stored.
        shape: Shape; latents have the frame index first.
        channel_axis: Axis along which quantisation steps may differ.
        latent: True for per-frame latents, False for weights.
        group: Number of consecutive channels that resemble each other (the phases of a
            pixel shuffle); the encoder may let them share side information.
        fineness: How many times finer than others it begins to be quantised.
    """

    name: str
    shape: tuple[int, ...]
    channel_axis: int = 0
    latent: bool = False
    group: int = 1
    fineness: float = 1.0

    @property
    def size(self) -> int:
        """Number of values."""
        return prod(self.shape)
