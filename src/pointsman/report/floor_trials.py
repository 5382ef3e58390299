"""What becomes of a quality floor on rows that nothing was fitted on: each way on each floor, fold by fold.

95%, 90%, 50%       plans for the floor with that confidence (`assign/assured.py`)
as forecast         told to reach the floor, uncorrected
oracle multiplier   ours, stopped where the fold's own labels reach the floor
always best         the highest forecast, whatever it costs
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np

from pointsman.assign.frontier import Frontier, frontier
from pointsman.report.held_out_case import OURS, RAW, Case
from pointsman.report.ways import ends
from pointsman.types import Floats

CONFIDENCES: Final = {"95%": 0.95, "90%": 0.9, "50%": 0.5}
MULTIPLIER, ALWAYS_BEST = "oracle multiplier", "always best"
_FLOORS: Final = 10


@dataclass(frozen=True, slots=True)
class Kept:
    """What one plan made of one floor: what it reached and cost, whether it was promised, margin and luck."""

    way: str
    asked: float
    reached: float
    cost: float
    cost_oracle: float
    promised: bool = True
    margin: float = 0.0
    luck: float = 0.0


def floors_of(case: Case, best: float) -> Floats:
    """Ten, from the cheapest endpoint's quality to 98% of the best reachable."""
    weak, _ = ends(case.data)
    return np.linspace(float(case.data.matrix.quality[:, weak].mean()), 0.98 * best, _FLOORS)


def kept_floors(case: Case, asked: Floats) -> Iterator[list[Kept]]:
    """All ways on all floors, one list a fold."""
    for fold, calibration in enumerate(case.calibrations):
        own = np.flatnonzero(case.folds == fold)
        quality, paid = case.data.matrix.quality[own], case.data.cost[own]
        planned, ours, raw = case.planned[own], case.forecasts[OURS][own], case.forecasts[RAW][own]
        way, plain = frontier(planned, ours), frontier(planned, raw)
        forecast, got, spent = (way.means(values) for values in (ours, quality, paid))
        plain_forecast, plain_got, plain_spent = (plain.means(values) for values in (raw, quality, paid))
        made: list[Kept] = []
        for floor in asked.tolist():
            at = int(np.argmax(got >= floor)) if (got >= floor).any() else len(got) - 1
            oracle = float(spent[at])
            made.append(Kept(MULTIPLIER, floor, float(got[at]), oracle, oracle))
            made.append(Kept(ALWAYS_BEST, floor, float(got[-1]), float(spent[-1]), oracle))
            at = min(int(np.searchsorted(plain_forecast, floor)), len(plain_got) - 1)
            made.append(Kept(RAW, floor, float(plain_got[at]), float(plain_spent[at]), oracle))
            for name, confidence in CONFIDENCES.items():
                sure = calibration.assurance(
                    floor, confidence, len(own), partial(_forecast_at, way, forecast)
                )
                at = min(int(np.searchsorted(forecast, sure.effective - 1e-12)), len(got) - 1)
                luck = sure.margin * np.sqrt(calibration.rows / (calibration.rows + len(own)))
                made.append(
                    Kept(name, floor, float(got[at]), float(spent[at]), oracle, sure.holds, sure.margin, luck)
                )
        yield made


def in_oracles(folds: Sequence[Sequence[Kept]]) -> list[list[Kept]]:
    """Costs in units of the mean cost of the set's oracle multiplier, so that sets can be added up."""
    unit = float(np.mean([kept.cost_oracle for each in folds for kept in each]))
    return [
        [replace(kept, cost=kept.cost / unit, cost_oracle=kept.cost_oracle / unit) for kept in each]
        for each in folds
    ]


def _forecast_at(way: Frontier, forecast: Floats, price: float) -> float:
    return float(forecast[np.searchsorted(way.price, price, side="right")])
