"""Chooses the fitter of a model family, and imports only that one."""

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
    """Return the fitter for the segments of an encode.

    Args:
        config: Settings of the encode.
        device: Device to compute on. A fitter may use another one; see `SegmentFitter.device`.

    Raises:
        ConfigError: If boosting is asked for and the family is not a stack of convolutions, or if
            this release has no fitter for the family.
    """
    family_config = config_class(config.model)
    if config.boost and not issubclass(family_config, StackConfig):
        raise ConfigError(
            f"expected a stack of convolutions to boost, got the model {config.model}"
        )
    if issubclass(family_config, NetworkConfig):
        from nvcodec.fitting.network.fitter import NetworkFitter

        return NetworkFitter(config, family_config, device)
    if issubclass(family_config, LatentGridConfig):
        from nvcodec.fitting.latentgrid.fitter import LatentGridFitter

        return LatentGridFitter(config)
    raise ConfigError(f"this release cannot fit the model {config.model}")
