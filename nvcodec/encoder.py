"""From a video to an `.nvc` file, segment by segment.

    source ─► segments ─► fit ─► payload ─► container, flushed ─► ... ─► index ─► rename

Every finished segment is on disk before the next begins; `nvcodec.partial` says where, and how an
interrupted encode goes on.
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

import numpy as np
import torch

from nvcodec import __version__
from nvcodec.bitstream import Header, Reader, Segment, Writer
from nvcodec.config import EncoderConfig
from nvcodec.device import choose_device, working_type
from nvcodec.entropy.tensors import QuantisedTensor, encode_tensors
from nvcodec.errors import ConfigError, NvcodecError, VideoError
from nvcodec.fitting import FitProgress, fit
from nvcodec.media import Frames
from nvcodec.metrics import psnr
from nvcodec.models import build, config_class, family
from nvcodec.models.config import ModelConfig
from nvcodec.models.inference import Synthesis
from nvcodec.partial import Partial
from nvcodec.payload import assemble, pack_payload, split_payload
from nvcodec.rate import MOST_FITS, Budget, PsnrSearch, parameters_for
from nvcodec.samples import model_samples, picture_planes
from nvcodec.segments import default_length, longest_still, segments
from nvcodec.video.source import Source, open_source
from nvcodec.video.tracks import Tracks, open_tracks

logger = logging.getLogger(__name__)


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
    partial = Partial(Path(target))
    partial.claim(Path(source), resume=resume, overwrite=overwrite)
    encode = _Encode(Path(source), config, partial, on_progress)
    try:
        with ExitStack() as stack:
            return encode.run(stack, resume)
    except BaseException as error:
        partial.release()
        if isinstance(error, OSError) and not isinstance(error, NvcodecError):
            reason = error.strerror or str(error)
            raise VideoError(f"{target}: cannot be written: {reason}") from error
        raise


@dataclass(frozen=True, slots=True)
class _Network:
    """A fitted segment, not yet packed."""

    config: ModelConfig
    tensors: list[QuantisedTensor]


class _Encode:
    """One encode: what all its steps share."""

    def __init__(
        self,
        source: Path,
        config: EncoderConfig,
        partial: Partial,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.source_path, self.config, self.partial = source, config, partial
        self.on_progress = on_progress
        self.device = choose_device(config.device)
        self.began = time.monotonic()
        self.done_frames = self.done_segments = 0
        self.epochs = 0
        self.parameters = 0
        self.macs_per_pixel = 0.0
        self.total_frames: int | None = None
        self.length = self.longest = 0
        self.warnings: list[str] = []
        self.smallest_used = False

    def run(self, stack: ExitStack, resume: bool) -> Encoded:
        """Everything from opening the source to renaming the target."""
        config = self.config
        source = stack.enter_context(
            open_source(self.source_path, resize=config.resize, frames=config.frames)
        )
        start = source.start_time if config.frames is not None else None
        tracks = None
        if config.audio:
            tracks = stack.enter_context(open_tracks(self.source_path, start=start))
        self.total_frames = source.estimated_frames
        size = (source.info.width, source.info.height)
        self.length = config.segment or default_length(*size)
        self.longest = config.segment or longest_still(*size)
        budget = Budget(config, self.total_frames, self.length)
        writer = stack.enter_context(self.partial.open(self._identity(), resume=resume))
        header = None
        stored: Reader | None = None
        if writer.resumed:
            stored = stack.enter_context(Reader(self.partial.path))
            header = writer.resumed.header
            if tracks:
                tracks.skip(writer.resumed.packets)
        for frames in segments(source, self.length, self.longest):
            if stored and header and self.done_segments < len(stored.segments):
                self._count_stored(stored, header, frames, budget)
                del frames
                continue
            network = self._fitted(frames, source, budget)
            if header is None:
                header = self._write_header(writer, network.config, source, tracks)
            payload = pack_payload(network.tensors, network.config, header)
            end = int(frames.pts[-1] + frames.durations[-1]) * source.info.time_base
            if tracks:
                for number, packets in enumerate(tracks.until(end)):
                    writer.packets(number, packets)
            writer.segment(
                Segment(
                    first_frame=self.done_frames,
                    pts=frames.pts.tolist(),
                    durations=frames.durations.tolist(),
                    payload=payload,
                )
            )
            self._count(network.config, frames, payload, budget)
            del frames  # before the next segment is read
        # A part of a video takes the sound of that part; a whole one takes all there is.
        if tracks and config.frames is None:
            for number, packets in enumerate(tracks.rest()):
                writer.packets(number, packets)
        writer.finish()
        writer.close()
        self.partial.publish()
        return Encoded(
            path=self.partial.target,
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

    def _identity(self) -> str:
        """What must agree for an encode to go on where another stopped."""
        settings = asdict(self.config)
        settings["frames"] = str(self.config.frames)
        # These three come together in the fit's configuration.
        for name in ("preset", "epochs", "fit"):
            del settings[name]
        return json.dumps(
            {
                "source": _fingerprint(self.source_path),
                "settings": {**settings, "fitting": asdict(self.config.fitting)},
                "segment": [self.length, self.longest],
                "device": str(self.device),
                "arithmetic": str(working_type(self.device)),
                "versions": [__version__, torch.__version__],
                "threads": torch.get_num_threads(),
            },
            sort_keys=True,
        )

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

    def _fitted(self, frames: Frames, source: Source, budget: Budget) -> _Network:
        """The network of a segment, of the wanted size or quality."""
        bits = budget.bits(len(frames), frames.y.size)
        if self.config.psnr is None or bits is None:
            return self._fit(frames, source, bits, fits_left=1)
        search = PsnrSearch(self.config.psnr, bits)
        tried: list[_Network] = []
        while True:
            fits_left = MOST_FITS - len(tried)
            tried.append(self._fit(frames, source, search.bits, fits_left=fits_left))
            size = 8 * len(encode_tensors(tried[-1].tensors, tried[-1].config.tensors()))
            if search.tell(size, self._luma_psnr(tried[-1], frames, source)):
                break
        if not search.reached:
            self._warn(
                f"segment {self.done_segments}: {self.config.psnr:g} dB was not reached in "
                f"{len(tried)} fits; the nearest, {search.nearest:.2f} dB, is kept"
            )
        return tried[search.best]

    def _fit(
        self, frames: Frames, source: Source, bits: float | None, *, fits_left: int
    ) -> _Network:
        """Fit a segment once."""
        network = self._network_config(frames, source, bits)
        seed = self._seed()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = build(self.config.model, network)
        seconds = self._seconds(frames)
        outcome = fit(
            model.to(self.device),
            model_samples(frames, network, source.info.colour),
            self.config.fitting,
            seed=seed,
            target_bits=bits,
            lmbda=self.config.lmbda,
            seconds=None if seconds is None else seconds / fits_left,
            on_progress=self._reporter(frames),
        )
        self.epochs = max(self.epochs, outcome.epochs)
        if outcome.recoveries:
            self._warn(
                f"segment {self.done_segments}: the fit collapsed {outcome.recoveries} times and "
                "went on from its best state; another --seed may do better"
            )
        return _Network(network, outcome.tensors)

    def _network_config(self, frames: Frames, source: Source, bits: float | None) -> ModelConfig:
        """The largest network a size has room for."""
        size = (source.info.height, source.info.width)
        colour = self.config.colour
        kind = config_class(self.config.model)
        smallest = kind.smallest(size=size, frames=len(frames), colour=colour)
        budget = parameters_for(self.config, bits, frames.y.size, smallest.parameters)
        try:
            return kind.from_budget(budget, size=size, frames=len(frames), colour=colour)
        except ConfigError as error:
            if self.config.parameters is not None:
                raise
            if not self.smallest_used:
                self._warn(f"{error}; the smallest network is used, here and where else needed")
            self.smallest_used = True
            return smallest

    def _luma_psnr(self, network: _Network, frames: Frames, source: Source) -> float:
        """What a decoder will get of a fitted segment, dB."""
        model = assemble(self.config.model, network.config, network.tensors)
        synthesis = Synthesis(model.to(self.device), working_type(self.device))
        values = []
        for t in range(len(frames)):
            levels = synthesis.levels(torch.tensor([t]))
            luma, _, _ = picture_planes(levels, network.config, source.info.colour)
            values.append(psnr(frames.y[t : t + 1], luma)[0])
        return float(np.mean(values))

    def _seed(self) -> int:
        """Every segment has a seed of its own, so that it does not depend on those before it."""
        digest = hashlib.sha256(f"{self.config.seed} {self.done_segments}".encode()).digest()
        return int.from_bytes(digest[:7], "little")

    def _seconds(self, frames: Frames) -> float | None:
        """The segment's share of the time that is left."""
        if self.config.time_limit is None:
            return None
        left = max(self.config.time_limit - (time.monotonic() - self.began), 0.0)
        if self.total_frames is None:
            # However long it is: half of what is left for each segment keeps something for all.
            return left / 2
        return left * len(frames) / max(self.total_frames - self.done_frames, len(frames))

    def _warn(self, line: str) -> None:
        self.warnings.append(line)
        logger.warning("%s", line)

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
                # As many as there would be if all were as long as those so far.
                known = self.done_segments + 1
                seen = self.done_frames + len(frames)
                count = max(round(self.total_frames * known / seen), known)
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

    def _count(self, network: ModelConfig, frames: Frames, payload: bytes, budget: Budget) -> None:
        if not self.done_segments:
            self.macs_per_pixel = network.macs_per_pixel
        self.parameters += network.parameters
        self.done_segments += 1
        self.done_frames += len(frames)
        budget.spend(len(frames), frames.y.size, len(payload))

    def _count_stored(self, stored: Reader, header: Header, frames: Frames, budget: Budget) -> None:
        """Take account of a segment that an earlier run has written."""
        known = stored.segment(self.done_segments)
        if (known.first_frame, known.pts) != (self.done_frames, tuple(frames.pts.tolist())):
            raise ConfigError(
                f"{self.partial.path} cannot be resumed: its segment {self.done_segments} does not "
                "hold the frames it would now; pass -y (overwrite) to start anew"
            )
        payload = known.payload
        network, _ = split_payload(payload, header, len(frames))
        self._count(network, frames, payload, budget)


def _fingerprint(path: Path) -> dict[str, object]:
    """Enough of a source to notice that it is another one."""
    if path.is_dir():
        files = sorted((entry.name, entry.stat().st_size) for entry in path.iterdir())
        return {"name": path.name, "files": [list(file) for file in files]}
    with path.open("rb") as file:
        head = file.read(1 << 20)
    return {
        "name": path.name,
        "size": path.stat().st_size,
        "head": hashlib.sha256(head).hexdigest(),
    }
