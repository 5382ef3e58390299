"""Theory tells: exchangeable rows are covered with the level asked for, whatever the predictions are worth.

With n calibration scores that do not tie, the coverage of new rows is Beta((n + 1) level, (n + 1)(1 - level)),
give or take one rank; averaged over many draws of both, it lies in [level, level + 1 / (n + 1)].
"""

from __future__ import annotations

import numpy as np
import pytest

from pointsman.predict.quality.conformal import ConformalIntervals, ConformalSets

N, NEW, DRAWS = 400, 400, 150


def within_bounds(covered: list[float], level: float, rows: int) -> None:
    """The mean over draws, within four standard errors of the interval that theory allows."""
    error = 4 * np.sqrt(level * (1 - level) * (1 / rows + 1 / NEW) / len(covered))
    assert level - error <= np.mean(covered) <= level + 1 / (rows + 1) + error


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("skill", [0.0, 1.0, 5.0])
def test_sets_over_right_and_wrong(level: float, skill: float) -> None:
    rng = np.random.default_rng(int(100 * level + skill))
    covered, right, wrong = [], [], []
    for _ in range(DRAWS):
        odds = rng.normal(0, 1, (N + NEW, 1))
        labels = (rng.random(odds.shape) < 1 / (1 + np.exp(-skill * odds))).astype(float)
        guess = 1 / (1 + np.exp(-3 * odds + rng.normal(0, 1, odds.shape)))
        sets = ConformalSets.fit(guess[:N], labels[:N], level).sets(guess[N:])
        covered.append(sets.covers(labels[N:]).mean())
        by_class = ConformalSets.fit(guess[:N], labels[:N], level, per_class=True).sets(guess[N:])
        held = by_class.covers(labels[N:])
        right.append(held[labels[N:] == 1].mean())
        wrong.append(held[labels[N:] == 0].mean())
    within_bounds(covered, level, N)
    within_bounds(right, level, N // 2)
    within_bounds(wrong, level, N // 2)


@pytest.mark.parametrize("kind", ["absolute", "normalised", "quantiles"])
def test_intervals_of_a_skewed_quantity(kind: str) -> None:
    rng = np.random.default_rng(7)
    covered = []
    for _ in range(DRAWS):
        x = rng.random((N + NEW, 1))
        measured = np.exp(x + rng.normal(0, 0.3 + x))
        low, high = (np.exp(0.5 * x), 3 * np.exp(x)) if kind == "quantiles" else (np.exp(x), np.exp(x))
        scale = np.exp(x) if kind == "normalised" else np.ones_like(x)
        made = ConformalIntervals.fit(measured[:N], low[:N], high[:N], 0.9, scale[:N])
        start, end = made.interval(low[N:], high[N:], scale[N:])
        covered.append(float(((measured[N:] >= start) & (measured[N:] <= end)).mean()))
    within_bounds(covered, 0.9, N)
