"""Video input and output through libav: frames, colour, masks, audio and subtitle tracks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvcodec._lazy import lazy_exports

if TYPE_CHECKING:
    from nvcodec.video.colour import rgb, yuv420
    from nvcodec.video.sinks.open_sink import open_sink
    from nvcodec.video.sinks.sink import Sink, suffix_of
    from nvcodec.video.sources.masks import Mask, open_mask
    from nvcodec.video.sources.source import Source, open_source
    from nvcodec.video.tracks.source_tracks import Tracks, open_tracks

__all__ = [
    "Mask",
    "Sink",
    "Source",
    "Tracks",
    "open_mask",
    "open_sink",
    "open_source",
    "open_tracks",
    "rgb",
    "suffix_of",
    "yuv420",
]

# Decoders convert colours and need nothing of libav, which takes 50 ms to import.
_HOMES = {
    "nvcodec.video.colour": ("rgb", "yuv420"),
    "nvcodec.video.sinks.open_sink": ("open_sink",),
    "nvcodec.video.sinks.sink": ("Sink", "suffix_of"),
    "nvcodec.video.sources.masks": ("Mask", "open_mask"),
    "nvcodec.video.sources.source": ("Source", "open_source"),
    "nvcodec.video.tracks.source_tracks": ("Tracks", "open_tracks"),
}

__getattr__, __dir__ = lazy_exports(__name__, _HOMES)
