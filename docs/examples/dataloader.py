"""Random access: the frames of several .nvc files as batches of a PyTorch `DataLoader`.

Nothing is decoded but the frames of a batch. The data set holds open decoders: workers that are
forked inherit them, and for workers that are spawned they are opened again by their paths.

    python docs/examples/dataloader.py
    python docs/examples/dataloader.py a.nvc b.nvc --workers 4 --batch 16 --start spawn
"""

from __future__ import annotations

import argparse
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import torch
from bundled import clip
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import nvcodec


class FrameDataset(Dataset[tuple[Tensor, int, int]]):
    """Frames of .nvc files: picture (3, H, W) uint8, number of the file, number of the frame.

    Args:
        paths: Files of one picture size.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        # Reads headers and indices only: this is instant, also for long videos. A GPU is better left
        # to the training.
        self.videos = [nvcodec.open(path, device="cpu") for path in paths]
        self.stops = list(accumulate(map(len, self.videos)))

    def __len__(self) -> int:
        return self.stops[-1]

    def __getitem__(self, index: int) -> tuple[Tensor, int, int]:
        file = bisect_right(self.stops, index)
        frame = index - (self.stops[file - 1] if file else 0)
        return torch.from_numpy(self.videos[file][frame]).permute(2, 0, 1), file, frame


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", nargs="*", type=Path, help=".nvc files; two are made by default")
    parser.add_argument("--folder", type=Path, default=Path("out"), help="where these go")
    parser.add_argument("--frames", type=int, default=16, help="of each of these")
    parser.add_argument("--workers", type=int, default=2, help="processes that decode")
    parser.add_argument("--start", choices=["fork", "spawn"], help="how these are started")
    parser.add_argument("--batch", type=int, default=8, help="frames in a batch")
    options = parser.parse_args(argv)
    files = options.files or [options.folder / name for name in ("first.nvc", "second.nvc")]
    if not options.files:
        options.folder.mkdir(parents=True, exist_ok=True)
        for number, path in enumerate(files):
            taken = slice(number * options.frames, (number + 1) * options.frames)
            config = nvcodec.EncoderConfig(preset="ultrafast", resize=(88, 72), frames=taken)
            nvcodec.encode(clip(), path, config, overwrite=True, measure=False)

    data = FrameDataset(files)
    loader = DataLoader(
        data,
        options.batch,
        shuffle=True,
        num_workers=options.workers,
        multiprocessing_context=options.start,
    )
    seen: set[tuple[int, int]] = set()
    for pictures, numbers, frames in loader:
        seen |= set(zip(numbers.tolist(), frames.tolist(), strict=True))
        print(f"batch {tuple(pictures.shape)}, mean {pictures.float().mean():.1f} of 255")
    print(f"{len(seen)} different frames of {len(data)} in {len(files)} files")


if __name__ == "__main__":
    main()
