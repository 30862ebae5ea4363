"""What configurations of stacks are made of: layers, and what boosting adds. No torch.

Boosting (Zhang et al., "Boosting Neural Representations for Videos with a Conditional Decoder",
CVPR 2024) is no family of its own: it conditions every block of any stack on time.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from nvcodec.models.base.network_config import Recipe


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution (or, with `kernel` 0, a linear layer) and where it runs.

    Attributes:
        inputs: Input channels.
        outputs: Output channels, before any pixel shuffle.
        kernel: Side of the square kernel; 0 for a linear layer.
        upscale: Pixel-shuffle factor applied to the output, 1 for none.
        grid: Height and width at which the layer runs.
        groups: Into how many parts its channels fall that do not see each other.
        fineness: How many times finer than others its weights begin to be quantised.
    """

    inputs: int
    outputs: int
    kernel: int
    upscale: int
    grid: tuple[int, int]
    groups: int = 1
    fineness: float = 1.0

    @property
    def made(self) -> tuple[int, tuple[int, int]]:
        """Channels, and height and width, of what it makes, shuffle included."""
        height, width = self.grid
        scale = self.upscale
        return self.outputs // scale**2, (height * scale, width * scale)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weight, as torch stores it."""
        if self.kernel == 0:
            return self.outputs, self.inputs
        return self.outputs, self.inputs // self.groups, self.kernel, self.kernel

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one frame."""
        return prod(self.weight_shape) * prod(self.grid)


# Time, as boosted blocks see it: sines and cosines of pi * 1.25**i * t.
TIME_LEVELS = 80
TIME_BASE = 125  # hundredths
# Width of the vector that becomes of it: the published one, and others for small networks.
_TIME_WIDTHS = (32, 16, 8, 4)
_TIME_SHARE = 0.15
_USUAL_CHANNELS = 16
_HERE = (1, 1)

BOOSTED_RECIPE = Recipe(
    optimiser="adan",
    learning_rate=3e-3,
    batch=1,
    warmup=0.1,
    warmup_start=0.1,
    loss="frequency",
)


def time_layers(width: int) -> tuple[Layer, ...]:
    """The time branch: two linear layers.

    Args:
        width: Of the vector that comes out.
    """
    return Layer(2 * TIME_LEVELS, 2 * width, 0, 1, _HERE), Layer(2 * width, width, 0, 1, _HERE)


def affine_layers(width: int, channels: int, grid: tuple[int, int]) -> tuple[Layer, ...]:
    """What follows a boosted block: twice a scale and a shift out of time, and a 3x3 convolution.

    Args:
        width: Of the vector that time becomes.
        channels: That leave the block.
        grid: Height and width there.
    """
    inner = Layer(width, width, 0, 1, _HERE)
    outer = Layer(width, channels, 0, 1, _HERE)
    half = (inner, outer, inner, outer, Layer(channels, channels, 3, 1, grid))
    return half + half


def suited_time_width(budget: int, blocks: int) -> int:
    """How wide the vector of time may be so that what it takes stays a small share.

    Args:
        budget: Values of the network.
        blocks: That are boosted.
    """
    for width in _TIME_WIDTHS[:-1]:
        layers = list(time_layers(width))
        for _ in range(blocks):
            layers += affine_layers(width, _USUAL_CHANNELS, _HERE)
        values = sum(
            prod(layer.weight_shape) + layer.outputs for layer in layers if not layer.kernel
        )
        if values <= _TIME_SHARE * budget:
            return width
    return _TIME_WIDTHS[-1]
