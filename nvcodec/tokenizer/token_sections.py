"""Tokens in a file: their format in its header, and coding of the token section of a segment."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nvcodec.container import Header, Reader, Segment, TokenFormat
from nvcodec.entropy.tokens.codec import decode_tokens, encode_tokens
from nvcodec.errors import BitstreamError, UnsupportedVersionError
from nvcodec.models.tokenizer.layout import (
    SPACE_STRIDE,
    TIME_STRIDE,
    token_grid_size,
    token_step_count,
)
from nvcodec.tokenizer.token_ids import LEVELS

LEAST_BITS = 8.0
"""Smallest target size of the payload of a segment, bits."""

# Approximate size of the framing and timing of a token section, bytes.
_TOKENS_SEGMENT_BYTES = 24


def token_format(tokenizer_id: str, *, conditioning: bool) -> TokenFormat:
    """Return the format of the tokens of this release, for the header of a file.

    Args:
        tokenizer_id: Identity of the tokenizer, 32 hexadecimal digits.
        conditioning: Whether the model is conditioned on the tokens.
    """
    return TokenFormat(
        tokenizer_id=bytes.fromhex(tokenizer_id),
        conditioning=conditioning,
        time_stride=TIME_STRIDE,
        space_stride=SPACE_STRIDE,
        levels=LEVELS,
    )


def check_format(tokens: TokenFormat) -> None:
    """Check that this release knows the layout of the tokens of a file.

    Args:
        tokens: Format of the tokens, from the header.

    Raises:
        UnsupportedVersionError: If it does not.
    """
    layout = (tokens.time_stride, tokens.space_stride, tokens.levels)
    if layout != (TIME_STRIDE, SPACE_STRIDE, LEVELS):
        raise UnsupportedVersionError(
            f"HEAD section: tokens of {tokens.time_stride} frames, {tokens.space_stride} samples "
            f"and levels {tokens.levels}; this release reads those of {TIME_STRIDE} frames, "
            f"{SPACE_STRIDE} samples and levels {LEVELS}, a newer one may read these"
        )


def encode_token_section(fsq_indices: npt.NDArray[np.uint8]) -> bytes:
    """Encode the tokens of a segment for its token section.

    Args:
        fsq_indices: FSQ indices of the tokens, shape (t, h, w, 6).
    """
    return encode_tokens(fsq_indices, LEVELS)


def read_token_section(
    reader: Reader, index: int
) -> tuple[Segment, npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Read and decode the tokens of a segment.

    Args:
        reader: Reader of the file.
        index: Position of the segment in `reader.segments`.

    Returns:
        The token section, FSQ indices of shape (t, h, w, 6), and bits of each token, shape
        (t, h, w).

    Raises:
        UnsupportedVersionError: If this release does not know the layout of the tokens.
        BitstreamError: If the tokens are damaged or missing; the message names section and byte.
    """
    if reader.header.tokens is not None:
        check_format(reader.header.tokens)
    section = reader.tokens(index)
    shape = (token_step_count(section.frames), *token_grid_size(*_size(reader.header)))
    try:
        fsq_indices, bits = decode_tokens(section.payload, shape, LEVELS)
    except BitstreamError as error:
        kind = reader.header.tokens.section if reader.header.tokens else ""
        raise BitstreamError(
            f"{kind} section before byte {reader.segments[index].offset}: {error}"
        ) from error
    return section, fsq_indices, bits


def _size(header: Header) -> tuple[int, int]:
    return header.video.width, header.video.height


def payload_budget(bits: float | None, tokens: bytes) -> float | None:
    """Return the target size of the payload of a segment that also has tokens, bits.

    Args:
        bits: Target size of payload and tokens together, bits; None if there is no target.
        tokens: Coded tokens of the segment.
    """
    return None if bits is None else max(bits - 8 * token_section_bytes(tokens), LEAST_BITS)


def token_section_bytes(tokens: bytes) -> int:
    """Return the approximate size of the token section of a segment, bytes.

    Args:
        tokens: Coded tokens of the segment.
    """
    return len(tokens) + _TOKENS_SEGMENT_BYTES
