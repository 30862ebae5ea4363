"""Limits on the tensors of a model, in proportion to the picture; encoder and decoder observe them."""

from __future__ import annotations

from math import prod

from nvcodec.models.base.config import ModelConfig
from nvcodec.models.base.network_config import NetworkConfig

# Largest number of values of an intermediate tensor that a stream may demand. Large layers cost a
# file few bytes, so that the picture bounds them, beyond a size that no memory lacks.
_LARGEST_TENSOR = 1 << 29
_VALUES_PER_PIXEL, _FREE_VALUES = 512, 1 << 22
# The same for the padding of the picture to a multiple of a network's strides.
_PADDING, _FREE_POSITIONS = 4, 1 << 16
# Values of a predicted network, as a share of the limit of a tensor.
_PREDICTED_SHARE = 4


def memory_excess(config: ModelConfig) -> str | None:
    """Return in what a model is out of proportion to the picture; None if it is not.

    Args:
        config: Configuration of the model of a segment.

    Returns:
        A clause such as "its network needs ...; at most ... are allowed".
    """
    height, width = config.size
    limit = min(_LARGEST_TENSOR, _VALUES_PER_PIXEL * height * width + _FREE_VALUES)
    if config.largest_tensor > limit:
        return (
            f"its network needs a tensor of {config.largest_tensor} values for one frame of "
            f"{width}x{height}; at most {limit} are allowed"
        )
    if not isinstance(config, NetworkConfig):
        return None
    if prod(config.padded) > _PADDING * prod(config.native_size) + _FREE_POSITIONS:
        return (
            f"its network pads {width}x{height} to {config.padded[1]}x{config.padded[0]} positions; "
            f"at most {_PADDING} times its own and {_FREE_POSITIONS} are allowed"
        )
    # A predicted network repeats the head of the one before for all of its frames, without a byte.
    if config.predicted and config.parameters > limit // _PREDICTED_SHARE:
        return (
            f"its predicted network has {config.parameters} values; at most "
            f"{limit // _PREDICTED_SHARE} are allowed for {width}x{height}"
        )
    return None
