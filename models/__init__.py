"""Models that are videos: the families and the table that names them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from nvcodec._lazy import lazy_exports
from nvcodec.errors import ConfigError, UnsupportedVersionError
from nvcodec.media import ColourMode
from nvcodec.models.base.config import ModelConfig

if TYPE_CHECKING:
    from nvcodec.models.base.network_config import NetworkConfig
    from nvcodec.models.base.video_model import VideoModel

__all__ = [
    "DEFAULT_MODEL",
    "MODELS",
    "ColourMode",
    "Family",
    "ModelConfig",
    "build",
    "config_class",
    "family",
]


class Family(NamedTuple):
    """A row of the model table.

    Attributes:
        number: Its id in the bitstream.
        package: Its package. The network is in `<package>.model`, which imports torch and is
            imported when first needed; the configuration, which does not, in `<package>.config`.
        model: Name of the network's class; that of its configuration is `<model>Config`, whose base
            class decides which part of the tool fits and decodes it.
        summary: One line for people.
    """

    number: int
    package: str
    model: str
    summary: str


# The numbers are part of the bitstream; never reuse one.
MODELS: dict[str, Family] = {
    "nerv": Family(
        1, "nvcodec.models.nerv", "NeRV", "frame index to frame; everything is in the weights"
    ),
    "hnerv": Family(
        2,
        "nvcodec.models.hnerv",
        "HNeRV",
        "a small embedding per frame, decoded by convolutions",
    ),
    "latentgrid": Family(
        3,
        "nvcodec.models.latentgrid",
        "LatentGrid",
        "motion fields and multi-scale latents, found in closed form",
    ),
    "nervpp": Family(
        4,
        "nvcodec.models.nervpp",
        "NeRVPP",
        "NeRV with separable residual blocks and bilinear skips",
    ),
    "nirvana": Family(
        5,
        "nvcodec.models.nirvana",
        "Nirvana",
        "coordinates to a group of frames; the next group is stored as differences",
    ),
    "ngp": Family(
        6,
        "nvcodec.models.ngp",
        "NGP",
        "features of grids in space and time; any point, any moment",
    ),
}
"""The model table: a family by its name."""

DEFAULT_MODEL = "latentgrid"
"""The family that wins the rate-distortion benchmark."""


def family(name: str) -> Family:
    """The row of a model.

    Raises:
        ConfigError: If there is no such model.
    """
    if name not in MODELS:
        raise ConfigError(f"expected a model among {', '.join(MODELS)}, got {name!r}")
    return MODELS[name]


def name_of(number: int) -> str:
    """The name of a model id of the bitstream.

    Raises:
        UnsupportedVersionError: If this release does not know it.
    """
    for name, row in MODELS.items():
        if row.number == number:
            return name
    raise UnsupportedVersionError(
        f"model id {number} is unknown to this release, which knows "
        + ", ".join(f"{row.number} ({name})" for name, row in MODELS.items())
    )


def config_class(name: str) -> type[ModelConfig]:
    """The configuration class of a model."""
    row = family(name)
    found: type[ModelConfig] = getattr(import_module(f"{row.package}.config"), f"{row.model}Config")
    return found


def build(name: str, config: NetworkConfig) -> VideoModel:
    """The network of a configuration, with fresh weights; of families that are stacks only."""
    row = family(name)
    model: VideoModel = getattr(import_module(f"{row.package}.model"), row.model)(config)
    return model


# `nvcodec.models.hnerv` and the other families need no import statement of their own.
__getattr__, __dir__ = lazy_exports(__name__, {}, submodules=MODELS)
