from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from nvcodec.errors import ConfigError, OutputExistsError, VideoError
from nvcodec.media import Colour, Frames, Packet, Track, VideoInfo
from nvcodec.video import open_sink, open_source, open_tracks, rgb


def clip(count=6, size=(64, 48), pts=None, start=0):
    w, h = size
    x, y = np.meshgrid(np.arange(w), np.arange(h))
    luma = np.stack([40 + (2 * x + y + 4 * t) % 150 for t in range(count)]).astype(np.uint8)
    half = (count, (h + 1) // 2, (w + 1) // 2)
    times = np.arange(start, start + count) if pts is None else np.array(pts)
    gaps = np.append(np.diff(times), 1)
    return Frames(
        y=luma,
        u=np.full(half, 110, np.uint8),
        v=np.full(half, 150, np.uint8),
        pts=times.astype(np.int64),
        durations=gaps.astype(np.int64),
    )


def info(size=(64, 48), **changes):
    base = VideoInfo(
        width=size[0], height=size[1], time_base=Fraction(1, 25), frame_rate=Fraction(25)
    )
    return dataclasses.replace(base, **changes)


def read_back(path, **options):
    with open_source(path, **options) as source:
        return source, source.read(10_000)


def seconds(frames, time_base):
    return [int(p) * time_base for p in frames.pts]


VFR = [0, 40, 45, 300, 301, 1000]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("full", [False, True])
def test_times_aspect_and_colour_come_back(tmp_path, suffix, full):
    path = tmp_path / f"out{suffix}"
    colour = Colour(primaries=9, transfer=16, matrix=9, full_range=full)
    described = info(
        time_base=Fraction(1, 1000), sample_aspect_ratio=Fraction(16, 15), colour=colour
    )
    frames = dataclasses.replace(clip(6, pts=VFR), durations=np.array([40, 5, 255, 1, 699, 123]))
    with open_sink(path, described) as sink:
        sink.write(frames)
    assert sink.warnings == []
    source, back = read_back(path)
    assert source.warnings == []
    assert seconds(back, source.info.time_base) == seconds(frames, described.time_base)
    if suffix == ".mp4":
        ticks = described.time_base / source.info.time_base
        assert (back.durations == frames.durations * ticks).all()
    assert source.info.sample_aspect_ratio == Fraction(16, 15)
    assert source.info.colour == colour
    error = np.mean((back.y.astype(float) - frames.y) ** 2)
    assert 10 * np.log10(255**2 / error) > 42
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("time_base", [Fraction(1001, 30000), Fraction(1, 90000), Fraction(1, 600)])
@pytest.mark.parametrize("start", [0, 7, 12345])
def test_mp4_keeps_any_clock_exactly(tmp_path, time_base, start):
    path = tmp_path / "out.mp4"
    described = info(time_base=time_base, frame_rate=Fraction(30000, 1001))
    step = max(round(1 / (described.frame_rate * time_base)), 1)
    frames = clip(5, pts=[start + step * i for i in range(5)])
    with open_sink(path, described) as sink:
        sink.write(frames)
    source, back = read_back(path)
    assert seconds(back, source.info.time_base) == seconds(frames, time_base)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_start_before_zero_loses_no_frame(make_clip, tmp_path, suffix):
    source = make_clip("in.mkv", frames=10, audio=("aac",))
    target = tmp_path / f"o{suffix}"
    with open_tracks(source) as tracks:
        packets = tracks.rest()[0]
        with open_sink(target, info(), tracks=tracks.tracks) as sink:
            sink.write_packets(0, packets[:3])
            sink.write(clip(10, start=-5))
            sink.write_packets(0, packets[3:])
    assert len(sink.warnings) == 1 and "0.200 s later" in sink.warnings[0]
    described, back = read_back(target)
    assert seconds(back, described.info.time_base) == [Fraction(i, 25) for i in range(10)]
    with open_tracks(target) as tracks:
        again = tracks.rest()[0]
        assert [p.data for p in again] == [p.data for p in packets]
        late = again[5].pts * tracks.tracks[0].time_base - Fraction(packets[5].pts, 1000)
        assert abs(late - Fraction(1, 5)) <= Fraction(1, 1000)


@pytest.mark.parametrize("size", [(65, 47), (1, 1), (33, 48), (64, 3)])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_odd_sizes_keep_their_size(tmp_path, size, suffix):
    path = tmp_path / f"odd{suffix}"
    with open_sink(path, info(size)) as sink:
        sink.write(clip(3, size))
    assert len(sink.warnings) == 1 and "libvpx-vp9" in sink.warnings[0]
    _, back = read_back(path)
    assert back.y.shape == (3, size[1], size[0])
    assert np.abs(back.y.astype(int) - clip(3, size).y).mean() < 4


def test_ffv1_is_lossless_at_any_size(tmp_path):
    path = tmp_path / "odd.mkv"
    with open_sink(path, info((35, 27)), encoder="ffv1") as sink:
        sink.write(clip(4, (35, 27)))
    back = read_back(path)[1]
    assert (back.y == clip(4, (35, 27)).y).all() and (back.u == 110).all()


def test_quality_and_encoders(tmp_path):
    sizes = []
    for encoder, quality in (("libx264", 12), ("libx264", 45), ("libx265", 30), ("libvpx-vp9", 40)):
        path = tmp_path / f"{encoder}{quality}.mkv"
        with open_sink(path, info(), encoder=encoder, quality=quality) as sink:
            sink.write(clip(12))
        assert len(read_back(path)[1]) == 12
        sizes.append(path.stat().st_size)
    assert sizes[1] < sizes[0]


def test_what_cannot_be_stored_is_refused_and_says_what_can(tmp_path):
    with pytest.raises(ConfigError, match=r"libvpx-vp9 or ffv1"):
        open_sink(tmp_path / "a.mp4", info((65, 47)), encoder="libx264")
    with pytest.raises(ConfigError, match="expected one of libx264"):
        open_sink(tmp_path / "a.mp4", info(), encoder="nothing")
    with pytest.raises(VideoError, match=r"write \.mp4"):
        open_sink(tmp_path / "a.mkv", info((65, 47), sample_aspect_ratio=Fraction(4, 3)))
    with pytest.raises(ConfigError, match=r"\.mp4, \.mkv, \.y4m"):
        open_sink(tmp_path / "a.xyz", info())
    with pytest.raises(ConfigError, match="apply to"):
        open_sink(tmp_path / "a.y4m", info(), quality=3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("size", [(64, 48), (7, 5), (1, 1)])
def test_y4m_is_exact(tmp_path, size, full):
    path = tmp_path / "out.y4m"
    described = info(
        size,
        frame_rate=Fraction(30000, 1001),
        time_base=Fraction(1001, 30000),
        sample_aspect_ratio=Fraction(128, 117),
        colour=Colour(full_range=full),
    )
    with open_sink(path, described) as sink:
        sink.write(clip(2, size))
        sink.write(clip(3, size, start=2))
    assert sink.warnings == []
    w, h = size
    half = ((w + 1) // 2) * ((h + 1) // 2)
    header = path.read_bytes().split(b"\n", 1)[0]
    assert path.stat().st_size == len(header) + 1 + 5 * (6 + w * h + 2 * half)
    source, back = read_back(path)
    assert (back.y[:2] == clip(2, size).y).all() and (back.v == 150).all()
    assert source.info.frame_rate == Fraction(30000, 1001)
    assert source.info.sample_aspect_ratio == Fraction(128, 117)
    assert source.info.colour.full_range is full


def test_y4m_says_what_it_loses(tmp_path):
    track = Track(kind="audio", codec="aac", time_base=Fraction(1, 48000))
    described = info(time_base=Fraction(1, 1000))
    with open_sink(tmp_path / "a.y4m", described, tracks=[track]) as sink:
        sink.write(clip(6, pts=VFR))
        sink.write_packets(0, [Packet(data=b"x", pts=0, dts=0)])
    assert len(sink.warnings) == 2
    assert "not stored" in sink.warnings[0] and "evenly" in sink.warnings[1]


@pytest.mark.parametrize("target", ["images", "images/"])
def test_png_folder_round_trip(tmp_path, target):
    colour = Colour(matrix=6)  # what a reader takes RGB of this size for
    described = info(
        (35, 27), time_base=Fraction(1, 1000), sample_aspect_ratio=Fraction(4, 3), colour=colour
    )
    frames = clip(6, (35, 27), pts=VFR)
    with open_sink(f"{tmp_path}/{target}", described) as sink:
        sink.write(frames)
    folder = tmp_path / "images"
    names = sorted(p.name for p in folder.iterdir())
    assert names == [f"{i:06d}.png" for i in range(6)] + ["timestamps.txt"]
    with av.open(str(folder / "000003.png")) as image:
        got = next(image.decode(video=0)).to_ndarray(format="rgb24")
    assert (got == rgb(frames.y, frames.u, frames.v, colour)[3]).all()
    source, back = read_back(folder)
    assert back.pts.tolist() == VFR
    assert back.durations.tolist() == frames.durations.tolist()
    assert source.info.sample_aspect_ratio == Fraction(4, 3)
    assert np.abs(back.y.astype(int) - frames.y).max() <= 2


def test_png_folder_replaces_only_its_own_kind(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    with open_sink(folder, info()) as sink:  # empty: as good as absent
        sink.write(clip(3))
    with pytest.raises(OutputExistsError):
        open_sink(folder, info())
    with open_sink(folder, info(), overwrite=True) as sink:
        sink.write(clip(1))
    assert len(list(folder.glob("*.png"))) == 1
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(VideoError, match=r"thesis\.tex"):
        open_sink(folder, info(), overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["images"]


TARGETS = ["o.mp4", "o.mkv", "o.y4m", "o"]


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_is_left_by_an_aborted_run(tmp_path, name):
    with pytest.raises(RuntimeError, match="stop"), open_sink(tmp_path / name, info()) as sink:
        sink.write(clip(3))
        assert not (tmp_path / name).exists()
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []
    sink.abort()
    sink.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", TARGETS)
def test_a_video_without_frames_is_an_error(tmp_path, name):
    with pytest.raises(VideoError, match="no frames"), open_sink(tmp_path / name, info()):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", TARGETS)
def test_an_existing_target_is_safe(tmp_path, name):
    path = tmp_path / name
    with open_sink(path, info()) as sink:
        sink.write(clip(2))
    with pytest.raises(OutputExistsError, match="exists"):
        open_sink(path, info())
    with pytest.raises(RuntimeError), open_sink(path, info(), overwrite=True) as sink:
        sink.write(clip(5))
        raise RuntimeError
    assert len(read_back(path)[1]) == 2
    with open_sink(path, info(), overwrite=True) as sink:
        sink.write(clip(5))
    assert len(read_back(path)[1]) == 5
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", TARGETS)
def test_unwritable_places_are_one_line(tmp_path, name):
    with pytest.raises(VideoError, match="folder does not exist"):
        open_sink(tmp_path / "nowhere" / name, info())
    other = tmp_path / name
    if "." in name:
        other.mkdir()
        (other / "x").write_text("x")
        with pytest.raises(VideoError, match="it is a folder"):
            open_sink(other, info(), overwrite=True)
    else:
        other.write_text("a file")
        with pytest.raises(VideoError, match="it is a file"):
            open_sink(other, info(), overwrite=True)


@pytest.mark.parametrize("name", TARGETS)
def test_wrong_frames_are_refused(tmp_path, name):
    with open_sink(tmp_path / name, info()) as sink:
        sink.write(clip(3))
        with pytest.raises(VideoError, match="expected frames of 64x48, found 32x48"):
            sink.write(clip(1, (32, 48), start=9))
        with pytest.raises(VideoError, match="is not after"):
            sink.write(clip(1, start=2))


def script(body, *arguments):
    return [sys.executable, "-c", textwrap.dedent(body), *map(str, arguments)]


@pytest.mark.skipif(sys.platform == "win32", reason="limits the file size by POSIX means")
@pytest.mark.parametrize("name", TARGETS)
def test_a_full_disk_is_one_clear_error(tmp_path, name):
    body = """
        import resource, signal, sys
        sys.path.insert(0, sys.argv[2])
        from test_sinks_body import clip, info
        from nvcodec.errors import VideoError
        from nvcodec.video import open_sink
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (900, 900))
        try:
            with open_sink(sys.argv[1], info()) as sink:
                for k in range(20):
                    sink.write(clip(5, start=5 * k))
        except VideoError as error:
            print(error)
    """
    # The helpers of this file under a name the child can import.
    helper = tmp_path / "helper"
    helper.mkdir()
    (helper / "test_sinks_body.py").write_text(Path(__file__).read_text(encoding="utf-8"))
    out = tmp_path / "out"
    out.mkdir()
    done = subprocess.run(
        script(body, out / name, helper), capture_output=True, text=True, check=False
    )
    assert done.stderr == "" and done.returncode == 0
    assert done.stdout.count("\n") == 1
    assert "cannot be written" in done.stdout and "large" in done.stdout.lower()
    assert list(out.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_a_killed_run_leaves_no_target(tmp_path):
    body = """
        import sys, time
        import numpy as np
        from fractions import Fraction
        from nvcodec.media import Frames, VideoInfo
        from nvcodec.video import open_sink
        info = VideoInfo(width=8, height=8, time_base=Fraction(1, 25), frame_rate=Fraction(25))
        sink = open_sink(sys.argv[1], info)
        y, c = np.zeros((3, 8, 8), np.uint8), np.zeros((3, 4, 4), np.uint8)
        sink.write(Frames(y=y, u=c, v=c, pts=np.arange(3), durations=np.ones(3, np.int64)))
        print("ready", flush=True)
        time.sleep(60)
    """
    path = tmp_path / "o.mp4"
    child = subprocess.Popen(script(body, path), stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert not path.exists()
    with open_sink(path, info()) as sink:  # what the killed run left is in nobody's way
        sink.write(clip(2))
    assert [p.name for p in tmp_path.iterdir()] == ["o.mp4"]


def copy(source, target, frames=None):
    with open_source(source, frames=frames) as video, open_tracks(source) as tracks:
        with open_sink(target, video.info, tracks=tracks.tracks) as sink:
            while len(part := video.read(8)):
                sink.write(part)
                end = int(part.pts[-1] + part.durations[-1]) * video.info.time_base
                for index, packets in enumerate(tracks.until(end)):
                    sink.write_packets(index, packets)
            if frames is None:
                for index, packets in enumerate(tracks.rest()):
                    sink.write_packets(index, packets)
        return tracks.tracks


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    "audio", [("aac",), ("libopus",), ("libmp3lame",), ("ac3", "aac"), ("pcm_s16le",), ("flac",)]
)
def test_tracks_are_copied_bit_for_bit(make_clip, tmp_path, suffix, audio):
    source = make_clip("in.mkv", frames=30, audio=audio)
    target = tmp_path / f"out{suffix}"
    before = copy(source, target)
    with open_tracks(source) as a, open_tracks(target) as b:
        assert [t.codec for t in b.tracks] == [t.codec for t in before]
        for track, other, old, new in zip(a.tracks, b.tracks, a.rest(), b.rest(), strict=True):
            assert [p.data for p in new] == [p.data for p in old]
            for p, q in zip(old, new, strict=True):
                assert abs(p.pts * track.time_base - q.pts * other.time_base) <= Fraction(1, 1000)
    # And a player can decode them.
    with av.open(str(target)) as container:
        for stream in container.streams.audio:
            container.seek(0)
            assert sum(f.samples for f in container.decode(stream)) > 48000
    assert len(read_back(target)[1]) == 30


def test_language_title_and_disposition(make_clip, tmp_path):
    source = make_clip("in.mkv", frames=10, audio=("aac",))
    with open_tracks(source) as tracks:
        track = dataclasses.replace(
            tracks.tracks[0], language="fre", title="La bande son", disposition=1 | 64
        )
        packets = tracks.rest()[0]
    target = tmp_path / "o.mkv"
    with open_sink(target, info(), tracks=[track]) as sink:
        sink.write(clip(10))
        sink.write_packets(0, packets)
    with open_tracks(target) as back:
        (found,) = back.tracks
    assert (found.language, found.title, found.disposition) == ("fre", "La bande son", 65)


SCRIPT = b"[Script Info]\r\nScriptType: v4.00+\r\n\r\n[V4+ Styles]\r\nFormat: Name\r\n"


def subtitle_file(path, codec, header, payloads):
    """A file of one subtitle stream, made without a subtitle encoder's own header."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        stream = container.add_stream(codec)
        stream.codec_context.subtitle_header = header
        for index, payload in enumerate(payloads):
            packet = av.Packet(payload)
            packet.stream = stream
            packet.time_base = Fraction(1, 1000)
            packet.pts = packet.dts = 100 * index
            packet.duration = 100
            container.mux(packet)
        for t in range(10):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts, frame.time_base = t, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))


@pytest.mark.parametrize(
    ("name", "codec", "payloads", "refused"),
    [
        ("s.mkv", "subrip", [b"Hello", b"<i>again</i>"], ".mp4"),
        ("s.mkv", "ass", [b"0,0,Default,,0,0,0,,Hi", b"1,0,Default,,0,0,0,,Ho"], ".mp4"),
        ("s.mp4", "mov_text", [b"\x00\x05Hello", b"\x00\x05again"], ".mkv"),
    ],
)
def test_subtitles(tmp_path, name, codec, payloads, refused):
    source = tmp_path / name
    subtitle_file(source, codec, SCRIPT, payloads)
    with open_tracks(source) as tracks:
        (track,) = tracks.tracks
        assert (track.kind, track.codec) == ("subtitle", codec)
        with av.open(str(source)) as container:
            original = container.streams.subtitles[0].codec_context.extradata
        packets = tracks.rest()[0]
    assert [p.data for p in packets] == payloads
    target = tmp_path / f"out{source.suffix}"
    copy(source, target)
    with open_tracks(target) as back, av.open(str(target)) as container:
        assert container.streams.subtitles[0].codec_context.extradata == original
        again = back.rest()[0]
        assert [p.data for p in again] == payloads
        base = back.tracks[0].time_base
        assert [p.pts * base for p in again] == [p.pts * track.time_base for p in packets]
        assert [p.duration * base for p in again] == [p.duration * track.time_base for p in packets]
    works = source.suffix
    with pytest.raises(VideoError, match=rf"track 0 \(subtitle, {codec}\).*use {works}"):
        open_sink(tmp_path / f"no{refused}", info(), tracks=[track])
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, target.name])


def test_surround_sound_of_a_real_film(bunny, tmp_path):
    target = tmp_path / "o.mkv"
    with (
        open_source(bunny, frames=slice(0, 2)) as video,
        open_tracks(bunny) as tracks,
        open_sink(target, video.info, tracks=tracks.tracks) as sink,
    ):
        sink.write(video.read(2))
        sink.write_packets(0, tracks.until(1)[0])
    with av.open(str(target)) as container:
        assert container.streams.audio[0].layout.name == "5.1"
        assert sum(f.samples for f in container.decode(audio=0)) > 40_000


def test_hostile_colour_and_times_are_typed_errors(tmp_path):
    for index, changes in enumerate(
        [
            {"colour": Colour(primaries=255, transfer=255, matrix=255)},
            {"colour": Colour(primaries=0, transfer=3, matrix=0)},
            {"time_base": Fraction(1, 2**40)},
            {"frame_rate": Fraction(2**40, 3)},
            {"sample_aspect_ratio": Fraction(2**40, 3)},
        ]
    ):
        for suffix in ("mp4", "mkv"):
            try:
                with open_sink(tmp_path / f"{index}.{suffix}", info(**changes)) as sink:
                    sink.write(clip(2))
                    sink.write(clip(1, pts=[2**62]))
            except VideoError as error:
                assert "\n" not in str(error)


def test_packets_without_times_are_placed(make_clip, tmp_path):
    source = make_clip("in.mkv", frames=10, audio=("aac",))
    with open_tracks(source) as tracks:
        (track,) = tracks.tracks
        packets = [dataclasses.replace(p, pts=None, dts=None) for p in tracks.rest()[0]]
    target = tmp_path / "o.mkv"
    with open_sink(target, info(), tracks=[track]) as sink:
        sink.write(clip(10))
        sink.write_packets(0, packets)
    with open_tracks(target) as back:
        assert [p.data for p in back.rest()[0]] == [p.data for p in packets]


def test_timing_of_the_module_is_quiet(tmp_path, capfd):
    start = time.monotonic()
    with open_sink(tmp_path / "o.mp4", info(), encoder="libx265") as sink:
        sink.write(clip(2))
    assert capfd.readouterr() == ("", "")
    assert time.monotonic() - start < 30
