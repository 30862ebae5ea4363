"""The search for the motion of one frame, from matching to the choice of blocks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from nvcodec.entropy.motion.coder import MotionCoder
from nvcodec.fitting.latentgrid.motion_search.block_matching import match_blocks, picture_pyramid
from nvcodec.fitting.latentgrid.motion_search.overlap_refinement import refine_overlapped
from nvcodec.fitting.latentgrid.motion_search.residual_cost import cost_table
from nvcodec.fitting.latentgrid.motion_search.search_state import Search
from nvcodec.fitting.latentgrid.motion_search.tree_search import search_tree
from nvcodec.media import UInt8Array
from nvcodec.models.latentgrid.motion.grids import LEVELS, MotionGrid
from nvcodec.models.latentgrid.motion.prediction import LUMA_FILTERS, TAPS


def search_motion(
    coder: MotionCoder,
    frame: int,
    target: UInt8Array,
    references: Sequence[UInt8Array],
    *,
    cell: int,
    step: float,
    lagrangian: float,
    refinements: int,
) -> MotionGrid:
    """Search for the motion of a frame.

    Args:
        coder: The coder, which knows the motion of the frames before.
        frame: Number of the frame.
        target: Its luma, shape (H, W).
        references: Luma of its one or two references.
        cell: Side of a cell, samples.
        step: Quantisation step of its luma, 8-bit levels.
        lagrangian: Cost of a bit, in squared steps.
        refinements: How often all blocks are reconsidered with their overlap.
    """
    height, width = target.shape
    size = -(-height // cell), -(-width // cell)
    grid = MotionGrid.empty(size)
    carried_modes, carried_vectors = coder.carried(frame)
    pyramid = picture_pyramid(target)
    matched = np.zeros((2, LEVELS, *size, 2), np.int16)
    for number, reference in enumerate(references):
        matched[number] = match_blocks(
            pyramid, picture_pyramid(reference), cell, size, carried_vectors[0, :, :, number], step
        )
    side = (2 + (1 << (LEVELS - 1))) * cell + TAPS
    scratch = [np.empty((side, side), np.int32) for _ in range(4)]
    search = Search(
        target, references[0], references[-1], grid.levels, grid.modes, grid.vectors,
        carried_modes, carried_vectors, matched, coder.times(frame), coder.code_lengths(),
        LUMA_FILTERS, _costs(), *scratch, np.zeros((8, 8), np.float32), len(references), cell,
        1 / step, lagrangian,
    )  # fmt: skip
    search_tree(search)
    for _ in range(refinements):
        refined = MotionGrid.empty(size)
        search = search._replace(
            levels=refined.levels, modes=refined.modes, vectors=refined.vectors
        )
        refine_overlapped(search, grid.levels, grid.modes, grid.vectors)
        grid = refined
    return grid


_costs = lru_cache(maxsize=1)(cost_table)
