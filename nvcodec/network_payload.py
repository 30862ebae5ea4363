"""A fitted network as the body of a payload, and back.

The only place where networks and bytes meet: the container never sees a tensor, the entropy coder
never sees a network.
"""

from __future__ import annotations

from collections.abc import Sequence

from nvcodec.entropy.quantisation import dequantise
from nvcodec.entropy.tensors import QuantisedTensor, decode_tensors, encode_tensors
from nvcodec.models import build
from nvcodec.models.base import VideoModel
from nvcodec.models.stack_config import StackConfig


def encode_network(tensors: Sequence[QuantisedTensor], config: StackConfig) -> bytes:
    """The body of a segment's payload.

    Args:
        tensors: In the order of `config.tensors()`.
        config: The network's configuration.
    """
    return encode_tensors(tensors, config.tensors())


def decode_network(body: bytes, config: StackConfig, name: str) -> VideoModel:
    """The network of a segment, on the CPU, in evaluation mode.

    Args:
        body: What `encode_network` made.
        config: The network's configuration.
        name: Of the model family.

    Raises:
        BitstreamError: If the body is malformed.
    """
    specs = config.tensors()
    # Tensors first: a body that cannot hold them is found out before the network takes memory.
    tensors = decode_tensors(body, specs)
    model = build(name, config)
    model.load([dequantise(tensor, spec) for tensor, spec in zip(tensors, specs, strict=True)])
    return model.eval().requires_grad_(False)
