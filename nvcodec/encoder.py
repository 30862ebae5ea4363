"""From a video to an `.nvc` file, segment by segment.

    source ─► segments ─► fit ─► payload ─► container, flushed ─► ... ─► index ─► rename

The file grows beside its target under the name `<target>.partial`, and gets the target's name when
it is whole. What is there after a crash or a Ctrl-C is every finished segment; `resume` goes on
from it. A note beside it, `<target>.partial.json`, says what made it, so that only the same encode
is continued.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from nvcodec.bitstream import Header, Reader, Segment, Writer
from nvcodec.config import DEFAULT_BPP, EncoderConfig
from nvcodec.device import choose_device
from nvcodec.errors import BitstreamError, ConfigError, NvcodecError, OutputExistsError, VideoError
from nvcodec.fitting import FitProgress, fit
from nvcodec.media import Frames
from nvcodec.models import build, config_class, family
from nvcodec.models.config import ModelConfig
from nvcodec.payload import pack_payload, split_payload
from nvcodec.samples import model_samples
from nvcodec.segments import default_length, segments
from nvcodec.video.source import Source, open_source
from nvcodec.video.tracks import Tracks, open_tracks

logger = logging.getLogger(__name__)

# Stored values are worth about three bits each when rate and distortion balance.
_BITS_PER_PARAMETER = 3.0
# What the container itself takes: once, and per segment.
_FIXED_BYTES = 120
_SEGMENT_BYTES = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where an encode stands; handed to `on_progress` after every epoch.

    Attributes:
        segment: Number of the segment being fitted, from 0.
        segments: How many there will be, as far as is known.
        fit: Where its fit stands.
        bpp: Estimated bits per pixel of the segment; None in the float stage.
        seconds: Since the encode began.
        remaining: Expected seconds to the end of the encode; None where the length is unknown.
    """

    segment: int
    segments: int | None
    fit: FitProgress
    bpp: float | None
    seconds: float
    remaining: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """What an encode made.

    Attributes:
        path: The file.
        model: Name of the family.
        parameters: Stored values, over all segments.
        macs_per_pixel: Multiply-accumulates of a decoded frame per pixel; of the first segment.
        epochs: Largest number of passes any segment took.
        seconds: How long it took, this run only.
        segments: How many.
        frames: How many.
        device: Where it was fitted.
        warnings: What was lost or repaired, in plain words.
    """

    path: Path
    model: str
    parameters: int
    macs_per_pixel: float
    epochs: int
    seconds: float
    segments: int
    frames: int
    device: str
    warnings: tuple[str, ...]


def encode_file(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    config: EncoderConfig,
    *,
    resume: bool = False,
    overwrite: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> Encoded:
    """Encode a video. `nvcodec.encode` also decodes and measures what this writes.

    Args:
        source: Anything `nvcodec.video.source.open_source` reads.
        target: The `.nvc` file to write.
        config: Settings.
        resume: Go on with an interrupted encode of the same video and settings.
        overwrite: Replace an existing target, and discard an interrupted encode.
        on_progress: Called after every epoch. What it raises ends the encode, resumably.

    Raises:
        OutputExistsError: If the target, or an interrupted encode of it, exists.
        ConfigError: If the settings cannot work, or do not match what is to be resumed.
        VideoError: If the source cannot be read or the target not be written.
    """
    with ExitStack() as stack:
        encode = _Encode(Path(source), Path(target), config, on_progress)
        encode.claim(resume=resume, overwrite=overwrite)
        try:
            return encode.run(stack, resume)
        except BaseException:
            stack.close()
            encode.release()
            raise


class _Encode:
    """One encode: what all its steps share."""

    def __init__(
        self,
        source: Path,
        target: Path,
        config: EncoderConfig,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.source_path, self.target, self.config = source, target, config
        self.on_progress = on_progress
        self.partial = target.with_name(target.name + ".partial")
        self.note = target.with_name(target.name + ".partial.json")
        self.device = choose_device(config.device)
        self.began = time.monotonic()
        self.done_frames = self.done_segments = 0
        self.spent = 0
        self.epochs = 0
        self.parameters = 0
        self.macs_per_pixel = 0.0
        self.total_frames: int | None = None
        self.length = 0
        self.warnings: list[str] = []

    def claim(self, *, resume: bool, overwrite: bool) -> None:
        """Refuse what would destroy something."""
        if not self.target.parent.is_dir():
            raise VideoError(f"{self.target}: cannot be written: its folder does not exist")
        if self.target.is_dir():
            raise VideoError(f"{self.target}: cannot be written: it is a folder")
        if self.target.exists() and not overwrite:
            raise OutputExistsError(f"{self.target} exists; pass -y (overwrite) to replace it")
        if resume and not self.partial.exists():
            raise ConfigError(
                f"{self.partial} does not exist, so there is nothing to resume; leave out --resume"
            )
        if self.partial.exists() and not (resume or overwrite):
            raise OutputExistsError(
                f"{self.partial} is left from an interrupted encode; pass --resume to go on with "
                "it, or -y (overwrite) to start anew"
            )

    def release(self) -> None:
        """After a failure: keep what can be resumed, remove what cannot."""
        try:
            with Reader(self.partial) as reader:
                kept = len(reader.segments)
        except (NvcodecError, OSError):
            kept = 0
        if kept:
            logger.warning("%s keeps %d finished segments; --resume goes on", self.partial, kept)
        else:
            self.partial.unlink(missing_ok=True)
            self.note.unlink(missing_ok=True)

    def run(self, stack: ExitStack, resume: bool) -> Encoded:
        """Everything from opening the source to renaming the target."""
        config = self.config
        source = stack.enter_context(
            open_source(self.source_path, resize=config.resize, frames=config.frames)
        )
        start = source.start_time if config.frames is not None else None
        tracks = (
            stack.enter_context(open_tracks(self.source_path, start=start))
            if config.audio
            else None
        )
        self.total_frames = source.estimated_frames
        self.length = config.segment or default_length(source.info.width, source.info.height)
        writer = stack.enter_context(self._open_writer(source, resume))
        header = writer.resumed.header if writer.resumed else None
        if writer.resumed and tracks:
            tracks.skip(writer.resumed.packets)
        for frames in segments(source, self.length):
            if writer.resumed and self.done_segments < writer.resumed.segments:
                self._count_stored(writer.resumed.header, frames)
                continue
            target_bits = self._target_bits(frames)
            network = self._network(frames, source, target_bits)
            if header is None:
                header = self._write_header(writer, network, source, tracks)
            self._write_packets(writer, tracks, frames.pts[-1] + frames.durations[-1], source)
            payload = self._fit(network, frames, source, header, target_bits)
            writer.segment(
                Segment(
                    first_frame=self.done_frames,
                    pts=frames.pts.tolist(),
                    durations=frames.durations.tolist(),
                    payload=payload,
                )
            )
            self.spent += len(payload) + _SEGMENT_BYTES
            self._count(network, frames)
        # A part of a video takes the sound of that part; a whole one takes all there is.
        if tracks and config.frames is None:
            for number, packets in enumerate(tracks.rest()):
                writer.packets(number, packets)
        writer.finish()
        writer.close()
        os.replace(self.partial, self.target)
        self.note.unlink(missing_ok=True)
        return Encoded(
            path=self.target,
            model=config.model,
            parameters=self.parameters,
            macs_per_pixel=self.macs_per_pixel,
            epochs=self.epochs,
            seconds=time.monotonic() - self.began,
            segments=self.done_segments,
            frames=self.done_frames,
            device=str(self.device),
            warnings=(*source.warnings, *(tracks.warnings if tracks else ()), *self.warnings),
        )

    def _open_writer(self, source: Source, resume: bool) -> Writer:
        identity = self._identity(source)
        if not resume:
            try:
                self.note.write_text(identity)
                return Writer(self.partial)
            except OSError as error:
                raise VideoError(
                    f"{self.target}: cannot be written: {error.strerror or error}"
                ) from error
        try:
            known = self.note.read_text()
        except OSError as error:
            raise ConfigError(f"{self.note} cannot be read, so nothing can be resumed") from error
        if known != identity:
            raise ConfigError(
                f"{self.partial} was made from another video or with other settings; "
                f"expected {known}, got {identity}"
            )
        try:
            return Writer.resume(self.partial)
        except BitstreamError as error:
            raise ConfigError(f"{self.partial} cannot be resumed: {error}") from error

    def _identity(self, source: Source) -> str:
        """What must agree for an encode to go on where another stopped."""
        settings = asdict(self.config)
        settings["frames"] = str(self.config.frames)
        # Neither changes what is in a finished segment, beyond what the fit itself does.
        del settings["preset"], settings["epochs"], settings["fit"]
        return json.dumps(
            {
                "source": _fingerprint(self.source_path),
                "settings": {**settings, "fitting": asdict(self.config.fitting)},
                "segment": self.length,
                "device": str(self.device),
                "threads": torch.get_num_threads(),
            },
            sort_keys=True,
        )

    def _target_bits(self, frames: Frames) -> float | None:
        """Wanted size of a segment's payload in bits; None where parameters are given."""
        config = self.config
        height, width = frames.y.shape[1:]
        if config.parameters is not None:
            return None
        if config.size is None:
            bpp = config.bpp if config.bpp is not None else DEFAULT_BPP
            fixed = _SEGMENT_BYTES + (_FIXED_BYTES if not self.done_segments else 0)
            return bpp * height * width * len(frames) - 8 * fixed
        if self.total_frames is None:
            raise ConfigError(
                f"{self.source_path} does not say how long it is, so a file size cannot be shared "
                "out; ask for --bpp instead"
            )
        # The share of what is left that falls to these frames among those that are left.
        left = max(self.total_frames - self.done_frames, len(frames))
        segments_left = max(1, round(left / self.length))
        bits = 8 * (config.size - _FIXED_BYTES - self.spent - segments_left * _SEGMENT_BYTES)
        return bits * len(frames) / left

    def _network(self, frames: Frames, source: Source, target_bits: float | None) -> ModelConfig:
        """The configuration of a segment's network."""
        if target_bits is None:
            assert self.config.parameters is not None  # the only way to have no target
            budget = self.config.parameters
        else:
            budget = int(target_bits / _BITS_PER_PARAMETER)
        size = (source.info.height, source.info.width)
        colour = self.config.colour
        kind = config_class(self.config.model)
        try:
            return kind.from_budget(budget, size=size, frames=len(frames), colour=colour)
        except ConfigError as error:
            if self.config.parameters is not None:
                raise
            self._warn(f"segment {self.done_segments}: {error}; the smallest network is used")
            return kind.smallest(size=size, frames=len(frames), colour=colour)

    def _warn(self, line: str) -> None:
        self.warnings.append(line)
        logger.warning("%s", line)

    def _write_header(
        self, writer: Writer, network: ModelConfig, source: Source, tracks: Tracks | None
    ) -> Header:
        header = Header(
            video=source.info,
            model=family(self.config.model).number,
            colour_mode=self.config.colour,
            configuration=network.pack(),
        )
        writer.header(header)
        for track in tracks.tracks if tracks else ():
            writer.track(track)
        return header

    def _write_packets(
        self, writer: Writer, tracks: Tracks | None, end: int, source: Source
    ) -> None:
        """The packets that play before a segment's end, a time in ticks."""
        if tracks:
            for number, packets in enumerate(tracks.until(int(end) * source.info.time_base)):
                writer.packets(number, packets)

    def _fit(
        self,
        network: ModelConfig,
        frames: Frames,
        source: Source,
        header: Header,
        target_bits: float | None,
    ) -> bytes:
        """Fit one segment; its payload."""
        seed = self._seed()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = build(self.config.model, network)
        model.to(self.device)
        samples = model_samples(frames, network, source.info.colour)
        outcome = fit(
            model,
            samples,
            self.config.fitting,
            seed=seed,
            target_bits=target_bits,
            seconds=self._seconds(frames),
            on_progress=self._reporter(frames),
        )
        self.epochs = max(self.epochs, outcome.epochs)
        return pack_payload(outcome.tensors, network, header)

    def _seed(self) -> int:
        """Every segment has a seed of its own, so that it does not depend on those before it."""
        digest = hashlib.sha256(f"{self.config.seed} {self.done_segments}".encode()).digest()
        return int.from_bytes(digest[:7], "little")

    def _seconds(self, frames: Frames) -> float | None:
        """The segment's share of the time that is left."""
        if self.config.time_limit is None:
            return None
        left = max(self.config.time_limit - (time.monotonic() - self.began), 0.0)
        total = self.total_frames or 0
        return left * len(frames) / max(total - self.done_frames, len(frames))

    def _reporter(self, frames: Frames) -> Callable[[FitProgress], None] | None:
        if self.on_progress is None:
            return None
        on_progress = self.on_progress
        pixels = frames.y.size
        begun = time.monotonic()

        def report(progress: FitProgress) -> None:
            remaining = None
            if self.total_frames is not None:
                after = max(self.total_frames - self.done_frames - len(frames), 0)
                whole = time.monotonic() - begun + progress.remaining
                remaining = progress.remaining + whole * after / len(frames)
            count = None
            if self.total_frames is not None:
                count = max(round(self.total_frames / self.length), self.done_segments + 1)
            on_progress(
                Progress(
                    segment=self.done_segments,
                    segments=count,
                    fit=progress,
                    bpp=None if progress.bits is None else progress.bits / pixels,
                    seconds=time.monotonic() - self.began,
                    remaining=remaining,
                )
            )

        return report

    def _count(self, network: ModelConfig, frames: Frames) -> None:
        self.parameters += network.parameters
        if not self.done_segments:
            self.macs_per_pixel = network.macs_per_pixel
        self.done_segments += 1
        self.done_frames += len(frames)

    def _count_stored(self, header: Header, frames: Frames) -> None:
        """Take account of a segment that an earlier run has written."""
        with Reader(self.partial) as reader:
            payload = reader.payload(self.done_segments)
        self.spent += len(payload) + _SEGMENT_BYTES
        network, _ = split_payload(payload, header, len(frames))
        self._count(network, frames)


def _fingerprint(path: Path) -> dict[str, object]:
    """Enough of a source to notice that it is another one."""
    if path.is_dir():
        return {"name": path.name, "files": sorted(entry.name for entry in path.iterdir())}
    with path.open("rb") as file:
        head = file.read(1 << 20)
    return {
        "name": path.name,
        "size": path.stat().st_size,
        "head": hashlib.sha256(head).hexdigest(),
    }
