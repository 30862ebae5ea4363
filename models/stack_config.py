"""Configurations of the families that are stacks of convolutions. No torch.

Such a configuration lists its layers; parameters, multiply-accumulates and the tensors of the
bitstream all follow from that one list, so `nvcodec info` can report them without loading torch.
"""

from __future__ import annotations

import struct
from abc import abstractmethod
from dataclasses import dataclass
from math import prod
from typing import ClassVar, TypedDict

from nvcodec.errors import BitstreamError, ConfigError
from nvcodec.media import ColourMode
from nvcodec.models.config import ModelConfig
from nvcodec.models.geometry import Geometry, grid_for

# Limits of the bitstream, far above any sensible network.
LARGEST_WIDTH = 4096
MOST_STAGES = 8
LARGEST_STRIDE = 8
LARGEST_KERNEL = 15


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution (or, with `kernel` 0, a linear layer) and where it runs.

    Attributes:
        inputs: Input channels.
        outputs: Output channels, before any pixel shuffle.
        kernel: Side of the square kernel; 0 for a linear layer.
        upscale: Pixel-shuffle factor applied to the output, 1 for none.
        grid: Height and width at which the layer runs.
        bias: Whether it has a bias.
    """

    inputs: int
    outputs: int
    kernel: int
    upscale: int
    grid: tuple[int, int]
    bias: bool = True

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weight, as torch stores it."""
        if self.kernel == 0:
            return self.outputs, self.inputs
        return self.outputs, self.inputs, self.kernel, self.kernel

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one frame."""
        return prod(self.weight_shape) * prod(self.grid)


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor of the bitstream.

    Attributes:
        name: Name in the model's state; for messages, never stored.
        shape: Shape; latents have the frame index first.
        channel_axis: Axis along which quantisation steps may differ.
        latent: True for per-frame latents, False for weights.
        group: Number of consecutive channels that resemble each other (the phases of a
            pixel shuffle); the encoder may let them share side information.
    """

    name: str
    shape: tuple[int, ...]
    channel_axis: int = 0
    latent: bool = False
    group: int = 1

    @property
    def size(self) -> int:
        """Number of values."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How the authors of a family fit it; presets scale the number of epochs.

    Attributes:
        learning_rate: Peak learning rate of Adam.
        betas: Moment decay rates of Adam.
        batch: Frames per step.
        warmup: Share of the steps spent warming up, in [0, 1).
        warmup_start: Learning rate at the first step, as a share of the peak.
        loss: `"l2"`, or `"fusion6"` = 0.7 L1 + 0.3 (1 - SSIM).
    """

    learning_rate: float
    betas: tuple[float, float] = (0.9, 0.999)
    batch: int
    warmup: float
    warmup_start: float
    loss: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StackConfig(ModelConfig):
    """What a stack of upsampling convolutions needs; each family adds its own fields.

    Attributes:
        strides: Upsampling factor of each stage.
        kernels: Side of the square kernel of each stage, odd.
        widths: Channels that enter the first stage, then those that leave each stage.
    """

    recipe: ClassVar[Recipe]

    strides: tuple[int, ...]
    kernels: tuple[int, ...]
    widths: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check what any stack relies on; see `ModelConfig`.

        Raises:
            ConfigError: If a field is out of range or the grid does not fit the picture.
        """
        super(StackConfig, self).__post_init__()
        stages = len(self.strides)
        if (
            not 1 <= stages <= MOST_STAGES
            or not stages == len(self.kernels) == len(self.widths) - 1
        ):
            raise ConfigError(
                f"expected 1..{MOST_STAGES} stages with a kernel each and one more width, got "
                f"{self.strides = }, {self.kernels = }, {self.widths = }"
            )
        if not all(1 <= stride <= LARGEST_STRIDE for stride in self.strides):
            raise ConfigError(f"expected strides in 1..{LARGEST_STRIDE}, got {self.strides}")
        if not all(kernel % 2 and 1 <= kernel <= LARGEST_KERNEL for kernel in self.kernels):
            raise ConfigError(f"expected odd kernels up to {LARGEST_KERNEL}, got {self.kernels}")
        if not all(1 <= width <= LARGEST_WIDTH for width in self.widths):
            raise ConfigError(f"expected widths in 1..{LARGEST_WIDTH}, got {self.widths}")

    @abstractmethod
    def layers(self) -> tuple[Layer, ...]:
        """Every layer of the decoder, in the order of its state dict."""

    @classmethod
    @abstractmethod
    def from_budget(
        cls, parameters: int, *, size: tuple[int, int], frames: int, colour: ColourMode
    ) -> StackConfig:
        """A configuration of about `parameters` stored values, latents included.

        Raises:
            ConfigError: If not even `smallest` fits.
        """

    @classmethod
    @abstractmethod
    def smallest(cls, *, size: tuple[int, int], frames: int, colour: ColourMode) -> StackConfig:
        """The configuration with the fewest stored values."""

    def latents(self) -> tuple[TensorSpec, ...]:
        """Per-frame latents of the stream; none by default."""
        return ()

    def tensors(self) -> tuple[TensorSpec, ...]:
        """Every tensor of the stream in coding order: weights and biases, then latents."""
        specs: list[TensorSpec] = []
        for position, layer in enumerate(self.layers()):
            group = layer.upscale**2
            specs.append(TensorSpec(f"layer {position} weight", layer.weight_shape, group=group))
            if layer.bias:
                specs.append(TensorSpec(f"layer {position} bias", (layer.outputs,), group=group))
        return (*specs, *self.latents())

    @property
    def parameters(self) -> int:
        """See `ModelConfig`."""
        return sum(spec.size for spec in self.tensors())

    @property
    def macs_per_pixel(self) -> float:
        """See `ModelConfig`."""
        return sum(layer.macs for layer in self.layers()) / prod(self.size)

    @property
    def largest_tensor(self) -> int:
        """Values of the largest intermediate tensor; see `ModelConfig`."""
        return max(layer.outputs * prod(layer.grid) for layer in self.layers())

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the embedding grid."""
        return grid_for(self.native_size, self.strides)

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width of the model's output on its own grid, before cropping."""
        return Geometry(self.grid, self.strides).padded


_STAGE = struct.Struct("<BBH")


def stage_layers(config: StackConfig, head_kernel: int) -> tuple[Layer, ...]:
    """The layers from the embedding grid upwards: one convolution per stage, then the head."""
    height, width = config.grid
    layers = []
    for stage, stride in enumerate(config.strides):
        inputs, outputs = config.widths[stage : stage + 2]
        grid = (height, width)
        layers.append(Layer(inputs, outputs * stride**2, config.kernels[stage], stride, grid))
        height, width = height * stride, width * stride
    layers.append(Layer(config.widths[-1], config.colour.channels, head_kernel, 1, (height, width)))
    return tuple(layers)


def pack_stages(config: StackConfig) -> bytes:
    """A count byte, the first width, then stride, kernel and width of each stage."""
    stages = zip(config.strides, config.kernels, config.widths[1:], strict=True)
    first = struct.pack("<BH", len(config.strides), config.widths[0])
    return first + b"".join(_STAGE.pack(*stage) for stage in stages)


class Stages(TypedDict):
    """The fields of `StackConfig` that tell its stages."""

    strides: tuple[int, ...]
    kernels: tuple[int, ...]
    widths: tuple[int, ...]


def unpack_stages(data: bytes, rest: int) -> tuple[Stages, bytes]:
    """Inverse of `pack_stages`.

    Args:
        data: A packed model configuration.
        rest: Bytes that must follow the stages, exactly.

    Returns:
        The fields `strides`, `kernels` and `widths`, and the bytes behind them.

    Raises:
        BitstreamError: If the lengths do not agree.
    """
    wanted = 3 + _STAGE.size * (data[0] if data else 0) + rest
    if len(data) != wanted:
        raise BitstreamError(f"model configuration: expected {wanted} bytes, found {len(data)}")
    _, first = struct.unpack_from("<BH", data)
    end = wanted - rest
    stages = list(_STAGE.iter_unpack(data[3:end]))
    fields: Stages = {
        "strides": tuple(stage[0] for stage in stages),
        "kernels": tuple(stage[1] for stage in stages),
        "widths": (first, *(stage[2] for stage in stages)),
    }
    return fields, data[end:]
