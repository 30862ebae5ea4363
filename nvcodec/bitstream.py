"""The `.nvc` container: `Reader` for whole files, `read_forward` for pipes, `Writer` to make them.

Owns what a caller sees of the format. A file is a signature, then sections of type, length, payload
and CRC-32: header, tracks, then packets and segments in turns, an index and an end. What a segment's
payload means is not known here, and no network, picture or PyAV object passes through. Normative
description: `docs/bitstream.md`.
"""

from __future__ import annotations

from nvcodec.forward import read_forward
from nvcodec.layout import Damage, DamageKind
from nvcodec.media import ColourMode
from nvcodec.packets import PacketsSection
from nvcodec.reader import Reader
from nvcodec.sections import Header, Metadata, TokenFormat, TrackSection
from nvcodec.segment_list import SegmentEntry
from nvcodec.timeline import Segment, TokensSection
from nvcodec.writer import Resumed, Writer

__all__ = [
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
    "TokenFormat",
    "TokensSection",
    "TrackSection",
    "Writer",
    "read_forward",
]
