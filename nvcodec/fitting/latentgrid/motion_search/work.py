"""What a pass over a segment does about motion."""

from __future__ import annotations

from enum import Enum


class MotionWork(Enum):
    """What a pass does about motion; the value is its time relative to a pass that keeps it."""

    SEARCH = 5.0
    """Search for it from nothing."""
    REFINE = 2.5
    """Reconsider the blocks of the last pass."""
    KEEP = 1.0
    """Keep that of the last pass."""
