"""The segments of a file that the next one may be predicted from, as a decoder has them."""

from __future__ import annotations

import torch

from nvcodec.bitstream import Header, Segment
from nvcodec.pictures import open_segment


class Chain:
    """The last segment of a file, and those it leans on.

    What the encoder predicts from is decoded from the bytes that were stored, so that it is the
    same whether they were stored just now or by a run that was interrupted.

    Args:
        longest: Segments that may lean on each other, the one that stands alone included.
        device: Where to decode.
    """

    def __init__(self, longest: int, device: torch.device) -> None:
        self._longest, self._device = longest, device
        self._segments: list[Segment] = []
        self._first = 0  # number of the first of them
        # Of the segments so far decoded: how many, and the state of the last.
        self._opened = 0
        self._state: object = None

    def add(self, segment: Segment) -> None:
        """Take note of the next segment of the file."""
        if not segment.predicted:
            self._first += len(self._segments)
            self._segments.clear()
            self._opened, self._state = 0, None
        self._segments.append(segment)

    def state(self, header: Header) -> object:
        """What the next segment may be predicted from; None if it must stand alone.

        Args:
            header: The stream's header.
        """
        if not 0 < len(self._segments) < self._longest:
            return None
        for segment in self._segments[self._opened :]:
            self._state = open_segment(
                segment,
                header,
                self._device,
                number=self._first + self._opened,
                previous=self._state,
            ).state()
            self._opened += 1
        return self._state
