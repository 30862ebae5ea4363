"""Instant-NGP (Müller et al., SIGGRAPH 2022) for video: a hash grid and a small perceptron."""

from nvcodec._lazy import lazy_exports

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "nvcodec.models.ngp.model": ("NGP",),
        "nvcodec.models.ngp.config": ("NGPConfig",),
    },
)
