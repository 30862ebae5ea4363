"""The specification of a stored tensor: its name, its shape and how it is quantised."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Specification of one tensor of the bitstream.

    Attributes:
        name: Name of the tensor for messages; never stored.
        shape: Shape; the first axis of latents is the frame.
        channel_axis: Axis along which quantisation steps may differ.
        latent: True for per-frame latents, False for weights.
        group: Number of consecutive channels that resemble each other (the phases of a pixel
            shuffle); the encoder may let them share side information.
        fineness: Factor by which the initial quantisation step is smaller than that of other
            tensors.
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
