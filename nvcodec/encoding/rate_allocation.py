"""How large each segment may be: from a file size, a rate or a quality for the whole."""

from __future__ import annotations

from nvcodec.config import DEFAULT_BPP, EncoderConfig
from nvcodec.errors import ConfigError
from nvcodec.models import config_class
from nvcodec.models.base.network_config import NetworkConfig
from nvcodec.tokenizer.token_sections import LEAST_BITS

# What the container itself takes: once, and per segment.
_FIXED_BYTES = 120
_SEGMENT_BYTES = 40

# What tokens take besides themselves: in the header, and per segment.
_TOKENS_FIXED_BYTES = 26

# What a file may miss its size by, as far as is known, before the shares of segments to come change.
_SIZE_TOLERANCE = 0.005


# A fit begins where the segment so many chains before ended, so that as many can be fitted at once.
_LOOKBACK_CHAINS = 16
_LEAST_GUESS = DEFAULT_BPP / 4


class RateBudget:
    """Shares out a size among segments.

    What a segment may take does not hang on what those just before it took, or none could be fitted
    before they are: every frame has the same share, until the file would end too far from its size.

    Args:
        config: Says what is wanted.
        total_frames: Frames of the video, None where unknown.
        chain: Segments that may lean on each other.

    Raises:
        ConfigError: If a file size is wanted of a video of unknown length.
    """

    def __init__(self, config: EncoderConfig, total_frames: int | None, chain: int) -> None:
        if config.size is not None and total_frames is None:
            raise ConfigError(
                "the video does not say how long it is, so a file size cannot be shared out; ask "
                "for --bpp instead"
            )
        self._config = config
        self._total = total_frames or 0
        self._frames = 0
        tokens = config.latents != "private"
        self._fixed = self._spent = _FIXED_BYTES + (_TOKENS_FIXED_BYTES if tokens else 0)
        self._share = ((config.size or 0) - self._fixed) / max(self._total, 1)  # bytes per frame
        # Only networks look for a quality by way of sizes.
        self._guesses = config.psnr is not None and issubclass(
            config_class(config.model), NetworkConfig
        )
        self._lookback = _LOOKBACK_CHAINS * chain
        self._rates: list[float] = []  # bits per pixel of the segments

    @property
    def is_global(self) -> bool:
        """Whether what a segment may take can change until those before it are finished."""
        return self._config.size is not None

    def is_ready(self, number: int) -> bool:
        """Whether enough segments are finished to say how large one may be.

        Args:
            number: Of the segment, from 0.
        """
        return not (self._guesses and number) or self._reference_segment(number) < len(self._rates)

    def bits(
        self, number: int, before: int, frames: int, pixels: int, last: float | None = None
    ) -> float | None:
        """Wanted size of a segment's payload, its tokens included.

        Args:
            number: Of the segment, one that `knows` is true of.
            before: Frames of the video before it.
            frames: Its frames.
            pixels: Its pixels, over all frames.
            last: Bits per pixel of the segment that it may lean on, if there is one.

        Returns:
            Bits; None where the number of parameters or `lmbda` is given instead. For a wanted
            PSNR a first guess, None where none is needed.
        """
        config = self._config
        if self._guesses and number:
            # A still or black one says little of others.
            known = max(self._rates[self._reference_segment(number)], _LEAST_GUESS)
            return (known if last is None else last) * pixels
        if config.parameters is not None or config.lmbda is not None:
            return None
        if config.size is None:
            if config.psnr is not None and not self._guesses:
                return None
            bpp = config.bpp if config.bpp is not None else DEFAULT_BPP
            fixed = _SEGMENT_BYTES + (0 if number else self._fixed)
            return max(bpp * pixels - 8 * fixed, LEAST_BITS)
        # Frames beyond those that the video says it has find nothing left.
        entitled = max(min(frames, self._total - before), 0)
        return max(8 * (self._share * entitled - _SEGMENT_BYTES), LEAST_BITS)

    def spend(self, frames: int, pixels: int, payload: int, beside: int = 0) -> None:
        """Take account of the next segment, in the order of the video.

        Args:
            frames: Its frames.
            pixels: Its pixels, over all frames.
            payload: Bytes of its payload.
            beside: Bytes of its tokens' section.
        """
        self._frames += frames
        self._spent += payload + beside + _SEGMENT_BYTES
        self._rates.append(8 * payload / pixels)
        left = self._total - self._frames
        if self._config.size is None or left <= 0:
            return
        excess = self._spent + self._share * left - self._config.size
        if abs(excess) > _SIZE_TOLERANCE * self._config.size:
            self._share = (self._config.size - self._spent) / left

    def _reference_segment(self, number: int) -> int:
        """The segment whose rate is a first guess at that of another."""
        return max(number - self._lookback, 0)
