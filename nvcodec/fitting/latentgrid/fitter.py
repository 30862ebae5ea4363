"""Fits segments of `latentgrid`: how many passes, with which steps, for which size or quality."""

from __future__ import annotations

from dataclasses import replace

import torch

from nvcodec.config import EncoderConfig
from nvcodec.errors import ConfigError
from nvcodec.fitting.interface import BaseFitter, CodedSegment, FitTask
from nvcodec.fitting.latentgrid.effort import Effort, effort_of
from nvcodec.fitting.latentgrid.encode_pass import Outcome, SegmentFit
from nvcodec.fitting.latentgrid.pass_schedule import PassSchedule
from nvcodec.fitting.latentgrid.step_size_search import StepSearch, search_for
from nvcodec.models.latentgrid.config import LatentGridConfig
from nvcodec.models.latentgrid.motion_compensation import Picture
from nvcodec.reconstruction.latentgrid_decoder import known_picture, last_picture, source_picture

# Passes with a search for motion, then at most so many that only change the step.
_SEARCHING = 2
_TRIMMING = 8
_CPU = torch.device("cpu")


class LatentGridFitter(BaseFitter):
    """Fits segments; see `nvcodec.fitting.interface.SegmentFitter`.

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
        """See `SegmentFitter`."""
        effort = effort_of(self.config.fitting)
        config = LatentGridConfig.suited(
            size=task.size, frames=len(task.frames), colour=self.config.colour
        )
        picture = source_picture(task.frames, config, task.colour)
        seen = known_picture(task.frames, config)
        course = PassSchedule(task, effort)
        searches = [
            search_for(self.config, bits, task.pixels, effort, config.scales) for bits in task.bits
        ]
        # From the largest on: what is found for a larger file serves a smaller one.
        order = sorted(range(len(task.bits)), key=lambda place: -(task.bits[place] or 0.0))
        known = [last_picture(one, _CPU) for one in task.previous if one is not None]
        before = known[order[0]] if len(known) == len(order) else None
        if before and _leans(picture, seen, config, before, effort, searches[order[0]].base):
            config = replace(config, predicted=True)
        segment = SegmentFit(picture, config, task.seed, before, seen)
        found: dict[int, CodedSegment] = {}
        for place in order:
            search = searches[place]
            if config.predicted:
                segment.before = known[place]
            outcome = self._searched(segment, search, effort, course)
            if not search.reached:
                self._warn(
                    f"segment {task.number}: {search.words} was not reached; the nearest, "
                    f"{len(outcome.body)} bytes at {outcome.psnr:.2f} dB, is kept"
                )
            found[place] = CodedSegment(config=config, body=outcome.body)
        self.epochs = max(self.epochs, course.passes)
        return [found[place] for place in range(len(task.bits))]

    def _searched(
        self, segment: SegmentFit, search: StepSearch, effort: Effort, course: PassSchedule
    ) -> Outcome:
        """Passes until a segment is as wanted."""
        motion_base = search.base
        for turn in range(_SEARCHING if effort.refine else 1):
            motion_base = search.base
            motion_steps = effort.motion_steps // (1 if turn == 0 else 2)
            motion_steps = course.affordable(motion_steps)
            outcome = segment.run(
                effort.steps(search.base, motion_base),
                effort,
                motion_steps=motion_steps,
                on_level=course.reporter(motion_steps),
            )
            course.finished(outcome, motion_steps)
            search.update(outcome, comparable=False)
            segment.learn(outcome, effort.context_steps)
            if not course.allows_another(motion_steps=0):
                break
        for _ in range(_TRIMMING):
            if not course.allows_another(motion_steps=None):
                break
            outcome = segment.run(
                effort.steps(search.base, motion_base),
                effort,
                motion_steps=None,
                on_level=course.reporter(None),
            )
            course.finished(outcome, None)
            if search.update(outcome, comparable=True):
                break
        course.file_finished()
        assert search.best is not None
        return search.best


def _leans(
    picture: Picture,
    seen: Picture | None,
    config: LatentGridConfig,
    before: Picture,
    effort: Effort,
    base: int,
) -> bool:
    """Whether the first frame of a segment costs less if it is predicted from the one before.

    Args:
        picture: The segment's frames.
        seen: Which of their samples are known; None if all are.
        config: Of the segment.
        before: The last frame of the segment before.
        effort: How motion is searched, and what a bit costs.
        base: Of the steps.
    """
    costs = []
    for predicted in (False, True):
        one = replace(config, frames=1, predicted=predicted)
        steps = effort.steps(base, base)
        trial = SegmentFit(picture[:1], one, 0, before, seen and seen[:1])
        outcome = trial.run(steps, effort, motion_steps=effort.motion_steps)
        bits = sum(outcome.bits.values())
        costs.append(
            outcome.error * outcome.samples + effort.lagrangian * steps.base_step**2 * bits
        )
    return costs[1] < costs[0]
