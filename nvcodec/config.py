"""Settings of an encode, with defaults and presets. No torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from nvcodec.errors import ConfigError
from nvcodec.media import ColourMode
from nvcodec.models import DEFAULT_MODEL, MODELS, config_class, family


@dataclass(frozen=True, slots=True, kw_only=True)
class FitConfig:
    """How a segment is fitted.

    Attributes:
        epochs: Passes over the segment's frames in the float stage.
        encoder_share: Share of those in which an encoder finds the latents (families that have
            one); afterwards the latents are fitted themselves, at less work per step.
        quantised_share: Further passes with everything quantised, as a share of `epochs`.
        rate_weight: What one bit per stored value is worth, in nepers of the loss; where a size is
            wanted, only where the search for it begins.
        fineness: Root mean square of a weight in quantisation steps when the quantised stage
            begins; a target size overrides it.
        batch: Frames per step; None for the family's own.
        patch: Fit on random squares of this side, in samples; None for full frames.
        clip: Largest norm of the gradient.
        compile_step: Compile the network for fitting with `torch.compile`: a minute or more of
            waiting, then faster steps. Needs a C++ compiler on the CPU.
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
"""How a preset fits. Presets trade time only: each is a number of passes over the frames, multiplied
for a family by what its configuration class says."""
DEFAULT_BPP = 0.1
LATENTS = ("private", "shared", "both")
DEFAULT_TOKENIZER = "bundled:small"


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """What `nvcodec.encode` may be told.

    At most one of `size`, `bpp`, `psnr`, `ladder`, `lmbda` and `parameters` decides how large the
    networks are; without any, `bpp` is 0.1.

    Attributes:
        model: Name in the model table.
        boost: Condition every block of the network on time, for families that are stacks of
            convolutions: better at equal size, and several times the work.
        latents: `"private"`: only what is fitted to the video. `"both"`: tokens besides, made by a
            tokenizer that all videos share; read them with `nvcodec.tokens.open_tokens`. Families
            that can be fed by tokens are. `"shared"`: tokens instead of latents of its own, for
            those families only, and always boosted. Tokens count in the size of the file.
        tokenizer: Makes the tokens: a folder, or `bundled:` and a name.
        preset: Name in `PRESETS`.
        epochs: Passes over the frames, instead of the preset's.
        fit: Every detail of fitting, instead of the preset's.
        colour: Native 4:2:0, or RGB as published.
        size: Wanted bytes of the file, audio and subtitles excluded.
        bpp: Wanted bits per pixel, audio and subtitles excluded.
        psnr: Wanted luma PSNR of every segment, dB; takes up to four fits each.
        ladder: Wanted bytes of each of several files, made by `encode_ladder` from one float fit
            per segment.
        lmbda: What a bit per pixel is worth, in nepers of the distortion. Every segment's fit
            minimises ln(distortion) + lmbda * 8 * bytes / (frames * width * height), with the bytes
            of its payload and the distortion its family fits (`Recipe.loss`; for `hnerv` the mean
            squared error): a bit more per pixel is spent only where it makes the distortion
            e^lmbda times smaller. The network has 0.3 / lmbda values per pixel, or half as many
            again as the smallest, which measures best over clips and families; about 0.6 / lmbda
            bits per pixel are the outcome.
        parameters: Stored values per segment, latents included; the size follows.
        time_limit: Seconds for the whole encode; shortens fits, never drops frames.
        resize: Wanted (width, height).
        frames: Which frames, by display order; start and stop, step 1.
        mask: Which pixels count in the fit: those where a picture, or a video or folder of pictures
            with one for each frame, is lighter than middle grey. What was in the others has no
            influence on the file; they show what the fit makes of the rest. A PSNR that is wanted,
            and `lmbda`, are of the pixels that count; bits per pixel are of all.
        segment: Frames a segment has at most, where a shot or the video ends soon after a quarter
            more; None to decide by family and picture size, and to let still shots be longer. Segments also
            end at cuts.
        refresh: At least every so many segments one is not predicted from the one before it, for a
            decoder to begin at; 1 for none predicted, None for what suits the family. More save bytes where shots go on, and make
            jumping into the video slower.
        audio: Carry audio and subtitle tracks.
        device: `"auto"`, `"cpu"`, `"cuda"` or `"cuda:N"`.
        workers: Processes that fit independent segments at the same time, on this machine, or
            `"ray"` for as many as a Ray cluster has room for. The files are the same whoever makes
            them. Every process has as many threads as this one would have.
        seed: Everything random follows from it.
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
        """Check what can be checked without a video.

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
            can = [name for name in MODELS if config_class(name).SUPPORTS_TOKENS]
            raise ConfigError(
                f"the model {self.model} cannot be made from shared latents; use latents 'both' to "
                "store them beside its own"
                + (
                    f", or the model {' or '.join(can)}"
                    if can
                    else "; no model of this release can"
                )
            )

    @property
    def token_conditioned(self) -> bool:
        """Whether the model is fed by tokens."""
        return self.latents != "private" and config_class(self.model).SUPPORTS_TOKENS

    @property
    def per_file_configs(self) -> tuple[EncoderConfig, ...]:
        """The settings of every file: one for each size of a ladder."""
        if self.ladder is None:
            return (self,)
        return tuple(replace(self, ladder=None, size=size) for size in self.ladder)

    @property
    def fitting(self) -> FitConfig:
        """The fit's configuration after preset and overrides."""
        chosen = self.fit or PRESETS[self.preset]
        if self.epochs is not None:
            return replace(chosen, epochs=self.epochs)
        if self.fit is not None:
            return chosen
        return replace(chosen, epochs=chosen.epochs * config_class(self.model).PASSES)
