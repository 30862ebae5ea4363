"""Repair of presentation timestamps: a container stores strictly increasing whole ticks.

Some sources omit timestamps, repeat them or run backwards. `Clock` moves a timestamp only as far as
necessary and counts its repairs, so that the caller can report them once.
"""

from __future__ import annotations

from fractions import Fraction


class Clock:
    """Assigns a timestamp to each frame, in display order.

    Args:
        time_base: Seconds per tick.
        frame_rate: Nominal frames per second, used for frames without a timestamp.

    Attributes:
        missing: Number of frames without a timestamp.
        moved: Number of frames whose timestamp was not later than that of the frame before.
        step: Nominal duration of a frame, ticks, at least 1.
    """

    def __init__(self, time_base: Fraction, frame_rate: Fraction) -> None:
        self.missing = 0
        self.moved = 0
        # A fraction, so that a thousand frames without timestamps do not drift.
        self.step = max(1 / (frame_rate * time_base), Fraction(1))
        self._jump = max(round(1 / time_base), 1)
        self._offset = 0
        self._last: int | None = None
        self._ideal = Fraction(0)

    def place(self, pts: int | None) -> int:
        """Return the timestamp of the next frame.

        A missing timestamp becomes the last one plus the nominal duration. A timestamp that does
        not increase becomes the last one plus one tick, which leaves later timestamps unchanged.
        After a jump back of more than a second the source's clock is taken to be reset, and all
        later timestamps are shifted to continue where it stopped.

        Args:
            pts: Timestamp that the source states, ticks; None where it states none.

        Returns:
            Timestamp, ticks, greater than that of the frame before.
        """
        if pts is None:
            self.missing += 1
            self._ideal = self._ideal + self.step if self._last is not None else Fraction(0)
            placed = round(self._ideal)
            if self._last is not None:
                placed = max(placed, self._last + 1)
        else:
            placed = pts + self._offset
            if self._last is not None and placed <= self._last:
                self.moved += 1
                if self._last - placed > self._jump:
                    self._offset += self._last + round(self.step) - placed
                    placed = self._last + round(self.step)
                else:
                    placed = self._last + 1
            self._ideal = Fraction(placed)
        self._last = placed
        return placed

    def warnings(self) -> list[str]:
        """Return one line for each kind of repair that was made."""
        lines = []
        if self.missing:
            lines.append(
                f"{self.missing} frames have no timestamp; they were placed at the nominal "
                "frame rate"
            )
        if self.moved:
            lines.append(
                f"{self.moved} frames have a timestamp that does not increase; they were moved "
                "just behind the frame before"
            )
        return lines
