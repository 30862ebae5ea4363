"""Damage to `.nvc` files with right checksums, so that it reaches the parsers behind them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from nvcodec.container.fields import Cursor, encode_varint
from nvcodec.container.framing import CRC_SIZE, PREAMBLE, read_framing, write_section
from nvcodec.container.header import read_header, write_header
from nvcodec.container.index import Index, IndexEntry, write_end, write_index
from nvcodec.container.section_types import END, HEADER, INDEX, PACKETS, SEGMENT
from nvcodec.container.segment_section import read_segment, read_summary, write_segment
from nvcodec.errors import NvcodecError

BOUNDARIES = sorted(
    {0, 1, 2**26}
    | {
        2**bits + by
        for bits in (3, 7, 8, 10, 12, 14, 16, 20, 21, 31, 32, 61, 63)
        for by in (-1, 0, 1)
    }
    | {2**64 - 1}
)
_SIDES = (1, 2, 3, 15, 16, 17, 33, 64, 255, 1024, 4096, 8191, 8192, 16384, 65535)
_MOST_SECTIONS = 40


@dataclass
class Section:
    """A section: its type and its payload."""

    kind: str
    payload: bytes


def split(data: bytes) -> tuple[bytes, list[Section]]:
    """Return the preamble and the sections of an intact file."""
    sections, offset = [], len(PREAMBLE)
    while offset < len(data):
        framing = read_framing(data[offset : offset + 9], offset)
        end = framing.end - CRC_SIZE
        sections.append(Section(framing.kind, data[framing.payload_offset : end]))
        offset = framing.end
    return data[: len(PREAMBLE)], sections


def join(preamble: bytes, sections: Sequence[Section]) -> bytes:
    """Return the file of these sections, with right checksums."""
    parts = [preamble]
    for number, section in enumerate(sections):
        parts.append(
            write_section(section.kind, section.payload, before=b"" if number else preamble)
        )
    return b"".join(parts)


def indexed(preamble: bytes, sections: Sequence[Section]) -> bytes:
    """Return the file of these sections, with an index that lists them as they are.

    Raises:
        NvcodecError: If a segment cannot be listed.
    """
    body = [section for section in sections if section.kind not in (INDEX, END)]
    entries, offset = [], len(preamble)
    for number, section in enumerate(body):
        before = b"" if number else preamble
        size = len(write_section(section.kind, section.payload, before=before))
        summary, track = None, 0
        if section.kind == SEGMENT:
            summary = read_summary(Cursor(section.payload, section=SEGMENT, offset=0))
        elif section.kind == PACKETS and section.payload:
            track = section.payload[0]
        entries.append(
            IndexEntry(kind=section.kind, offset=offset, size=size, track=track, segment=summary)
        )
        offset += size
    last = max((entry.segment.start for entry in entries if entry.segment), default=0)
    index = write_section(INDEX, write_index(Index(entries=tuple(entries), end=last + 1)))
    return join(preamble, body) + index + write_end(len(index))


def mutate(data: bytes, others: Sequence[bytes], chance: random.Random) -> tuple[bytes, list[str]]:
    """Damage a file in one to three ways.

    Args:
        data: An intact file.
        others: Intact files whose sections may be spliced in.
        chance: Source of all choices.

    Returns:
        The damaged file, and the names of the mutations.
    """
    preamble, sections = split(data)
    names = []
    for _ in range(chance.choice((1, 1, 2, 3))):
        mutation = chance.choice(_MUTATIONS)
        names.append(mutation.__name__.strip("_"))
        mutation(sections, others, chance)
        sections = sections[:_MOST_SECTIONS] or [Section(HEADER, b"")]
    damaged = join(preamble, sections)
    if chance.random() < 0.7:
        try:
            damaged = indexed(preamble, sections)
        except NvcodecError:
            names.append("old index")
    if chance.random() < 0.1:
        names.append("tail")
        damaged += chance.randbytes(chance.randrange(1, 300))
    if chance.random() < 0.1:
        names.append("cut")
        damaged = damaged[: chance.randrange(len(damaged))]
    return damaged, names


_Mutation = Callable[[list[Section], Sequence[bytes], random.Random], None]


def _pick(sections: list[Section], chance: random.Random) -> Section:
    return chance.choice(sections)


def _near_the_start(length: int, chance: random.Random) -> int:
    """Return a position; half of them are among the first bytes, where the numbers are."""
    return chance.randrange(min(length, 64) if chance.random() < 0.5 else length)


def _flip(sections: list[Section], others: Sequence[bytes], chance: random.Random) -> None:
    section = _pick(sections, chance)
    changed = bytearray(section.payload)
    for _ in range(chance.randrange(1, 9) if changed else 0):
        changed[_near_the_start(len(changed), chance)] ^= 1 << chance.randrange(8)
    section.payload = bytes(changed)


def _boundary(sections: list[Section], others: Sequence[bytes], chance: random.Random) -> None:
    section = _pick(sections, chance)
    if section.payload:
        place = _near_the_start(len(section.payload), chance)
        number = encode_varint(chance.choice(BOUNDARIES))
        kept = place + chance.choice((1, 1, 2, len(number)))
        section.payload = section.payload[:place] + number + section.payload[kept:]


def _shorten(sections: list[Section], others: Sequence[bytes], chance: random.Random) -> None:
    section = _pick(sections, chance)
    section.payload = section.payload[: chance.randrange(len(section.payload) + 1)]


def _lengthen(sections: list[Section], others: Sequence[bytes], chance: random.Random) -> None:
    section = _pick(sections, chance)
    count = chance.choice((1, 8, 100, 5000))
    section.payload += bytes(count) if chance.random() < 0.5 else chance.randbytes(count)


def _swap(sections: list[Section], others: Sequence[bytes], chance: random.Random) -> None:
    first, second = chance.randrange(len(sections)), chance.randrange(len(sections))
    sections[first], sections[second] = sections[second], sections[first]


def _repeat(sections: list[Section], others: Sequence[bytes], chance: random.Random) -> None:
    section = _pick(sections, chance)
    for _ in range(chance.choice((1, 2, 30))):
        sections.insert(chance.randrange(1, len(sections) + 1), replace(section))


def _drop(sections: list[Section], others: Sequence[bytes], chance: random.Random) -> None:
    sections.pop(chance.randrange(len(sections)))


def _splice(sections: list[Section], others: Sequence[bytes], chance: random.Random) -> None:
    _, foreign = split(chance.choice(others))
    section = chance.choice(foreign)
    if section.kind == HEADER or chance.random() < 0.5:
        sections[chance.randrange(len(sections)) if section.kind != HEADER else 0] = section
    else:
        sections.insert(chance.randrange(1, len(sections) + 1), section)


def _header(sections: list[Section], others: Sequence[bytes], chance: random.Random) -> None:
    """Change the size of the picture, the model or the configuration in the header."""
    section = sections[0]
    try:
        header = read_header(Cursor(section.payload, section=HEADER, offset=0), 1)
        video, model = header.video, header.model
        configuration = bytearray(header.configuration)
        if chance.random() < 0.6:
            video = replace(video, width=chance.choice(_SIDES), height=chance.choice(_SIDES))
        if chance.random() < 0.2:
            model = chance.randrange(1, 8)
        for _ in range(chance.choice((0, 1, 3)) if configuration else 0):
            configuration[chance.randrange(len(configuration))] = chance.choice(
                (0, 1, 2, 3, 7, 8, 15, 16, 64, 127, 128, 255, chance.randrange(256))
            )
        changed = replace(header, video=video, model=model, configuration=bytes(configuration))
        section.payload = write_header(changed)
    except NvcodecError:
        return


def _segment(sections: list[Section], others: Sequence[bytes], chance: random.Random) -> None:
    """Change the number of frames, the prediction or the length of the payload of a segment."""
    segments = [section for section in sections if section.kind == SEGMENT]
    if not segments:
        return
    section = chance.choice(segments)
    try:
        segment = read_segment(Cursor(section.payload, section=SEGMENT, offset=0))
        frames = chance.choice((1, 2, 17, segment.frames, segment.frames, 300, 4096, 65536))
        section.payload = write_segment(
            replace(
                segment,
                pts=range(segment.pts[0], segment.pts[0] + frames),
                durations=[1] * frames,
                predicted=segment.predicted ^ (chance.random() < 0.3),
                payload=segment.payload + bytes(chance.choice((0, 0, 1000, 20000))),
            )
        )
    except NvcodecError:
        return


_MUTATIONS: tuple[_Mutation, ...] = (
    *(_flip, _flip, _boundary, _boundary, _shorten, _lengthen, _swap, _repeat, _drop, _splice),
    *(_header, _header, _segment, _segment),
)
