"""The encoder: turns a video into an `.nvc` file, segment by segment.

    source ─► segmentation ─► scheduler, worker pool ─► payload ─► container, flushed ─► ...
                                                                      ... ─► index ─► rename

A finished segment is on disk as soon as all segments before it are; `nvcodec.encoding.partial_file`
tells where, and how an interrupted encode is resumed. A ladder is several files of different sizes,
which are encoded together with one float stage per segment.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, prod
from pathlib import Path

from nvcodec.config import EncoderConfig
from nvcodec.container import Header, TokenFormat
from nvcodec.device import choose_device
from nvcodec.encoding.compute_threads import compute_threads
from nvcodec.encoding.description import Description
from nvcodec.encoding.identity import identity
from nvcodec.encoding.output_file import OutputFile
from nvcodec.encoding.partial_file import PartialFile, check_targets, lock_targets, publish
from nvcodec.encoding.progress import EncodeProgress, Progress
from nvcodec.encoding.rate_allocation import RateBudget
from nvcodec.encoding.scheduled_segment import ScheduledSegment
from nvcodec.encoding.scheduler import SegmentScheduler
from nvcodec.encoding.segmentation import default_length, longest_still, segments
from nvcodec.errors import ConfigError, NvcodecError, VideoError
from nvcodec.fitting.factory import make_fitter
from nvcodec.host.settings import with_own_settings
from nvcodec.media import Packet
from nvcodec.models import config_class, family
from nvcodec.models.base.config import ModelConfig
from nvcodec.reconstruction.payload import pack_payload
from nvcodec.tokenizer.pretrained import find_folder
from nvcodec.tokenizer.segment_tokens import resolve_tokenizer_name, tokenizer
from nvcodec.tokenizer.token_sections import token_format
from nvcodec.video.sources.image_folder import files_read
from nvcodec.video.sources.masks import open_mask
from nvcodec.video.sources.source import Source, open_source
from nvcodec.video.tracks.source_tracks import Tracks, open_tracks
from nvcodec.workers.factory import make_pool

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedFile:
    """A file that an encode has written.

    Attributes:
        path: Path of the file.
        model: Name of the model family.
        parameters: Number of stored values, over all segments.
        macs_per_pixel: Multiply-accumulate operations per pixel of a decoded frame, in the first
            segment.
        epochs: Largest number of passes over the frames of any segment.
        seconds: Duration of this run in seconds, without interrupted runs before it.
        segments: Number of segments.
        frames: Number of frames.
        device: Device that the segments were fitted on.
        warnings: Warnings about lost or repaired data and about fits, for people.
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


class Encoder:
    """Encodes a video to one `.nvc` file, or to one for each size of a ladder.

    Args:
        source: Path of a video file, or of a folder of images.
        targets: Paths of the files to write, in the order of `config.ladder`; one path without a
            ladder.
        config: Settings of the encode.
        on_progress: Callback after every epoch. An exception that it raises ends the encode, which
            can be resumed.

    Raises:
        ConfigError: If the number of targets is wrong, or the settings cannot work.
        VideoError: If no file can be written at the path of a target.
    """

    def __init__(
        self,
        source: str | os.PathLike[str],
        targets: Sequence[str | os.PathLike[str]],
        config: EncoderConfig,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        if len(targets) != len(config.ladder or (0,)):
            raise ConfigError(f"expected a target for each size, got {len(targets)} targets")
        # Workers may run in another working directory.
        config = replace(config, tokenizer=resolve_tokenizer_name(config.tokenizer))
        self._source, self._config = Path(source), config
        self._partials = [PartialFile(Path(target)) for target in targets]
        self._device = choose_device(config.device)
        self._progress = EncodeProgress(config.time_limit, on_progress)
        self._fitter = make_fitter(config, self._device)
        self._epochs = 0
        self._end = Fraction(0)  # of the segments added so far, seconds
        self._warnings: list[str] = []
        self._tokens: TokenFormat | None = None
        if config.latents != "private":
            self._tokens = token_format(
                tokenizer(config.tokenizer).tokenizer_id, conditioning=config.token_conditioned
            )
        family_config = config_class(config.model)
        # Without prediction every segment is a random access point, a chain of its own.
        self._chain_length = (
            (config.refresh or family_config.RAP_INTERVAL)
            if family_config.SUPPORTS_PREDICTION
            else 1
        )

    @with_own_settings
    def run(
        self,
        *,
        resume: bool = False,
        overwrite: bool = False,
        resumable: bool = True,
        fill_source: Callable[[], None] | None = None,
    ) -> list[EncodedFile]:
        """Encode, and rename the finished files to their targets.

        Args:
            resume: Whether to resume an interrupted encode of the same video and settings.
            overwrite: Whether to replace existing targets, and to discard an interrupted encode.
            resumable: Whether an encode that fails keeps its finished segments to be resumed.
            fill_source: Function that is called when the targets have been checked, before the source
                is read. It may copy a pipe, which cannot be taken back, to the path of the source.

        Returns:
            Description of each file, in the order of the targets.

        Raises:
            OutputExistsError: If a target, or an interrupted encode of it, exists.
            OutputBusyError: If another encode to one of the targets is running.
            ConfigError: If the settings cannot work, or differ from those of the interrupted
                encode, or a target is the source, the mask or the tokenizer.
            VideoError: If the source cannot be read or a target cannot be written.
        """
        lock_targets(self._partials, self._inputs())
        try:
            check_targets(self._partials, resume=resume, overwrite=overwrite)
            if fill_source is not None:
                fill_source()
            with ExitStack() as stack:
                return self._encode(stack, resume)
        except BaseException as error:
            for partial in self._partials:
                partial.release(keep=resumable)
            if isinstance(error, OSError) and not isinstance(error, NvcodecError):
                reason = error.strerror or str(error)
                names = ", ".join(str(partial.target) for partial in self._partials)
                raise VideoError(f"{names}: cannot be written: {reason}") from error
            raise

    def _inputs(self) -> Iterator[Path]:
        """Yield the files and folders that the encode reads, and the files in these folders."""
        config = self._config
        videos = [self._source]
        if config.mask is not None:
            videos.append(Path(config.mask))
        for video in videos:
            yield video
            yield from files_read(video)
        if config.latents != "private":
            folder = find_folder(config.tokenizer)
            yield folder
            if folder.is_dir():
                yield from folder.iterdir()

    def _encode(self, stack: ExitStack, resume: bool) -> list[EncodedFile]:
        """Encode to the partial files, and publish them.

        Args:
            stack: Closes everything that is opened here.
            resume: Whether to resume an interrupted encode.
        """
        config = self._config
        mask = None
        if config.mask is not None:
            mask = stack.enter_context(open_mask(config.mask, self._source, frames=config.frames))
        source = stack.enter_context(
            open_source(self._source, resize=config.resize, frames=config.frames, mask=mask)
        )
        start = source.start_time if config.frames is not None else None
        description = Description.of(source, whole=config.frames is None)
        tracks = None
        if config.audio:
            tracks = stack.enter_context(open_tracks(self._source, start=start))
        self._progress.total_frames = source.estimated_frames
        size = (source.info.width, source.info.height)
        gop_length = config_class(config.model).GOP_LENGTH
        length = config.segment or gop_length or default_length(*size)
        longest = config.segment or longest_still(*size, length)
        files = [
            OutputFile(
                partial,
                RateBudget(
                    file_config, source.estimated_frames, self._chain_length, description.bytes
                ),
            )
            for partial, file_config in zip(self._partials, config.per_file_configs, strict=True)
        ]
        stack.enter_context(compute_threads(prod(size), self._fitter.device))
        chains = ceil((source.estimated_frames or 0) / (self._chain_length * length))
        workers = make_pool(config, self._fitter, prod(size), chains)
        stack.callback(workers.close)
        self._progress.workers = workers.capacity
        self._progress.chain_frames = self._chain_length * length
        encode_identity = identity(
            config, self._source, (length, longest), self._device, self._tokens
        )
        for file in files:
            file.open(stack, encode_identity, resume=resume)
        if tracks:
            counts = [count for file in files if (count := file.stored_packet_counts()) is not None]
            # An interrupted ladder has more segments in some files than in others. The packets that
            # all files have are those of the file with the fewest.
            tracks.skip(min(counts, key=sum, default=()))
        scheduler = SegmentScheduler(
            config, source.info.colour, files, self._progress, self._chain_length
        )
        for segment in scheduler.run(segments(source, length, longest), workers):
            self._add(segment, source, tracks, files, description)
        # A part of a video has the packets of that part only. A whole video has all packets, those
        # after the last frame included.
        rest = tracks.rest() if tracks and config.frames is None else []
        chapters = description.chapters_of(source.start_time, self._end)
        for file in files:
            file.finish(rest, chapters)
        publish(self._partials)
        return [
            EncodedFile(
                path=file.partial.target,
                model=config.model,
                parameters=file.parameters,
                macs_per_pixel=file.macs_per_pixel,
                epochs=self._epochs,
                seconds=self._progress.seconds,
                segments=file.segments,
                frames=file.frames,
                device=str(self._fitter.device),
                warnings=(
                    *source.warnings,
                    *description.warnings(),
                    *(tracks.warnings if tracks else ()),
                    *self._warnings,
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
        description: Description,
    ) -> None:
        """Write a segment, with the packets that play during it, to every file that lacks it."""
        assert segment.coded is not None
        ticks = segment.timing.pts[-1] + segment.timing.durations[-1]
        self._end = ticks * source.info.time_base
        lacking = [file for file in files if not file.next_is_stored]
        packets: list[list[Packet]] = []
        if lacking and tracks:
            packets = tracks.until(self._end)
        for file, coded in zip(files, segment.coded, strict=True):
            if file not in lacking:
                file.count_stored(segment.timing, coded.config)
                continue
            header = file.begin(
                self._header(coded.config, source), tracks.tracks if tracks else (), description
            )
            payload = pack_payload(coded.body, coded.config, header)
            file.add(segment.timing, coded.config, payload, packets, segment.tokens)
        self._epochs = max(self._epochs, segment.epochs)
        for line in segment.warnings:
            if line not in self._warnings:
                self._warnings.append(line)
                logger.warning("%s", line)

    def _header(self, config: ModelConfig, source: Source) -> Header:
        """Return the header of a stream whose first segment has a model configuration."""
        return Header(
            video=source.info,
            model=family(self._config.model).number,
            colour_mode=self._config.colour,
            configuration=config.pack(),
            tokens=self._tokens,
        )
