"""Progress bars on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tqdm import tqdm

from nvcodec.closing import Closing

if TYPE_CHECKING:
    from nvcodec.encoding.progress import Progress


class _Bar(Closing):
    """A bar that goes away when its block ends, and does nothing when invisible."""

    def __init__(self, *, visible: bool) -> None:
        form = "{desc} {percentage:3.0f}%|{bar}| {postfix}"
        self._bar = tqdm(disable=not visible, leave=False, dynamic_ncols=True, bar_format=form)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()

    def _show(self, done: int, total: int, left: str, right: str) -> None:
        self._bar.total = total
        self._bar.n = done
        self._bar.set_description_str(left, refresh=False)
        self._bar.set_postfix_str(right)


class EncodeBar(_Bar):
    """Segment, epoch, PSNR, estimated bits per pixel, time to go."""

    def update(self, progress: Progress) -> None:
        """Show where an encode stands."""
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
        """The whole encode: of several segments no single one stands for it."""
        of = f"/{progress.segments}" if progress.segments else ""
        rest = f"{_span(progress.remaining)} to go" if progress.remaining is not None else ""
        self._show(
            round(1000 * (progress.share or 0)),
            1000,
            f"{progress.finished}{of} segments, {progress.running} being fitted",
            rest,
        )


class DecodeBar(_Bar):
    """Frames written."""

    def update(self, done: int, total: int) -> None:
        """Show how many frames are written."""
        self._show(done, total, "decoding", f"{done}/{total} frames")


def _span(seconds: float) -> str:
    """Seconds as 2h05m, 3m20s or 12s."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 60}m{whole % 60:02d}s" if whole >= 60 else f"{whole}s"
