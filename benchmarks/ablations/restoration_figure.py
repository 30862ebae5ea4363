"""The figure of the restoration benchmark: one frame of the source, the input, and every method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.ablations.restoration_tasks import RestorationTask
from nvcodec.media import Frames, UInt8Array
from nvcodec.video import rgb


def panels(
    task: RestorationTask, given: str, restored: Mapping[str, Frames]
) -> list[tuple[str, UInt8Array]]:
    """Return the middle frame with titles: of the source, of the input, and as restored.

    Args:
        task: The task.
        given: Title of the input.
        restored: Restored frames by method.
    """
    t = len(task.truth) // 2
    versions = {"source": task.truth, given: task.given, **restored}
    part = slice(t, t + 1)
    return [
        (name, rgb(frames.y[part], frames.u[part], frames.v[part], task.info.colour)[0])
        for name, frames in versions.items()
    ]


def draw(pictures: Sequence[tuple[str, UInt8Array]], path: Path) -> None:
    """Draw pictures with their titles.

    Args:
        pictures: Titles and pictures, RGB.
        path: JPEG file to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = 3
    rows = -(-len(pictures) // columns)
    figure, axes = pyplot.subplots(
        rows, columns, figsize=(4 * columns, 2.3 * rows), layout="constrained", squeeze=False
    )
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (name, picture) in zip(axes.flat, pictures, strict=False):
        axis.imshow(picture)
        axis.set_title(name, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80, pil_kwargs={"quality": 85})
    print(f"written: {path}")
