"""How large each segment may be: from a file size, a rate or a quality for the whole."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2

from nvcodec.config import DEFAULT_BPP, EncoderConfig
from nvcodec.errors import ConfigError
from nvcodec.models import config_class
from nvcodec.models.base.network_config import NetworkConfig

# What the container itself takes: once, and per segment.
_FIXED_BYTES = 120
_SEGMENT_BYTES = 40
_LEAST_BITS = 8.0

# What tokens take besides themselves: in the header, and per segment.
_TOKENS_FIXED_BYTES = 26
_TOKENS_SEGMENT_BYTES = 24

# What a file may miss its size by, as far as is known, before the shares of segments to come change.
_SIZE_TOLERANCE = 0.005

# Where rate and distortion balance. Of 1.2 to 3, 2 to 2.4 gave the best PSNR at 0.1 bpp on carphone
# and basketballpass (with a rate weight of 0.2), 0.5 to 0.9 dB more than 3 (with 0.03).
_BITS_PER_PARAMETER = 2.2
_MOST_BITS_PER_PARAMETER = 8.0
# Times 1 / lmbda. Of 0.1 to 1.2, 0.2 to 0.4 gave the lowest ln(distortion) + lmbda * bpp on carphone,
# bunny, bikes and basketballpass, for `nerv` and `hnerv`, lmbda 3 to 20.
_PARAMETERS_PER_PIXEL = 0.3
# Of the smallest network, which may be little but latents; likewise measured.
_LEAST_TIMES = 1.5

# A fit within this of the wanted PSNR will do, and no more fits than this are made for it.
PSNR_TOLERANCE = 0.15
MOST_FITS = 4
# Until two fits say better: what doubling the size gains.
_DB_PER_DOUBLING = 2.0
_SLOPES = (0.7, 6.0)
_LARGEST_LEAP = 3.0  # octaves
# A fit begins where the segment so many chains before ended, so that as many can be fitted at once.
_LAG = 16
_LEAST_GUESS = DEFAULT_BPP / 4


def parameters_for(config: EncoderConfig, bits: float | None, pixels: int, least: int) -> int:
    """How many values the network of a segment may have.

    Args:
        config: Says what is wanted.
        bits: Wanted size of its payload; not needed where the number or `lmbda` is given.
        pixels: Its pixels, over all frames.
        least: Values of the smallest network.
    """
    if config.parameters is not None:
        return config.parameters
    if config.lmbda is not None:
        wanted = _PARAMETERS_PER_PIXEL / config.lmbda * pixels
        return int(max(wanted, _LEAST_TIMES * least))
    return int((bits or 0) / _BITS_PER_PARAMETER)


def ladder_size(sizes: Sequence[float]) -> float:
    """The size whose network all sizes of a ladder share, between the middle and the largest.

    For 0.05, 0.1 and 0.2 bpp that is 0.141. Against encodes of their own it gave, after 40 epochs,
    0.0, +0.3 and -0.2 dB on carphone, +0.7, +0.4 and -0.2 dB on basketballpass; the geometric
    middle +0.7, +0.3, -0.6 and +1.1, +0.2, -0.9.
    """
    return float(min(sizes) ** 0.25 * max(sizes) ** 0.75)


def most_bits(parameters: int) -> float:
    """The largest size that a network of so many values can make use of."""
    return _MOST_BITS_PER_PARAMETER * parameters


def beside_tokens(bits: float | None, tokens: bytes) -> float | None:
    """What a segment's payload may take where its tokens count, too.

    Args:
        bits: Wanted for both, if anything is.
        tokens: Those of the segment, coded.
    """
    return None if bits is None else max(bits - 8 * tokens_section(tokens), _LEAST_BITS)


def tokens_section(tokens: bytes) -> int:
    """About how many bytes of a file a segment's tokens take."""
    return len(tokens) + _TOKENS_SEGMENT_BYTES


class Budget:
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
        self._lag = _LAG * chain
        self._rates: list[float] = []  # bits per pixel of the segments

    @property
    def changes(self) -> bool:
        """Whether what a segment may take can change until those before it are finished."""
        return self._config.size is not None

    def knows(self, number: int) -> bool:
        """Whether enough segments are finished to say how large one may be.

        Args:
            number: Of the segment, from 0.
        """
        return not (self._guesses and number) or self._example(number) < len(self._rates)

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
            known = max(self._rates[self._example(number)], _LEAST_GUESS)
            return (known if last is None else last) * pixels
        if config.parameters is not None or config.lmbda is not None:
            return None
        if config.size is None:
            if config.psnr is not None and not self._guesses:
                return None
            bpp = config.bpp if config.bpp is not None else DEFAULT_BPP
            fixed = _SEGMENT_BYTES + (0 if number else self._fixed)
            return max(bpp * pixels - 8 * fixed, _LEAST_BITS)
        # Frames beyond those that the video says it has find nothing left.
        entitled = max(min(frames, self._total - before), 0)
        return max(8 * (self._share * entitled - _SEGMENT_BYTES), _LEAST_BITS)

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

    def _example(self, number: int) -> int:
        """The segment whose rate is a first guess at that of another."""
        return max(number - self._lag, 0)


class PsnrSearch:
    """Looks for the size at which a segment reaches a PSNR, fit by fit.

    Args:
        target: Wanted luma PSNR, dB.
        bits: Size to try first.

    Attributes:
        bits: Size to try next.
        best: Number of the fit that came nearest, from 0.
        nearest: Its PSNR, dB.
    """

    def __init__(self, target: float, bits: float) -> None:
        self._target = target
        self.bits = bits
        self.best = 0
        self.nearest = float("-inf")
        self._tried: list[tuple[float, float]] = []

    @property
    def reached(self) -> bool:
        """Whether the nearest fit is near enough."""
        return abs(self.nearest - self._target) <= PSNR_TOLERANCE

    def tell(self, bits: float, psnr: float) -> bool:
        """Take account of a fit.

        Args:
            bits: Its actual size.
            psnr: Its luma PSNR, dB.

        Returns:
            True if no further fit is to be made.
        """
        if abs(psnr - self._target) < abs(self.nearest - self._target):
            self.best, self.nearest = len(self._tried), psnr
        self._tried.append((log2(bits), psnr))
        if self.reached or len(self._tried) >= MOST_FITS:
            return True
        slope = _DB_PER_DOUBLING
        near = sorted(self._tried, key=lambda point: abs(point[1] - self._target))[:2]
        if len(near) == 2 and near[0][0] != near[1][0]:
            slope = (near[0][1] - near[1][1]) / (near[0][0] - near[1][0])
            slope = min(max(slope, _SLOPES[0]), _SLOPES[1])
        leap = (self._target - near[0][1]) / slope
        self.bits = 2.0 ** (near[0][0] + min(max(leap, -_LARGEST_LEAP), _LARGEST_LEAP))
        return False
