"""Fits that keep both the float network and the file.

`nvcodec.encode` keeps the file only. Published figures are those of the float network, so the fit
is copied here when that network exists: after the float stage, before quantisation.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.harness.model_variants import Variant
from nvcodec.config import FitConfig
from nvcodec.container import Header, Reader, Segment, Writer
from nvcodec.device import choose_device
from nvcodec.entropy.weights.tensor_codec import QuantisedTensor
from nvcodec.fitting.interface import FitProgress
from nvcodec.fitting.network.request import Fit, FitRequest
from nvcodec.fitting.network.training_loop import FitLoop
from nvcodec.media import ColourMode, VideoInfo
from nvcodec.models import build, config_class, family, name_of
from nvcodec.models.base.video_model import VideoModel
from nvcodec.models.stacks.config import StackConfig
from nvcodec.reconstruction.network_payload import decode_network, encode_network
from nvcodec.reconstruction.payload import pack_payload, split_payload

_RATE = Fraction(25)  # Frame rate of Big Buck Bunny.


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedFile:
    """A fitted network, as floats and as a file.

    Attributes:
        config: Configuration of the network.
        floating: The network as it was after the float stage.
        fit: Outcome of the fit, with the quantised tensors.
        file: The `.nvc` file, of one segment.
        float_seconds: Time of the float stage.
        seconds: Time of the whole fit.
        peak_bytes: Peak memory on the GPU; None on a CPU.
    """

    config: StackConfig
    floating: VideoModel
    fit: Fit
    file: Path
    float_seconds: float
    seconds: float
    peak_bytes: int | None


class FloatKeepingFit(FitLoop):
    """A fit that copies the network after the float stage.

    Attributes:
        floating: The copy.
        float_seconds: Time of the float stage.
    """

    floating: VideoModel
    float_seconds: float

    def _float_stages(self, encoder: torch.nn.Module | None) -> float:
        psnr = super()._float_stages(encoder)
        self.floating = copied(self.model)
        self.float_seconds = self.reporter.elapsed
        return psnr


def fit_to_file(
    variant: Variant,
    samples: Tensor,
    parameters: int,
    fit_config: FitConfig,
    file: Path,
    *,
    seed: int,
    device: str,
) -> FittedFile:
    """Fit a network in RGB to pictures and write the file.

    Args:
        variant: Family of the network, a stack of convolutions, boosted or not.
        samples: Pictures, uint8, shape (T, 3, H, W).
        parameters: Number of stored values, latents included.
        fit_config: Configuration of the fit.
        file: `.nvc` file to write.
        seed: Seed of the initial weights and of the order of the frames.
        device: `cpu`, `cuda` or `auto`.
    """
    frames, _, height, width = samples.shape
    config = stack_class(variant.model).from_budget(
        parameters,
        size=(height, width),
        frames=frames,
        colour=ColourMode.RGB,
        boosted=variant.boosted,
    )
    target = choose_device(device)
    if target.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    begin = time.monotonic()
    loop, outcome = fit_watched(
        variant.model, _padded(samples, config), config, fit_config, seed=seed, device=target
    )
    seconds = time.monotonic() - begin
    video = VideoInfo(width=width, height=height, time_base=Fraction(1, 1000), frame_rate=_RATE)
    ticks = round(1000 / _RATE)
    write_stream(
        file,
        variant.model,
        config,
        outcome.tensors,
        video,
        pts=[ticks * frame for frame in range(frames)],
        durations=[ticks] * frames,
    )
    return FittedFile(
        config=config,
        floating=loop.floating,
        fit=outcome,
        file=file,
        float_seconds=loop.float_seconds,
        seconds=seconds,
        peak_bytes=torch.cuda.max_memory_allocated() if target.type == "cuda" else None,
    )


def stack_class(name: str) -> type[StackConfig]:
    """Return the configuration class of a family that is a stack of convolutions.

    Args:
        name: Name of the family.

    Raises:
        SystemExit: If the family is not a stack of convolutions.
    """
    configuration = config_class(name)
    if not issubclass(configuration, StackConfig):
        raise SystemExit(f"expected a stack of convolutions, got the model {name}")
    return configuration


def _padded(samples: Tensor, config: StackConfig) -> Tensor:
    """Return pictures padded to the network's size, by repeating the last row and column."""
    height, width = config.padded
    rows = torch.arange(height).clamp_max(samples.shape[2] - 1)
    columns = torch.arange(width).clamp_max(samples.shape[3] - 1)
    return samples[:, :, rows][:, :, :, columns].contiguous(memory_format=torch.channels_last)


def fit_watched(
    name: str,
    samples: Tensor,
    config: StackConfig,
    fit_config: FitConfig,
    *,
    seed: int,
    device: torch.device,
    seconds: float | None = None,
) -> tuple[FloatKeepingFit, Fit]:
    """Fit a network and keep the float network.

    Args:
        name: Name of the model family.
        samples: uint8, shape (T, channels, H, W), padded to the size of the configuration.
        config: Configuration of the network.
        fit_config: Configuration of the fit.
        seed: Seed of the initial weights and of the order of the frames.
        device: Device to fit on.
        seconds: Time limit of the fit; None for no limit.

    Returns:
        The fit, which holds the float network, and its outcome.
    """
    torch.manual_seed(seed)
    request = FitRequest(
        model=build(name, config).to(device),
        samples=samples,
        config=fit_config,
        seed=seed,
        seconds=seconds,
        on_progress=_ProgressPrinter(f"{Variant(name, config.boosted)}, {config.parameters}"),
    )
    loop = FloatKeepingFit(request, [None])
    return loop, loop.run()[0]


def write_stream(
    file: Path,
    name: str,
    config: StackConfig,
    tensors: Sequence[QuantisedTensor],
    video: VideoInfo,
    *,
    pts: Sequence[int],
    durations: Sequence[int],
) -> None:
    """Write an `.nvc` file of one segment.

    Args:
        file: File to write; its folder is created.
        name: Name of the model family.
        config: Configuration of the network.
        tensors: Quantised tensors of the network.
        video: Size, time base and colour of the video.
        pts: Presentation time of each frame, in ticks of the video's time base.
        durations: Duration of each frame, in ticks.
    """
    header = Header(
        video=video,
        model=family(name).number,
        colour_mode=config.colour,
        configuration=config.pack(),
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    with Writer(file) as writer:
        writer.header(header)
        writer.segment(
            Segment(
                first_frame=0,
                pts=pts,
                durations=durations,
                payload=pack_payload(encode_network(tensors, config), config, header),
            )
        )
        writer.finish()


def copied(model: VideoModel) -> VideoModel:
    """Return a copy of a network, for evaluation."""
    copy = type(model)(model.config).to(next(model.parameters()).device)
    copy.load([tensor.detach() for tensor in model.transmitted()])
    return copy.eval().requires_grad_(False)


def file_model(file: Path) -> VideoModel:
    """Decode the network of an `.nvc` file of one segment, on the CPU."""
    with Reader(file) as reader:
        stored = reader.segment(0)
        config, body = split_payload(stored, reader.header)
        return decode_network(body, config, name_of(reader.header.model))


class _ProgressPrinter:
    """Prints the progress of a fit, one line per tenth of its epochs.

    Args:
        label: First words of each line.
    """

    def __init__(self, label: str) -> None:
        self._label = label

    def __call__(self, progress: FitProgress) -> None:
        interval = max(progress.epochs // 10, 1)
        if progress.epoch % interval == 0 or progress.epoch == progress.epochs:
            print(
                f"{self._label}: {progress.stage} epoch {progress.epoch}/{progress.epochs}, "
                f"{progress.psnr:.2f} dB, {progress.seconds:.0f} s",
                flush=True,
            )
