"""Fitter of `latentgrid`: runs passes until a segment has the target size, quality or `lmbda`."""

from __future__ import annotations

from dataclasses import replace

import torch

from nvcodec.config import EncoderConfig
from nvcodec.errors import ConfigError
from nvcodec.fitting.interface import BaseFitter, CodedSegment, FitTask
from nvcodec.fitting.latentgrid.effort import Effort, effort_of
from nvcodec.fitting.latentgrid.encode_pass import PassResult, SegmentFit
from nvcodec.fitting.latentgrid.motion_search.work import MotionWork
from nvcodec.fitting.latentgrid.pass_schedule import MOTION_PASSES, PassSchedule
from nvcodec.fitting.latentgrid.step_size_search import StepSearch, search_for
from nvcodec.models.latentgrid.config import LatentGridConfig
from nvcodec.models.latentgrid.picture import Picture
from nvcodec.reconstruction.latentgrid_decoder import (
    reference_picture,
    source_picture,
    valid_picture,
)

# Largest number of passes that only change the step size, after those that work on motion.
_MAX_STEP_PASSES = 8
_CPU = torch.device("cpu")


class LatentGridFitter(BaseFitter):
    """Fits the segments of an encode with `latentgrid`.

    It implements `nvcodec.fitting.interface.SegmentFitter`.

    Args:
        config: Settings of the encode.

    Raises:
        ConfigError: If a number of parameters is asked for.
    """

    def __init__(self, config: EncoderConfig) -> None:
        if config.parameters is not None:
            raise ConfigError(
                "latentgrid has as many values as the video has samples; ask for a size, bpp, "
                "PSNR or lmbda instead of a number of parameters"
            )
        super().__init__()
        self.config, self.device = config, _CPU

    def fit(self, task: FitTask) -> list[CodedSegment]:
        """Fit a segment for every file, from the largest to the smallest.

        Args:
            task: The segment and its targets.

        Returns:
            The coded segment of each file, in the order of `task.bits`.
        """
        effort = effort_of(self.config.fitting)
        config = LatentGridConfig.suited(
            size=task.size, frames=len(task.frames), colour=self.config.colour
        )
        picture = source_picture(task.frames, config, task.colour)
        valid_mask = valid_picture(task.frames, config)
        schedule = PassSchedule(task, effort)
        searches = [
            search_for(self.config, bits, task.pixels, effort, config.scales) for bits in task.bits
        ]
        # From the largest file to the smallest: motion and networks of a larger one serve a smaller.
        order = sorted(range(len(task.bits)), key=lambda index: -(task.bits[index] or 0.0))
        previous_frames = [
            reference_picture(state, _CPU) for state in task.previous if state is not None
        ]
        previous_frame = previous_frames[order[0]] if len(previous_frames) == len(order) else None
        if previous_frame and _prediction_pays(
            picture, valid_mask, config, previous_frame, effort, searches[order[0]].base
        ):
            config = replace(config, predicted=True)
        segment = SegmentFit(picture, config, task.seed, previous_frame, valid_mask)
        coded: dict[int, CodedSegment] = {}
        for index in order:
            search = searches[index]
            if config.predicted:
                segment.previous_frame = previous_frames[index]
            result = self._run_passes(segment, search, effort, schedule)
            if not search.reached:
                self._warn(
                    f"segment {task.number}: {search.target_text} was not reached; the nearest, "
                    f"{len(result.body)} bytes at {result.psnr:.2f} dB, is kept"
                )
            coded[index] = CodedSegment(config=config, body=result.body)
        self.epochs = max(self.epochs, schedule.passes)
        return [coded[index] for index in range(len(task.bits))]

    def _run_passes(
        self, segment: SegmentFit, search: StepSearch, effort: Effort, schedule: PassSchedule
    ) -> PassResult:
        """Run passes until a segment meets its target or the time is spent.

        Args:
            segment: The segment.
            search: Search for the base step.
            effort: Settings of the passes.
            schedule: Time and progress of the passes.

        Returns:
            The result that is nearest to the target.
        """
        for work in MOTION_PASSES if effort.refine else MOTION_PASSES[:1]:
            result = self._pass(segment, search, effort, schedule, work)
            search.update(result, comparable=False)
            segment.learn(result, effort.context_steps)
            if not schedule.allows_another(MotionWork.KEEP):
                break
        for _ in range(_MAX_STEP_PASSES):
            if not schedule.allows_another(MotionWork.KEEP):
                break
            result = self._pass(segment, search, effort, schedule, MotionWork.KEEP)
            if search.update(result, comparable=True):
                break
        schedule.start_next_file()
        assert search.best is not None
        return search.best

    def _pass(
        self,
        segment: SegmentFit,
        search: StepSearch,
        effort: Effort,
        schedule: PassSchedule,
        work: MotionWork,
    ) -> PassResult:
        """Run a pass at the step that is searched next; see `_run_passes`."""
        result = segment.run(
            effort.steps(search.base),
            effort,
            motion_work=work,
            on_layer=schedule.progress_reporter(work),
        )
        schedule.record_pass(result, work)
        return result


def _prediction_pays(
    picture: Picture,
    valid_mask: Picture | None,
    config: LatentGridConfig,
    previous_frame: Picture,
    effort: Effort,
    base: int,
) -> bool:
    """Return whether the first frame costs less if it is predicted from the previous segment.

    Args:
        picture: The segment's frames.
        valid_mask: Which of their samples count; None if all do.
        config: Configuration of the segment.
        previous_frame: Last frame of the previous segment.
        effort: Settings of motion estimation, and cost of a bit.
        base: Base index of the quantisation steps.
    """
    costs = []
    for predicted in (False, True):
        single = replace(config, frames=1, predicted=predicted)
        steps = effort.steps(base)
        trial = SegmentFit(picture[:1], single, 0, previous_frame, valid_mask and valid_mask[:1])
        result = trial.run(steps, effort, motion_work=MotionWork.SEARCH)
        bits = sum(result.bits.values()) + result.motion_bits
        costs.append(result.error * result.samples + effort.lagrangian * steps.base_step**2 * bits)
    return costs[1] < costs[0]
