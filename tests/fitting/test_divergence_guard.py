"""The divergence guard keeps the best state of a fit and restores it."""

from __future__ import annotations

import logging
import math

import torch

from nvcodec.fitting.network.divergence_guard import DivergenceGuard


def test_the_guard_restores_after_nan(caplog):
    parameter = torch.nn.Parameter(torch.zeros(3))
    guard = DivergenceGuard([parameter])
    with torch.no_grad():
        parameter.fill_(1)
    assert not guard.check(0.5, 0.5)
    for bad in ((math.nan, 0.4), (0.4, math.nan), (math.inf, 0.4)):
        with torch.no_grad():
            parameter.fill_(math.nan)
        with caplog.at_level(logging.WARNING, "nvcodec"):
            assert guard.check(*bad)
        assert parameter.tolist() == [1, 1, 1]
    assert guard.recoveries == 3
    assert guard.rate_scale == 1 / 64  # 1/2, then 1/4 of it, then 1/8 of that
    assert "collapsed" in caplog.text


def test_the_guard_restores_after_a_collapse_and_tolerates_noise():
    parameter = torch.nn.Parameter(torch.tensor([1.0]))
    guard = DivergenceGuard([parameter])
    for value, error, restored in [(2, 0.1, False), (3, 0.15, False), (4, 0.21, True)]:
        with torch.no_grad():
            parameter.fill_(value)
        assert guard.check(error, error) is restored
    assert parameter.item() == 2
    assert guard.rate_scale == 0.5


def test_the_guard_restores_to_the_start_if_nothing_was_good():
    parameter = torch.nn.Parameter(torch.tensor([7.0]))
    guard = DivergenceGuard([parameter])
    with torch.no_grad():
        parameter.fill_(math.inf)
    assert guard.check(math.nan, math.nan)
    guard.finish()
    assert parameter.item() == 7


def test_the_guard_ends_with_the_best_state():
    parameter = torch.nn.Parameter(torch.tensor([0.0]))
    guard = DivergenceGuard([parameter])
    for value, objective in [(1, 0.5), (2, 0.3), (3, 0.31)]:
        with torch.no_grad():
            parameter.fill_(value)
        guard.check(objective, 0.1)
    guard.finish()
    assert parameter.item() == 2


def test_the_guard_accepts_a_worse_state_after_a_reset():
    parameter = torch.nn.Parameter(torch.tensor([0.0]))
    guard = DivergenceGuard([parameter], error=1.0)
    assert not guard.check(0.1, 0.1)
    guard.reset_best()
    with torch.no_grad():
        parameter.fill_(1)
    assert not guard.check(0.5, 0.5)  # would be a collapse
    guard.finish()
    assert parameter.item() == 1
    assert guard.check(0.6, 1.1)
    assert parameter.item() == 1
