"""A fitted model as the payload of a segment, and back.

    length of the configuration (1 or 2 bytes, 0 = the stream header's), configuration, body

The body is the family's own affair, as opaque here as the whole payload is to the container.
"""

from __future__ import annotations

from dataclasses import replace

from nvcodec.container import Header, Segment
from nvcodec.entropy.coder.integers import ByteCursor, pack_varint
from nvcodec.errors import TruncatedStreamError, UnsupportedVersionError
from nvcodec.models import config_class, name_of
from nvcodec.models.base.config import ModelConfig


def pack_payload(body: bytes, config: ModelConfig, header: Header) -> bytes:
    """The payload of a segment.

    Args:
        body: What the family makes of a fitted segment.
        config: The model's configuration.
        header: The stream's header; a configuration equal to its own is not repeated.
    """
    own = config.pack()
    repeated = b"" if own == header.configuration else own
    return pack_varint(len(repeated)) + repeated + body


def split_payload(stored: Segment, header: Header) -> tuple[ModelConfig, bytes]:
    """A segment's configuration, and the body: the inverse of `pack_payload`.

    Args:
        stored: The segment; its payload is what `pack_payload` made.
        header: The stream's header.

    Raises:
        UnsupportedVersionError: If the model is unknown, has no predicted segments, or is not fed
            by tokens in this release.
        BitstreamError: If the configuration is malformed.
    """
    payload = stored.payload
    cursor = ByteCursor(payload)
    size = cursor.varint()
    start = cursor.position
    if start + size > len(payload):
        raise TruncatedStreamError(
            f"segment payload: its configuration ends at byte {start + size}, the payload at "
            f"{len(payload)}"
        )
    own = payload[start : start + size] or header.configuration
    name = name_of(header.model)
    family = config_class(name)
    if stored.predicted and not family.SUPPORTS_PREDICTION:
        raise UnsupportedVersionError(
            f"a segment is predicted from the one before it, which {name} is not in this release"
        )
    if header.tokens is not None and header.tokens.conditioning and not family.SUPPORTS_TOKENS:
        raise UnsupportedVersionError(
            f"the pictures are made from tokens, which those of {name} are not in this release"
        )
    config = family.unpack(
        own,
        size=(header.video.height, header.video.width),
        frames=stored.frames,
        colour=header.colour_mode,
    )
    return replace(config, predicted=stored.predicted), payload[start + size :]
