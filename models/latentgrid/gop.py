"""The GOP structure: reference frames of every frame, and the coding order. Needs no torch.

    anchors        every `group`-th frame and the last; each is predicted from the previous anchor,
                   the first stands alone or is predicted from the previous segment
    in between     bisection: the middle frame between two coded ones is predicted from both

With an anchor distance of 16, for example, the layers of frames 0 to 16 are {0}, {16}, {8},
{4, 12}, {2, 6, 10, 14} and all odd ones. The frames of a layer do not depend on each other.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from nvcodec.errors import ConfigError
from nvcodec.host.forking import cached_property

# Part of the bitstream.
LARGEST_GROUP = 64
# Stands for the last frame of the previous segment, which is always decoded first.
PREVIOUS_SEGMENT = -1


@dataclass(frozen=True, slots=True)
class Prediction:
    """A frame and its reference frames.

    Attributes:
        frame: Number of the frame in the segment.
        references: Frames that it is predicted from: none, the previous anchor (`PREVIOUS_SEGMENT`
            for the first frame of a predicted segment), or the nearest coded frame before it and
            the nearest after it.
    """

    frame: int
    references: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TemporalLayer:
    """Frames of one temporal layer that are coded together.

    Attributes:
        frames: Numbers of the frames.
        references: Reference frames of each frame, one or two and equally many for all; none for
            the first frame, unless the segment is predicted.
        depth: Temporal depth: 0 for anchors, 1 and more between them.
    """

    frames: tuple[int, ...]
    references: tuple[tuple[int, ...], ...]
    depth: int


@dataclass(frozen=True)
class Hierarchy:
    """The hierarchical prediction structure of a segment.

    Attributes:
        frames: Number of frames in the segment, at least 1.
        group: Distance between anchors in frames, a power of two up to 64.
        predicted: Whether the first frame is predicted from the last frame of the previous segment.
    """

    frames: int
    group: int
    predicted: bool = False

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: If there are no frames, or the group is not a power of two up to 64.
        """
        if self.frames < 1:
            raise ConfigError(f"expected at least one frame, got {self.frames}")
        if not 1 <= self.group <= LARGEST_GROUP or self.group & (self.group - 1):
            raise ConfigError(
                f"expected a power of two up to {LARGEST_GROUP} as group, got {self.group}"
            )

    @cached_property
    def layers(self) -> tuple[tuple[Prediction, ...], ...]:
        """All predictions in coding order. A layer depends on earlier layers only, never on itself.

        Every anchor is a layer of its own, because it depends on the previous anchor.
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
        """Temporal depth of every layer: 0 for the first frame and the anchors, then 1 and more."""
        chain = sum(len(layer[0].references) < 2 for layer in self.layers)
        return (0,) * chain + tuple(range(1, len(self.layers) - chain + 1))

    @cached_property
    def all_references(self) -> Mapping[int, tuple[int, ...]]:
        """The reference frames of every frame."""
        return {
            prediction.frame: prediction.references for layer in self.layers for prediction in layer
        }

    def references(self, frame: int) -> tuple[int, ...]:
        """Return the reference frames of a frame."""
        return self.all_references[frame]

    def needed(self, frames: Iterable[int], decoded: Container[int] = ()) -> frozenset[int]:
        """Return all frames that must be decoded to show some frames, these included.

        Args:
            frames: Numbers of the frames to show.
            decoded: Frames that are decoded already.
        """
        needed: set[int] = set()
        pending = list(frames)
        while pending:
            frame = pending.pop()
            if frame != PREVIOUS_SEGMENT and frame not in needed and frame not in decoded:
                needed.add(frame)
                pending += self.all_references[frame]
        return frozenset(needed)

    def around(self, frames: Iterable[int]) -> set[int]:
        """Return the frames between and at the nearest anchors that some frames depend on.

        Args:
            frames: Numbers of the frames, which are not returned unless another depends on them.
        """
        found: set[int] = set()
        pending = list(frames)
        while pending:
            references = self.all_references[pending.pop()]
            # The references of anchors, of which each has one, lead to the start of the segment.
            if len(references) > 1:
                pending += set(references) - found
                found.update(references)
        return found
