"""Rate allocation: the target size of each segment, from a size, rate or quality of the file."""

from __future__ import annotations

from nvcodec.config import DEFAULT_BPP, EncoderConfig
from nvcodec.errors import ConfigError
from nvcodec.models import config_class
from nvcodec.models.base.network_config import NetworkConfig
from nvcodec.tokenizer.token_sections import LEAST_BITS

# Overhead of the container: once per file, and per segment.
_FIXED_BYTES = 120
_SEGMENT_BYTES = 40

# Overhead of tokens in the header.
_TOKENS_FIXED_BYTES = 26

# Largest expected error of the file size, as a share of it, before the targets of further segments
# change.
_SIZE_TOLERANCE = 0.005

# The search for a PSNR starts at the rate of the segment so many chains before. That many chains
# can therefore be fitted at a time.
_LOOKBACK_CHAINS = 16
_LEAST_GUESS = DEFAULT_BPP / 4


class RateBudget:
    """The budget of one output file, which it allocates to the segments.

    The target of a segment does not depend on the actual sizes of the segments just before it:
    otherwise it could not be fitted before they are. Every frame has the same share of the file,
    until the file would miss its size by too much.

    Args:
        config: Settings of the encode, which state the target.
        total_frames: Number of frames of the video, None if it is unknown.
        chain_length: Largest number of segments of a chain, which starts at a random access point.
        description_bytes: Size of tags and chapters in the file.

    Raises:
        ConfigError: If a file size is given for a video of unknown length.
    """

    def __init__(
        self,
        config: EncoderConfig,
        total_frames: int | None,
        chain_length: int,
        description_bytes: int = 0,
    ) -> None:
        if config.size is not None and total_frames is None:
            raise ConfigError(
                "the video does not say how long it is, so a file size cannot be shared out; ask "
                "for --bpp instead"
            )
        self._config = config
        self._total_frames = total_frames or 0
        self._frames = 0  # accounted for
        tokens = config.latents != "private"
        self._fixed = _FIXED_BYTES + (_TOKENS_FIXED_BYTES if tokens else 0) + description_bytes
        self._spent = self._fixed
        video_bytes = (config.size or 0) - self._fixed
        self._bytes_per_frame = video_bytes / max(self._total_frames, 1)
        # Only networks reach a PSNR by a search over sizes, which needs a first guess.
        self._guesses = config.psnr is not None and issubclass(
            config_class(config.model), NetworkConfig
        )
        self._lookback = _LOOKBACK_CHAINS * chain_length
        self._rates: list[float] = []  # bits per pixel of the segments

    @property
    def is_global(self) -> bool:
        """Whether the target of a segment can change until all segments before it are finished."""
        return self._config.size is not None

    def is_ready(self, number: int) -> bool:
        """Return whether enough segments are finished to tell the target of a segment.

        Args:
            number: Number of the segment, from 0.
        """
        return not (self._guesses and number) or self._reference_segment(number) < len(self._rates)

    def bits(
        self,
        number: int,
        first_frame: int,
        frames: int,
        pixels: int,
        previous_bpp: float | None = None,
    ) -> float | None:
        """Return the target size of a segment's payload and tokens in bits.

        Args:
            number: Number of the segment, from 0; `is_ready` must be true for it.
            first_frame: Number of its first frame in the video, from 0.
            frames: Number of its frames.
            pixels: Number of its pixels, over all frames.
            previous_bpp: Bits per pixel of the segment that it may be predicted from, if there is
                one.

        Returns:
            Size in bits; None if the number of parameters or `lmbda` is given instead. For a target
            PSNR it is a first guess, None if the family needs no guess.
        """
        config = self._config
        if self._guesses and number:
            # The rate of a still or black segment is too low for other segments.
            guess = max(self._rates[self._reference_segment(number)], _LEAST_GUESS)
            return (guess if previous_bpp is None else previous_bpp) * pixels
        if config.parameters is not None or config.lmbda is not None:
            return None
        if config.size is None:
            if config.psnr is not None and not self._guesses:
                return None
            bpp = config.bpp if config.bpp is not None else DEFAULT_BPP
            fixed = _SEGMENT_BYTES + (0 if number else self._fixed)
            return max(bpp * pixels - 8 * fixed, LEAST_BITS)
        # Frames beyond the stated length of the video have no share.
        entitled = max(min(frames, self._total_frames - first_frame), 0)
        return max(8 * (self._bytes_per_frame * entitled - _SEGMENT_BYTES), LEAST_BITS)

    def spend(self, frames: int, pixels: int, payload_bytes: int, token_bytes: int = 0) -> None:
        """Account for the next segment, in video order.

        Args:
            frames: Number of its frames.
            pixels: Number of its pixels, over all frames.
            payload_bytes: Size of its payload in bytes.
            token_bytes: Size of its token section in bytes.
        """
        self._frames += frames
        self._spent += payload_bytes + token_bytes + _SEGMENT_BYTES
        self._rates.append(8 * payload_bytes / pixels)
        left = self._total_frames - self._frames
        if self._config.size is None or left <= 0:
            return
        excess = self._spent + self._bytes_per_frame * left - self._config.size
        if abs(excess) > _SIZE_TOLERANCE * self._config.size:
            self._bytes_per_frame = (self._config.size - self._spent) / left

    def _reference_segment(self, number: int) -> int:
        """Return the number of the segment whose rate is the first guess for a segment."""
        return max(number - self._lookback, 0)
