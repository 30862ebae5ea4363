"""Fitting a network and keeping both outcomes: the float network, and the file.

`nvcodec.encode` writes the file only. Published figures are those of the float network, so the fit
is watched here at the one moment when that network exists: after the float stage.
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
from nvcodec.device import choose_device, working_type
from nvcodec.entropy.weights.tensor_codec import QuantisedTensor
from nvcodec.fitting.interface import FitProgress
from nvcodec.fitting.network.request import Fit, FitRequest
from nvcodec.fitting.network.training_loop import FitLoop
from nvcodec.media import ColourMode, VideoInfo
from nvcodec.models import build, config_class, family, name_of
from nvcodec.models.base.video_model import VideoModel
from nvcodec.models.stacks.config import StackConfig
from nvcodec.models.stacks.inference import Synthesis
from nvcodec.reconstruction.network_payload import decode_network, encode_network
from nvcodec.reconstruction.payload import pack_payload, split_payload

_RATE = Fraction(25)  # Big Buck Bunny's


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A fit and what came of it.

    Attributes:
        config: The network.
        floating: It, as it was after the float stage.
        fit: What the fit reports.
        file: The `.nvc` file, one segment.
        float_seconds: Time of the float stage.
        seconds: Time of the whole fit.
        peak_bytes: Most memory held on the GPU; None on a CPU.
    """

    config: StackConfig
    floating: VideoModel
    fit: Fit
    file: Path
    float_seconds: float
    seconds: float
    peak_bytes: int | None


class Watched(FitLoop):
    """A fit that keeps a copy of the float network.

    Attributes:
        floating: That copy.
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
    how: FitConfig,
    file: Path,
    *,
    seed: int,
    device: str,
) -> Fitted:
    """Fit a network in RGB to pictures and write the file.

    Args:
        variant: Its family, a stack of convolutions, boosted or not.
        samples: uint8, shape (T, 3, H, W).
        parameters: Stored values, latents included.
        how: The fit's configuration.
        file: To write.
        seed: Of everything random.
        device: Where to fit.
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
        variant.model, _on_grid(samples, config), config, how, seed=seed, device=target
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
    return Fitted(
        config=config,
        floating=loop.floating,
        fit=outcome,
        file=file,
        float_seconds=loop.float_seconds,
        seconds=seconds,
        peak_bytes=torch.cuda.max_memory_allocated() if target.type == "cuda" else None,
    )


def stack_class(name: str) -> type[StackConfig]:
    """The configuration class of a family that is a stack of convolutions.

    Raises:
        SystemExit: If it is none.
    """
    found = config_class(name)
    if not issubclass(found, StackConfig):
        raise SystemExit(f"expected a stack of convolutions, got the model {name}")
    return found


def _on_grid(samples: Tensor, config: StackConfig) -> Tensor:
    """Pictures with their last row and column repeated up to a network's grid."""
    height, width = config.padded
    rows = torch.arange(height).clamp_max(samples.shape[2] - 1)
    columns = torch.arange(width).clamp_max(samples.shape[3] - 1)
    return samples[:, :, rows][:, :, :, columns].contiguous(memory_format=torch.channels_last)


def fit_watched(
    name: str,
    samples: Tensor,
    config: StackConfig,
    how: FitConfig,
    *,
    seed: int,
    device: torch.device,
    seconds: float | None = None,
) -> tuple[Watched, Fit]:
    """Fit a network and keep the floats.

    Args:
        name: Of the family.
        samples: uint8, shape (T, channels, H, W) on the configuration's padded grid.
        config: The network.
        how: The fit's configuration.
        seed: Of everything random.
        device: Where to fit.
        seconds: Time allowed, None for no limit.

    Returns:
        The fit with its float network, and its outcome.
    """
    torch.manual_seed(seed)
    request = FitRequest(
        model=build(name, config).to(device),
        samples=samples,
        config=how,
        seed=seed,
        seconds=seconds,
        on_progress=_Line(f"{Variant(name, config.boosted)}, {config.parameters}"),
    )
    loop = Watched(request, [None])
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
        file: To write; its folder is made.
        name: Of the family.
        config: The network.
        tensors: Its quantised state.
        video: Size, clock and colour.
        pts: When each frame is shown, in ticks of the video's time base.
        durations: For how long.
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
    """Another network of the same state, for evaluation."""
    made = type(model)(model.config).to(next(model.parameters()).device)
    made.load([tensor.detach() for tensor in model.transmitted()])
    return made.eval().requires_grad_(False)


def file_model(file: Path) -> VideoModel:
    """The network of a one-segment file, on the CPU."""
    with Reader(file) as reader:
        stored = reader.segment(0)
        config, body = split_payload(stored, reader.header)
        return decode_network(body, config, name_of(reader.header.model))


@torch.inference_mode()
def float_psnr(model: VideoModel, samples: Tensor) -> float:
    """PSNR of a network's float32 outputs in dB, as HNeRV counts it: per frame, then the mean."""
    device = next(model.parameters()).device
    values = []
    for frame in range(len(samples)):
        output = model(torch.tensor([frame], device=device))
        target = samples[frame : frame + 1].to(device).float() / 255
        values.append(-10 * torch.log10((output - target).square().mean() + 1e-9))
    return float(torch.stack(values).mean())


@torch.inference_mode()
def decoded_psnr(model: VideoModel, samples: Tensor, device: str) -> float:
    """PSNR in dB of the 8-bit RGB pictures that nvcodec's decoder makes; per frame, then mean."""
    target = choose_device(device)
    decode = Synthesis(model.to(target), working_type(target))
    values = []
    for frame in range(len(samples)):
        levels = (decode(torch.tensor([frame])) * 255).round_().clamp_(0, 255)
        error = (levels - samples[frame : frame + 1].to(target)).square().mean()
        values.append(10 * torch.log10(255.0**2 / error.clamp_min(1e-9)))
    return float(torch.stack(values).mean())


class _Line:
    """Progress, a line every tenth of the epochs."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __call__(self, progress: FitProgress) -> None:
        step = max(progress.epochs // 10, 1)
        if progress.epoch % step == 0 or progress.epoch == progress.epochs:
            print(
                f"{self._what}: {progress.stage} epoch {progress.epoch}/{progress.epochs}, "
                f"{progress.psnr:.2f} dB, {progress.seconds:.0f} s",
                flush=True,
            )
