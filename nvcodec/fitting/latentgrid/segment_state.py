"""State of a segment that all passes over it share: source, networks and motion."""

from __future__ import annotations

import torch
from torch import Tensor

from nvcodec.entropy.latents.default_networks import default_network
from nvcodec.fitting.latentgrid.optical_flow import OpticalFlow
from nvcodec.media import Float32Array
from nvcodec.models.latentgrid.config import LatentGridConfig
from nvcodec.models.latentgrid.motion_compensation import Picture


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
        flow: Optical flow between source frames.
        random: Random numbers for the training of context networks.
        fields: Motion fields of the last pass, shape (T, 5, h, w); None before the first one.
        motion_latents: Motion latents of each frame, band by band, before RDOQ.
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
        self.flow = OpticalFlow(
            source.luma[:, 0].numpy(),
            config.cell,
            None if previous_frame is None else previous_frame.luma[0, 0].numpy(),
        )
        self.random = torch.Generator().manual_seed(seed)
        self.fields: Tensor | None = None
        self.motion_latents: dict[int, list[Float32Array]] = {}

    @property
    def sample_count(self) -> int:
        """Number of samples that count, over all planes."""
        if self.valid_mask is not None:
            return max(int(self.valid_mask.luma.sum() + self.valid_mask.chroma.sum()), 1)
        return self.source.luma.numel() + self.source.chroma.numel()
