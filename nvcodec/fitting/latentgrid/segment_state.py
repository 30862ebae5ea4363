"""State of a segment that all passes over it share: source, networks and motion."""

from __future__ import annotations

import torch

from nvcodec.entropy.latents.default_networks import default_network
from nvcodec.models.latentgrid.config import LatentGridConfig
from nvcodec.models.latentgrid.motion.grids import MotionGrid
from nvcodec.models.latentgrid.picture import Picture


class SegmentState:
    """The state of a segment that all passes over it share.

    Args:
        source: Its frames, uint8.
        config: Sizes and coding order.
        seed: Seed of the training of context networks.
        previous_frame: Last frame of the previous segment, uint8, if this segment is predicted from
            it.
        valid_mask: Which samples of the source count, bool; None if all do.

    Attributes:
        config: Sizes and coding order.
        previous_frame: Last frame of the previous segment, if this segment is predicted from it. It
            is replaced for another file of the same segment, which has its own.
        networks: The context networks for the next pass; the default ones at first.
        source: The source frames, uint8.
        valid_mask: Which samples of the source count; None if all do.
        random: Random numbers for the training of context networks.
        motion: Motion of the frames as last searched for.
    """

    def __init__(
        self,
        source: Picture,
        config: LatentGridConfig,
        seed: int,
        previous_frame: Picture | None = None,
        valid_mask: Picture | None = None,
    ) -> None:
        self.config, self.previous_frame = config, previous_frame
        self.networks = {
            kind: default_network(kind, layout) for kind, layout in config.layouts.items()
        }
        self.source, self.valid_mask = source, valid_mask
        self.random = torch.Generator().manual_seed(seed)
        self.motion: dict[int, MotionGrid] = {}

    @property
    def sample_count(self) -> int:
        """Number of samples that count, over all planes."""
        if self.valid_mask is not None:
            return max(int(self.valid_mask.luma.sum() + self.valid_mask.chroma.sum()), 1)
        return self.source.luma.numel() + self.source.chroma.numel()
