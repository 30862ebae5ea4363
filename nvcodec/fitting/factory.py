"""Chooses the fitter of a model family."""

from __future__ import annotations

import torch

from nvcodec.config import EncoderConfig
from nvcodec.errors import ConfigError
from nvcodec.fitting.interface import SegmentFitter
from nvcodec.models import config_class
from nvcodec.models.base.network_config import NetworkConfig
from nvcodec.models.latentgrid.config import LatentGridConfig
from nvcodec.models.stacks.config import StackConfig


def make_fitter(config: EncoderConfig, device: torch.device) -> SegmentFitter:
    """What fits the segments of an encode.

    Args:
        config: Its settings.
        device: Where to compute.
    """
    kind = config_class(config.model)
    if config.boost and not issubclass(kind, StackConfig):
        raise ConfigError(
            f"expected a stack of convolutions to boost, got the model {config.model}"
        )
    if issubclass(kind, NetworkConfig):
        from nvcodec.fitting.network.fitter import NetworkFitter

        return NetworkFitter(config, kind, device)
    if issubclass(kind, LatentGridConfig):
        from nvcodec.fitting.latentgrid.fitter import LatentGridFitter

        return LatentGridFitter(config)
    raise ConfigError(f"this release cannot fit the model {config.model}")
