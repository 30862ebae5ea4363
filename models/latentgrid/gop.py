"""Which decoded frames a frame is predicted from, and the order that follows. No torch.

    anchors        every `group`-th frame and the last; each is predicted from the anchor before
                   it, the first stands alone or is predicted from the segment before it
    in between     bisection: the middle frame of two known ones is predicted from both

With groups of 16, for example, the levels of frames 0 to 16 are {0}, {16}, {8}, {4, 12},
{2, 6, 10, 14} and all odd ones; the frames of a level do not depend on each other.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from nvcodec.errors import ConfigError

# Part of the bitstream.
LARGEST_GROUP = 64
# Stands for the last frame of the segment before, which is always known.
PREVIOUS_SEGMENT = -1


@dataclass(frozen=True, slots=True)
class Prediction:
    """A frame and those it is predicted from.

    Attributes:
        frame: Its number in the segment.
        references: None, the anchor before it (`PREVIOUS_SEGMENT` for the first frame of a predicted
            segment), or the nearest known frame before it and after it.
    """

    frame: int
    references: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TemporalLayer:
    """Frames that are coded together.

    Attributes:
        frames: Their numbers.
        references: Of each the one or two frames it is predicted from, all the same number; none
            for the first frame, unless the segment is predicted.
        depth: 0 for anchors, 1 and more between them.
    """

    frames: tuple[int, ...]
    references: tuple[tuple[int, ...], ...]
    depth: int


@dataclass(frozen=True)
class Hierarchy:
    """The predictions of a segment.

    Attributes:
        frames: Frames in the segment, at least 1.
        group: Distance of the anchors, a power of two up to 64.
        predicted: The first frame is predicted from the last one of the segment before.
    """

    frames: int
    group: int
    predicted: bool = False

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: If there are no frames, or the group is no power of two up to 64.
        """
        if self.frames < 1:
            raise ConfigError(f"expected at least one frame, got {self.frames}")
        if not 1 <= self.group <= LARGEST_GROUP or self.group & (self.group - 1):
            raise ConfigError(
                f"expected a power of two up to {LARGEST_GROUP} as group, got {self.group}"
            )

    @cached_property
    def levels(self) -> tuple[tuple[Prediction, ...], ...]:
        """All predictions in coding order: a level needs those before it, but nothing of its own.

        Every anchor is a level by itself, as it needs the one before it.
        """
        anchors = [*range(0, self.frames - 1, self.group), self.frames - 1]
        chain = [(Prediction(0, (PREVIOUS_SEGMENT,) if self.predicted else ()),)]
        chain += [(Prediction(b, (a,)),) for a, b in pairwise(anchors)]
        between = []
        gaps = list(pairwise(anchors))
        while gaps := [(a, b) for a, b in gaps if b - a > 1]:
            between.append(tuple(Prediction((a + b) // 2, (a, b)) for a, b in gaps))
            gaps = [half for a, b in gaps for half in ((a, (a + b) // 2), ((a + b) // 2, b))]
        return (*chain, *between)

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """Of every level: 0 for the first frame and the anchors, 1 and more between them."""
        chain = sum(len(level[0].references) < 2 for level in self.levels)
        return (0,) * chain + tuple(range(1, len(self.levels) - chain + 1))

    @cached_property
    def all_references(self) -> Mapping[int, tuple[int, ...]]:
        """The references of every frame."""
        return {made.frame: made.references for level in self.levels for made in level}

    def references(self, frame: int) -> tuple[int, ...]:
        """The frames a frame is predicted from."""
        return self.all_references[frame]

    def needed(self, frames: Iterable[int], known: Container[int] = ()) -> frozenset[int]:
        """Everything that must be decoded for some frames, themselves included.

        Args:
            frames: What is wanted.
            known: Frames that are decoded already.
        """
        found: set[int] = set()
        open_ = list(frames)
        while open_:
            frame = open_.pop()
            if frame != PREVIOUS_SEGMENT and frame not in found and frame not in known:
                found.add(frame)
                open_ += self.all_references[frame]
        return frozenset(found)
