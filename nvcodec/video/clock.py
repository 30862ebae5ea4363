"""Presentation times that a container can store: strictly increasing whole ticks.

Sources leave times out, repeat them or run backwards. `Clock` moves a time only as far as it must,
and counts what it did so that the caller can say so once.
"""

from __future__ import annotations

from fractions import Fraction


class Clock:
    """Places frames in time, in display order.

    Args:
        time_base: Seconds per tick.
        frame_rate: Nominal frames per second, for frames without a time.

    Attributes:
        missing: Frames that came without a time.
        moved: Frames whose time did not lie after the one before.
    """

    def __init__(self, time_base: Fraction, frame_rate: Fraction) -> None:
        self.missing = 0
        self.moved = 0
        # Nominal ticks per frame; a Fraction, so that a thousand untimed frames do not drift.
        self.step = max(1 / (frame_rate * time_base), Fraction(1))
        self._jump = max(round(1 / time_base), 1)
        self._offset = 0
        self._last: int | None = None
        self._ideal = Fraction(0)

    def place(self, pts: int | None) -> int:
        """The time of the next frame.

        A missing time becomes the last one plus the nominal duration. A time that does not
        increase becomes the last one plus one tick, which leaves every later time true; after a
        jump back of more than a second the source's clock was reset, and all that follows is
        shifted to go on where it stopped.

        Args:
            pts: What the source says, in ticks, None where it says nothing.

        Returns:
            Ticks, greater than for the frame before.
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
        """One line for each kind of repair that was needed."""
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
