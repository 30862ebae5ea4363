"""Tests of names of networks, of the published figures, and of a tiny reproduction."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks.harness import record
from benchmarks.harness.clips import BUNNY_CROP, BUNNY_WHOLE
from benchmarks.harness.model_variants import Variant
from benchmarks.reproduction import papers, published_psnr

NERV, HNERV, BOOSTED = Variant("nerv"), Variant("hnerv"), Variant("hnerv", True)


def test_variants_have_a_name_each():
    for name in papers.NETWORKS:
        assert str(Variant.parse(name)) == name
    assert Variant.parse("hnerv+boost") == BOOSTED != HNERV
    for wrong in ("hnerv+fast", "hnerv+"):
        with pytest.raises(SystemExit, match="expected MODEL"):
            Variant.parse(wrong)


def test_orders():
    order = (NERV, HNERV, BOOSTED)
    assert order in published_psnr.ORDERS
    assert published_psnr.agrees(order, {NERV: 20.0, HNERV: 21.0, BOOSTED: 22.0})
    assert published_psnr.agrees(order, {NERV: 20.0, HNERV: 22.0, BOOSTED: 21.0}) is False
    assert published_psnr.agrees(order, {NERV: 20.0, HNERV: 20.0, BOOSTED: 21.0}) is False
    assert published_psnr.agrees(order, {NERV: 20.0, HNERV: 21.0}) is None


def test_published_figures_have_the_published_order():
    for size, parameters in {key[1:] for key in published_psnr.PSNR}:
        psnr = {
            variant: value
            for (variant, *where), value in published_psnr.PSNR.items()
            if where == [size, parameters]
        }
        told = [published_psnr.agrees(order, psnr) for order in published_psnr.ORDERS]
        assert False not in told
        assert True in told or size == BUNNY_CROP


def _settings(*arguments: str) -> list[papers.ReproductionSetting]:
    return list(papers.settings(papers._parser().parse_args(arguments)))


def test_the_full_table_has_every_published_figure():
    made = _settings("--full")
    assert len(made) == len(set(made)) and set(made) > set(published_psnr.PSNR)
    assert (Variant("nervpp"), BUNNY_WHOLE, 1_500_000) in made
    # One size after the other: its pictures are read once.
    assert [setting.size for setting in made] == sorted(setting.size for setting in made)
    assert _settings("--full", "--networks", "hnerv", "--parameters", "350000") == [
        (HNERV, BUNNY_CROP, 350_000)
    ]
    assert len(_settings()) == 2 * len(papers.NETWORKS)


def test_a_run_fits_writes_and_tells_of_the_order(tmp_path, monkeypatch):
    def noise(frames, size):
        shape = (frames, 3, size[1], size[0])
        drawn = torch.randint(256, shape, generator=torch.Generator().manual_seed(0))
        return drawn.to(torch.uint8)

    monkeypatch.setattr(papers, "bunny", noise)
    monkeypatch.setattr(record, "FILES", tmp_path)
    out = tmp_path / "made.json"
    # A size that the grid of no network divides.
    command = "--size 46x34 --frames 2 --epochs 1 --parameters 20000 --networks nerv hnerv+boost"
    papers.main([*command.split(), "--device", "cpu", "--out", str(out)])
    results = json.loads(out.read_text())["results"]
    plain, boosted = results["runs"]
    assert (plain["model"], plain["boosted"]) == ("nerv", False)
    assert (boosted["model"], boosted["boosted"]) == ("hnerv", True)
    for run in (plain, boosted):
        assert run["parameters"] <= 20_200 and run["published"] is run["difference"] is None
        assert 3 < run["psnr"] < 12  # of noise
        assert run["bytes"] > 500 and 0 < run["float_seconds"] < run["seconds"]
    assert results["orders"] == [] and results["order_holds"] is None
    assert len(list(tmp_path.glob("*.nvc"))) == 2


def test_only_equal_settings_are_compared(tmp_path, monkeypatch):
    runs = [
        {"model": variant.model, "boosted": variant.boosted, "size": (8, 4), "psnr": psnr,
         "parameters_asked": asked}
        for variant, asked, psnr in [(NERV, 10, 20.0), (HNERV, 10, 22.0), (BOOSTED, 10, 23.0),
                                     (NERV, 20, 24.0), (HNERV, 20, 25.0)]
    ]  # fmt: skip
    (found,) = papers.orders(runs)
    assert found == {
        "size": (8, 4), "parameters": 10, "networks": ["nerv", "hnerv", "hnerv+boost"],
        "psnr": [20.0, 22.0, 23.0], "holds": True,
    }  # fmt: skip
    runs[1]["psnr"] = 19.0
    assert papers.orders(runs)[0]["holds"] is False
    # Another seed: the means count.
    runs.append(runs[1] | {"psnr": 23.0})
    assert papers.orders(runs)[0]["psnr"] == [20.0, 21.0, 23.0]
    assert papers.orders(runs)[0]["holds"] is True
