"""Tests of hostile files: right checksums around values that are invalid."""

import contextlib
import io
import struct
import tracemalloc
import zlib

import pytest

from nvcodec.container import DamageKind, Reader, read_forward
from nvcodec.container.fields import Cursor, encode_varint
from nvcodec.container.framing import MAGIC, PREAMBLE, write_section
from nvcodec.container.header import write_header
from nvcodec.container.index import read_index, write_end
from nvcodec.errors import BitstreamError, TruncatedStreamError, UnsupportedVersionError

HUGE = encode_varint(2**31 - 1)
MOST = b"\xff" * 9 + b"\x01"


def _start(samples, header: bytes | None = None) -> bytes:
    payload = write_header(samples.HEADER) if header is None else header
    return PREAMBLE + write_section("HEAD", payload, before=PREAMBLE)


def _refused_section(samples, kind: str, payload: bytes) -> str:
    """Return the reason why a section with a right checksum is refused; the rest stays readable."""
    start = _start(samples)
    stream = start + write_section(kind, payload) + write_section("SEGM", b"\0\0\0\0\1\0ok")
    with pytest.raises(BitstreamError) as caught:
        for _ in read_forward(io.BytesIO(stream)):
            pass
    assert not isinstance(caught.value, TruncatedStreamError)
    reader = Reader(stream)
    if kind == "pack":
        assert list(reader.packets(payload[0] if payload else 0, skip_damaged=True)) == []
    for entry in reader.segments:
        with contextlib.suppress(BitstreamError):
            reader.segment(entry.index)
    assert DamageKind.MALFORMED in {damage.kind for damage in reader.damage}
    assert f"{kind} section, byte" in str(caught.value) or kind == "SEGM"
    return str(caught.value)


def _head(**fields: bytes) -> bytes:
    parts = {
        "width": b"\x10",
        "height": b"\x10",
        "time_base": b"\1\x19",
        "frame_rate": b"\x19\1",
        "aspect": b"\1\1",
        "colour": b"\2\2\2\0",
        "model": b"\0",
        "mode": b"\0",
        "configuration": b"\0",
    }
    return b"".join({**parts, **fields}.values())


def test_headers(samples):
    assert Reader(_start(samples, _head())).header.video.width == 16
    assert Reader(_start(samples, _head() + b"later fields")).header.video.width == 16
    side = encode_varint(65535)
    for bad in (
        b"",
        _head(width=b"\0"),
        _head(height=b"\0"),
        _head(width=encode_varint(65536)),
        _head(width=side, height=side),
        _head(width=b"\x90\0"),
        _head(width=b"\xff" * 30),
        _head(time_base=b"\0\1"),
        _head(time_base=b"\1\0"),
        _head(frame_rate=b"\0\0"),
        _head(frame_rate=encode_varint(2**31) + b"\1"),
        _head(aspect=b"\1\0"),
        _head(colour=b"\2\2\2\2"),
        _head(configuration=MOST),
        _head(configuration=b"\5abc"),
        bytes(2**17 + 1),
    ):
        with pytest.raises(BitstreamError, match=r"HEAD.*byte|byte.*HEAD"):
            Reader(_start(samples, bad))
    with pytest.raises(UnsupportedVersionError, match="colour mode 9"):
        Reader(_start(samples, _head(mode=b"\x09")))
    with pytest.raises(UnsupportedVersionError, match=r"version 2\.0 found.*1\.x"):
        Reader(MAGIC + b"\2\0" + b"anything")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\0",
        b"\0\3\0\1\1\0\0\0\0",  # kind
        b"\0\1\2a",  # text longer than the section
        b"\0\1" + HUGE,
        b"\0\1\1\xff\1\1\0\0\0\0",  # not UTF-8
        b"\0\1\1a\0\1\0\0\0\0",  # zero in the time base
        b"\0\1\1a\1\1\0\0\0" + MOST,
    ],
)
def test_tracks(samples, payload):
    _refused_section(samples, "trak", payload)


@pytest.mark.parametrize(
    "payload",
    [b"", MOST, b"\1", b"\1\1a", b"\0x", b"\2\1a\0\1a\0", b"\1\1\xff\0", HUGE + b"\0" * 9],
)
def test_metadata(samples, payload):
    _refused_section(samples, "meta", payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"\0",
        b"\0\1",
        b"\0" + MOST,
        b"\0" + HUGE + bytes(100),
        b"\0\1\x80\0",  # reserved flag
        b"\0\1\6\0\0",  # both no pts and a pts
        b"\0\1\x18\0\0",
        b"\0\1\1" + HUGE,
        b"\0\1\1\0extra",
        b"\0\1\4" + MOST + b"\0",
        b"\0\2\4" + encode_varint(2**62) + b"\0\4" + encode_varint(2**62) + b"\0",
        b"\0\1\x20" + MOST + b"\0",
        b"\0\1\x40\0\0",  # no side data where there should be
        b"\0\1\x40\xff\1\0\0",
    ],
)
def test_packets(samples, payload):
    _refused_section(samples, "pack", payload)


def _timing(plain: bytes) -> bytes:
    packed = zlib.compress(plain)
    return encode_varint(len(packed)) + packed


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x04\0\0\0\1\0",  # reserved flag
        b"\1\0\0\0\1\0",  # the first cannot be predicted
        b"\0\0" + encode_varint(2**16) + b"\0\1\0",  # too many frames
        b"\0" + encode_varint(2**32 - 2) + b"\1\0\1\0",  # more than 2**32 - 1 in all
        b"\0\0\0" + MOST + b"\1\0",  # start
        b"\0\0\0\0\0\0",  # step 0
        b"\0\0\0\0\1\3",  # negative duration
        b"\0\0\2\0" + encode_varint(2**61) + b"\0",  # runs past the largest timestamp
        b"\2\0\0\0" + _timing(b""),  # one frame, irregular
        b"\2\0\1\0\0",
        b"\2\0\1\0" + HUGE,
        b"\2\0\1\0\4junk",
        b"\2\0\1\0" + _timing(b"\1\0"),  # too few numbers
        b"\2\0\1\0" + _timing(b"\1\0\0\0"),  # too many
        b"\2\0\1\0" + _timing(b"\0\0\0"),  # no increase
        b"\2\0\1\0" + _timing(b"\1\3\0"),  # negative duration
        b"\2\0\1\0" + _timing(encode_varint(2**61) + b"\0\0"),
        b"\2\0\1\0" + _timing(bytes(2**26)),  # a bomb
        b"\2\0\1\0"
        + encode_varint(len(zlib.compress(b"\1\0\0")) - 2)
        + zlib.compress(b"\1\0\0")[:-2],
    ],
)
def test_segments(samples, payload):
    tracemalloc.start()
    _refused_section(samples, "SEGM", payload)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**23


def test_an_index_that_lies_is_not_used(samples):
    data = samples.small()
    at = data.index(b"indx")
    body, good = data[:at], data[at:-13]
    entries = read_index(Cursor(good[5:-4], section="indx", offset=0)).entries

    def lie(payload: bytes) -> Reader:
        index = write_section("indx", payload)
        return Reader(body + index + write_end(len(index)))

    assert lie(good[5:-4]).complete
    size = encode_varint(entries[0].size)
    for payload in (
        b"",
        b"\0\0",
        MOST,
        HUGE + bytes(1000),
        b"\1\1" + size + b"\0",
        b"\1\1" + encode_varint(len(body) - 10) + b"\0",
        b"\1\5" + encode_varint(len(body) - 10) + b"\0\0\0",
        b"\2\1" + size + b"\7" + size + b"\0",
        b"\2\1" + size + b"\6" + encode_varint(len(body) - 10 - entries[0].size) + b"\0\0\0",
        good[5:-4] + b"\0",
        good[5:-6] + b"\1",  # ends before its last segment starts
    ):
        reader = lie(payload)
        assert not reader.complete
        assert [reader.segment(k) for k in range(3)] == list(samples.SEGMENTS[:3])
    # The sizes are consistent, but the sections are of other types than the index says.
    rest = len(body) - 10 - entries[0].size
    for entry in (b"\5" + encode_varint(rest) + b"\3\0\2", b"\4" + encode_varint(rest) + b"\0\0"):
        reader = lie(b"\2\1" + size + entry)
        for number in range(len(reader.segments)):
            with pytest.raises(BitstreamError, match="SEGM section, byte"):
                reader.segment(number)
        assert list(reader.packets(0, skip_damaged=True)) == []
        assert reader.verify()
    end = body + good + write_section("DONE", struct.pack("<I", 2**32 - 1))
    assert len(Reader(end).segments) == 3
    hidden = write_section("XTRA", b"")
    index = b"\2\1" + size + b"\0" + encode_varint(len(hidden)) + b"\0"
    index = write_section("indx", index)
    with pytest.raises(UnsupportedVersionError, match="XTRA"):
        Reader(_start(samples) + hidden + index + write_end(len(index)))


def test_huge_lengths_allocate_nothing(samples):
    for kind in ("SEGM", "pack", "trak", "meta", "indx", "DONE", "xtra"):
        stream = _start(samples) + kind.encode() + HUGE + bytes(50)
        tracemalloc.start()
        assert not Reader(stream).complete
        with pytest.raises(TruncatedStreamError):
            list(read_forward(io.BytesIO(stream)))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 2**22


def test_searching_reads_in_proportion_to_the_file(samples):
    """A candidate every five bytes that claims most of the file; then good and bad ones in turn."""
    size = 2**19
    claim = b"SEGM" + encode_varint(size // 2)
    good, bad = write_section("xtra", b""), b"pack\0????"
    segment = write_section("meta", b"\0")
    fillings = (claim * (size // len(claim)), (bad + segment + good) * (size // 40), bad * size)
    for filling in fillings:
        reader = Reader(_start(samples) + filling)
        # Reading what every candidate claims would take a thousand times as much.
        assert reader.bytes_read < 16 * size
        assert not reader.complete


def test_unbounded_pipes_stop_at_their_first_error(samples):
    class Endless(io.RawIOBase):
        served = 0

        def read(self, count=-1):
            part = (start + bytes(2**16))[self.served : self.served + count] or bytes(count)
            Endless.served += len(part)
            assert Endless.served < 2**20
            return part

    start = _start(samples)
    with pytest.raises(BitstreamError):
        list(read_forward(Endless()))


def test_a_huge_file_is_opened_through_its_index(samples):
    class Sparse(io.RawIOBase):
        """Zeros between a beginning and an end, 10 GiB apart; counts the bytes read."""

        position = served = 0

        def seekable(self):
            return True

        def seek(self, offset, whence=0):
            self.position = offset + (size if whence == 2 else 0)
            return self.position

        def read(self, count=-1):
            self.served += count
            at, self.position = self.position, self.position + count
            if at < len(start):
                return (start + bytes(count))[at : at + count]
            return end[at - size :][:count] if at >= size - len(end) else bytes(count)

    start = _start(samples)
    segment = b"\5" + encode_varint(2**31) + b"\3" + b"\x14"
    entries = b"\1" + encode_varint(len(start) - 10) + 5 * segment
    index = write_section("indx", b"\6" + entries + b"\x14")
    end = index + write_end(len(index))
    size = len(start) + 5 * 2**31 + len(end)
    file = Sparse()
    reader = Reader(file)
    assert reader.complete and reader.file_bytes == size
    assert reader.frame_count == 20
    assert reader.segment_of(17).offset == len(start) + 4 * 2**31
    assert file.served < 1000
    with pytest.raises(BitstreamError):
        reader.payload(3)
    assert file.served < 2000
