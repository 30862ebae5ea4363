"""Tokens of real clips: stability, use of the ids, bits, and quality of the preview.

Stability is the share of tokens of which any FSQ index changes: when noise of -1, 0 or 1 is added
to every sample, when the clip is encoded by x264 at CRF 23, and when the picture moves a sample to
the right. The unchanged clip is tokenised in the same run, so that both are of one machine.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.harness import anchor_codecs, record
from benchmarks.tokens import retrieval
from nvcodec.media import Frames, VideoInfo
from nvcodec.tokenizer.token_ids import IDS, LEVELS, codes_of, pack_ids
from nvcodec.tokenizer.token_sections import encode_token_section
from nvcodec.tokenizer.tokenizer import VideoTokenizer
from nvcodec.video import open_source, rgb

_CRF = 23
_CHANGES = ("noise", "x264", "shift")
_MAX_CHANGED = {"noise": 0.01, "x264": 0.1}
_MAX_BITS_SHARE = 0.6

Pictures = npt.NDArray[np.uint8]


def main(argv: Sequence[str] | None = None) -> None:
    parser = record.parser("token_clips", __doc__)
    parser.add_argument("--clips", type=Path, required=True, help="folder of videos")
    parser.add_argument("--without", nargs="*", default=[], help="files to leave out")
    parser.add_argument(
        "--longest", type=int, default=640, help="samples of the longer side, at most"
    )
    parser.add_argument("--frames", type=int, default=97, help="frames of each clip, at most")
    parser.add_argument(
        "--changed", type=int, default=17, help="frames of each clip to measure stability on"
    )
    parser.add_argument("--tokenizer", default="bundled:small", help="the shared tokenizer")
    options = parser.parse_args(argv)
    tokenizer = VideoTokenizer.from_pretrained(options.tokenizer)
    clips: dict[str, Any] = {}
    fsq_indices = []
    for path in retrieval.videos(options.clips, options.without):
        frames, info = _read(path, options.longest, options.frames)
        clip_indices = tokenizer.digits(_pictures(frames, info))
        fsq_indices.append(clip_indices.reshape(-1, len(LEVELS)))
        clips[path.name] = {
            "frames": len(frames),
            "grid": clip_indices.shape[:3],
            "tokens": clip_indices[..., 0].size,
            "bytes": len(encode_token_section(clip_indices)),
            "changed": _changed_shares(tokenizer, *_read(path, options.longest, options.changed)),
            "preview_psnr": _preview_psnr(tokenizer, clip_indices, frames, info),
        }
        print(path.name, clips[path.name], file=sys.stderr, flush=True)
    all_indices = np.concatenate(fsq_indices)
    total = {
        "tokens": len(all_indices),
        "bits": 8 * sum(clip["bytes"] for clip in clips.values()) / len(all_indices),
        "raw_bits": log2(IDS),
        "median_bits": float(np.median([8 * clip["bytes"] / clip["tokens"] for clip in clips.values()])),
        "changed": {
            kind: float(np.mean([clip["changed"][kind] for clip in clips.values()]))
            for kind in _CHANGES
        },
        "digits": [_entropy(all_indices[:, index], size) for index, size in enumerate(LEVELS)],
        "ids": _id_statistics(all_indices),
        "preview_psnr": float(np.mean([clip["preview_psnr"] for clip in clips.values()])),
    }  # fmt: skip
    results = {"clips": clips, "all": total}
    record.write(options.out, results, _tables(clips, total, options))


def _tables(
    clips: dict[str, Any], total: dict[str, Any], options: Any
) -> dict[str, record.ResultTable]:
    rows = [
        (
            name,
            "x".join(map(str, clip["grid"])),
            *(f"{100 * clip['changed'][kind]:.1f}" for kind in _CHANGES),
            f"{8 * clip['bytes'] / clip['tokens']:.2f}",
            f"{clip['preview_psnr']:.1f}",
        )
        for name, clip in clips.items()
    ]
    mean = (
        "mean of clips",
        "",
        *(f"{100 * total['changed'][kind]:.1f}" for kind in _CHANGES),
        f"{np.mean([8 * clip['bytes'] / clip['tokens'] for clip in clips.values()]):.2f}",
        f"{total['preview_psnr']:.1f}",
    )
    head = (
        "clip", "tokens", "changed by noise of 1, %", f"by x264 at CRF {_CRF}, %",
        "by a shift of 1, %", "bits a token", "preview, dB",
    )  # fmt: skip
    changed = record.ResultTable(
        head,
        (*rows, mean),
        f"At most {options.longest} samples along the longer side; changes: {options.changed} "
        f"frames, bits and preview (PSNR in RGB): up to {options.frames} in one segment. Targets: "
        f"{_MAX_CHANGED['noise']:.0%}, {_MAX_CHANGED['x264']:.0%}, "
        f"{_MAX_BITS_SHARE * total['raw_bits']:.2f} bits.",
    )
    ids = total["ids"]
    used = record.ResultTable(
        ("digit", "values", "entropy, bits", "of at most"),
        tuple(
            (str(index + 1), str(size), f"{entropy:.2f}", f"{log2(size):.2f}")
            for index, (size, entropy) in enumerate(zip(LEVELS, total["digits"], strict=True))
        ),
        f"{total['tokens']} tokens of {len(clips)} clips: {ids['used']} of {IDS} ids occur, as "
        f"many as if {ids['perplexity']:.0f} were equally frequent; {total['bits']:.2f} bits a "
        "token over all.",
    )
    return {"clips": changed, "use": used}


def _read(path: Path, longest: int, frames: int) -> tuple[Frames, VideoInfo]:
    with open_source(path) as source:
        width, height = source.info.width, source.info.height
    scale = min(1.0, longest / max(width, height))
    # The encoder needs even sides.
    size = (2 * round(scale * width / 2), 2 * round(scale * height / 2))
    with open_source(path, resize=size, frames=slice(0, frames)) as source:
        return source.read(frames), source.info


def _pictures(frames: Frames, info: VideoInfo) -> Pictures:
    """Return frames as RGB, shape (T, 3, H, W)."""
    return np.moveaxis(rgb(frames.y, frames.u, frames.v, info.colour), -1, 1)


def _changed_shares(tokenizer: VideoTokenizer, frames: Frames, info: VideoInfo) -> dict[str, float]:
    """Return the share of tokens that change, by the change of the pictures."""
    pictures = _pictures(frames, info)
    before = tokenizer.digits(pictures)
    noise = np.random.default_rng(0).integers(-1, 2, pictures.shape, np.int16)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "clip.mkv"
        anchor_codecs.encode(anchor_codecs.ENCODERS["x264-medium"], frames, info, file, _CRF)
        with open_source(file) as source:
            decoded = source.read(1 << 30)
    changed_pictures = {
        "noise": np.clip(pictures + noise, 0, 255).astype(np.uint8),
        # The colour is the source's, whatever the file says about it.
        "x264": _pictures(decoded, info),
        "shift": np.concatenate([pictures[..., :1], pictures[..., :-1]], -1),
    }
    return {
        kind: float((tokenizer.digits(changed_pictures[kind]) != before).any(-1).mean())
        for kind in _CHANGES
    }


def _preview_psnr(
    tokenizer: VideoTokenizer, fsq_indices: Pictures, frames: Frames, info: VideoInfo
) -> float:
    """Return the PSNR of the pictures that are decoded from tokens alone, mean over frames, in dB."""
    codes = torch.from_numpy(codes_of(fsq_indices)).movedim(-1, 0)[None]
    source_pictures = _pictures(frames, info)
    shown = tokenizer.decode(codes)[0].movedim(0, 1)[
        : len(source_pictures), :, : info.height, : info.width
    ]
    errors = [
        float(((frame + 1) * 127.5 - torch.from_numpy(picture).float()).square().mean())
        for frame, picture in zip(shown, source_pictures, strict=True)
    ]
    return float(np.mean([10 * np.log10(255**2 / max(error, 1e-3)) for error in errors]))


def _entropy(values: Pictures, size: int) -> float:
    """Return the entropy of one FSQ index in bits.

    Args:
        values: The index of all tokens.
        size: Number of its levels.
    """
    shares = np.bincount(values, minlength=size) / len(values)
    return float((shares[shares > 0] * np.log2(1 / shares[shares > 0])).sum())


def _id_statistics(fsq_indices: Pictures) -> dict[str, float]:
    counts = np.bincount(pack_ids(fsq_indices), minlength=IDS)
    shares = counts[counts > 0] / len(fsq_indices)
    return {
        "used": int((counts > 0).sum()),
        "perplexity": float(2 ** (shares * np.log2(1 / shares)).sum()),
    }


if __name__ == "__main__":
    main()
