"""Pictures that a model was not fitted to: frames in between, and twice the size.

Time: the even frames of a clip are encoded, the file is decoded at twice the frame rate, and its
odd frames are compared with the clip's. Baselines are cross-fades of the even frames, decoded and
original. Size: a clip is scaled to half its size and encoded, and the file is decoded at the clip's
size. Baselines are the decoded pictures enlarged by a bicubic kernel, and the original pictures of
half size as nvcodec enlarges them, which is the bound of a perfect codec.

For networks, three ways to a picture between two frames are compared: a cross-fade of the frames,
an interpolation of the network's inputs (embeddings, and the time vector of boosted stacks), and an
evaluation of the network at the time in between, where it is a function of time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

import nvcodec
from benchmarks.harness import record
from benchmarks.harness.clips import SMALL, clip, read
from nvcodec.device import working_type
from nvcodec.media import Frames, Planes, UInt8Array, VideoInfo
from nvcodec.metrics import psnr
from nvcodec.models import MODELS
from nvcodec.models.stacks.config import StackConfig
from nvcodec.models.stacks.inference import Synthesis
from nvcodec.models.stacks.model import StackModel
from nvcodec.reconstruction.network_payload import decode_network
from nvcodec.reconstruction.payload import split_payload
from nvcodec.reconstruction.resampling import CrossFade, resampled
from nvcodec.reconstruction.sample_layout import picture_planes
from nvcodec.video import open_sink

CPU = torch.device("cpu")
# Clips from the folder given by `--clips`: file, width and height.
_FOLDER_CLIPS = {"basketballpass": ("basketballpass_416x240_50fps_100f.mkv", (208, 120))}
_CLIPS = {name: SMALL[name] for name in ("carphone", "bunny")}


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("continuous", __doc__)
    parser.add_argument(
        "--models",
        nargs="+",
        default=[*MODELS, "hnerv+boost"],
        metavar="NAME[+boost]",
        help="models to measure",
    )
    parser.add_argument("--clips", type=Path, help="folder with more clips")
    parser.add_argument("--only", nargs="+", metavar="CLIP", help="names of the clips to measure")
    parser.add_argument("--frames", type=int, default=33, help="frames of each clip, an odd number")
    parser.add_argument("--bpp", type=float, default=0.3, help="target size in bits per pixel")
    parser.add_argument("--epochs", type=int, default=40, help="epochs of a fit")
    options = parser.parse_args(argv)
    clips = {name: (clip(file), size) for name, (file, size) in _CLIPS.items()}
    if options.clips:
        clips |= {
            name: (options.clips / file, size) for name, (file, size) in _FOLDER_CLIPS.items()
        }
    results: dict[str, Any] = {"time": [], "size": [], "ways": []}
    for name in options.only or clips:
        path, size = clips[name]
        frames, info = read(path, frames=slice(0, options.frames), resize=size)
        for model in options.models:
            row = {"clip": name, "model": model}
            results["time"].append(row | _measure_time(frames, info, model, options))
            results["size"].append(row | _measure_size(frames, info, model, options))
            for kind in ("time", "size"):
                print(kind, results[kind][-1], flush=True)
            if "ways" in results["time"][-1]:
                results["ways"].append(row | results["time"][-1].pop("ways"))
    record.write(options.out, results, _tables(results, options))


def _measure_time(frames: Frames, info: VideoInfo, model: str, options: Any) -> dict[str, Any]:
    """Fit a model to the even frames and return the PSNR of the odd ones, by method."""
    even, odd = frames.y[::2], frames.y[1::2]
    slow = replace(info, time_base=2 / info.frame_rate, frame_rate=info.frame_rate / 2)
    file, size = _encode(_every_other(frames), slow, model, options)
    decoded = _decode(file, fps=info.frame_rate)
    psnr_by_method: dict[str, Any] = {
        "bytes": size,
        "even": _psnr(even, decoded[::2]),
        "odd": _psnr(odd, decoded[1 : 2 * len(odd) : 2]),
        "decoded_blend": _psnr(odd, _cross_fades(decoded[::2])),
        "original_blend": _psnr(odd, _cross_fades(even)),
    }
    luma_by_method = {name: _psnr(odd, luma) for name, luma in _between_frames(file).items()}
    return psnr_by_method | ({"ways": luma_by_method} if len(luma_by_method) > 1 else {})


def _measure_size(frames: Frames, info: VideoInfo, model: str, options: Any) -> dict[str, Any]:
    """Fit a model to the clip at half its size and return the PSNR at its full size, by method."""
    height, width = info.height, info.width
    first_half = slice(0, (len(frames) + 1) // 2)
    whole = (frames.y[first_half], frames.u[first_half], frames.v[first_half])
    half = resampled(whole, (height // 2, width // 2), CPU)
    small = replace(info, width=width // 2, height=height // 2)
    times = {"pts": frames.pts[first_half], "durations": frames.durations[first_half]}
    pictures = Frames(y=half[0], u=half[1], v=half[2], **times)
    file, size = _encode(pictures, small, model, options)
    luma = torch.from_numpy(_decode(file))[:, None].float()
    cubic = F.interpolate(luma, (height, width), mode="bicubic").round().clamp(0, 255)
    enlarged = resampled(half, (height, width), CPU)[0]
    return {
        "bytes": size,
        "half": _psnr(half[0], luma[:, 0].numpy().astype(np.uint8)),
        "whole": _psnr(whole[0], _decode(file, size=(width, height))),
        "bicubic": _psnr(whole[0], cubic[:, 0].numpy().astype(np.uint8)),
        "original_half": _psnr(whole[0], enlarged),
    }


def _every_other(frames: Frames) -> Frames:
    count = (len(frames) + 1) // 2
    return Frames(
        y=frames.y[::2], u=frames.u[::2], v=frames.v[::2],
        pts=np.arange(count, dtype=np.int64), durations=np.ones(count, np.int64),
    )  # fmt: skip


def _encode(frames: Frames, info: VideoInfo, model: str, options: Any) -> tuple[Path, int]:
    """Encode pictures and return the file and its bytes."""
    source = record.FILES / "continuous_source.y4m"
    source.parent.mkdir(parents=True, exist_ok=True)
    with open_sink(source, info, overwrite=True) as sink:
        sink.write(frames)
    family, _, boost = model.partition("+")
    config = nvcodec.EncoderConfig(
        model=family, boost=boost == "boost", bpp=options.bpp, epochs=options.epochs, device="cpu"
    )
    file = source.with_name("continuous.nvc")
    return file, nvcodec.encode(source, file, config, overwrite=True, measure=False).video_bytes


def _decode(file: Path, **options: Any) -> UInt8Array:
    """Decode a file by `nvcodec.decode` and return its luma."""
    target = file.with_suffix(".y4m")
    nvcodec.decode(file, target, device="cpu", overwrite=True, **options)
    return read(target)[0].y


def _cross_fades(luma: UInt8Array) -> UInt8Array:
    """Return the mean of each frame and the next, rounded."""
    pairs = luma[:-1].astype(np.uint16) + luma[1:]
    return ((pairs + 1) // 2).astype(np.uint8)


def _between_frames(file: Path) -> dict[str, UInt8Array]:
    """Return luma half-way between the frames of a network's only segment, by up to three methods.

    Returns:
        Luma by method; empty for models other than stacks, and for files of several segments.
    """
    with nvcodec.open(file, device="cpu") as video:
        header, stored = video.reader.header, video.reader.segment(0)
        name = nvcodec.inspect(file).model
        config, body = split_payload(stored, header)
        if not isinstance(config, StackConfig) or len(video.reader.segments) > 1:
            return {}  # Not a stack, or fitted to a group of frames only.
        model = decode_network(body, config, name)
    assert isinstance(model, StackModel)
    synthesis = Synthesis(model, working_type(CPU))

    def planes(times: Sequence[float]) -> Planes:
        whole = all(time == int(time) for time in times)
        index = torch.tensor(times, dtype=torch.int64 if whole else torch.float32)
        return picture_planes(synthesis.levels(index), config, header.video.colour)

    middles = [frame + 0.5 for frame in range(config.frames - 1)]
    luma_by_method = {"cross-faded": CrossFade(planes, 8)(middles)[0]}
    if model.CONTINUOUS:
        luma_by_method["interpolated"] = planes(middles)[0]
    if model.CONTINUOUS and not model.latents:
        time = model.time
        model.stack_inputs = lambda index: (model.embed(index), time and time(index))
        luma_by_method["evaluated"] = planes(middles)[0]
    return luma_by_method


def _psnr(reference: UInt8Array, other: UInt8Array) -> float:
    return float(np.mean(psnr(reference, other)))


def _tables(results: dict[str, Any], options: Any) -> dict[str, record.ResultTable]:
    """Return the tables of all results."""
    columns = {
        "time": {
            "even": "even frames, dB",
            "odd": "odd frames: nvcodec",
            "decoded_blend": "decoded, cross-faded",
            "original_blend": "original, cross-faded",
        },
        "size": {
            "half": "halved, dB",
            "whole": "whole size: nvcodec",
            "bicubic": "decoded, bicubic",
            "original_half": "original halves enlarged",
        },
        "ways": {
            "cross-faded": "frames cross-faded",
            "interpolated": "embeddings interpolated",
            "evaluated": "network evaluated",
        },
    }
    count = options.frames
    notes = {
        "time": f"Luma PSNR, dB. {count} frames, every other one fitted.",
        "size": f"Luma PSNR, dB. {(count + 1) // 2} frames, fitted at half the width and height.",
        "ways": "Luma PSNR of odd frames, dB.",
    }
    settings = f" --bpp {options.bpp:g} of what is fitted, {options.epochs} epochs."
    tables = {}
    for kind, names in columns.items():
        rows = [
            (
                row["clip"],
                row["model"],
                *(f"{row[key]:.2f}" if key in row else "-" for key in names),
            )
            for row in results[kind]
        ]
        head = ("clip", "model", *names.values())
        tables[kind] = record.ResultTable(head, tuple(rows), notes[kind] + settings)
    return tables


if __name__ == "__main__":
    main()
