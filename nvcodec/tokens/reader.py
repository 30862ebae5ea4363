"""Reader of the tokens of an `.nvc` file, which decodes no pictures and does not import torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import numpy.typing as npt

from nvcodec.allocation import reporting_allocation_failures
from nvcodec.closing import Closing
from nvcodec.container import Reader, Segment, SegmentList
from nvcodec.container.byte_source import StoredFile
from nvcodec.decoding.inspection import total_steps
from nvcodec.errors import BitstreamError, ConfigError, NoTokensError
from nvcodec.indexing import Seconds, float_seconds
from nvcodec.models.tokenizer.layout import frames_of_token_steps, token_grid_size
from nvcodec.tokenizer.token_ids import LEVELS
from nvcodec.tokenizer.token_sections import check_format, read_token_section
from nvcodec.tokens.grid import TokenGrid

if TYPE_CHECKING:
    from typing_extensions import Self

_Float64Array = npt.NDArray[np.float64]


class TokenReader(Closing):
    """An `.nvc` file that is open for reading tokens; `nvcodec.tokens.open_tokens` makes one.

    Only the header, the index and the token sections of the requested segments are read. Several
    threads may use a reader at a time, and so may processes that are forked. A pickled reader opens
    the file anew, by its path or with its contents.

    Args:
        source: Path, contents, or binary file object.

    Attributes:
        tokenizer_id: Identity of the tokenizer that made the tokens, 32 hexadecimal digits.
        latents: `"fed"` if the model is conditioned on the tokens, `"beside"` if it is not.
        size: Width and height of the pictures, samples.
        shape: Rows and columns of tokens in a time step.
        frame_rate: Nominal frames per second.
        metadata: Free text in the file, by key.
        segments: Segments of the video; time steps restart with every segment.

    Raises:
        NoTokensError: If the file stores no tokens.
        UnsupportedVersionError: If this release does not know the layout of the tokens.
        BitstreamError: If the source is not an `.nvc` stream, or its header is damaged.
    """

    def __init__(self, source: str | os.PathLike[str] | bytes | BinaryIO) -> None:
        self._reader = Reader(source)
        header = self._reader.header
        try:
            if header.tokens is None:
                name = os.fspath(source) if isinstance(source, (str, os.PathLike)) else "the file"
                raise NoTokensError(
                    f"{name} holds no tokens: it was encoded with private latents only; make tokens "
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
        self.shape = token_grid_size(*self.size)
        self.frame_rate: Fraction = header.video.frame_rate
        self.metadata: Mapping[str, str] = self._reader.metadata
        self.segments: SegmentList = self._reader.segments
        self._left_out: dict[str, None] = {}

    def __reduce__(self) -> tuple[type[Self], tuple[bytes | StoredFile]]:
        return type(self), (self._reader.reopenable(),)

    @property
    def steps(self) -> int:
        """Number of time steps of all segments."""
        return total_steps(self.segments)

    @property
    def duration(self) -> Fraction:
        """Time from the start of the first frame to the end of the last, seconds.

        Raises:
            BitstreamError: If the file has no index and its last segment is malformed.
        """
        return self._reader.duration

    @property
    def token_bytes(self) -> int:
        """Size of all token sections, bytes."""
        return self._reader.token_bytes

    @property
    def file_bytes(self) -> int:
        """Size of the file, bytes."""
        return self._reader.file_bytes

    @property
    def bytes_read(self) -> int:
        """Number of bytes read from the file so far; repeated reads count again."""
        return self._reader.bytes_read

    @property
    def damage(self) -> list[str]:
        """Missing and damaged parts of the file, one sentence each."""
        return [*map(str, self._reader.damage), *list(self._left_out)]

    def require(self, tokenizer_id: str) -> None:
        """Check that the tokens were made by a tokenizer.

        Args:
            tokenizer_id: Identity of the tokenizer, 32 hexadecimal digits.

        Raises:
            ConfigError: If another tokenizer made them.
        """
        if tokenizer_id != self.tokenizer_id:
            raise ConfigError(
                f"expected tokens of the tokenizer {tokenizer_id}, the file's are of "
                f"{self.tokenizer_id}; load that tokenizer, or make other tokens from the pictures "
                "(nvcodec tokens FILE --via pixels)"
            )

    @reporting_allocation_failures("the tokens of the video")
    def grid(
        self,
        start: Seconds | None = None,
        end: Seconds | None = None,
        *,
        tokenizer_id: str | None = None,
        skip_damaged: bool = False,
    ) -> TokenGrid:
        """Read the tokens of the video, or of the time steps of which a part is in a time range.

        Args:
            start: Start of the time range on the video's clock, seconds, a number of any type; None
                for that of the video.
            end: End of the time range, seconds; None for that of the video.
            tokenizer_id: Identity of the tokenizer that must have made the tokens; None for any.
            skip_damaged: Leave out segments with damaged tokens, and list them in `damage`. Segments
                that a file without index has lost completely are always left out.

        Raises:
            ConfigError: If nothing is shown in the time range, a time is not a number (NaN), or
                another tokenizer made the tokens.
            BitstreamError: If tokens in the time range are damaged or missing and `skip_damaged` is
                not set.
            ClosedError: If the reader is closed.
        """
        self._reader.check_open()
        if tokenizer_id is not None:
            self.require(tokenizer_id)
        first = -np.inf if start is None else float_seconds(start)
        last = np.inf if end is None else float_seconds(end)
        parts = []
        for number in self.segments.shown(first, last, self._reader.header.video.time_base):
            try:
                section, fsq_indices, bits = read_token_section(self._reader, number)
            except BitstreamError as error:
                if not skip_damaged:
                    raise
                if not any(str(error) in line for line in self.damage):
                    self._left_out.setdefault(str(error))
                continue
            parts.append((fsq_indices, bits, *self._times(section)))
        empty = (
            np.empty((0, *self.shape, len(LEVELS)), np.uint8),
            np.empty((0, *self.shape), np.float32),
            np.empty(0),
            np.empty(0),
        )
        fsq_indices, bits, starts, ends = (
            np.concatenate(arrays) for arrays in zip(empty, *parts, strict=True)
        )
        grid = TokenGrid(
            digits=fsq_indices,
            bits=bits,
            starts=starts,
            ends=ends,
            size=self.size,
            tokenizer_id=self.tokenizer_id,
        )
        return grid if start is None and end is None else grid.during(first, last)

    def _times(self, section: Segment) -> tuple[_Float64Array, _Float64Array]:
        """Return starts and ends of the time steps of a segment, seconds, shape (t,) each."""
        steps = frames_of_token_steps(section.frames)
        video = self._reader.header.video
        pts, durations = section.pts, section.durations
        starts = [pts[step.start] for step in steps]
        ends = [pts[step.stop - 1] + durations[step.stop - 1] for step in steps]
        for number, step in enumerate(steps):
            if not durations[step.stop - 1]:  # 0 means unknown
                following = starts[number + 1 :] or [
                    ends[number] + round(1 / (video.frame_rate * video.time_base))
                ]
                ends[number] = following[0]
        # Integers and a single division round as fractions do, and are much faster.
        numerator, denominator = video.time_base.as_integer_ratio()
        seconds = [[tick * numerator / denominator for tick in ticks] for ticks in (starts, ends)]
        return np.array(seconds[0]), np.array(seconds[1])

    def close(self) -> None:
        """Close the file. Reads in other threads still end well."""
        self._reader.close()


def open_tokens(source: str | os.PathLike[str] | bytes | BinaryIO) -> TokenReader:
    """Open the tokens of an `.nvc` file.

    Args:
        source: Path, contents, or binary file object.

    Raises:
        NoTokensError: If the file stores no tokens.
        UnsupportedVersionError: If this release does not know the layout of the tokens.
        BitstreamError: If the source is not an `.nvc` stream, or its header is damaged.
    """
    return TokenReader(source)
