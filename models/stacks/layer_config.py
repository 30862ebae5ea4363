"""Specifications of layers, and the layers that boosting adds to a stack. No torch.

Boosting (Zhang et al., "Boosting Neural Representations for Videos with a Conditional Decoder",
CVPR 2024) is not a family of its own: it conditions every block of any stack on time.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from nvcodec.models.base.network_config import Recipe


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """Shape of a convolution (or, with `kernel` 0, of a linear layer) and the size it runs at.

    Attributes:
        inputs: Input channels.
        outputs: Output channels, before any pixel shuffle.
        kernel: Side of the square kernel; 0 for a linear layer.
        upscale: Pixel-shuffle factor applied to the output, 1 for none.
        grid: Height and width of the input of the layer.
        groups: Number of groups of channels that are convolved separately.
        fineness: Factor by which the initial quantisation step of the weights is smaller than that
            of other layers.
    """

    inputs: int
    outputs: int
    kernel: int
    upscale: int
    grid: tuple[int, int]
    groups: int = 1
    fineness: float = 1.0

    @property
    def output_shape(self) -> tuple[int, tuple[int, int]]:
        """Channels, and height and width, of the output behind the shuffle."""
        height, width = self.grid
        scale = self.upscale
        return self.outputs // scale**2, (height * scale, width * scale)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weight in torch's layout."""
        if self.kernel == 0:
            return self.outputs, self.inputs
        return self.outputs, self.inputs // self.groups, self.kernel, self.kernel

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations for one frame."""
        return prod(self.weight_shape) * prod(self.grid)


# Positional encoding of time in boosted networks: sines and cosines of pi * 1.25**i * t.
TIME_LEVELS = 80
TIME_BASE = 125  # hundredths
# Widths of the time vector: the published one, and narrower ones for small networks.
_TIME_WIDTHS = (32, 16, 8, 4)
# Largest share of a network's values in linear layers that process time, for blocks of a typical
# number of channels.
_TIME_SHARE = 0.15
_TYPICAL_CHANNELS = 16
_SINGLE_POSITION = (1, 1)

BOOSTED_RECIPE = Recipe(
    optimiser="adan",
    learning_rate=3e-3,
    batch=1,
    warmup=0.1,
    warmup_start=0.1,
    loss="frequency",
)


def time_layers(width: int) -> tuple[LayerSpec, ...]:
    """Return the two linear layers of the time branch.

    Args:
        width: Width of the time vector.
    """
    return (
        LayerSpec(2 * TIME_LEVELS, 2 * width, 0, 1, _SINGLE_POSITION),
        LayerSpec(2 * width, width, 0, 1, _SINGLE_POSITION),
    )


def affine_layers(width: int, channels: int, grid: tuple[int, int]) -> tuple[LayerSpec, ...]:
    """Return the layers that follow a boosted block.

    These are, twice, two linear layers each for a scale and for a shift that depend on time, and a
    3x3 convolution.

    Args:
        width: Width of the time vector.
        channels: Output channels of the block.
        grid: Height and width of the block's output.
    """
    inner = LayerSpec(width, width, 0, 1, _SINGLE_POSITION)
    outer = LayerSpec(width, channels, 0, 1, _SINGLE_POSITION)
    half = (inner, outer, inner, outer, LayerSpec(channels, channels, 3, 1, grid))
    return half + half


def suited_time_width(budget: int, blocks: int) -> int:
    """Return the largest width of the time vector whose layers stay a small share of a network.

    Args:
        budget: Number of values of the network.
        blocks: Number of boosted blocks.
    """
    for width in _TIME_WIDTHS[:-1]:
        layers = list(time_layers(width))
        for _ in range(blocks):
            layers += affine_layers(width, _TYPICAL_CHANNELS, _SINGLE_POSITION)
        values = sum(
            prod(layer.weight_shape) + layer.outputs for layer in layers if not layer.kernel
        )
        if values <= _TIME_SHARE * budget:
            return width
    return _TIME_WIDTHS[-1]
