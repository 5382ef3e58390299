from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.errors import BadRequest
from pointsman.predict.drift import ENERGY, TIME, Drift

RATIOS = st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=60)


@given(st.floats(0.05, 20.0))
def test_it_converges_to_a_constant_ratio(ratio: float) -> None:
    drift = Drift(2)
    for _ in range(10):
        drift.update(1, TIME, math.log(ratio))
    assert drift.factor[1, TIME] == pytest.approx(math.sqrt(ratio))  # half-life 10 requests
    for _ in range(300):
        drift.update(1, TIME, math.log(ratio))
    assert drift.factor[1, TIME] == pytest.approx(ratio, rel=1e-6)
    assert (drift.factor[0] == 1).all()
    assert drift.factor[1, ENERGY] == 1


@given(RATIOS, st.floats(0.01, 2.0), st.floats(0.01, 2.0), st.floats(0.0, 1.0))
def test_it_stays_within_bounds_whatever_comes(
    ratios: list[float], below: float, above: float, trust: float
) -> None:
    drift = Drift(1)
    for ratio in ratios:
        drift.update(0, TIME, ratio, below=below, above=above, trust=trust)
    assert 1 / 30 - 1e-9 <= drift.factor[0, TIME] <= 30 + 1e-9
    assert 1 / 8 - 1e-9 <= drift.width[0, TIME] <= 8 + 1e-9
    assert drift.seen[0, TIME] == sum(map(math.isfinite, ratios))


@pytest.mark.parametrize("true_spread", [0.02, 0.1, 0.5])
def test_widths_find_the_spread_of_the_day(true_spread: float) -> None:
    """The fit said 0.1; nine of ten lie inside after a while, whatever the true spread."""
    rng = np.random.default_rng(8)
    drift = Drift(1)
    inside = []
    for noise in rng.normal(0, true_spread, 4000):
        half = 0.1645 * drift.width[0, TIME]
        surprise = noise - math.log(drift.factor[0, TIME])
        inside.append(abs(surprise) <= half)
        drift.update(0, TIME, float(noise), below=0.1645, above=0.1645)
    assert np.mean(inside[1000:]) == pytest.approx(0.9, abs=0.03)


def test_trust_scales_the_gain() -> None:
    drift = Drift(1)
    drift.update(0, TIME, 1.0, trust=0.0)
    assert drift.factor[0, TIME] == 1.0


@pytest.mark.parametrize("half_life", [0.0, -1.0, float("nan")])
def test_a_bad_half_life_is_refused(half_life: float) -> None:
    with pytest.raises(BadRequest, match="half-life"):
        Drift(1, half_life_requests=half_life)
