"""What a fitted model says of a single answer: sets, ranges of scores, ranges of lengths."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pointsman.errors import DataError
from pointsman.predict.length import LEVELS, QUANTILES
from pointsman.predict.quality.base import QualityForecast
from pointsman.predict.quality.conformal_limits import ConformalLengths, ConformalLimits, is_graded
from pointsman.predict.quality.length_levels import range_ends
from pointsman.types import Estimate, Floats

N = 3_000


def lengths(rng: np.random.Generator, n: int, shown: float) -> tuple[Floats, Floats]:
    """Exponential lengths of one endpoint, and curves whose logarithms are `shown` times as wide as right."""
    mean = rng.uniform(20, 400, (n, 1))
    right = -np.log1p(-LEVELS) * mean[..., None]
    middle = np.log(2) * mean[..., None]
    return np.floor(rng.exponential(mean)), np.expm1(
        np.log1p(middle) + shown * (np.log1p(right) - np.log1p(middle))
    )


@pytest.mark.parametrize("shown", [0.3, 1.0, 2.0])
def test_a_range_of_lengths_holds_nine_of_ten_and_its_middle_stays(shown: float) -> None:
    rng = np.random.default_rng(1)
    tokens, curves = lengths(rng, N, shown)
    found = ConformalLengths.fit(tokens, curves)
    new, asked = lengths(rng, N, shown)
    made = found.moved(asked)
    low, high = range_ends(made)
    assert ((new >= low) & (new <= high)).mean() == pytest.approx(0.9, abs=0.02)
    assert (np.diff(made, axis=-1) >= 0).all()
    assert (made >= 0).all()
    before = range_ends(asked)
    assert ((high - low > before[1] - before[0]) == (shown < 1)).mean() > (0.99 if shown != 1 else 0)
    if shown <= 1:
        np.testing.assert_array_equal(made[..., 5:-5], asked[..., 5:-5])


def test_lengths_at_the_very_end_of_a_range_are_in_it() -> None:
    tokens = np.tile([9.0, 12.0, 15.0], 100)[:, None]
    curves = np.full((300, 1, QUANTILES), 11.0)
    low, high = range_ends(ConformalLengths.fit(tokens, curves).moved(curves))
    assert (low[0, 0] <= 9, high[0, 0] >= 15) == (True, True)


def test_a_range_narrower_than_its_margin_does_not_cross() -> None:
    flat = np.full((1, 1, QUANTILES), 50.0)
    made = ConformalLengths(0.9, np.array([-1.0])).moved(flat)
    assert (np.diff(made) >= 0).all()
    assert np.isfinite(made).all()


def test_unknown_lengths_stay_unknown_and_too_few_move_nothing() -> None:
    rng = np.random.default_rng(2)
    tokens, curves = lengths(rng, 200, 0.5)
    tokens, curves = np.tile(tokens, 2), np.tile(curves, (1, 2, 1))
    tokens[:, 1] = curves[:, 1] = np.nan
    made = ConformalLengths.fit(tokens, curves).moved(curves)
    assert np.isnan(made[:, 1]).all()
    assert np.isfinite(made[:, 0]).all()
    assert ConformalLengths.fit(tokens[:5], curves[:5]) is None
    assert ConformalLengths.fit(tokens, None) is None


def scored(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
    expected = rng.beta(2, 2, (n, 2))
    return np.clip(expected + rng.normal(0, 0.4, (n, 2)) * np.sqrt(expected * (1 - expected)), 0, 1), expected


def forecast(expected: Floats) -> QualityForecast:
    return QualityForecast(Estimate(expected, expected, expected))


def test_scores_have_ranges_inside_0_and_1_that_hold_nine_of_ten() -> None:
    rng = np.random.default_rng(3)
    scores, expected = scored(rng, N)
    assert is_graded(scores)
    none = np.full_like(scores, np.nan)
    limits = ConformalLimits.fit(scores, none, forecast(expected), graded=True)
    new, asked = scored(rng, N)
    low, high = limits.score_range(asked)
    assert ((low >= 0) & (low <= asked) & (asked <= high) & (high <= 1)).all()
    regions = limits.regions(new, asked)
    np.testing.assert_allclose(regions.covered.mean(axis=0), 0.9, atol=0.02)
    np.testing.assert_array_equal(regions.size, high - low)
    assert (limits.sets, limits.lengths) == (None, None)


def test_nine_scores_are_too_few_for_a_range() -> None:
    scores, expected = scored(np.random.default_rng(4), 4)
    limits = ConformalLimits.fit(scores, np.full_like(scores, np.nan), forecast(expected), graded=True)
    low, high = limits.score_range(expected)
    assert (low == 0).all()
    assert (high == 1).all()


@pytest.mark.parametrize("graded", [False, True])
def test_through_arrays_and_json(graded: bool) -> None:
    rng = np.random.default_rng(5)
    scores, expected = scored(rng, 300)
    labels = scores if graded else np.round(scores)
    tokens, curves = (np.tile(each, (1, 2, 1)[: each.ndim]) for each in lengths(rng, 300, 0.5))
    made = QualityForecast(forecast(expected).quality, curves)
    limits = ConformalLimits.fit(labels, tokens, made, graded=graded)
    parts = limits.to_arrays()
    arrays = {name: own for name, (own, _) in parts.items()}
    rest = json.loads(json.dumps({name: own for name, (_, own) in parts.items()}))
    again = ConformalLimits.from_arrays(arrays, rest, 2)
    for one, other in zip(again.regions(labels, expected), limits.regions(labels, expected), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(again.applied(made).output_tokens, limits.applied(made).output_tokens)
    with pytest.raises(DataError, match=r"have the shape \(2,\), not \(3,\)"):
        ConformalLimits.from_arrays(arrays, rest, 3)


def test_a_margin_that_is_not_finite_is_refused() -> None:
    with pytest.raises(DataError, match="not finite"):
        ConformalLengths(0.9, np.array([np.nan]))
