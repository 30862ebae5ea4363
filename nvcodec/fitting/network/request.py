"""The request for one fit of a network, and the result of a fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from nvcodec.config import FitConfig
from nvcodec.entropy.weights.tensor_codec import QuantisedTensor
from nvcodec.fitting.interface import FitProgress
from nvcodec.fitting.network.step import StepFunction
from nvcodec.models.base.video_model import VideoModel


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FitRequest:
    """The inputs of a fit of one segment, except the target size.

    Attributes:
        model: Network with fresh weights, on the device to compute on. The fit changes it in place
            and leaves it in its fitted state.
        samples: Frames of the segment, uint8, shape (T, channels, H, W) on the model's padded grid.
        config: Length of the fit and its hyperparameters.
        seed: Seed of the encoder's weights and of the order of frames and patches.
        valid_mask: Samples that count, bool, same shape as `samples`; None if all count. An encoder
            also sees the masked samples, so they must not hold anything that has to stay hidden.
        previous_weights: Weights of the previous segment's network, in the order of
            `config.tensors()` of the model. The fit starts from them, and the stream stores the
            differences. None to start from the weights of `model`.
        seconds: Time limit in seconds, None for no limit. Every stage takes at least one step.
        on_progress: Callback after every epoch. An exception that it raises ends the fit.
        batched_step: Function that computes steps together with those of other fits. It is used
            only for networks of a family and size that support batched steps; None to compute
            every step alone.
    """

    model: VideoModel
    samples: Tensor
    config: FitConfig
    seed: int
    valid_mask: Tensor | None = None
    previous_weights: Sequence[Tensor] | None = None
    seconds: float | None = None
    on_progress: Callable[[FitProgress], None] | None = None
    batched_step: StepFunction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """The result of a fit.

    Attributes:
        tensors: Quantised tensors that the stream stores, in the order of `config.tensors()`.
        float_psnr: PSNR at the end of the float stage in dB, defined as in `FitProgress`.
        psnr: PSNR at the end of the quantised stage in dB.
        bits: Estimated size of the tensors in bits.
        epochs: Number of epochs done so far, including those for larger sizes of the same fit.
        recoveries: Number of times the fit diverged and was restored, in those epochs.
    """

    tensors: list[QuantisedTensor]
    float_psnr: float
    psnr: float
    bits: float
    epochs: int
    recoveries: int
