"""Chooses the worker pool of an encode."""

from __future__ import annotations

from nvcodec.config import EncoderConfig
from nvcodec.errors import ConfigError
from nvcodec.fitting.interface import SegmentFitter
from nvcodec.models import config_class
from nvcodec.models.base.network_config import NetworkConfig
from nvcodec.workers.environment import ComputeEnvironment
from nvcodec.workers.in_process_pool import InProcessPool
from nvcodec.workers.pool import WorkerPool


def make_pool(config: EncoderConfig, fitter: SegmentFitter, pixels: int) -> WorkerPool:
    """Who is to fit the segments of an encode.

    Args:
        config: Its settings.
        fitter: Fits them, if this process does; tells where others are to compute.
        pixels: Of a picture.

    Raises:
        ConfigError: If Ray is wanted and not installed, or has no place for a job.
    """
    if config.workers == 1:
        return _pool_in_this_process(config, fitter, pixels)
    environment = ComputeEnvironment.current(config, fitter.device)
    if config.workers != "ray":
        from nvcodec.workers.process_pool import ProcessPool

        return ProcessPool(environment, config.workers)
    try:
        import ray  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "--workers ray needs Ray, which is not installed: pip install 'nvcodec-suite[ray]', or "
            "pass a number of processes instead"
        ) from error
    from nvcodec.workers.ray_pool import RayPool

    return RayPool(environment)


def _pool_in_this_process(config: EncoderConfig, fitter: SegmentFitter, pixels: int) -> WorkerPool:
    kind = config_class(config.model)
    if not issubclass(kind, NetworkConfig):
        return InProcessPool(fitter, config)
    from nvcodec.fitting.network.batched_step import largest_batch
    from nvcodec.workers.lockstep_pool import LockstepPool

    slots = largest_batch(kind, config.fitting, pixels, fitter.device.type)
    return (
        LockstepPool(config, fitter.device, slots) if slots > 1 else InProcessPool(fitter, config)
    )
