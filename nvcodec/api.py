"""The two verbs of the library: encode and decode, whole files in and out.

`encode` reports what is on disk: its sizes are those of the file, and its quality is measured by
another process that has only the source and the file.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nvcodec.config import EncoderConfig
from nvcodec.decoding.decode_file import decode_file
from nvcodec.decoding.inspection import inspect
from nvcodec.encoding.encoder import Encoded, Encoder
from nvcodec.encoding.progress import Progress
from nvcodec.errors import ConfigError, NvcodecError
from nvcodec.subprocesses import child

decode = decode_file


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeReport:
    """What an encode made, measured on the file. Field names are those of `encode --json`.

    Attributes:
        file: The file written.
        bytes: Its size.
        video_bytes: Without audio and subtitle tracks.
        bpp: Bits of `video_bytes` per pixel.
        frames: Number of frames.
        width: Picture width, samples.
        height: Picture height, samples.
        fps: Nominal frames per second.
        model: Name of the model family.
        parameters: Stored values, over all segments.
        macs_per_pixel: Multiply-accumulates of a decoded frame per pixel.
        psnr_y: Luma, dB, mean over frames; None if quality was not measured, as all below.
        psnr_u: Blue difference, dB.
        psnr_v: Red difference, dB.
        psnr_yuv: (6 Y + U + V) / 8, dB.
        psnr_rgb: After converting both sides alike, dB.
        ms_ssim: Of luma; None also for tiny pictures.
        encode_seconds: Time to make the file, measuring excluded.
        decode_seconds: Time to decode it in another process.
        epochs: Passes over the frames.
        device: Where networks were fitted.
        seed: Of everything random.
        segments: Number of segments.
        warnings: What was lost or repaired, in plain words.
    """

    file: str
    bytes: int
    video_bytes: int
    bpp: float
    frames: int
    width: int
    height: int
    fps: float
    model: str
    parameters: int
    macs_per_pixel: float
    psnr_y: float | None
    psnr_u: float | None
    psnr_v: float | None
    psnr_yuv: float | None
    psnr_rgb: float | None
    ms_ssim: float | None
    encode_seconds: float
    decode_seconds: float | None
    epochs: int
    device: str
    seed: int
    segments: int
    warnings: tuple[str, ...]


def encode(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    config: EncoderConfig | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    measure: bool = True,
    on_progress: Callable[[Progress], None] | None = None,
) -> EncodeReport:
    """Encode a video and measure the file.

    Args:
        source: A video file, or a folder of images.
        target: The `.nvc` file to write.
        config: Settings; the defaults are those of the command line.
        resume: Go on with an interrupted encode of the same video and settings.
        overwrite: Replace an existing target, and discard an interrupted encode.
        measure: Decode the file in another process and compare it with the source.
        on_progress: Called after every epoch. What it raises ends the encode, resumably.

    Returns:
        Sizes of the file and, if measured, its quality.

    Raises:
        OutputExistsError: If the target, or an interrupted encode of it, exists.
        ConfigError: If the settings cannot work, or do not match what is to be resumed.
        VideoError: If the source cannot be read or the target not be written.
    """
    config = config or EncoderConfig()
    if config.ladder is not None:
        raise ConfigError("a ladder makes several files; use encode_ladder")
    encoder = Encoder(source, [target], config, on_progress)
    (made,) = encoder.run(resume=resume, overwrite=overwrite)
    return _report(Path(source), made, config, measure=measure)


def encode_ladder(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    config: EncoderConfig,
    *,
    resume: bool = False,
    overwrite: bool = False,
    measure: bool = True,
    on_progress: Callable[[Progress], None] | None = None,
) -> tuple[EncodeReport, ...]:
    """Encode a video to files of several sizes from one float fit per segment.

    The network suits a size between their middle and the largest, and is quantised for each. That
    takes less time than as many encodes, and loses a little quality at the largest size only.

    Args:
        source: A video file, or a folder of images.
        target: What the names of the files are made from; see `ladder_paths`.
        config: Settings with a `ladder`.
        resume: Go on with an interrupted encode of the same video and settings.
        overwrite: Replace existing targets, and discard an interrupted encode.
        measure: Decode every file in another process and compare it with the source.
        on_progress: Called after every epoch; epochs are counted over all sizes. What it raises
            ends the encode, resumably.

    Returns:
        A report per size, in the order of the ladder; `encode_seconds` is the time of all sizes.

    Raises:
        OutputExistsError: If a target, or an interrupted encode of it, exists.
        ConfigError: If there is no ladder, if the settings cannot work, or if they do not match
            what is to be resumed.
        VideoError: If the source cannot be read or a target not be written.
    """
    if config.ladder is None:
        raise ConfigError("expected a configuration with a ladder; use encode for one file")
    encoder = Encoder(source, ladder_paths(Path(target), config.ladder), config, on_progress)
    made = encoder.run(resume=resume, overwrite=overwrite)
    return tuple(_report(Path(source), one, config, measure=measure) for one in made)


def ladder_paths(target: Path, sizes: Sequence[int]) -> list[Path]:
    """The files of a ladder: for `clip.nvc` and 50,000 bytes `clip-50kB.nvc`.

    Args:
        target: The name to put sizes into.
        sizes: Bytes, each below 1 kB as `77B`, below 1 MB as `50kB` or `10.24kB`, else as `1.5MB`.
    """
    return [target.with_name(f"{target.stem}-{_in_words(size)}{target.suffix}") for size in sizes]


def _in_words(size: int) -> str:
    """A size, to the byte."""
    if size < 1000:
        return f"{size}B"
    large = size >= 1_000_000 and size % 1000 == 0
    return f"{size / (1e6 if large else 1e3):.3f}".rstrip("0").rstrip(".") + "kM"[large] + "B"


def _report(source: Path, made: Encoded, config: EncoderConfig, *, measure: bool) -> EncodeReport:
    info = inspect(made.path)
    measured = _measured(source, made.path, config) if measure else {}
    return EncodeReport(
        file=str(made.path),
        bytes=info.bytes,
        video_bytes=info.video_bytes,
        bpp=info.bpp,
        frames=info.frames,
        width=info.video.width,
        height=info.video.height,
        fps=float(info.video.frame_rate),
        model=info.model,
        parameters=made.parameters,
        macs_per_pixel=made.macs_per_pixel,
        psnr_y=measured.get("psnr_y"),
        psnr_u=measured.get("psnr_u"),
        psnr_v=measured.get("psnr_v"),
        psnr_yuv=measured.get("psnr_yuv"),
        psnr_rgb=measured.get("psnr_rgb"),
        ms_ssim=measured.get("ms_ssim"),
        encode_seconds=made.seconds,
        decode_seconds=measured.get("decode_seconds"),
        epochs=made.epochs,
        device=made.device,
        seed=config.seed,
        segments=made.segments,
        warnings=made.warnings,
    )


def _measured(source: Path, target: Path, config: EncoderConfig) -> dict[str, Any]:
    """Quality of a file, from a process that knows nothing of how it was made."""
    arguments = ["compare", "--json", "--device", config.device]
    arguments += [str(source.resolve()), str(target.resolve())]
    if config.frames is not None:
        bounds = (config.frames.start, config.frames.stop)
        arguments += ["--frames", ":".join("" if bound is None else str(bound) for bound in bounds)]
    start = child("nvcodec", *arguments)
    run = subprocess.run(
        start.command,
        capture_output=True,
        text=True,
        env=start.environment,
        cwd=start.folder,
        check=False,
    )
    if run.returncode:
        raise NvcodecError(
            f"{target} was written, but measuring it failed: {run.stderr.strip() or run.returncode}"
        )
    measured: dict[str, Any] = json.loads(run.stdout)
    return measured
