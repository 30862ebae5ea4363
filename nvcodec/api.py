"""The functions that encode and decode whole files, and the report of an encode.

The report describes the written file: its sizes are read from disk, and its quality is measured by
another process that has only the source and the file.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from nvcodec.config import EncoderConfig
from nvcodec.decoding.decode_file import decode_file
from nvcodec.decoding.inspection import inspect
from nvcodec.encoding.encoder import EncodedFile, Encoder
from nvcodec.encoding.progress import Progress
from nvcodec.errors import ConfigError, NvcodecError, VideoError
from nvcodec.files.spooling import Input, input_file, temporary_file
from nvcodec.files.target import is_write_through
from nvcodec.files.urls import refuse_url
from nvcodec.host.subprocesses import child

decode = decode_file


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeReport:
    """Sizes and quality of an encoded file. Field names are those of `encode --json`.

    Quality fields and `decode_seconds` are None if the file was not measured.

    Attributes:
        file: Path of the written file; `-` for a file object.
        bytes: Size of the file, bytes.
        video_bytes: Size of the file without audio and subtitle tracks, bytes.
        bpp: Bits of `video_bytes` per pixel.
        frames: Number of frames.
        width: Picture width, samples.
        height: Picture height, samples.
        fps: Nominal frames per second.
        model: Name of the model family.
        parameters: Number of stored values over all segments.
        macs_per_pixel: Multiply-accumulate operations per pixel of a decoded frame.
        psnr_y: PSNR of luma, dB, mean over frames.
        psnr_u: PSNR of the blue-difference plane, dB, mean over frames.
        psnr_v: PSNR of the red-difference plane, dB, mean over frames.
        psnr_yuv: (6 Y + U + V) / 8, dB.
        psnr_rgb: PSNR after the same conversion of both sides to RGB, dB, mean over frames.
        ms_ssim: MS-SSIM of luma; also None if the pictures are too small for it.
        encode_seconds: Time to encode, without measuring, seconds.
        decode_seconds: Time to decode the file in another process, seconds.
        epochs: Passes over the frames.
        device: Device that the networks were fitted on.
        seed: Seed of all random numbers.
        segments: Number of segments.
        warnings: What was lost or repaired, one sentence each.
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
    source: Input,
    target: str | os.PathLike[str] | BinaryIO,
    config: EncoderConfig | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    measure: bool = True,
    on_progress: Callable[[Progress], None] | None = None,
) -> EncodeReport:
    """Encode a video and measure the file.

    Args:
        source: Video file, folder of images, pipe, or binary file object. Pipes and file objects are
            first copied to a temporary file, to their end.
        target: `.nvc` file to write, or a binary file object that takes all of it at the end.
        config: Settings; None for the defaults, which are those of the command line.
        resume: Continue an interrupted encode of the same video with the same settings.
        overwrite: Replace an existing target, and discard an interrupted encode.
        measure: Decode the file in another process and compare it with the source.
        on_progress: Function that is called after every epoch. An exception that it raises stops
            the encode, which can be resumed.

    Returns:
        Sizes of the file and, if `measure` is set, its quality.

    Raises:
        OutputExistsError: If the target, or an interrupted encode of it, exists.
        ConfigError: If the settings are invalid, or differ from those of the encode to resume. An
            encode to a file object cannot be resumed.
        VideoError: If the source cannot be read or the target cannot be written.
        BrokenPipeError: If the target is a pipe whose reader is gone.
    """
    config = config or EncoderConfig()
    if config.ladder is not None:
        raise ConfigError("a ladder makes several files; use encode_ladder")
    with ExitStack() as stack:
        stream = None
        path: str | os.PathLike[str]
        if isinstance(target, (str, os.PathLike)):
            refuse_url(target, output=True)
            path = target
        elif resume:
            raise ConfigError("resume: expected a file to go on with, found a pipe as the target")
        else:
            stream, path = target, stack.enter_context(temporary_file("standard output"))
        file = stack.enter_context(input_file(source))
        encoder = Encoder(file.path, [path], config, on_progress)
        (encoded,) = encoder.run(
            resume=resume,
            overwrite=overwrite,
            resumable=stream is None,
            fill_source=file.fill,
        )
        if stream is not None:
            _copy(encoded.path, stream)
        report = _report(file.path, encoded, config, measure=measure)
        return report if stream is None else replace(report, file="-")


def encode_ladder(
    source: Input,
    target: str | os.PathLike[str],
    config: EncoderConfig,
    *,
    resume: bool = False,
    overwrite: bool = False,
    measure: bool = True,
    on_progress: Callable[[Progress], None] | None = None,
) -> tuple[EncodeReport, ...]:
    """Encode a video to files of several sizes from one float fit per segment.

    The network is dimensioned for a size between the middle and the largest one, and quantised once
    for each size. This takes less time than separate encodes, and costs a little quality at the
    largest size only.

    Args:
        source: Video file, folder of images, pipe, or binary file object, as for `encode`.
        target: Path from which `ladder_paths` derives the names of the files.
        config: Settings with a `ladder`.
        resume: Continue an interrupted encode of the same video with the same settings.
        overwrite: Replace existing targets, and discard an interrupted encode.
        measure: Decode every file in another process and compare it with the source.
        on_progress: Function that is called after every epoch; epochs are counted over all sizes.
            An exception that it raises stops the encode, which can be resumed.

    Returns:
        A report per size, in the order of the ladder; `encode_seconds` is the time for all sizes.

    Raises:
        OutputExistsError: If a target, or an interrupted encode of it, exists.
        ConfigError: If there is no ladder, or the settings are invalid or differ from those of the
            encode to resume.
        VideoError: If the source cannot be read or a target cannot be written.
    """
    if config.ladder is None:
        raise ConfigError("expected a configuration with a ladder; use encode for one file")
    refuse_url(target, output=True)
    if is_write_through(target):
        raise VideoError(
            f"{target}: it is a FIFO or device; expected a name of which those of the files are made"
        )
    with input_file(source) as file:
        paths = ladder_paths(Path(target), config.ladder)
        encoder = Encoder(file.path, paths, config, on_progress)
        files = encoder.run(resume=resume, overwrite=overwrite, fill_source=file.fill)
        return tuple(_report(file.path, encoded, config, measure=measure) for encoded in files)


def ladder_paths(target: Path, sizes: Sequence[int]) -> list[Path]:
    """Return the names of the files of a ladder: `clip-50kB.nvc` for `clip.nvc` and 50,000 bytes.

    Args:
        target: Path whose name gets the sizes inserted.
        sizes: Sizes in bytes. They are written as `77B` below 1 kB, as `50kB` or `10.24kB` below
            1 MB, and as `1.5MB` above.
    """
    return [target.with_name(f"{target.stem}-{_exact_size(size)}{target.suffix}") for size in sizes]


def _exact_size(size: int) -> str:
    """Write a size with its unit, without rounding."""
    if size < 1000:
        return f"{size}B"
    large = size >= 1_000_000 and size % 1000 == 0
    return f"{size / (1e6 if large else 1e3):.3f}".rstrip("0").rstrip(".") + "kM"[large] + "B"


def _copy(path: Path, stream: BinaryIO) -> None:
    """Copy a file to an open one, such as a pipe."""
    try:
        with path.open("rb") as file:
            shutil.copyfileobj(file, stream)
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = error.strerror or error
        raise VideoError(f"standard output: cannot be written: {reason}") from error


def _report(
    source: Path, encoded: EncodedFile, config: EncoderConfig, *, measure: bool
) -> EncodeReport:
    info = inspect(encoded.path)
    quality = _measure(source, encoded.path, config) if measure else {}
    return EncodeReport(
        file=str(encoded.path),
        bytes=info.bytes,
        video_bytes=info.video_bytes,
        bpp=info.bpp,
        frames=info.frames,
        width=info.video.width,
        height=info.video.height,
        fps=float(info.video.frame_rate),
        model=info.model,
        parameters=encoded.parameters,
        macs_per_pixel=encoded.macs_per_pixel,
        psnr_y=quality.get("psnr_y"),
        psnr_u=quality.get("psnr_u"),
        psnr_v=quality.get("psnr_v"),
        psnr_yuv=quality.get("psnr_yuv"),
        psnr_rgb=quality.get("psnr_rgb"),
        ms_ssim=quality.get("ms_ssim"),
        encode_seconds=encoded.seconds,
        decode_seconds=quality.get("decode_seconds"),
        epochs=encoded.epochs,
        device=encoded.device,
        seed=config.seed,
        segments=encoded.segments,
        warnings=encoded.warnings,
    )


def _measure(source: Path, target: Path, config: EncoderConfig) -> dict[str, Any]:
    """Measure the quality of a file in a process that has only the file and the source."""
    arguments = ["compare", "--json", "--device", config.device]
    arguments += [str(source.resolve()), str(target.resolve())]
    if config.frames is not None:
        bounds = (config.frames.start, config.frames.stop)
        arguments += ["--frames", ":".join("" if bound is None else str(bound) for bound in bounds)]
    process = child("nvcodec", *arguments)
    run = subprocess.run(
        process.command,
        capture_output=True,
        text=True,
        env=process.environment,
        cwd=process.folder,
        check=False,
    )
    if run.returncode:
        raise NvcodecError(
            f"{target} was written, but measuring it failed: {run.stderr.strip() or run.returncode}"
        )
    quality: dict[str, Any] = json.loads(run.stdout)
    return quality
