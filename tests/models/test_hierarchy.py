"""The order of prediction."""

from __future__ import annotations

from math import ceil, log2

import pytest

from nvcodec.errors import ConfigError
from nvcodec.models.latentgrid.gop import PREVIOUS_SEGMENT, Hierarchy, Prediction


@pytest.mark.parametrize("frames", [1, 2, 3, 16, 17, 18, 33, 100, 132])
@pytest.mark.parametrize("group", [1, 2, 8, 32, 64])
def test_every_frame_is_made_once_and_after_what_it_needs(frames: int, group: int) -> None:
    hierarchy = Hierarchy(frames, group)
    known: set[int] = set()
    for level in hierarchy.levels:
        for made in level:
            assert set(made.references) <= known, "a level may not need itself"
            assert hierarchy.references(made.frame) == made.references
        known |= {made.frame for made in level}
    assert sum(len(level) for level in hierarchy.levels) == len(known) == frames
    assert len(hierarchy.depths) == len(hierarchy.levels)


def test_levels_of_a_group() -> None:
    hierarchy = Hierarchy(9, 8)
    assert [[made.frame for made in level] for level in hierarchy.levels] == [
        [0],
        [8],
        [4],
        [2, 6],
        [1, 3, 5, 7],
    ]
    assert hierarchy.depths == (0, 0, 1, 2, 3)
    assert hierarchy.levels[3][1] == Prediction(6, (4, 8))


def test_references_between_anchors_lie_around_the_frame() -> None:
    for level in Hierarchy(132, 32).levels:
        for made in level:
            if len(made.references) == 2:
                before, after = made.references
                assert before < made.frame < after


@pytest.mark.parametrize("group", [8, 16, 32])
def test_random_access_needs_few_frames(group: int) -> None:
    hierarchy = Hierarchy(3 * group + 1, group)
    for frame in range(3 * group + 1):
        anchors = ceil(frame / group) + 1
        assert len(hierarchy.needed([frame])) <= anchors + log2(group)


def test_needed_of_several_frames_is_the_union() -> None:
    hierarchy = Hierarchy(20, 8)
    assert hierarchy.needed([3, 11]) == hierarchy.needed([3]) | hierarchy.needed([11])
    assert hierarchy.needed([]) == frozenset()


def test_a_predicted_segment_leans_on_the_frame_before() -> None:
    alone, predicted = Hierarchy(20, 8), Hierarchy(20, 8, predicted=True)
    assert alone.references(0) == () and predicted.references(0) == (PREVIOUS_SEGMENT,)
    assert alone.levels[1:] == predicted.levels[1:] and alone.depths == predicted.depths
    assert predicted.needed([2]) == alone.needed([2]) == {0, 8, 4, 2}


@pytest.mark.parametrize(("frames", "group"), [(0, 8), (4, 0), (4, 3), (4, 128), (4, -8)])
def test_what_cannot_be_is_refused(frames: int, group: int) -> None:
    with pytest.raises(ConfigError):
        Hierarchy(frames, group)
