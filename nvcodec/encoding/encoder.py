"""From a video to an `.nvc` file, segment by segment.

    source ─► segments ─► fits, one or several at a time ─► payload ─► container, flushed ─► ...
                                                                           ... ─► index ─► rename

Every finished segment is on disk as soon as those before it are; `nvcodec.encoding.partial_file` says where, and
how an interrupted encode goes on. A ladder is several files of several sizes, made side by side
from one float fit per segment.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from math import prod
from pathlib import Path

import torch

from nvcodec._version import __version__
from nvcodec.config import EncoderConfig
from nvcodec.container import Header
from nvcodec.device import choose_device, working_type
from nvcodec.encoding.output_file import OutputFile
from nvcodec.encoding.partial_file import PartialFile, claim, publish
from nvcodec.encoding.progress import EncodeProgress, Progress
from nvcodec.encoding.rate_allocation import RateBudget
from nvcodec.encoding.scheduler import ScheduledSegment, SegmentScheduler
from nvcodec.encoding.segmentation import default_length, longest_still, segments
from nvcodec.errors import ConfigError, NvcodecError, VideoError
from nvcodec.fitting.factory import make_fitter
from nvcodec.media import Packet
from nvcodec.models import config_class, family
from nvcodec.models.base.config import ModelConfig
from nvcodec.reconstruction.payload import pack_payload
from nvcodec.tokenizer.segment_tokens import located, tokenizer
from nvcodec.tokenizer.token_sections import token_format
from nvcodec.video.masks import open_mask
from nvcodec.video.source import Source, open_source
from nvcodec.video.tracks import Tracks, open_tracks
from nvcodec.workers.factory import make_pool

logger = logging.getLogger(__name__)


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
    (encoded,) = encode_files(
        source, [target], config, resume=resume, overwrite=overwrite, on_progress=on_progress
    )
    return encoded


def encode_files(
    source: str | os.PathLike[str],
    targets: Sequence[str | os.PathLike[str]],
    config: EncoderConfig,
    *,
    resume: bool = False,
    overwrite: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> list[Encoded]:
    """Encode a video to one file, or to one for each size of `config.ladder`.

    Args:
        source: As for `encode_file`.
        targets: As many as there are sizes, in their order; one without a ladder.
        config: Settings.
        resume: Go on with an interrupted encode of the same video and settings.
        overwrite: Replace existing targets, and discard an interrupted encode.
        on_progress: As for `encode_file`.

    Raises:
        OutputExistsError: If a target, or an interrupted encode of it, exists.
        ConfigError: If the settings cannot work, or do not match what is to be resumed.
        VideoError: If the source cannot be read or a target not be written.
    """
    if len(targets) != len(config.ladder or (0,)):
        raise ConfigError(f"expected a target for each size, got {len(targets)} targets")
    encode = _Encode(Path(source), config, [Path(target) for target in targets], on_progress)
    claim(encode.partials, Path(source), resume=resume, overwrite=overwrite)
    try:
        with ExitStack() as stack:
            return encode.run(stack, resume)
    except BaseException as error:
        for partial in encode.partials:
            partial.release()
        if isinstance(error, OSError) and not isinstance(error, NvcodecError):
            reason = error.strerror or str(error)
            names = ", ".join(str(target) for target in targets)
            raise VideoError(f"{names}: cannot be written: {reason}") from error
        raise


class _Encode:
    """One encode: what all its steps share."""

    def __init__(
        self,
        source: Path,
        config: EncoderConfig,
        targets: Sequence[Path],
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        # Workers may run elsewhere.
        config = replace(config, tokenizer=located(config.tokenizer))
        self.source_path, self.config = source, config
        self.partials = [PartialFile(target) for target in targets]
        self.device = choose_device(config.device)
        self.progress = EncodeProgress(config.time_limit, on_progress)
        self.fitter = make_fitter(config, self.device)
        self.length = self.longest = self.epochs = 0
        self.warnings: list[str] = []
        self.tokens = None
        if config.latents != "private":
            self.tokens = token_format(
                tokenizer(config.tokenizer).tokenizer_id, conditioning=config.token_conditioned
            )
        kind = config_class(config.model)
        # Segments of other families are not predicted: each is a chain of its own.
        self.chain_length = (config.refresh or kind.RAP_INTERVAL) if kind.SUPPORTS_PREDICTION else 1

    def run(self, stack: ExitStack, resume: bool) -> list[Encoded]:
        """Everything from opening the source to renaming the targets."""
        config = self.config
        mask = None
        if config.mask is not None:
            mask = stack.enter_context(
                open_mask(config.mask, self.source_path, frames=config.frames)
            )
        source = stack.enter_context(
            open_source(self.source_path, resize=config.resize, frames=config.frames, mask=mask)
        )
        start = source.start_time if config.frames is not None else None
        tracks = None
        if config.audio:
            tracks = stack.enter_context(open_tracks(self.source_path, start=start))
        self.progress.total_frames = source.estimated_frames
        size = (source.info.width, source.info.height)
        group = config_class(config.model).GOP_LENGTH
        self.length = config.segment or group or default_length(*size)
        self.longest = config.segment or longest_still(*size, self.length)
        files = [
            OutputFile(partial, RateBudget(file_config, source.estimated_frames, self.chain_length))
            for partial, file_config in zip(self.partials, config.per_file_configs, strict=True)
        ]
        workers = make_pool(config, self.fitter, prod(size))
        stack.callback(workers.close)
        self.progress.workers, self.progress.chain = (
            workers.capacity,
            self.chain_length * self.length,
        )
        for file in files:
            file.open(stack, self._identity(), resume=resume)
        if tracks:
            counts = [count for file in files if (count := file.packets_stored()) is not None]
            # Files differ by whole segments, so that the fewest packets are the beginning of all.
            tracks.skip(min(counts, key=sum, default=()))
        scheduler = SegmentScheduler(
            config, source.info.colour, files, self.progress, self.chain_length
        )
        for segment in scheduler.run(segments(source, self.length, self.longest), workers):
            self._add(segment, source, tracks, files)
        # A part of a video takes the sound of that part; a whole one takes all there is.
        rest = tracks.rest() if tracks and config.frames is None else []
        for file in files:
            file.finish(rest)
        publish(self.partials)
        return [
            Encoded(
                path=file.partial.target,
                model=config.model,
                parameters=file.parameters,
                macs_per_pixel=file.macs_per_pixel,
                epochs=self.epochs,
                seconds=self.progress.seconds,
                segments=file.segments,
                frames=file.frames,
                device=str(self.fitter.device),
                warnings=(
                    *source.warnings,
                    *(tracks.warnings if tracks else ()),
                    *self.warnings,
                ),
            )
            for file in files
        ]

    def _add(
        self,
        segment: ScheduledSegment,
        source: Source,
        tracks: Tracks | None,
        files: Sequence[OutputFile],
    ) -> None:
        """Write a segment to every file that lacks it."""
        assert segment.coded is not None
        lacking = [file for file in files if not file.holds_next]
        packets: list[list[Packet]] = []
        if lacking and tracks:
            end = (segment.timing.pts[-1] + segment.timing.durations[-1]) * source.info.time_base
            packets = tracks.until(end)
        for file, coded in zip(files, segment.coded, strict=True):
            if file not in lacking:
                file.count_stored(segment.timing, coded.config)
                continue
            header = file.begin(self._header(coded.config, source), tracks.tracks if tracks else ())
            payload = pack_payload(coded.body, coded.config, header)
            file.add(segment.timing, coded.config, payload, packets, segment.tokens)
        self.epochs = max(self.epochs, segment.epochs)
        for line in segment.warnings:
            if line not in self.warnings:
                self.warnings.append(line)
                logger.warning("%s", line)

    def _identity(self) -> str:
        """What must agree for an encode to go on where another stopped."""
        settings = asdict(self.config)
        settings["frames"] = str(self.config.frames)
        settings["mask"] = self.config.mask and _fingerprint(self.config.mask)
        # These three come together in the fit's configuration.
        for name in ("preset", "epochs", "fit"):
            del settings[name]
        del settings["workers"]  # who fits does not show in what is made
        # Nor does where a tokenizer is, but which one.
        settings["tokenizer"] = self.tokens and self.tokens.tokenizer_id.hex()
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

    def _header(self, config: ModelConfig, source: Source) -> Header:
        return Header(
            video=source.info,
            model=family(self.config.model).number,
            colour_mode=self.config.colour,
            configuration=config.pack(),
            tokens=self.tokens,
        )


def _fingerprint(path: Path) -> dict[str, object]:
    """Enough of a source to notice that it is another one."""
    if path.is_dir():
        # Masks are much alike: names and sizes would not do.
        files = {file.name: _fingerprint(file) for file in sorted(path.iterdir()) if file.is_file()}
        return {"name": path.name, "files": files}
    with path.open("rb") as file:
        head = file.read(1 << 20)
    return {
        "name": path.name,
        "size": path.stat().st_size,
        "head": hashlib.sha256(head).hexdigest(),
    }
