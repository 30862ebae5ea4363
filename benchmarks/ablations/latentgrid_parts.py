"""The parts of `latentgrid` that are taken away or changed, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from benchmarks.ablations.edited_copy import Edit
from nvcodec.entropy.latents import context_model
from nvcodec.fitting.latentgrid import rdoq
from nvcodec.media import Float32Array
from nvcodec.models.latentgrid.subbands import SubbandLayout

_SEARCH = "nvcodec/fitting/latentgrid/motion_search"
_MOTION = "models/latentgrid/motion"


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentGridAblation:
    """A fit that differs from the default in one thing.

    Attributes:
        what: Name of the row.
        effort: Fields of `Effort` that differ.
        layout: Fields of the model's configuration that differ.
        learning: Whether context networks are fitted.
        patch: Context in which the fit runs, which changes the code.
        edits: Changes of the source, for what is compiled.
    """

    what: str
    effort: dict[str, Any] = field(default_factory=dict)
    layout: dict[str, int] = field(default_factory=dict)
    learning: bool = True
    patch: Callable[[], AbstractContextManager[object]] = nullcontext
    edits: tuple[Edit, ...] = ()


@contextmanager
def _without_inputs(rows: Sequence[int]) -> Iterator[None]:
    """Set some inputs of the context networks to zero, in their fit and in use.

    Args:
        rows: Indices of the inputs.
    """
    original_inputs, original_add = (
        context_model.LatentSymbols._inputs,
        context_model.add_first_pass,
    )

    def inputs(self: context_model.LatentSymbols, *arguments: Any) -> Float32Array:
        values = original_inputs(self, *arguments)
        values[list(rows)] = 0
        return values

    def add_first_pass(values: Float32Array, *arguments: Any) -> None:
        original_add(values, *arguments)
        values[list(rows)] = 0

    with (
        mock.patch.object(context_model.LatentSymbols, "_inputs", inputs),
        mock.patch.object(context_model, "add_first_pass", add_first_pass),
    ):
        yield


@contextmanager
def _without_below() -> Iterator[None]:
    """Quantise every band without regard to the temporal layers that are predicted from it."""

    def gains(layout: SubbandLayout, *_: Any) -> list[None]:
        return [None] * len(layout.bands)

    with mock.patch.object(rdoq, "_gains_below", gains):
        yield


_ONE_SIZE = (
    Edit(f"{_SEARCH}/tree_search.py", "    if level == 0:\n", "    if level == 1:\n"),
    Edit(
        f"{_SEARCH}/tree_search.py", "        if parts < whole:\n", "        if parts < np.inf:\n"
    ),
    Edit(
        f"{_SEARCH}/tree_search.py",
        "            if parts >= whole:\n",
        "            if parts < 0:\n",
    ),
    Edit(
        f"{_SEARCH}/tree_search.py",
        "    if parts + 4 * search.price < whole:\n",
        "    if parts < np.inf:\n",
    ),
)
_NO_OVERLAP = (
    Edit(
        f"{_MOTION}/windows.py",
        "        weights[k] = (2 * k + 1) * unit\n",
        "        weights[k] = 0 if k < overlap else full + 0 * unit\n",
    ),
    Edit(
        f"{_MOTION}/windows.py",
        "        weights[length - 1 - k] = (2 * k + 1) * unit\n",
        "        weights[length - 1 - k] = 0 if k < overlap else full\n",
    ),
)
_BOTH_ONLY = (
    Edit(
        f"{_SEARCH}/tree_search.py",
        "        if lowest < best:\n            best, best_mode = lowest, mode\n",
        "        if lowest < best and (choice == 3 or search.references_count == 1):\n"
        "            best, best_mode = lowest, mode\n",
    ),
    Edit(f"{_SEARCH}/overlap_refinement.py", "_MOVES, _MODES = 8, 3", "_MOVES, _MODES = 8, 0"),
)
_ALWAYS_REFERENCES = (
    Edit(
        f"{_SEARCH}/tree_search.py",
        "    if cost < best:\n        cost += own_cost(search, block, NEITHER, trial)\n",
        "    if cost < 0:\n        cost += own_cost(search, block, NEITHER, trial)\n",
    ),
)
_GREY = (
    Edit(
        f"{_MOTION}/unpredicted.py",
        "scratch.block[y, x] = means[0, row, column]\n",
        "scratch.block[y, x] = _GREY\n",
    ),
)
_SQUARES = (
    Edit(
        f"{_MOTION}/unpredicted.py",
        "fine[row, column] = (total + 8) >> 4\n",
        "fine[row, column] = coarse[near_y, near_x] + 0 * total\n",
    ),
)
_ANCHORS_ALONE = (
    Edit(
        "models/latentgrid/gop.py",
        "[(Prediction(b, (a,)),) for a, b in pairwise(anchors)]",
        "[(Prediction(b, ()),) for a, b in pairwise(anchors)]",
    ),
)
_WHOLE_SAMPLES = (
    Edit(f"{_SEARCH}/tree_search.py", "    while distance:\n", "    while distance < 0:\n"),
    Edit(
        f"{_SEARCH}/overlap_refinement.py",
        "+ 2 * (number & 1) - 1\n",
        "+ 8 * (number & 1) - 4\n",
    ),
)
_NOT_CARRIED = (
    Edit(
        f"{_MOTION}/temporal.py",
        "        if reference not in grids:\n",
        "        if reference not in grids or True:\n",
    ),
)
_FIXED_TABLES = (
    Edit(
        "entropy/motion/contexts.py", "self.counts += 4 * observed", "self.counts += 0 * observed"
    ),
)

ABLATIONS = (
    LatentGridAblation(what="as it is"),
    LatentGridAblation(what="motion: blocks do not overlap", edits=_NO_OVERLAP),
    LatentGridAblation(what="motion: all blocks have 16 samples a side", edits=_ONE_SIZE),
    LatentGridAblation(what="motion: blocks from 4 to 32 samples", layout={"cell": 4}),
    LatentGridAblation(what="motion: both references in every block", edits=_BOTH_ONLY),
    LatentGridAblation(what="motion: every block has a reference", edits=_ALWAYS_REFERENCES),
    LatentGridAblation(what="motion: without a reference, blocks are grey", edits=_GREY),
    LatentGridAblation(what="motion: they are filled with means of squares", edits=_SQUARES),
    LatentGridAblation(what="anchors without references", edits=_ANCHORS_ALONE),
    LatentGridAblation(what="motion: whole samples", edits=_WHOLE_SAMPLES),
    LatentGridAblation(what="motion: nothing is carried over in time", edits=_NOT_CARRIED),
    LatentGridAblation(what="motion: tables do not adapt", edits=_FIXED_TABLES),
    LatentGridAblation(what="motion: no refinement with overlap", effort={"refinements": 0}),
    LatentGridAblation(what="motion: two refinements", effort={"refinements": 2}),
    LatentGridAblation(what="motion: bits cost half", effort={"motion_lagrangian": 0.075}),
    LatentGridAblation(what="latents: the nearest integers", effort={"lagrangian": 0.0}),
    LatentGridAblation(what="latents: what is below them does not count", patch=_without_below),
    LatentGridAblation(what="latents: bits cost half", effort={"lagrangian": 0.067}),
    LatentGridAblation(what="steps: the same in every frame", effort={"offsets": (0,) * 8}),
    LatentGridAblation(what="steps: half as steep", effort={"offsets": (-4, -3, 0, 2, 4, 6, 8, 8)}),
    LatentGridAblation(what="anchors every 8 frames", layout={"group": 8}),
    LatentGridAblation(what="anchors every 16 frames", layout={"group": 16}),
    LatentGridAblation(what="anchors every 64 frames", layout={"group": 64}),
    LatentGridAblation(what="contexts: default networks only", learning=False),
    LatentGridAblation(what="contexts: no coarser scale", patch=lambda: _without_inputs((0, 1))),
    LatentGridAblation(what="contexts: no other bands", patch=lambda: _without_inputs((2, 3))),
    LatentGridAblation(
        what="contexts: no chessboard", patch=lambda: _without_inputs((4, 5, 10, 11))
    ),
    LatentGridAblation(what="contexts: no other frames", patch=lambda: _without_inputs((6, 7))),
)
