"""Token format of an `.nvc` file: the fields of the header that describe its tokens."""

from __future__ import annotations

from dataclasses import dataclass

from nvcodec.container.fields import Cursor, Payload
from nvcodec.container.section_types import CONDITIONING_TOKENS, TOKENS

TOKENIZER_ID = 16
"""Bytes of a tokenizer's id."""
MAX_FSQ_CHANNELS = 16
"""Most FSQ channels of a token, and most FSQ levels of a channel."""

# Codes of the bitstream; a number is never reused.
_NO_TOKENS, _NOT_CONDITIONING, _CONDITIONING = range(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFormat:
    """Format of the tokens in a file.

    Attributes:
        tokenizer_id: Id of the tokenizer that made the tokens, 16 bytes.
        conditioning: Whether the model is conditioned on the tokens. If not, a picture decoder does
            not need them.
        time_stride: Frames that a token covers, 1 to 255; the first token of a segment covers one.
        space_stride: Luma samples along each side of a token's cell, 1 to 255.
        levels: FSQ levels of each channel of a token, 2 to 16 each; 1 to 16 channels.
    """

    tokenizer_id: bytes
    conditioning: bool
    time_stride: int
    space_stride: int
    levels: tuple[int, ...]

    @property
    def section(self) -> str:
        """Type of the sections that hold the tokens."""
        return CONDITIONING_TOKENS if self.conditioning else TOKENS


def write_token_format(out: Payload, tokens: TokenFormat) -> None:
    """Append the token format to the payload of a HEAD section.

    Raises:
        ConfigError: If a field is outside the range `TokenFormat` states.
    """
    out.u8("tokens", _CONDITIONING if tokens.conditioning else _NOT_CONDITIONING)
    out.check("length of the tokenizer id", len(tokens.tokenizer_id), TOKENIZER_ID, TOKENIZER_ID)
    out.raw(tokens.tokenizer_id)
    out.u8("time stride", tokens.time_stride, 1)
    out.u8("space stride", tokens.space_stride, 1)
    out.u8("digits", len(tokens.levels), 1, MAX_FSQ_CHANNELS)
    for levels in tokens.levels:
        out.u8("levels", levels, 2, MAX_FSQ_CHANNELS)


def read_token_format(cursor: Cursor) -> TokenFormat | None:
    """Read the token format at the end of a HEAD section; None if the file holds no tokens.

    Raises:
        BitstreamError: If a field is missing or out of range.
    """
    use = cursor.u8("tokens", _NO_TOKENS, _CONDITIONING) if cursor.remaining else _NO_TOKENS
    if use == _NO_TOKENS:
        return None
    return TokenFormat(
        conditioning=use == _CONDITIONING,
        tokenizer_id=cursor.take("tokenizer id", TOKENIZER_ID),
        time_stride=cursor.u8("time stride", 1),
        space_stride=cursor.u8("space stride", 1),
        levels=tuple(
            cursor.u8("levels", 2, MAX_FSQ_CHANNELS)
            for _ in range(cursor.u8("digits", 1, MAX_FSQ_CHANNELS))
        ),
    )
