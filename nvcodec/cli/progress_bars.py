"""Progress bars of the command line, on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tqdm import tqdm

from nvcodec.closing import Closing

if TYPE_CHECKING:
    from nvcodec.encoding.progress import Progress


class _Bar(Closing):
    """A progress bar that disappears when its `with` block ends.

    Args:
        visible: Whether to draw the bar at all.
    """

    def __init__(self, *, visible: bool) -> None:
        form = "{desc} {percentage:3.0f}%|{bar}| {postfix}"
        self._bar = tqdm(disable=not visible, leave=False, dynamic_ncols=True, bar_format=form)

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()

    def _show(self, done: int, total: int, left: str, right: str) -> None:
        self._bar.total = total
        self._bar.n = done
        self._bar.set_description_str(left, refresh=False)
        self._bar.set_postfix_str(right)


class EncodeBar(_Bar):
    """Shows segment, epoch, PSNR, estimated bits per pixel and remaining time of an encode."""

    def update(self, progress: Progress) -> None:
        """Show the progress of an encode."""
        if progress.running > 1:
            self._update_several(progress)
            return
        fit = progress.fit
        of = f"/{progress.segments}" if progress.segments else ""
        rate = f", {progress.bpp:.4f} bpp" if progress.bpp is not None else ""
        rest = f", {_span(progress.remaining)} to go" if progress.remaining is not None else ""
        self._show(
            fit.epoch,
            fit.epochs,
            f"segment {progress.segment + 1}{of}, {fit.stage} epoch {fit.epoch}/{fit.epochs}",
            f"{fit.psnr:.2f} dB{rate}{rest}",
        )

    def _update_several(self, progress: Progress) -> None:
        """Show the share of the whole encode, while several segments are fitted at the same time."""
        of = f"/{progress.segments}" if progress.segments else ""
        rest = f"{_span(progress.remaining)} to go" if progress.remaining is not None else ""
        self._show(
            round(1000 * (progress.share or 0)),
            1000,
            f"{progress.finished}{of} segments, {progress.running} being fitted",
            rest,
        )


class DecodeBar(_Bar):
    """Shows the number of frames that are written."""

    def update(self, done: int, total: int) -> None:
        """Show the progress of a decode.

        Args:
            done: Number of frames written.
            total: Number of frames to write.
        """
        self._show(done, total, "decoding", f"{done}/{total} frames")


def _span(seconds: float) -> str:
    """Write seconds as 2h05m, 3m20s or 12s."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 60}m{whole % 60:02d}s" if whole >= 60 else f"{whole}s"
