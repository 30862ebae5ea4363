"""The GOP structure: references and coding order."""

from __future__ import annotations

from math import ceil, log2

import pytest

from nvcodec.errors import ConfigError
from nvcodec.models.latentgrid.gop import PREVIOUS_SEGMENT, Hierarchy, Prediction


@pytest.mark.parametrize("frames", [1, 2, 3, 16, 17, 18, 33, 100, 132])
@pytest.mark.parametrize("group", [1, 2, 8, 32, 64])
def test_every_frame_is_predicted_once_and_after_its_references(frames: int, group: int) -> None:
    hierarchy = Hierarchy(frames, group)
    coded: set[int] = set()
    for layer in hierarchy.layers:
        for prediction in layer:
            assert set(prediction.references) <= coded, "a layer may not depend on itself"
            assert hierarchy.references(prediction.frame) == prediction.references
        coded |= {prediction.frame for prediction in layer}
    assert sum(len(layer) for layer in hierarchy.layers) == len(coded) == frames
    assert len(hierarchy.depths) == len(hierarchy.layers)


def test_layers_of_a_gop() -> None:
    hierarchy = Hierarchy(9, 8)
    assert [[prediction.frame for prediction in layer] for layer in hierarchy.layers] == [
        [0],
        [8],
        [4],
        [2, 6],
        [1, 3, 5, 7],
    ]
    assert hierarchy.depths == (0, 0, 1, 2, 3)
    assert hierarchy.layers[3][1] == Prediction(6, (4, 8))


def test_references_between_anchors_lie_around_the_frame() -> None:
    for layer in Hierarchy(132, 32).layers:
        for prediction in layer:
            if len(prediction.references) == 2:
                before, after = prediction.references
                assert before < prediction.frame < after


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


def test_a_predicted_segment_refers_to_the_previous_frame() -> None:
    alone, predicted = Hierarchy(20, 8), Hierarchy(20, 8, predicted=True)
    assert alone.references(0) == () and predicted.references(0) == (PREVIOUS_SEGMENT,)
    assert alone.layers[1:] == predicted.layers[1:] and alone.depths == predicted.depths
    assert predicted.needed([2]) == alone.needed([2]) == {0, 8, 4, 2}


@pytest.mark.parametrize(("frames", "group"), [(0, 8), (4, 0), (4, 3), (4, 128), (4, -8)])
def test_invalid_structures_are_refused(frames: int, group: int) -> None:
    with pytest.raises(ConfigError):
        Hierarchy(frames, group)
