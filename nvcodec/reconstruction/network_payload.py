"""Coding of a fitted network as the body of a payload, and decoding of it.

Only this module converts between networks and bytes: the container does not know tensors, and the
entropy coder does not know networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nvcodec.entropy.weights.quantisation import dequantise
from nvcodec.entropy.weights.tensor_codec import QuantisedTensor, decode_tensors, encode_tensors
from nvcodec.errors import BitstreamError
from nvcodec.host.settings import own_random_numbers
from nvcodec.media import UInt8Array
from nvcodec.models import build
from nvcodec.models.base.network_config import NetworkConfig
from nvcodec.models.base.video_model import VideoModel
from nvcodec.tokenizer.token_ids import codes_of


def encode_network(tensors: Sequence[QuantisedTensor], config: NetworkConfig) -> bytes:
    """Encode a network as the body of a segment's payload.

    Args:
        tensors: Quantised tensors in the order of `config.tensors()`; for a predicted segment, the
            differences to the network of the segment before.
        config: Configuration of the network.

    Returns:
        The body; empty if the network equals that of the segment before.
    """
    if config.predicted and not any(tensor.symbols.any() for tensor in tensors):
        return b""
    return encode_tensors(tensors, config.tensors())


@dataclass(frozen=True, slots=True)
class NetworkState:
    """A network that the next segment may be predicted from.

    Attributes:
        config: Configuration of the network.
        tensors: Transmitted tensors, float32, on the CPU, in the order of `config.tensors()`.
    """

    config: NetworkConfig
    tensors: Sequence[Tensor]

    def expand_to(self, frames: int) -> list[Tensor]:
        """Return the tensors of a network that repeats the last frame of this one.

        Only the head, the last layer, depends on the number of frames: it has the channels of one
        frame after the other.

        Args:
            frames: Number of frames of the other network.
        """
        *front, weight, bias = self.tensors
        order = torch.full((frames,), self.config.frames - 1)
        return [
            *front,
            *(_per_frame(tensor, self.config)[order].flatten(0, 1) for tensor in (weight, bias)),
        ]


def _per_frame(tensor: Tensor, config: NetworkConfig) -> Tensor:
    """View a tensor of the head with its frames on an axis of their own, the first."""
    return tensor.view(config.frames, config.colour.channels, *tensor.shape[1:])


def decode_network(
    body: bytes,
    config: NetworkConfig,
    name: str,
    previous: object = None,
    fsq_indices: UInt8Array | None = None,
) -> VideoModel:
    """Decode the network of a segment.

    Args:
        body: Result of `encode_network`.
        config: Configuration of the network.
        name: Name of the model family.
        previous: `NetworkState` of the segment before, if this one is predicted from it.
        fsq_indices: FSQ indices of the segment's tokens, shape (t, h, w, 6), if the network is
            conditioned on them.

    Returns:
        The network, on the CPU, in evaluation mode.

    Raises:
        BitstreamError: If the body is malformed, the segment before does not match, or tokens are
            missing.
    """
    specs = config.tensors()
    values: list[Tensor] = []
    if body or not config.predicted:
        # Tensors are decoded before the network is built, so that a body that cannot hold them fails
        # before the network takes memory.
        tensors = decode_tensors(body, specs)
        values = [dequantise(tensor, spec) for tensor, spec in zip(tensors, specs, strict=True)]
    if config.predicted:
        if not isinstance(previous, NetworkState) or not continues(config, previous.config):
            raise BitstreamError(
                "a segment is coded as differences to the network of the one before it, which is "
                "missing or does not match"
            )
        expanded = previous.expand_to(config.frames)
        values = [a + b for a, b in zip(expanded, values, strict=True)] if body else expanded
    if config.takes_tokens and fsq_indices is None:
        raise BitstreamError(
            "the segment's tokens, which its network is conditioned on, are missing"
        )
    with own_random_numbers():  # a new network draws weights, which are replaced at once
        model = build(name, config)
    model.load(values)
    if config.takes_tokens and fsq_indices is not None:
        set_tokens(model, fsq_indices)
    return model.eval().requires_grad_(False)


def set_tokens(model: VideoModel, fsq_indices: UInt8Array) -> None:
    """Set the tokens that a network is conditioned on.

    Args:
        model: Network that is conditioned on tokens.
        fsq_indices: FSQ indices of the segment's tokens, shape (t, h, w, 6).
    """
    model.set_tokens(torch.from_numpy(codes_of(fsq_indices)).movedim(-1, 1))


def continues(config: NetworkConfig, before: NetworkConfig) -> bool:
    """Return whether two networks differ in their numbers of frames only.

    Args:
        config: Configuration of a predicted network.
        before: Configuration of the network of the segment before.
    """
    return replace(config, frames=before.frames, predicted=before.predicted) == before
