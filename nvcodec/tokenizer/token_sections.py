"""Tokens as a file holds them: their format in its header, a segment's section to digits and back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nvcodec.container import Header, Reader, Segment, TokenFormat
from nvcodec.entropy.tokens.codec import decode_tokens, encode_tokens
from nvcodec.errors import BitstreamError, UnsupportedVersionError
from nvcodec.models.tokenizer.layout import SPACE_STRIDE, TIME_STRIDE, grid_of, steps_of
from nvcodec.tokenizer.token_ids import LEVELS

LEAST_BITS = 8.0
"""The smallest wanted size of a segment's payload, bits."""

# Bytes that a segment's token section takes beside the tokens themselves.
_TOKENS_SEGMENT_BYTES = 24


def token_format(tokenizer_id: str, *, conditioning: bool) -> TokenFormat:
    """What a header says of tokens that are made now.

    Args:
        tokenizer_id: 32 hexadecimal digits.
        conditioning: Whether the model is conditioned on them.
    """
    return TokenFormat(
        tokenizer_id=bytes.fromhex(tokenizer_id),
        conditioning=conditioning,
        time_stride=TIME_STRIDE,
        space_stride=SPACE_STRIDE,
        levels=LEVELS,
    )


def check_format(tokens: TokenFormat) -> None:
    """Refuse tokens of another layout than this release makes.

    Raises:
        UnsupportedVersionError: If so.
    """
    found = (tokens.time_stride, tokens.space_stride, tokens.levels)
    if found != (TIME_STRIDE, SPACE_STRIDE, LEVELS):
        raise UnsupportedVersionError(
            f"HEAD section: tokens of {tokens.time_stride} frames, {tokens.space_stride} samples "
            f"and levels {tokens.levels}; this release reads those of {TIME_STRIDE} frames, "
            f"{SPACE_STRIDE} samples and levels {LEVELS}, a newer one may read these"
        )


def code_tokens(fsq_indices: npt.NDArray[np.uint8]) -> bytes:
    """Tokens of a segment as its section holds them.

    Args:
        fsq_indices: Shape (t, h, w, 6).
    """
    return encode_tokens(fsq_indices, LEVELS)


def stored_tokens(
    reader: Reader, index: int
) -> tuple[Segment, npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """The tokens of a segment of a file.

    Args:
        reader: Of the file.
        index: Position in `reader.segments`.

    Returns:
        Their section, digits of shape (t, h, w, 6), and bits, shape (t, h, w).

    Raises:
        UnsupportedVersionError: If they are of a layout that this release does not know.
        BitstreamError: If they are damaged or missing; names the section and the byte.
    """
    if reader.header.tokens is not None:
        check_format(reader.header.tokens)
    section = reader.tokens(index)
    shape = (steps_of(section.frames), *grid_of(*_size(reader.header)))
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
    """What a segment's payload may take where its tokens count, too.

    Args:
        bits: Wanted for both, if anything is.
        tokens: Those of the segment, coded.
    """
    return None if bits is None else max(bits - 8 * token_section_bytes(tokens), LEAST_BITS)


def token_section_bytes(tokens: bytes) -> int:
    """About how many bytes of a file a segment's tokens take."""
    return len(tokens) + _TOKENS_SEGMENT_BYTES
