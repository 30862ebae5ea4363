"""A fitted network as the payload of a segment, and back.

    length of the configuration (1 or 2 bytes, 0 = the stream header's), configuration, tensors

The only place where networks and bytes meet: the container never sees a tensor, the entropy coder
never sees a network.
"""

from __future__ import annotations

from collections.abc import Sequence

from nvcodec.bitstream import Header
from nvcodec.entropy.numbers import ByteCursor, pack_varint
from nvcodec.entropy.quantisation import dequantise
from nvcodec.entropy.tensors import QuantisedTensor, decode_tensors, encode_tensors
from nvcodec.errors import TruncatedStreamError
from nvcodec.models import build, config_class, name_of
from nvcodec.models.base import VideoModel
from nvcodec.models.config import ModelConfig


def pack_payload(tensors: Sequence[QuantisedTensor], config: ModelConfig, header: Header) -> bytes:
    """The payload of a segment.

    Args:
        tensors: In the order of `config.tensors()`.
        config: The network's configuration.
        header: The stream's header; a configuration equal to its own is not repeated.
    """
    own = config.pack()
    repeated = b"" if own == header.configuration else own
    return pack_varint(len(repeated)) + repeated + encode_tensors(tensors, config.tensors())


def unpack_payload(payload: bytes, header: Header, frames: int) -> VideoModel:
    """The network of a segment, on the CPU, in evaluation mode.

    Args:
        payload: What `pack_payload` made.
        header: The stream's header.
        frames: Frames in the segment.

    Raises:
        UnsupportedVersionError: If the model is unknown.
        BitstreamError: If the payload is malformed.
    """
    config, rest = split_payload(payload, header, frames)
    return assemble(name_of(header.model), config, decode_tensors(rest, config.tensors()))


def assemble(name: str, config: ModelConfig, tensors: Sequence[QuantisedTensor]) -> VideoModel:
    """The network of quantised tensors, on the CPU, in evaluation mode.

    Args:
        name: Of the model family.
        config: Its configuration.
        tensors: In the order of `config.tensors()`.
    """
    model = build(name, config)
    pairs = zip(tensors, config.tensors(), strict=True)
    model.load([dequantise(tensor, spec) for tensor, spec in pairs])
    return model.eval().requires_grad_(False)


def split_payload(payload: bytes, header: Header, frames: int) -> tuple[ModelConfig, bytes]:
    """A segment's network configuration, and the bytes that hold its tensors.

    Raises:
        UnsupportedVersionError: If the model is unknown.
        BitstreamError: If the configuration is malformed.
    """
    cursor = ByteCursor(payload)
    size = cursor.varint()
    start = cursor.position
    if start + size > len(payload):
        raise TruncatedStreamError(
            f"segment payload: its configuration ends at byte {start + size}, the payload at "
            f"{len(payload)}"
        )
    own = payload[start : start + size] or header.configuration
    return _config(header, own, frames), payload[start + size :]


def _config(header: Header, packed: bytes, frames: int) -> ModelConfig:
    size = (header.video.height, header.video.width)
    family = config_class(name_of(header.model))
    return family.unpack(packed, size=size, frames=frames, colour=header.colour_mode)
