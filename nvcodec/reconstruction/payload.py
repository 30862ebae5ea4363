"""Layout of the payload of a segment: the model's configuration, followed by its coded body.

    length of the configuration (1 or 2 bytes, 0 = the stream header's), configuration, body

The layout of the body belongs to the model family; this module does not interpret it, as the
container does not interpret the payload.
"""

from __future__ import annotations

from dataclasses import replace

from nvcodec.container import Header, Segment
from nvcodec.entropy.coder.integers import ByteCursor, pack_varint
from nvcodec.errors import TruncatedStreamError, UnsupportedVersionError
from nvcodec.models import config_class, name_of
from nvcodec.models.base.config import ModelConfig


def pack_payload(body: bytes, config: ModelConfig, header: Header) -> bytes:
    """Write the payload of a segment.

    Args:
        body: Coded model, as its family writes it.
        config: Configuration of the model.
        header: Header of the stream. A configuration that equals that of the header is not repeated
            in the payload.
    """
    own = config.pack()
    repeated = b"" if own == header.configuration else own
    return pack_varint(len(repeated)) + repeated + body


def split_payload(stored: Segment, header: Header) -> tuple[ModelConfig, bytes]:
    """Split the payload of a segment into configuration and body: the inverse of `pack_payload`.

    Args:
        stored: Segment as the file stores it.
        header: Header of the stream.

    Returns:
        Configuration of the model, and the coded body.

    Raises:
        UnsupportedVersionError: If the model is unknown, or does not support predicted segments or
            tokens in this release.
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
            f"a segment is predicted from the one before it, which this release does not support for "
            f"{name}"
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
