"""Choice of the quadtree of blocks: how each is divided, predicted and displaced."""

from __future__ import annotations

import numpy as np

from nvcodec.entropy.motion.syntax import split_context
from nvcodec.fitting.latentgrid.motion_search.search_state import (
    Block,
    Search,
    motion_bits,
    open_block,
    own_cost,
)
from nvcodec.host.compiled import compiled, compiled_part
from nvcodec.media import Int16Array
from nvcodec.models.latentgrid.motion.grids import (
    BOTH,
    FIRST,
    LARGEST_VECTOR,
    LEVELS,
    NEITHER,
    NOT_CODED,
    SECOND,
    copy_vectors,
    store_block,
    uses,
)


@compiled_part
def _refine(
    search: Search,
    block: Block,
    mode: int,
    reference: int,
    vectors: Int16Array,
    best: float,
    distance: int,
) -> float:
    """Improve one vector of a block in ever smaller steps.

    Args:
        search: The search.
        block: The block.
        mode: Its references.
        reference: The reference whose vector is improved.
        vectors: Its vectors, shape (2, 2); changed.
        best: Their cost.
        distance: First step, quarters of a sample.

    Returns:
        The cost of the improved vectors.
    """
    while distance:
        x, y = int(vectors[reference, 0]), int(vectors[reference, 1])
        best_x, best_y = x, y
        for place in range(9):
            # Corners are tried in the last step for one reference only.
            if place == 4 or (place % 2 == 0 and (distance > 1 or mode == BOTH)):
                continue
            trial_x = x + (place % 3 - 1) * distance
            trial_y = y + (place // 3 - 1) * distance
            if max(abs(trial_x), abs(trial_y)) > LARGEST_VECTOR:
                continue
            vectors[reference, 0], vectors[reference, 1] = trial_x, trial_y
            cost = search.price * motion_bits(search, block, mode, vectors)
            if cost < best:
                cost += own_cost(search, block, mode, vectors)
                if cost < best:
                    best, best_x, best_y = cost, trial_x, trial_y
        vectors[reference, 0], vectors[reference, 1] = best_x, best_y
        distance >>= 1
    return best


@compiled_part
def _best_block(search: Search, row: int, column: int, level: int) -> float:
    """Store the best motion of a block; return its cost, that of its bits included."""
    block = open_block(search, row, column, level)
    best, best_mode = np.inf, FIRST
    best_vectors = np.zeros((2, 2), np.int16)
    trial = np.zeros((2, 2), np.int16)
    # The best vector to each reference, for the prediction from both.
    singles = np.zeros((2, 2), np.int16)
    # Rounds: the candidates; vectors to the first reference alone, to the second, to both. Then no
    # reference at all.
    for choice in range(4):
        mode = (BOTH, FIRST, SECOND, BOTH)[choice]
        if choice >= 2 and search.references_count == 1:
            break
        reference = choice - 1
        starts = block.found + (1 if choice in (1, 2) else 0)
        if choice == 3:
            starts = 1
        lowest = np.inf
        lowest_vectors = np.zeros((2, 2), np.int16)
        for start in range(starts):
            if choice == 0:
                mode = int(block.candidates.modes[start])
                copy_vectors(block.candidates.vectors[start], trial)
            elif choice == 3:
                copy_vectors(singles, trial)
            else:
                trial[:] = 0
                source = search.matched[reference, level, row >> level, column >> level]
                if start < block.found:
                    if not uses(int(block.candidates.modes[start]), reference):
                        continue
                    source = block.candidates.vectors[start, reference]
                trial[reference, 0], trial[reference, 1] = source[0], source[1]
            cost = search.price * motion_bits(search, block, mode, trial)
            if cost < min(lowest, best):
                cost += own_cost(search, block, mode, trial)
                if cost < lowest:
                    lowest = cost
                    copy_vectors(trial, lowest_vectors)
                    if choice == 0 and lowest < best:
                        best, best_mode = lowest, mode
                        copy_vectors(trial, best_vectors)
        if choice == 0 or lowest == np.inf:
            continue
        for side in range(2):
            if choice == 3 or side == reference:
                lowest = _refine(
                    search, block, mode, side, lowest_vectors, lowest, 1 if choice == 3 else 2
                )
        if choice != 3:
            singles[reference, 0] = lowest_vectors[reference, 0]
            singles[reference, 1] = lowest_vectors[reference, 1]
        if lowest < best:
            best, best_mode = lowest, mode
            copy_vectors(lowest_vectors, best_vectors)
    trial[:] = 0
    cost = search.price * motion_bits(search, block, NEITHER, trial)
    if cost < best:
        cost += own_cost(search, block, NEITHER, trial)
        if cost < best:
            best, best_mode = cost, NEITHER
            copy_vectors(trial, best_vectors)
    store_block(search.grid, row, column, level, best_mode, best_vectors)
    return best


@compiled_part
def _best_tree(search: Search, row: int, column: int, level: int) -> float:
    """Store the best division and motion of a block; return its cost."""
    height, width = search.grid.modes.shape
    if row >= height or column >= width:
        return 0.0
    if level == 0:
        return _best_block(search, row, column, level)
    context = split_context(search.grid, row, column, level)
    whole = _best_block(search, row, column, level)
    whole += search.price * float(search.bits[context, 0])
    parts = search.price * float(search.bits[context, 1])
    half = 1 << (level - 1)
    mode = int(search.grid.modes[row, column])
    vectors = search.grid.vectors[row, column].copy()
    # Four blocks cost some bits at least.
    if parts + 4 * search.price < whole:
        for y in range(row, min(row + 2 * half, height)):
            for x in range(column, min(column + 2 * half, width)):
                search.grid.modes[y, x] = NOT_CODED
        for quarter in range(4):
            parts += _best_tree(
                search, row + half * (quarter >> 1), column + half * (quarter & 1), level - 1
            )
            if parts >= whole:
                break
        if parts < whole:
            return parts
    store_block(search.grid, row, column, level, mode, vectors)
    return whole


@compiled
def search_tree(search: Search) -> float:
    """Choose the motion of a whole frame; return its cost, in squared steps."""
    height, width = search.grid.modes.shape
    largest = 1 << (LEVELS - 1)
    cost = 0.0
    for row in range(0, height, largest):
        for column in range(0, width, largest):
            cost += _best_tree(search, row, column, LEVELS - 1)
    return cost
