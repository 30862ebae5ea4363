"""The `.nvc` container: `Reader` for whole files, `read_forward` for pipes, `Writer` to make them.

Owns what a caller sees of the format. A file is a signature, then sections of type, length, payload
and CRC-32: header, tracks, then packets and segments in turns, an index and an end. What a segment's
payload means is not known here, and no network, picture or PyAV object passes through. Normative
description: `docs/bitstream.md`.
"""

from __future__ import annotations

from nvcodec.container.damage import Damage, DamageKind
from nvcodec.container.header import Header, Metadata, TokenFormat, TrackSection
from nvcodec.container.packets import PacketsSection
from nvcodec.container.reader import Reader
from nvcodec.container.segment_lookup import SegmentEntry
from nvcodec.container.segment_section import Segment, TokensSection
from nvcodec.container.sequential_reader import read_forward
from nvcodec.container.writer import Resumed, Writer
from nvcodec.media import ColourMode

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
