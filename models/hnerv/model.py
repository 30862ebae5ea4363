"""HNeRV (Chen et al., CVPR 2023): a small embedding per frame, decoded by a stack of convolutions.

    frame t ──► fit-time encoder ──► embedding (16, h, w)  ── stored, per frame
                                            │
            1x1 conv ─► GELU ─► [conv k ─► pixel shuffle s ─► GELU] x stages ─► 3x3 conv ─► tanh

The encoder exists only while fitting. Section numbers in comments are those of the paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt, prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nvcodec.errors import ConfigError
from nvcodec.media import ColourMode
from nvcodec.models.hnerv.config import HNeRVConfig
from nvcodec.models.stacks.blocks import plain_stack
from nvcodec.models.stacks.layers import ChannelsFirstNorm, ConvNeXtBlock
from nvcodec.models.stacks.model import StackModel
from nvcodec.models.tokenizer.conditioning import TokenConditioning
from nvcodec.models.tokenizer.layout import token_grid_size


class HNeRV(StackModel):
    """The decoder of HNeRV and the embeddings of a segment.

    Attributes:
        tokens: Codes of the segment's tokens; None if the model is not conditioned on them.
    """

    config: HNeRVConfig

    def __init__(self, config: HNeRVConfig) -> None:
        super().__init__(config)
        self.stack = plain_stack(config, "gelu")
        for spec in config.latents():
            self.latents[spec.name] = nn.Parameter(torch.zeros(spec.shape))
        self.tokens = None
        if config.token_conditioned:
            cells = token_grid_size(config.size[1], config.size[0])
            self.tokens = TokenConditioning(config.frames, cells, config.grid, config.position_side)

    def embed(self, index: Tensor) -> Tensor:
        """Return the stored embeddings of frames, the codes of their tokens, or both."""
        if "embedding" in self.latents:
            return self.add_tokens(self.latents["embedding"][index], index)
        assert self.tokens is not None
        codes: Tensor = self.tokens(index)
        return codes

    def add_tokens(self, embedding: Tensor, index: Tensor) -> Tensor:
        """Append the codes of tokens to embeddings if the model is conditioned on tokens."""
        if self.tokens is None:
            return embedding
        return torch.cat([embedding, self.tokens(index).to(embedding.dtype)], 1)

    def set_tokens(self, codes: Tensor) -> None:
        """Set the codes of the segment's tokens, resampled to the embedding grid."""
        assert self.tokens is not None
        self.tokens.set_tokens(codes)

    def fit_encoder(self) -> nn.Module | None:
        """Return the encoder that computes the embeddings while fitting (section 3.1)."""
        return HNeRVEncoder(self.config) if self.config.channels else None


class HNeRVEncoder(nn.Sequential):
    """The encoder of HNeRV: ConvNeXt stages whose strides are those of the decoder.

    It maps frames on the padded grid, shape (B, channels of the colour mode, H, W), to embeddings,
    shape (B, 16, h, w).

    Args:
        config: Configuration of the decoder.
        width: Channels of all stages but the last.
    """

    def __init__(self, config: HNeRVConfig, width: int = 64) -> None:
        blocks: list[nn.Module] = []
        inputs = config.colour.channels
        # Boosted stacks also have blocks of stride 1.
        strides = [stride for stride in config.strides if stride > 1] or [1]
        for stage, stride in enumerate(strides):
            last = stage == len(strides) - 1
            outputs = config.channels if last else width
            if stage == 0:
                blocks += [
                    nn.Conv2d(inputs, outputs, stride, stride),
                    ChannelsFirstNorm(outputs, eps=1e-6),
                ]
            else:
                blocks += [
                    ChannelsFirstNorm(inputs, eps=1e-6),
                    nn.Conv2d(inputs, outputs, stride, stride),
                ]
            blocks.append(ConvNeXtBlock(outputs))
            inputs = outputs
        super().__init__(*blocks)


def from_reference(state: Mapping[str, Any]) -> HNeRV:
    """Load a video in the layout in which the authors of HNeRV publish their networks.

    Args:
        state: Mapping with two entries. `embed` is a triple of `quant` (uint8, (T, d, h, w)), `min`
            and `scale`, arrays or tensors. `model` is a mapping from
            `decoder.0.conv.downconv.weight|bias`, `decoder.N.conv.upconv.0.weight|bias` and
            `head_layer.weight|bias` to such triples. The value of a tensor is
            `min + scale * quant`, broadcast.

    Returns:
        A model in RGB whose `forward(index)` gives the frames, shape (B, 3, H, W), in [0, 1].

    Raises:
        ConfigError: If a tensor is missing or the shapes do not make an HNeRV decoder.
    """
    try:
        embedding = _dequantise(state["embed"])
        weights = {name: _dequantise(triple) for name, triple in state["model"].items()}
        head = weights["head_layer.weight"]
        stages: list[Tensor] = []
        while (name := f"decoder.{len(stages) + 1}.conv.upconv.0.weight") in weights:
            stages.append(weights[name])
    except KeyError as error:
        raise ConfigError(f"not a published HNeRV state: {error} is missing") from error
    convolutional = {"embed": embedding, "head_layer.weight": head}
    convolutional.update((f"decoder.{number + 1}", stage) for number, stage in enumerate(stages))
    for name, tensor in convolutional.items():
        if tensor.dim() != 4:
            raise ConfigError(f"{name}: expected four dimensions, got shape {tuple(tensor.shape)}")
    inputs = [stage.shape[1] for stage in stages] + [head.shape[1]]
    strides = tuple(
        isqrt(stage.shape[0] // following)
        for stage, following in zip(stages, inputs[1:], strict=True)
    )
    frames, channels, *grid = embedding.shape
    if not stages:
        raise ConfigError("not a published HNeRV state: it has no upsampling stage")
    config = HNeRVConfig(
        size=(grid[0] * prod(strides), grid[1] * prod(strides)),
        frames=frames,
        colour=ColourMode.RGB,
        strides=strides,
        kernels=tuple(stage.shape[-1] for stage in stages),
        widths=tuple(inputs),
        channels=channels,
    )
    names = ["decoder.0.conv.downconv"]
    names += [f"decoder.{stage + 1}.conv.upconv.0" for stage in range(len(stages))]
    names.append("head_layer")
    tensors: list[Tensor] = []
    for name in names:
        if f"{name}.weight" not in weights:
            raise ConfigError(f"not a published HNeRV state: {name}.weight is missing")
        weight = weights[f"{name}.weight"]
        tensors += [weight, weights.get(f"{name}.bias", torch.zeros(weight.shape[0]))]
    model = HNeRV(config)
    model.load([*tensors, embedding])
    return model.eval()


def _dequantise(triple: Mapping[str, Any]) -> Tensor:
    """Return `min + scale * quant` as float32."""
    quant, low, scale = (
        torch.as_tensor(np.asarray(triple[key]), dtype=torch.float32)
        for key in ("quant", "min", "scale")
    )
    return low + scale * quant
