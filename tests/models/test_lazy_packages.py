"""Attributes of the family packages, which are imported when first used."""

from __future__ import annotations

import importlib

import pytest

import nvcodec.models
from nvcodec.models import MODELS, config_class, family


@pytest.mark.parametrize("name", list(MODELS))
def test_a_family_exports_its_model_and_its_configuration(name):
    package = getattr(nvcodec.models, name)
    assert package is importlib.import_module(family(name).package)
    model = getattr(package, family(name).model)
    assert model.__name__ == family(name).model
    assert getattr(package, f"{family(name).model}Config") is config_class(name)
    assert {family(name).model, f"{family(name).model}Config"} <= set(dir(package))


def test_hnerv_exports_the_loader_of_published_videos():
    from nvcodec.models.hnerv.model import from_reference

    assert nvcodec.models.hnerv.from_reference is from_reference


@pytest.mark.parametrize("package", [nvcodec.models, nvcodec.models.ngp])
def test_other_attributes_are_refused(package):
    with pytest.raises(AttributeError, match=rf"'{package.__name__}' has no attribute 'nevr'"):
        _ = package.nevr
