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


def make_pool(
    config: EncoderConfig, fitter: SegmentFitter, pixels: int, chains: int = 0
) -> WorkerPool:
    """Return the worker pool for the segments of an encode.

    Args:
        config: Settings of the encode.
        fitter: Fitter of this process; its device is that of other workers too.
        pixels: Number of pixels of a frame.
        chains: Number of chains of segments that are expected; 0 if it is unknown.

    Raises:
        ConfigError: If the settings ask for Ray, and it is not installed or no machine of the
            cluster has room for a job.
    """
    if config.workers == 1:
        return _pool_in_this_process(config, fitter, pixels)
    environment = ComputeEnvironment.current(config, fitter.device)
    if config.workers != "ray":
        from nvcodec.workers.process_pool import ProcessPool

        return ProcessPool(environment, config.workers, chains)
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
    """Return a pool that fits several segments at a time if their steps can be batched."""
    family_config = config_class(config.model)
    if not issubclass(family_config, NetworkConfig):
        return InProcessPool(fitter, config)
    from nvcodec.fitting.network.batched_step import largest_batch
    from nvcodec.workers.lockstep_pool import LockstepPool

    capacity = largest_batch(family_config, config.fitting, pixels, fitter.device.type)
    if capacity == 1:
        return InProcessPool(fitter, config)
    return LockstepPool(config, fitter.device, capacity)
