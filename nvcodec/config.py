"""Settings of an encode, with defaults and presets. This module does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from nvcodec.errors import ConfigError
from nvcodec.media import ColourMode
from nvcodec.models import DEFAULT_MODEL, MODELS, config_class, family


@dataclass(frozen=True, slots=True, kw_only=True)
class FitConfig:
    """Settings of the fit of a segment.

    Attributes:
        epochs: Passes over the segment's frames in the float stage.
        encoder_share: Share of these passes in which an encoder produces the latents, for families
            that have an encoder. In the remaining passes the latents are fitted directly, at less
            work per optimiser step.
        quantised_share: Further passes with quantised weights and latents, as a share of `epochs`.
        rate_weight: Weight of the rate in the loss, nepers per bit per stored value. With a target
            size it is only the start of the search.
        fineness: Root mean square of a weight, in quantisation steps, at the start of the quantised
            stage. A target size overrides it.
        batch: Frames per optimiser step; None for the default of the family.
        patch: Side of the random square patches to fit on, samples; None for full frames.
        clip: Largest norm of the gradient.
        compile_step: Compile the network for fitting with `torch.compile`. This takes a minute or
            more, then optimiser steps are faster. On the CPU it needs a C++ compiler.
    """

    epochs: int = 120
    encoder_share: float = 0.5
    quantised_share: float = 0.25
    rate_weight: float = 0.2
    fineness: float = 6.0
    batch: int | None = None
    patch: int | None = None
    clip: float = 1.0
    compile_step: bool = False

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: If a value is out of range.
        """
        counts = (self.epochs, self.batch, self.patch)
        if any(count is not None and count < 1 for count in counts):
            raise ConfigError(
                f"expected at least 1, got {self.epochs = }, {self.batch = }, {self.patch = }"
            )
        if not (0 < self.encoder_share <= 1 and 0 < self.quantised_share <= 10):
            raise ConfigError(
                f"got {self.encoder_share = }, {self.quantised_share = } out of range"
            )
        if not all(value > 0 for value in (self.rate_weight, self.fineness, self.clip)):
            raise ConfigError(
                "expected positive numbers, got "
                f"{self.rate_weight = }, {self.fineness = }, {self.clip = }"
            )


PRESETS = {
    "ultrafast": FitConfig(epochs=12),
    "fast": FitConfig(epochs=40),
    "medium": FitConfig(epochs=120),
    "slow": FitConfig(epochs=300),
    "placebo": FitConfig(epochs=1200),
}
"""Settings of each preset. Presets differ in time only: each sets the passes over the frames, which a
family multiplies by the `PASSES` of its configuration class."""
DEFAULT_BPP = 0.1
LATENTS = ("private", "shared", "both")
DEFAULT_TOKENIZER = "bundled:small"


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """Settings of `nvcodec.encode`.

    At most one of `size`, `bpp`, `psnr`, `ladder`, `lmbda` and `parameters` sets the target of rate
    control; without any, `bpp` is 0.1. Targets exclude audio and subtitles.

    Attributes:
        model: Name in the model table.
        boost: Condition every block of the network on time, for families that are stacks of
            convolutions. The quality at equal size is better, and the work several times as much.
        latents: `"private"` stores only latents that are fitted to this video. `"both"` also stores
            tokens, which `nvcodec.tokens.open_tokens` reads; families that support it are
            conditioned on them. `"shared"` stores tokens instead of private latents, for these
            families only, and sets `boost`. Tokens come from a tokenizer that all videos share, and
            count in the size of the file.
        tokenizer: Tokenizer that makes the tokens: a folder, or `bundled:` and a name.
        preset: Name in `PRESETS`.
        epochs: Passes over the frames; None for the number of the preset.
        fit: All settings of the fit; None for those of the preset.
        colour: Colour mode of the model: native 4:2:0, or RGB as published.
        size: Target size of the file, bytes.
        bpp: Target bits per pixel.
        psnr: Target luma PSNR of every segment, dB. Each segment takes up to four fits.
        ladder: Target sizes of several files, bytes, which `encode_ladder` makes from one float fit
            per segment.
        lmbda: Lagrange multiplier of the rate, nepers of distortion per bit per pixel. The fit of
            every segment minimises ln(distortion) + lmbda * 8 * bytes / (frames * width * height),
            with the bytes of its payload and the distortion that its family fits (`Recipe.loss`;
            the mean squared error for `hnerv`). Another bit per pixel is spent only if it divides
            the distortion by e^lmbda. The network has 0.3 / lmbda values per pixel, at least 1.5
            times as many as the smallest network; this measured best over clips and families. The
            result is about 0.6 / lmbda bits per pixel.
        parameters: Stored values per segment, latents included. The size of the file results.
        time_limit: Time limit of the whole encode, seconds. It shortens fits and never drops
            frames.
        resize: Picture size to scale to, (width, height); None to keep that of the source.
        frames: Frames to encode, by display order; a slice with start and stop, step 1.
        mask: Mask of the pixels that count in the fit: those where it is lighter than middle grey.
            It is one picture, or a video or folder with a picture for each frame. The file does not
            depend on the masked pixels; the decoder shows what the fit extrapolates there. `psnr`
            and the distortion of `lmbda` cover the valid pixels; bits per pixel cover all pixels.
        segment: Most frames of a segment, or a quarter more if the shot or the video ends soon
            after. None to decide by family and picture size, with longer segments for still shots.
            Segments also end at scene cuts.
        refresh: Distance of random access points, segments: at least one in this many is not
            predicted from the segment before it. 1 disables prediction; None is the default of the
            family. A larger distance saves bytes in long shots, and makes seeking slower.
        audio: Copy audio and subtitle tracks.
        device: Device to fit on: `"auto"`, `"cpu"`, `"cuda"` or `"cuda:N"`.
        workers: Number of processes that fit independent segments at the same time on this machine,
            or `"ray"` for as many as a Ray cluster has room for. The file does not depend on it.
            Every process has as many threads as this one would have.
        seed: Seed of all random numbers, 0 to 2**63 - 1.
    """

    model: str = DEFAULT_MODEL
    boost: bool = False
    latents: Literal["private", "shared", "both"] = "private"
    tokenizer: str = DEFAULT_TOKENIZER
    preset: str = "medium"
    epochs: int | None = None
    fit: FitConfig | None = None
    colour: ColourMode = ColourMode.YUV420
    size: int | None = None
    bpp: float | None = None
    psnr: float | None = None
    ladder: tuple[int, ...] | None = None
    lmbda: float | None = None
    parameters: int | None = None
    time_limit: float | None = None
    resize: tuple[int, int] | None = None
    frames: slice | None = None
    mask: Path | None = None
    segment: int | None = None
    refresh: int | None = None
    audio: bool = True
    device: str = "auto"
    workers: int | Literal["ray"] = 1
    seed: int = 0

    def __post_init__(self) -> None:
        """Check what can be checked without the video.

        Raises:
            ConfigError: If a value is unknown or out of range, or settings exclude each other.
        """
        family(self.model)
        if self.preset not in PRESETS:
            raise ConfigError(f"expected a preset among {', '.join(PRESETS)}, got {self.preset!r}")
        targets: dict[str, Any] = {"size": self.size, "bpp": self.bpp, "psnr": self.psnr,
                   "ladder": self.ladder, "lmbda": self.lmbda, "parameters": self.parameters}  # fmt: skip
        given = {name: value for name, value in targets.items() if value is not None}
        if len(given) > 1:
            raise ConfigError(f"expected one target, got {' and '.join(given)}")
        sizes = self.ladder or ()
        if self.ladder is not None and not 0 < len(set(sizes)) == len(sizes):
            raise ConfigError(f"expected a ladder of different sizes, got {self.ladder}")
        given |= {f"size of {size}": size for size in given.pop("ladder", ())}
        limits = {**given, "epochs": self.epochs, "time limit": self.time_limit,
                  "segment": self.segment, "refresh": self.refresh}  # fmt: skip
        for name, value in limits.items():
            if value is not None and not 0 < value < float("inf"):
                raise ConfigError(f"expected a positive, finite {name}, got {value}")
        if self.workers != "ray" and not (isinstance(self.workers, int) and self.workers > 0):
            raise ConfigError(f"expected a number of workers or 'ray', got {self.workers!r}")
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"expected a seed from 0 to 2**63 - 1, got {self.seed}")
        self._check_latents()

    def _check_latents(self) -> None:
        if self.latents not in LATENTS:
            raise ConfigError(f"expected latents among {', '.join(LATENTS)}, got {self.latents!r}")
        if self.latents == "shared" and not self.token_conditioned:
            supported = [name for name in MODELS if config_class(name).SUPPORTS_TOKENS]
            raise ConfigError(
                f"the model {self.model} cannot be made from shared latents; use latents 'both' to "
                "store them beside its own"
                + (
                    f", or the model {' or '.join(supported)}"
                    if supported
                    else "; no model of this release can"
                )
            )

    @property
    def token_conditioned(self) -> bool:
        """Whether the model is conditioned on tokens."""
        return self.latents != "private" and config_class(self.model).SUPPORTS_TOKENS

    @property
    def per_file_configs(self) -> tuple[EncoderConfig, ...]:
        """Settings of each file: one per size of a ladder, or these settings alone."""
        if self.ladder is None:
            return (self,)
        return tuple(replace(self, ladder=None, size=size) for size in self.ladder)

    @property
    def fitting(self) -> FitConfig:
        """Settings of the fit after preset and overrides."""
        config = self.fit or PRESETS[self.preset]
        if self.epochs is not None:
            return replace(config, epochs=self.epochs)
        if self.fit is not None:
            return config
        return replace(config, epochs=config.epochs * config_class(self.model).PASSES)
