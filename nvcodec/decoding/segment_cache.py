"""The open segments of a file: opened when first needed, the least recently used one closed first."""

from __future__ import annotations

from collections import OrderedDict

import torch

from nvcodec.container import Reader
from nvcodec.media import UInt8Array
from nvcodec.reconstruction.segment_decoder import SegmentDecoder, open_segment_decoder
from nvcodec.tokenizer.token_sections import read_token_section

OPEN_SEGMENTS = 8
"""Number of segments that stay open. Playback needs one; random access jumps between a few."""

# Pixels of a picture of all open segments together; two segments stay open in any case, because
# pictures between them are cross-faded.
_OPEN_PIXELS = 1 << 24


class SegmentCache:
    """Opens the segments of a file, and keeps those used last.

    Args:
        reader: Reader of the file.
        device: Device that decodes.
    """

    def __init__(self, reader: Reader, device: torch.device) -> None:
        self._reader, self._device = reader, device
        self._open: OrderedDict[int, SegmentDecoder] = OrderedDict()

    def get(self, segment: int) -> SegmentDecoder:
        """Return the decoder of a segment; open it, and what it is predicted from, if needed.

        Args:
            segment: Position of the segment in `Reader.segments`.

        Raises:
            BitstreamError: If the segment, or one that it is predicted from, is damaged.
        """
        if segment in self._open:
            self._open.move_to_end(segment)
            return self._open[segment]
        needed = self._reader.needed(segment)
        first = next((n for n in reversed(needed) if n in self._open), needed.start)
        opened = self._open.get(first)
        for number in range(first + (opened is not None), needed.stop):
            stored = self._reader.segment(number)
            previous = opened.reference_state() if stored.predicted and opened else None
            opened = open_segment_decoder(
                stored,
                self._reader.header,
                self._device,
                number=number,
                previous=previous,
                fsq_indices=self._fsq_indices(number),
            )
        assert opened is not None
        self._open[segment] = opened
        video = self._reader.header.video
        most = max(2, min(OPEN_SEGMENTS, _OPEN_PIXELS // (video.width * video.height)))
        if len(self._open) > most:
            self._open.popitem(last=False)
        return opened

    def clear(self) -> None:
        """Release all segments."""
        self._open.clear()

    def _fsq_indices(self, segment: int) -> UInt8Array | None:
        """Return the tokens of a segment if its model is conditioned on them, else None."""
        tokens = self._reader.header.tokens
        if tokens is None or not tokens.conditioning:
            return None
        _, fsq_indices, _ = read_token_section(self._reader, segment)
        return fsq_indices
