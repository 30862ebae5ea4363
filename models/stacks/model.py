"""The base class of models that decode an embedding per frame with a stack of convolutions."""

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
    """A model that decodes an embedding per frame.

    Attributes:
        time: Branch that computes the time vectors of a boosted stack; None if it is not boosted.
        stack: Layers from the embedding grid to the output samples.
    """

    config: StackConfig
    stack: UpsamplingStack | BlockStack

    def __init__(self, config: StackConfig) -> None:
        super().__init__(config)
        self.time = TimeBranch(config.frames, config.time_width) if config.boosted else None

    def embed(self, index: Tensor) -> Tensor:
        """Return the embeddings of frames: stored latents, or a function of time.

        Args:
            index: Frame numbers in the segment, shape (B,), int64.

        Returns:
            Shape (B, C, h, w) on the embedding grid, float.
        """
        raise NotImplementedError

    def add_tokens(self, embedding: Tensor, index: Tensor) -> Tensor:
        """Append the codes of tokens to embeddings if the model is conditioned on tokens.

        Args:
            embedding: Stored latents or the output of the fit-time encoder, shape (B, C, h, w).
            index: Frame numbers in the segment, shape (B,), int64.

        Returns:
            The input of the stack, shape (B, C', h, w).
        """
        return embedding

    def stack_inputs(self, index: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the inputs of the stack: embeddings, and the time vectors of a boosted stack.

        Between frames, both are interpolated linearly. Time itself is not interpolated: most
        frequencies of its positional encoding complete more than one period from frame to frame, so
        that the output of a network for a time in between is noise
        (`benchmarks/ablations/interpolation.py`).

        Args:
            index: Frame numbers in the segment, shape (B,), int64; or floating-point numbers, whose
                fractions lie between frames.

        Returns:
            Embeddings, shape (B, C, h, w), and time vectors, shape (B, width), or None if the stack
            is not boosted.
        """
        if not index.is_floating_point():
            return self.embed(index), None if self.time is None else self.time(index)
        first, early = self.stack_inputs(index.floor().long())
        second, late = self.stack_inputs(index.ceil().long())
        share = (index - index.floor()).to(first.dtype)[:, None]
        z = None if early is None or late is None else torch.lerp(early, late, share)
        return torch.lerp(first, second, share[:, :, None, None]), z

    def render(
        self, index: Tensor, window: Window | None = None, embedding: Tensor | None = None
    ) -> Tensor:
        """Render frames by decoding their embeddings with the stack."""
        inputs = self.embed(index) if embedding is None else self.add_tokens(embedding, index)
        if self.time is None:
            output: Tensor = self.stack(inputs, window)
        else:
            output = self.stack(inputs, window, self.time(index))
        return self.select_frames(output, index)

    def select_frames(self, output: Tensor, index: Tensor) -> Tensor:
        """Select frames from the output of the stack, which has no others for most families.

        Args:
            output: Output of the stack, shape (B, channels, H, W); or shape (1, T * channels, H, W)
                if one pass computes all T frames of the segment.
            index: Frame numbers in the segment, shape (B,), int64.

        Returns:
            Shape (B, channels, H, W).
        """
        return output

    def compile_for_fitting(self) -> None:
        """Compile the stack with `torch.compile`."""
        self.stack.compile(dynamic=False)
