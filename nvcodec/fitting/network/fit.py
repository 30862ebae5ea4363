"""Fitting one segment: a network, first as floats, then as what the stream will hold of it.

    float stage       weights (and the encoder that finds the latents) against the pictures
    quantised stage   weights, latents and steps on their grids, against pictures and bits

The loop is in `nvcodec.fitting.network.training_loop`. Nothing here knows a file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

from torch import Tensor

from nvcodec.config import FitConfig
from nvcodec.errors import ConfigError
from nvcodec.fitting.interface import FitProgress
from nvcodec.fitting.network.step import StepFunction
from nvcodec.fitting.network.training_loop import Fit, FitLoop
from nvcodec.models.base.video_model import VideoModel

__all__ = ["Fit", "fit", "fit_sizes"]


def fit(
    model: VideoModel,
    samples: Tensor,
    config: FitConfig,
    *,
    valid_mask: Tensor | None = None,
    seed: int,
    target_bits: float | None = None,
    lmbda: float | None = None,
    previous_weights: Sequence[Tensor] | None = None,
    seconds: float | None = None,
    on_progress: Callable[[FitProgress], None] | None = None,
    batched_step: StepFunction | None = None,
) -> Fit:
    """Fit a model to a segment.

    Args:
        model: With fresh weights, on the device to compute on; left in its fitted state.
        samples: uint8, shape (T, channels, H, W) on the model's padded grid.
        config: How long and how.
        valid_mask: bool, of the same shape: which samples count; None if all do. An encoder sees the
            others, which must therefore hold nothing that is to stay hidden.
        seed: Of the encoder's weights and the order of frames.
        target_bits: Wanted size of what the stream is to hold; None leaves it to `lmbda` or the
            configuration's rate weight.
        lmbda: What a bit per pixel is worth, in nepers of the loss; see `EncoderConfig`. Not
            together with a wanted size.
        previous_weights: Tensors of the segment before, in the order of `config.tensors()`: the fit begins
            with them, and the stream is to hold the differences.
        seconds: Time allowed, None for no limit; at least one step per stage is taken.
        on_progress: Called after every epoch. An exception it raises ends the fit.
        batched_step: Computes steps together with those of other fits; used where networks of this
            family and size take them at once.

    Returns:
        What the stream is to hold.

    Raises:
        ConfigError: If both a size and `lmbda` are given.
    """
    if target_bits is not None and lmbda is not None:
        raise ConfigError(f"expected one of a size and lmbda, got {target_bits = }, {lmbda = }")
    if lmbda is not None:
        pixels = model.config.frames * prod(model.config.size)
        config = replace(config, rate_weight=lmbda * model.config.parameters / pixels)
    sizes = [target_bits]
    loop = FitLoop(
        model,
        samples,
        config,
        valid_mask=valid_mask,
        seed=seed,
        sizes=sizes,
        previous_weights=previous_weights,
        seconds=seconds,
        on_progress=on_progress,
        batched_step=batched_step,
    )
    return loop.run()[0]


def fit_sizes(
    model: VideoModel,
    samples: Tensor,
    config: FitConfig,
    *,
    valid_mask: Tensor | None = None,
    seed: int,
    sizes: Sequence[float],
    seconds: float | None = None,
    on_progress: Callable[[FitProgress], None] | None = None,
    batched_step: StepFunction | None = None,
) -> list[Fit]:
    """Fit a model to a segment once, and quantise it for each of several sizes.

    The sizes share the float stage, and each begins where the next larger one ended: that gives
    0.1 to 0.4 dB more than to begin with the floats each time. What comes out for a size thus
    depends on the larger ones, but not on the smaller.

    Args:
        model: As for `fit`; left in the state of the smallest size.
        samples: As for `fit`.
        config: As for `fit`.
        valid_mask: As for `fit`.
        seed: As for `fit`.
        sizes: Wanted bits of what the stream is to hold, in any order; one at least.
        seconds: Time allowed for all of it.
        on_progress: Called after every epoch; epochs are counted over all sizes.
        batched_step: As for `fit`.

    Returns:
        What the stream is to hold, for each size, in their order.
    """
    order = sorted(range(len(sizes)), key=lambda place: -sizes[place])
    loop = FitLoop(
        model,
        samples,
        config,
        valid_mask=valid_mask,
        seed=seed,
        sizes=[sizes[place] for place in order],
        seconds=seconds,
        on_progress=on_progress,
        batched_step=batched_step,
    )
    fits = dict(zip(order, loop.run(), strict=True))
    return [fits[place] for place in range(len(sizes))]
