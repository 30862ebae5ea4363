"""The search for the motion of one frame, from matching to the choice of blocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nvcodec.entropy.motion.coder import MotionCoder
from nvcodec.fitting.latentgrid.motion_search.block_matching import match_blocks, picture_pyramid
from nvcodec.fitting.latentgrid.motion_search.overlap_refinement import refine_overlapped
from nvcodec.fitting.latentgrid.motion_search.residual_cost import new_strip
from nvcodec.fitting.latentgrid.motion_search.search_state import Search
from nvcodec.fitting.latentgrid.motion_search.tree_search import search_tree
from nvcodec.media import UInt8Array
from nvcodec.models.latentgrid.motion.block_prediction import (
    LUMA_FILTERS,
    LUMA_SHIFT,
    References,
    new_scratch,
)
from nvcodec.models.latentgrid.motion.grids import LEVELS, MotionGrid, empty_grid


def search_motion(
    coder: MotionCoder,
    frame: int,
    target: UInt8Array,
    references: Sequence[UInt8Array],
    valid: npt.NDArray[np.bool_] | None,
    *,
    cell: int,
    step: float,
    lagrangian: float,
    refinements: int,
    start: MotionGrid | None = None,
) -> MotionGrid:
    """Search for the motion of a frame.

    Args:
        coder: The coder, which knows the motion of the frames before.
        frame: Number of the frame.
        target: Its luma, shape (H, W).
        references: Luma of its one or two references.
        valid: Which of its samples count, shape (H, W); None if all do.
        cell: Side of a cell, samples.
        step: Quantisation step of its luma, 8-bit levels.
        lagrangian: Cost of a bit, in squared steps.
        refinements: How often all blocks are reconsidered with their overlap.
        start: Motion to begin with; None to choose blocks anew.
    """
    height, width = target.shape
    size = -(-height // cell), -(-width // cell)
    carried = coder.carried(frame)
    matched = np.zeros((2, LEVELS, *size, 2), np.int16)
    if start is None:
        pyramid = picture_pyramid(target)
        for number, reference in enumerate(references):
            starts = carried.vectors[0, :, :, number]
            matched[number] = match_blocks(
                pyramid, picture_pyramid(reference), cell, size, starts, step
            )
    scratch = new_scratch(cell)
    search = Search(
        target=target,
        valid=np.zeros((0, 0), np.bool_) if valid is None else valid,
        references=References(references[0], references[-1], LUMA_SHIFT, LUMA_FILTERS),
        references_count=len(references),
        grid=empty_grid(size) if start is None else start,
        carried=carried,
        matched=matched,
        times=coder.times(frame),
        bits=coder.code_lengths(),
        scratch=scratch,
        residual=np.zeros(scratch.block.shape, np.float32),
        strip=new_strip(scratch.block.shape[1]),
        cell=cell,
        scale=1 / step,
        price=lagrangian,
    )
    if start is None:
        search_tree(search)
    for _ in range(refinements):
        grid = search.grid
        search = search._replace(grid=empty_grid(size))
        refine_overlapped(search, grid)
    return search.grid
