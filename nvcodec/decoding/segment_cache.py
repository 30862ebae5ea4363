"""The open segments of a file: opened when first needed, the least recently used one closed first.

Several threads may decode at a time: on different segments at once, on the same one in turn.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

import numpy as np
import torch

from nvcodec.container import Reader, Segment
from nvcodec.host.forking import renew_after_fork
from nvcodec.media import Planes, UInt8Array
from nvcodec.reconstruction.segment_decoder import SegmentDecoder, open_segment_decoder
from nvcodec.tokenizer.token_sections import read_token_section

OPEN_SEGMENTS = 8
"""Number of segments that stay open. Playback needs one; random access jumps between a few."""

# Pixels of a picture of all open segments together; two segments stay open in any case, because
# pictures between them are cross-faded.
_OPEN_PIXELS = 1 << 24


class OpenSegment:
    """A segment decoder that one thread uses at a time; it is a `SegmentDecoder`.

    Args:
        stored: Segment as the file stores it.
        decoder: Its decoder.

    Attributes:
        first_frame: Number of its first frame in the video.
        pts: Timestamps of its frames, ticks, int64.
        durations: Durations of its frames, ticks, int64.
        batch: Number of frames to decode at a time.
    """

    def __init__(self, stored: Segment, decoder: SegmentDecoder) -> None:
        self.first_frame = stored.first_frame
        self.pts = np.array(stored.pts, np.int64)
        self.durations = np.array(stored.durations, np.int64)
        self.batch = decoder.batch
        self._decoder, self._lock = decoder, Lock()

    def planes(self, frames: Sequence[int]) -> Planes:
        """Decode frames."""
        with self._lock:
            return self._decoder.planes(frames)

    def interpolate(self, times: Sequence[float], size: tuple[int, int]) -> Planes:
        """Decode or interpolate pictures at any times of the segment, at any size."""
        with self._lock:
            return self._decoder.interpolate(times, size)

    def reference_state(self) -> object:
        """Return the state that the next segment may be predicted from."""
        with self._lock:
            return self._decoder.reference_state()


class _Slot:
    """Place of a segment in the cache; the thread that holds the lock opens the segment."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.opened: OpenSegment | None = None


class SegmentCache:
    """Opens the segments of a file, and keeps those used last.

    Of several threads that ask for a segment, one opens it, and only those that asked for the same
    one wait. A segment that leaves the cache stays usable for those who have it.

    Args:
        reader: Reader of the file.
        device: Device that decodes.

    Attributes:
        most: Number of segments that stay open.
    """

    def __init__(self, reader: Reader, device: torch.device) -> None:
        self._reader, self._device = reader, device
        video = reader.header.video
        self.most = max(2, min(OPEN_SEGMENTS, _OPEN_PIXELS // (video.width * video.height)))
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Forget all segments: another thread may have been in the middle of decoding one."""
        self._lock = Lock()
        self._slots: OrderedDict[int, _Slot] = OrderedDict()

    def get(self, segment: int) -> OpenSegment:
        """Return the decoder of a segment; open it, and what it is predicted from, if needed.

        Args:
            segment: Position of the segment in `Reader.segments`.

        Raises:
            BitstreamError: If the segment, or one that it is predicted from, is damaged.
            ClosedError: If the file is closed.
        """
        self._reader.check_open()
        with self._lock:
            slot = self._slots.setdefault(segment, _Slot())
            self._slots.move_to_end(segment)
        if slot.opened is not None:
            return slot.opened
        with slot.lock:
            if slot.opened is None:
                try:
                    slot.opened = self._open(segment)
                except BaseException:
                    self._drop(segment, slot)
                    raise
        with self._lock:
            while len(self._slots) > self.most:
                self._slots.popitem(last=False)
        return slot.opened

    def pts(self, segment: int) -> Sequence[int]:
        """Return the timestamps of a segment's frames, ticks, without opening it.

        Args:
            segment: Position of the segment in `Reader.segments`.

        Raises:
            BitstreamError: If the segment is damaged.
            ClosedError: If the file is closed.
        """
        self._reader.check_open()
        slot = self._slots.get(segment)
        if slot is not None and slot.opened is not None:
            ticks: list[int] = slot.opened.pts.tolist()
            return ticks
        return self._reader.segment(segment).pts

    def clear(self) -> None:
        """Release all segments."""
        with self._lock:
            self._slots.clear()

    def _drop(self, segment: int, slot: _Slot) -> None:
        """Remove a slot whose segment could not be opened, so that it takes nobody's place."""
        with self._lock:
            if self._slots.get(segment) is slot:
                del self._slots[segment]

    def _open(self, segment: int) -> OpenSegment:
        """Open a segment, starting from the nearest open one that it is predicted from."""
        needed = self._reader.needed(segment)
        with self._lock:
            first = max((number for number in self._slots if number in needed[:-1]), default=None)
        # A thread holds the lock of a segment while it waits for earlier ones only, never for later
        # ones: hence there is no circle of threads that wait for each other.
        opened = None if first is None else self.get(first)
        for number in range(needed.start if first is None else first + 1, needed.stop):
            stored = self._reader.segment(number)
            previous = opened.reference_state() if stored.predicted and opened else None
            decoder = open_segment_decoder(
                stored,
                self._reader.header,
                self._device,
                number=number,
                previous=previous,
                fsq_indices=self._fsq_indices(number),
            )
            opened = OpenSegment(stored, decoder)
        assert opened is not None
        return opened

    def _fsq_indices(self, segment: int) -> UInt8Array | None:
        """Return the tokens of a segment if its model is conditioned on them, else None."""
        tokens = self._reader.header.tokens
        if tokens is None or not tokens.conditioning:
            return None
        _, fsq_indices, _ = read_token_section(self._reader, segment)
        return fsq_indices
