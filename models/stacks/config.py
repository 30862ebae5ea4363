"""The base class of configurations of stacks of convolutions, and their packed form. No torch.

Such a configuration lists its layers (see `layer_config`). The number of parameters, the
multiply-accumulate operations and the tensors of the bitstream all follow from that list, so that
`nvcodec info` reports them without loading torch.
"""

from __future__ import annotations

import struct
from abc import abstractmethod
from dataclasses import dataclass
from math import prod
from typing import TypedDict

from nvcodec.errors import BitstreamError, ConfigError
from nvcodec.models.base.network_config import NetworkConfig, Recipe
from nvcodec.models.base.tensor_spec import TensorSpec
from nvcodec.models.stacks.geometry import Geometry, grid_for
from nvcodec.models.stacks.layer_config import BOOSTED_RECIPE, LayerSpec, affine_layers, time_layers

# Limits of the bitstream, far above any sensible network.
LARGEST_WIDTH = 4096
MOST_STAGES = 8
LARGEST_STRIDE = 8
LARGEST_KERNEL = 15
LARGEST_TIME_WIDTH = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class StackConfig(NetworkConfig):
    """Configuration of a stack of upsampling convolutions; each family adds its own fields.

    Attributes:
        strides: Upsampling factor of each stage.
        kernels: Side of the square kernel of each stage, odd.
        widths: Input channels of the first stage, then output channels of each stage.
        time_width: Width of the time vector that conditions every block; 0: not boosted.
    """

    strides: tuple[int, ...]
    kernels: tuple[int, ...]
    widths: tuple[int, ...]
    time_width: int = 0

    def __post_init__(self) -> None:
        """Check the fields that all stacks have.

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
        if not 0 <= self.time_width <= LARGEST_TIME_WIDTH:
            raise ConfigError(f"expected up to {LARGEST_TIME_WIDTH}, got {self.time_width = }")
        if not all(1 <= width <= LARGEST_WIDTH for width in self.widths):
            raise ConfigError(f"expected widths in 1..{LARGEST_WIDTH}, got {self.widths}")

    def front(self) -> tuple[LayerSpec, ...]:
        """Return the layers from time to the embedding grid; none where embeddings are stored."""
        return ()

    @abstractmethod
    def blocks(self) -> tuple[tuple[LayerSpec, ...], ...]:
        """Return the layers of every block of the decoder: a stem if there is one, and stages."""

    @abstractmethod
    def head(self) -> LayerSpec:
        """Return the layer that outputs samples."""

    def layers(self) -> tuple[LayerSpec, ...]:
        """Return every layer of the decoder, in the order of its state dict."""
        width = self.time_width
        layers = [*(time_layers(width) if width else ()), *self.front()]
        for block in self.blocks():
            layers += block
            if width:
                layers += affine_layers(width, *block[-1].output_shape)
        return (*layers, self.head())

    @property
    def boosted(self) -> bool:
        """Whether every block is conditioned on time."""
        return self.time_width > 0

    @property
    def recipe(self) -> Recipe:
        """Training recipe; presets scale the number of epochs."""
        return BOOSTED_RECIPE if self.boosted else self.RECIPE

    def latents(self) -> tuple[TensorSpec, ...]:
        """Return the per-frame latents of the stream; none by default."""
        return ()

    def tensors(self) -> tuple[TensorSpec, ...]:
        """Return every tensor of the stream in coding order: weights and biases, then latents."""
        specs: list[TensorSpec] = []
        for position, layer in enumerate(self.layers()):
            group = layer.upscale**2
            specs.append(
                TensorSpec(
                    f"layer {position} weight",
                    layer.weight_shape,
                    group=group,
                    fineness=layer.fineness,
                )
            )
            specs.append(TensorSpec(f"layer {position} bias", (layer.outputs,), group=group))
        return (*specs, *self.latents())

    @property
    def macs_per_pixel(self) -> float:
        """Multiply-accumulate operations of one decoded frame, per pixel of the picture."""
        return sum(layer.macs for layer in self.layers()) / prod(self.size)

    @property
    def largest_tensor(self) -> int:
        """Number of values of the largest intermediate tensor of one frame."""
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
_BOOSTED = 0x80


def stage_layers(config: StackConfig) -> tuple[LayerSpec, ...]:
    """Return one upsampling convolution per stage, from the embedding grid upwards."""
    layers: list[LayerSpec] = []
    grid = config.grid
    for stage, stride in enumerate(config.strides):
        inputs, outputs = config.widths[stage : stage + 2]
        layers.append(LayerSpec(inputs, outputs * stride**2, config.kernels[stage], stride, grid))
        _, grid = layers[-1].output_shape
    return tuple(layers)


def pack_stages(config: StackConfig) -> bytes:
    """Serialise a count byte, the first width, then stride, kernel and width of each stage.

    If the stack is boosted, the highest bit of the count is set and the width of the time vector
    follows.
    """
    stages = zip(config.strides, config.kernels, config.widths[1:], strict=True)
    count = len(config.strides) | _BOOSTED * config.boosted
    first = struct.pack("<BH", count, config.widths[0])
    packed = first + b"".join(_STAGE.pack(*stage) for stage in stages)
    return packed + bytes((config.time_width,)) if config.boosted else packed


class Stages(TypedDict):
    """The fields of `StackConfig` that `pack_stages` stores."""

    strides: tuple[int, ...]
    kernels: tuple[int, ...]
    widths: tuple[int, ...]
    time_width: int


def unpack_stages(data: bytes, *rest: int) -> tuple[Stages, bytes]:
    """Parse the bytes that `pack_stages` returned.

    Args:
        data: Packed model configuration.
        *rest: Permitted numbers of bytes behind the stages.

    Returns:
        The fields of `Stages`, and the bytes behind them.

    Raises:
        BitstreamError: If the number of bytes is none of the permitted ones, or a boosted stack has
            a time vector of width 0.
    """
    count = data[0] if data else 0
    boosted = bool(count & _BOOSTED)
    end = 3 + _STAGE.size * (count & ~_BOOSTED) + boosted
    if len(data) - end not in rest:
        expected = " or ".join(str(end + more) for more in rest)
        raise BitstreamError(f"model configuration: expected {expected} bytes, found {len(data)}")
    _, first = struct.unpack_from("<BH", data)
    stages = list(_STAGE.iter_unpack(data[3 : end - boosted]))
    if boosted and not data[end - 1]:
        raise BitstreamError("model configuration: a boosted network without a time vector")
    fields: Stages = {
        "strides": tuple(stage[0] for stage in stages),
        "kernels": tuple(stage[1] for stage in stages),
        "widths": (first, *(stage[2] for stage in stages)),
        "time_width": data[end - 1] if boosted else 0,
    }
    return fields, data[end:]
