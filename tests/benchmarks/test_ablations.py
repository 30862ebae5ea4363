"""Ablations of latentgrid: what they change in the source is there to be changed."""

from __future__ import annotations

import ast
from collections import Counter

import pytest

from benchmarks.ablations.edited_copy import Edit, edited_copy
from benchmarks.ablations.latentgrid_parts import ABLATIONS
from benchmarks.harness.record import ROOT
from nvcodec.fitting.latentgrid.effort import Effort
from nvcodec.models.latentgrid.config import LatentGridConfig

EDITED = [ablation for ablation in ABLATIONS if ablation.edits]


@pytest.mark.parametrize("ablation", EDITED, ids=lambda ablation: ablation.what)
def test_edits_apply_and_leave_valid_python(ablation):
    sources = {edit.file: (ROOT / edit.file).read_text() for edit in ablation.edits}
    for edit in ablation.edits:
        assert sources[edit.file].count(edit.before) == 1, edit
        sources[edit.file] = sources[edit.file].replace(edit.before, edit.after)
    for source in sources.values():
        ast.parse(source)


def test_names_differ_and_fields_exist():
    assert max(Counter(ablation.what for ablation in ABLATIONS).values()) == 1
    for ablation in ABLATIONS:
        assert ablation.effort.keys() <= Effort.__dataclass_fields__.keys()
        assert ablation.layout.keys() <= LatentGridConfig.__dataclass_fields__.keys()


def test_a_copy_has_the_change_and_the_project_has_not():
    edit = EDITED[0].edits[0]
    with edited_copy([edit]) as folder:
        assert edit.after in (folder / edit.file).read_text()
        assert edit.before in (ROOT / edit.file).read_text()
    assert not folder.exists()


def test_an_edit_that_does_not_apply_is_refused():
    with (
        pytest.raises(ValueError, match="expected once: 'no such line'"),
        edited_copy([Edit("nvcodec/errors.py", "no such line", "")]),
    ):
        pass
