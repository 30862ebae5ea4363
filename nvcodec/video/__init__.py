"""Video input and output through libav: frames, colour, masks, audio and subtitle tracks."""

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
