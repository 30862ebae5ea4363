"""Chooses the worker pool of an encode."""

from __future__ import annotations

from nvcodec.config import EncoderConfig
from nvcodec.errors import ConfigError
from nvcodec.fitting.interface import Fitter
from nvcodec.models import config_class
from nvcodec.models.base.network_config import NetworkConfig
from nvcodec.workers.environment import Setting
from nvcodec.workers.in_process_pool import Here
from nvcodec.workers.pool import Workers


def workers_for(config: EncoderConfig, fitter: Fitter, pixels: int) -> Workers:
    """Who is to fit the segments of an encode.

    Args:
        config: Its settings.
        fitter: Fits them, if this process does; tells where others are to compute.
        pixels: Of a picture.

    Raises:
        ConfigError: If Ray is wanted and not installed, or has no place for a job.
    """
    if config.workers == 1:
        return _here(config, fitter, pixels)
    setting = Setting.here(config, fitter.device)
    if config.workers != "ray":
        from nvcodec.workers.process_pool import Processes

        return Processes(setting, config.workers)
    try:
        import ray  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "--workers ray needs Ray, which is not installed: pip install 'nvcodec-suite[ray]', or "
            "pass a number of processes instead"
        ) from error
    from nvcodec.workers.ray_pool import RayTasks

    return RayTasks(setting)


def _here(config: EncoderConfig, fitter: Fitter, pixels: int) -> Workers:
    kind = config_class(config.model)
    if not issubclass(kind, NetworkConfig):
        return Here(fitter, config)
    from nvcodec.fitting.network.batched_step import most_at_once
    from nvcodec.workers.lockstep_pool import Abreast

    slots = most_at_once(kind, config.fitting, pixels, fitter.device.type)
    return Abreast(config, fitter.device, slots) if slots > 1 else Here(fitter, config)
