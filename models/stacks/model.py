"""Models whose pictures a stack of convolutions makes, from an embedding per frame."""

from __future__ import annotations

import torch
from torch import Tensor

from nvcodec.models.base.video_model import VideoModel
from nvcodec.models.base.windows import Window
from nvcodec.models.stacks.blocks import BlockStack
from nvcodec.models.stacks.config import StackConfig
from nvcodec.models.stacks.layers import UpsamplingStack
from nvcodec.models.stacks.time_conditioning import TimeBranch


class StackModel(VideoModel):
    """A model that decodes embeddings.

    Attributes:
        time: What a boosted stack knows of a frame besides its embedding; None if it is not.
        stack: The layers from the embedding grid to the output samples.
    """

    config: StackConfig
    stack: UpsamplingStack | BlockStack

    def __init__(self, config: StackConfig) -> None:
        super().__init__(config)
        self.time = TimeBranch(config.frames, config.time_width) if config.boosted else None

    def embed(self, index: Tensor) -> Tensor:
        """What the stack decodes: stored latents, or a function of time.

        Args:
            index: Frame numbers in the segment, shape (B,), int64.

        Returns:
            Shape (B, C, h, w) on the embedding grid, float.
        """
        raise NotImplementedError

    def around(self, found: Tensor, index: Tensor) -> Tensor:
        """What the stack decodes, given what the fit-time encoder makes of frames.

        Args:
            found: In place of stored latents.
            index: Frame numbers in the segment, shape (B,), int64.
        """
        return found

    def conditions(self, index: Tensor) -> tuple[Tensor, Tensor | None]:
        """What the stack decodes: embeddings, and for boosted stacks the vectors of time.

        Between frames both are interpolated linearly. Time itself is not: most frequencies of
        its code turn more than once from frame to frame, so that what a network makes of a time
        in between is noise (`benchmarks/ablations/interpolation.py`).

        Args:
            index: Frame numbers in the segment, shape (B,), int64; or floating, where fractions
                lie between frames.
        """
        if not index.is_floating_point():
            return self.embed(index), None if self.time is None else self.time(index)
        first, early = self.conditions(index.floor().long())
        second, late = self.conditions(index.ceil().long())
        share = (index - index.floor()).to(first.dtype)[:, None]
        z = None if early is None or late is None else torch.lerp(early, late, share)
        return torch.lerp(first, second, share[:, :, None, None]), z

    def render(
        self, index: Tensor, window: Window | None = None, found: Tensor | None = None
    ) -> Tensor:
        """See `VideoModel`."""
        embedding = self.embed(index) if found is None else self.around(found, index)
        if self.time is None:
            made: Tensor = self.stack(embedding, window)
        else:
            made = self.stack(embedding, window, self.time(index))
        return self.pick(made, index)

    def pick(self, made: Tensor, index: Tensor) -> Tensor:
        """Of what the stack makes, the frames that were asked for; all of it for most families.

        Args:
            made: Shape (B, channels, H, W), or that of all frames with them among the channels.
            index: Frame numbers in the segment, shape (B,), int64.
        """
        return made

    def compile_for_fitting(self) -> None:
        """See `VideoModel`."""
        self.stack.compile(dynamic=False)
