"""Reading the tokens of an `.nvc` file without decoding a pixel: no weights, no torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from fractions import Fraction
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from nvcodec.closing import Closing
from nvcodec.container import Reader, Segment, SegmentEntry
from nvcodec.errors import BitstreamError, ConfigError, NoTokensError
from nvcodec.models.tokenizer.layout import frames_of, grid_of, steps_of
from nvcodec.tokenizer.token_ids import LEVELS
from nvcodec.tokenizer.token_sections import check_format, stored_tokens
from nvcodec.tokens.grid import TokenGrid

_Float64Array = npt.NDArray[np.float64]


class TokenReader(Closing):
    """The tokens of an `.nvc` file. Make one with `nvcodec.tokens.open_tokens`.

    Of the file, the header, the index and those sections are read that hold the tokens asked for.

    Args:
        source: Path, bytes, or binary file.

    Attributes:
        tokenizer_id: Of the tokenizer that made the tokens, 32 hexadecimal digits.
        latents: `"fed"` if the pictures are made from the tokens, `"beside"` if not.
        size: Width and height of the pictures, samples.
        shape: Rows and columns of tokens.
        frame_rate: Nominal frames per second.
        metadata: Free text in the file.
        segments: Where the video is cut; tokens begin anew with every segment.

    Raises:
        NoTokensError: If the file holds none.
        UnsupportedVersionError: If it holds some that this release does not know.
        BitstreamError: If it is not an `.nvc` stream, or its header is damaged.
    """

    def __init__(self, source: str | os.PathLike[str] | bytes | BinaryIO) -> None:
        self._reader = Reader(source)
        header = self._reader.header
        try:
            if header.tokens is None:
                name = os.fspath(source) if isinstance(source, (str, os.PathLike)) else "the file"
                raise NoTokensError(
                    f"{name} holds no tokens: it was encoded with private latents only; make some "
                    "from its pictures (nvcodec tokens FILE --via pixels), or encode it with "
                    "--latents both"
                )
            check_format(header.tokens)
        except BaseException:
            self._reader.close()
            raise
        self.tokenizer_id = header.tokens.tokenizer_id.hex()
        self.latents = "fed" if header.tokens.conditioning else "beside"
        self.size = header.video.width, header.video.height
        self.shape = grid_of(*self.size)
        self.frame_rate: Fraction = header.video.frame_rate
        self.metadata: Mapping[str, str] = self._reader.metadata
        self.segments: tuple[SegmentEntry, ...] = self._reader.segments
        self._left_out: list[str] = []

    @property
    def steps(self) -> int:
        """Steps in time of all segments."""
        return sum(steps_of(entry.frames) for entry in self.segments)

    @property
    def duration(self) -> Fraction:
        """Seconds from the start of the first frame to the end of the last.

        Raises:
            BitstreamError: If the file has no index and its last segment is malformed.
        """
        return self._reader.duration

    @property
    def token_bytes(self) -> int:
        """Bytes of the file that hold tokens."""
        return self._reader.token_bytes

    @property
    def file_bytes(self) -> int:
        """Bytes of the file."""
        return self._reader.file_bytes

    @property
    def bytes_read(self) -> int:
        """Bytes read from the file so far; what was read twice counts twice."""
        return self._reader.bytes_read

    @property
    def damage(self) -> list[str]:
        """What is known to be missing or damaged, in plain words."""
        return [*map(str, self._reader.damage), *self._left_out]

    def require(self, tokenizer_id: str) -> None:
        """Refuse tokens of another tokenizer.

        Args:
            tokenizer_id: Of the one wanted, 32 hexadecimal digits.

        Raises:
            ConfigError: If these are not its tokens.
        """
        if tokenizer_id != self.tokenizer_id:
            raise ConfigError(
                f"expected tokens of the tokenizer {tokenizer_id}, the file's are of "
                f"{self.tokenizer_id}; load that tokenizer, or make other tokens from the pictures "
                "(nvcodec tokens FILE --via pixels)"
            )

    def grid(
        self,
        start: float | None = None,
        end: float | None = None,
        *,
        tokenizer_id: str | None = None,
        skip_damaged: bool = False,
    ) -> TokenGrid:
        """Tokens of the video, or of a stretch of it: the steps that are shown at some time in it.

        Args:
            start: Where it begins, seconds on the video's clock; None for the beginning.
            end: Where it ends, seconds; None for the end.
            tokenizer_id: Of the only tokenizer whose tokens will do; see `require`.
            skip_damaged: Leave out segments whose tokens are damaged; `damage` tells of each. Those
                of which a file without index has lost all are left out in any case.

        Raises:
            ConfigError: If nothing is shown in the stretch, or the tokenizer is another one.
            BitstreamError: If tokens in it are damaged or missing, unless `skip_damaged`.
        """
        if tokenizer_id is not None:
            self.require(tokenizer_id)
        first = -np.inf if start is None else start
        last = np.inf if end is None else end
        parts = []
        for entry in self._during(first, last):
            try:
                section, digits, bits = stored_tokens(self._reader, entry.index)
            except BitstreamError as error:
                if not skip_damaged:
                    raise
                if not any(str(error) in line for line in self.damage):
                    self._left_out.append(str(error))
                continue
            parts.append((digits, bits, *self._times(section)))
        nothing = (
            np.empty((0, *self.shape, len(LEVELS)), np.uint8),
            np.empty((0, *self.shape), np.float32),
            np.empty(0),
            np.empty(0),
        )
        digits, bits, starts, ends = (
            np.concatenate(arrays) for arrays in zip(nothing, *parts, strict=True)
        )
        grid = TokenGrid(
            digits=digits,
            bits=bits,
            starts=starts,
            ends=ends,
            size=self.size,
            tokenizer_id=self.tokenizer_id,
        )
        return grid if start is None and end is None else grid.during(first, last)

    def _during(self, start: float, end: float) -> list[SegmentEntry]:
        """The segments of which something may be shown in a stretch of time."""
        base = self._reader.header.video.time_base
        starts = [float(entry.start * base) for entry in self.segments]
        # The last frame of one may be shown for longer than until the next begins, not the others.
        following = [*starts, np.inf][1:]
        return [
            entry
            for entry, begins, ends in zip(self.segments, starts, following, strict=True)
            if begins < end and ends > start
        ]

    def _times(self, section: Segment) -> tuple[_Float64Array, _Float64Array]:
        """When each step begins to be shown, and when it is no longer; shape (steps,)."""
        steps = frames_of(section.frames)
        video = self._reader.header.video
        pts, durations = section.pts, section.durations
        starts = [pts[step.start] for step in steps]
        ends = [pts[step.stop - 1] + durations[step.stop - 1] for step in steps]
        for number, step in enumerate(steps):
            if not durations[step.stop - 1]:  # unknown
                later = starts[number + 1 :] or [
                    ends[number] + round(1 / (video.frame_rate * video.time_base))
                ]
                ends[number] = later[0]
        # As fractions, but many times as fast.
        up, down = video.time_base.as_integer_ratio()
        seconds = [[tick * up / down for tick in ticks] for ticks in (starts, ends)]
        return np.array(seconds[0]), np.array(seconds[1])

    def close(self) -> None:
        """Release the file."""
        self._reader.close()


def open_tokens(source: str | os.PathLike[str] | bytes | BinaryIO) -> TokenReader:
    """Open the tokens of an `.nvc` file.

    Args:
        source: Path, bytes, or binary file.

    Raises:
        NoTokensError: If the file holds none.
        UnsupportedVersionError: If it holds some that this release does not know.
        BitstreamError: If it is not an `.nvc` stream, or its header is damaged.
    """
    return TokenReader(source)
