"""The `.nvc` container: reads and writes the sections of a file.

`Reader` gives random access to a file, `read_forward` reads a stream from a pipe, and `Writer`
writes, resumes and appends. A file is a signature followed by sections of type, length, payload and
CRC-32: the header, metadata and tracks, then packets and segments in presentation order, chapters,
an index and an end. The payload of a segment is opaque to this package, and neither networks nor pictures
nor PyAV objects pass through it. The normative description of the format is `docs/bitstream.md`.

Malformed input raises `nvcodec.errors.BitstreamError` or one of its subclasses, and never another
exception. Values that the format cannot hold raise `nvcodec.errors.ConfigError`.
"""

from __future__ import annotations

from nvcodec.container.chapters import ChaptersSection
from nvcodec.container.damage import Damage, DamageKind
from nvcodec.container.header import Header
from nvcodec.container.packets import PacketsSection
from nvcodec.container.reader import Reader
from nvcodec.container.resume_point import Resumed
from nvcodec.container.section_list import SegmentEntry, SegmentList
from nvcodec.container.segment_section import Segment, TokensSection
from nvcodec.container.sequential_reader import read_forward
from nvcodec.container.token_format import TokenFormat
from nvcodec.container.track_sections import Metadata, TrackSection
from nvcodec.container.writer import Writer
from nvcodec.media import ColourMode

__all__ = [
    "ChaptersSection",
    "ColourMode",
    "Damage",
    "DamageKind",
    "Header",
    "Metadata",
    "PacketsSection",
    "Reader",
    "Resumed",
    "Segment",
    "SegmentEntry",
    "SegmentList",
    "TokenFormat",
    "TokensSection",
    "TrackSection",
    "Writer",
    "read_forward",
]
