"""A fitted network as the body of a payload, and back.

The only place where networks and bytes meet: the container never sees a tensor, the entropy coder
never sees a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nvcodec.entropy.weights.quantisation import dequantise
from nvcodec.entropy.weights.tensor_codec import QuantisedTensor, decode_tensors, encode_tensors
from nvcodec.errors import BitstreamError
from nvcodec.media import UInt8Array
from nvcodec.models import build
from nvcodec.models.base.network_config import NetworkConfig
from nvcodec.models.base.video_model import VideoModel
from nvcodec.tokenizer.token_ids import codes_of


def encode_network(tensors: Sequence[QuantisedTensor], config: NetworkConfig) -> bytes:
    """The body of a segment's payload; empty if it is the network of the segment before.

    Args:
        tensors: In the order of `config.tensors()`; of a predicted segment the differences.
        config: The network's configuration.
    """
    if config.predicted and not any(tensor.symbols.any() for tensor in tensors):
        return b""
    return encode_tensors(tensors, config.tensors())


@dataclass(frozen=True, slots=True)
class NetworkState:
    """A network as the next segment may be coded on top of it.

    Attributes:
        config: Its configuration.
        tensors: What it transmits, float32, on the CPU, in the order of `config.tensors()`.
    """

    config: NetworkConfig
    tensors: Sequence[Tensor]

    def expand_to(self, frames: int) -> list[Tensor]:
        """Its tensors, with which a network of any number of frames shows the last one throughout.

        The head, the last layer, has the channels of one frame after the other.

        Args:
            frames: Of the other network.
        """
        *front, weight, bias = self.tensors
        order = torch.full((frames,), self.config.frames - 1)
        return [
            *front,
            *(_per_frame(one, self.config)[order].flatten(0, 1) for one in (weight, bias)),
        ]


def _per_frame(tensor: Tensor, config: NetworkConfig) -> Tensor:
    return tensor.view(config.frames, config.colour.channels, *tensor.shape[1:])


def decode_network(
    body: bytes,
    config: NetworkConfig,
    name: str,
    previous: object = None,
    fsq_indices: UInt8Array | None = None,
) -> VideoModel:
    """The network of a segment, on the CPU, in evaluation mode.

    Args:
        body: What `encode_network` made.
        config: The network's configuration.
        name: Of the model family.
        previous: The `NetworkState` of the segment before, if this one is coded on top of it.
        fsq_indices: The segment's tokens, shape (t, h, w, 6), if the network decodes them.

    Raises:
        BitstreamError: If the body is malformed, or the segment before does not fit, or tokens are
            missing.
    """
    specs = config.tensors()
    values: list[Tensor] = []
    if body or not config.predicted:
        # Tensors first: a body that cannot hold them is found out before the network takes memory.
        tensors = decode_tensors(body, specs)
        values = [dequantise(tensor, spec) for tensor, spec in zip(tensors, specs, strict=True)]
    if config.predicted:
        if not isinstance(previous, NetworkState) or not continues(config, previous.config):
            raise BitstreamError(
                "a segment is coded as differences to the network of the one before it, which is "
                "not known or another one"
            )
        carried = previous.expand_to(config.frames)
        values = [one + two for one, two in zip(carried, values, strict=True)] if body else carried
    if config.takes_tokens and fsq_indices is None:
        raise BitstreamError("the segment's tokens, of which its pictures are made, are missing")
    model = build(name, config)
    model.load(values)
    if config.takes_tokens and fsq_indices is not None:
        set_tokens(model, fsq_indices)
    return model.eval().requires_grad_(False)


def set_tokens(model: VideoModel, fsq_indices: UInt8Array) -> None:
    """Hand a network the tokens of its segment.

    Args:
        model: One that takes them.
        fsq_indices: Shape (t, h, w, 6).
    """
    model.set_tokens(torch.from_numpy(codes_of(fsq_indices)).movedim(-1, 1))


def continues(config: NetworkConfig, before: NetworkConfig) -> bool:
    """Whether two networks differ in their numbers of frames only."""
    return replace(config, frames=before.frames, predicted=before.predicted) == before
