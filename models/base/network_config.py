"""The base class of configurations of networks, and the choice of one for a budget. No torch.

A network is fitted by gradient descent and stored as a list of quantised tensors. Its configuration
specifies that list; the number of parameters and the checks before any allocation follow from it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from nvcodec.errors import BitstreamError, ConfigError
from nvcodec.media import ColourMode
from nvcodec.models.base.config import ModelConfig
from nvcodec.models.base.tensor_spec import TensorSpec

if TYPE_CHECKING:
    from typing_extensions import Self

# Whether a network has latents of its own, decodes the segment's tokens, or both.
Latents = Literal["private", "shared", "both"]

_Config = TypeVar("_Config", bound="NetworkConfig")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Training recipe of a family, as its authors publish it; presets scale the number of epochs.

    Attributes:
        optimiser: `"adam"` or `"adan"`.
        learning_rate: Peak learning rate.
        betas: Decay rates of Adam's moments; Adan has its own.
        batch: Frames per optimiser step.
        warmup: Share of the optimiser steps in which the learning rate rises, in [0, 1).
        warmup_start: Learning rate at the first optimiser step, as a share of the peak.
        loss: Name of a loss in `nvcodec.fitting.network.losses`: `"l2"`, `"fusion6"` or
            `"frequency"`.
        quantised: Factor on the usual share of epochs in the quantised stage.
        resumed: Share of the float stage's epochs that remains where a network starts from the
            weights of another.
        points: Approximate number of points of the native grid that an optimiser step samples, on
            regularly spaced rows and columns of the frames; None if it takes all points.
    """

    optimiser: str = "adam"
    learning_rate: float
    betas: tuple[float, float] = (0.9, 0.999)
    batch: int
    warmup: float
    warmup_start: float
    loss: str
    quantised: float = 1.0
    resumed: float = 1.0
    points: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkTarget:
    """The video a network is to represent, and the variant of the family that is to represent it.

    Attributes:
        size: Height and width of the decoded picture.
        frames: Number of frames of the segment.
        colour: Colour layout of the model's samples.
        boosted: Whether time conditions every block.
        latents: Whether the network has latents of its own, decodes the segment's tokens, or both.
    """

    size: tuple[int, int]
    frames: int
    colour: ColourMode
    boosted: bool = False
    latents: Latents = "private"

    @property
    def native_size(self) -> tuple[int, int]:
        """Height and width of the picture on the model's own grid (halved for 4:2:0)."""
        return self.colour.native_size(self.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig(ModelConfig):
    """Configuration of a network; each family adds its own fields.

    Attributes:
        RECIPE: Training recipe of the family when it is not boosted.
        SUPPORTS_BOOST: Whether the family has blocks that time can condition.
    """

    RECIPE: ClassVar[Recipe]
    SUPPORTS_BOOST: ClassVar[bool] = True

    @abstractmethod
    def tensors(self) -> tuple[TensorSpec, ...]:
        """Return every tensor of the stream in coding order: weights and biases, then latents."""

    @classmethod
    def unpack(cls, data: bytes, *, size: tuple[int, int], frames: int, colour: ColourMode) -> Self:
        """Parse the bytes that `pack` returned."""
        fields = cls._unpack_fields(data)
        try:
            return cls(size=size, frames=frames, colour=colour, **fields)
        except ConfigError as error:
            raise BitstreamError(f"model configuration: {error}") from error

    @classmethod
    @abstractmethod
    def _unpack_fields(cls, data: bytes) -> dict[str, Any]:
        """Parse the family's own fields, by name; see `unpack`.

        Raises:
            BitstreamError: If the number of bytes or a marker is not what `pack` returns.
        """

    @classmethod
    def from_budget(
        cls,
        parameters: int,
        *,
        size: tuple[int, int],
        frames: int,
        colour: ColourMode,
        boosted: bool = False,
        latents: Latents = "private",
    ) -> Self:
        """Return the largest configuration of about `parameters` stored values.

        Args:
            parameters: Budget of stored values, latents included.
            size: Height and width of the decoded picture.
            frames: Number of frames of the segment.
            colour: Colour layout of the model's samples.
            boosted: Whether time conditions every block.
            latents: Whether the network has latents of its own (`"private"`), decodes the
                segment's tokens (`"shared"`), or both (`"both"`).

        Raises:
            ConfigError: If the budget is too small for any network of the family, or the family
                can neither be boosted nor take tokens where that is asked for.
        """
        target = NetworkTarget(
            size=size, frames=frames, colour=colour, boosted=boosted, latents=latents
        )
        cls._check_target(target)
        return cls._largest_within(parameters, target)

    @classmethod
    def smallest(
        cls,
        *,
        size: tuple[int, int],
        frames: int,
        colour: ColourMode,
        boosted: bool = False,
        latents: Latents = "private",
    ) -> Self:
        """Return the configuration with the fewest stored values.

        Args:
            size: Height and width of the decoded picture.
            frames: Number of frames of the segment.
            colour: Colour layout of the model's samples.
            boosted: Whether time conditions every block.
            latents: Whether the network has latents of its own (`"private"`), decodes the
                segment's tokens (`"shared"`), or both (`"both"`).

        Raises:
            ConfigError: If the family can neither be boosted nor take tokens where that is asked
                for.
        """
        target = NetworkTarget(
            size=size, frames=frames, colour=colour, boosted=boosted, latents=latents
        )
        cls._check_target(target)
        return cls._smallest(target)

    @classmethod
    @abstractmethod
    def _largest_within(cls, parameters: int, target: NetworkTarget) -> Self:
        """Return the family's largest configuration within a budget; see `from_budget`.

        Raises:
            ConfigError: If even the smallest one exceeds it.
        """

    @classmethod
    @abstractmethod
    def _smallest(cls, target: NetworkTarget) -> Self:
        """Return the family's configuration with the fewest stored values; see `smallest`."""

    @classmethod
    def _check_target(cls, target: NetworkTarget) -> None:
        """Raise `ConfigError` if the family does not have the variant that is asked for."""
        cls._check_boost(target.boosted)
        if target.latents != "private" and not cls.SUPPORTS_TOKENS:
            raise ConfigError(
                f"{cls._model_name()} cannot decode shared latents: expected latents 'private', "
                f"got {target.latents!r}"
            )

    @classmethod
    def _check_boost(cls, boosted: bool) -> None:
        """Raise `ConfigError` if the family is boosted though it cannot be."""
        if boosted and not cls.SUPPORTS_BOOST:
            raise ConfigError(
                f"{cls._model_name()} has no blocks that time could condition: not --boost"
            )

    @classmethod
    def _model_name(cls) -> str:
        # The model table requires that a configuration is called `<model>Config`.
        return cls.__name__.removesuffix("Config").lower()

    @property
    def boosted(self) -> bool:
        """Whether every block is conditioned on time."""
        return False

    @property
    def takes_tokens(self) -> bool:
        """Whether the network decodes the codes of the segment's tokens."""
        return False

    @property
    def recipe(self) -> Recipe:
        """Training recipe; presets scale the number of epochs."""
        return self.RECIPE

    @property
    def parameters(self) -> int:
        """Number of stored values, latents included."""
        return sum(spec.size for spec in self.tensors())

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width of the network's output on its own grid, before cropping."""
        return self.native_size


def largest_that_fits(make: Callable[[int], _Config], parameters: int, limit: int) -> _Config:
    """Find the largest configuration of a series that meets a budget, by bisection.

    Args:
        make: Function from a number, 1 or more, to a configuration; a larger number gives a
            configuration with at least as many values.
        parameters: Budget of stored values.
        limit: Number that is larger than any configuration needs.

    Raises:
        ConfigError: If not even the configuration of 1 meets the budget.
    """
    low, high = 1, limit
    largest = make(low)
    if largest.parameters > parameters:
        raise budget_too_small(parameters, largest)
    while low + 1 < high:
        middle = (low + high) // 2
        candidate = make(middle)
        if candidate.parameters <= parameters:
            low, largest = middle, candidate
        else:
            high = middle
    return largest


def budget_too_small(parameters: int, smallest: NetworkConfig) -> ConfigError:
    """Return the error to raise if not even the smallest network meets a budget.

    Args:
        parameters: Budget of stored values.
        smallest: Configuration with the fewest values that could be chosen.
    """
    height, width = smallest.size
    return ConfigError(
        f"a budget of {parameters} parameters is too small for {smallest.frames} frames of "
        f"{width}x{height}: expected at least {smallest.parameters}"
    )
