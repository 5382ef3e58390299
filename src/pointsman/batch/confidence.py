"""Floors of a batch that are to hold with a confidence: calibrated at plan time, on what the fit held out.

The prompts that were held out are priced as the batch's requests are, on endpoints as busy, with limits on
the answer drawn from the batch: so what a unit of quality costs there is what it costs here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pointsman.assign.assured import Assured, assured
from pointsman.assign.floor_calibration import FloorCalibration
from pointsman.assign.plan import Plan
from pointsman.assign.problem import LimitKind, Problem, weighted_cost
from pointsman.batch.forecast import Forecast
from pointsman.batch.limits import OBJECTIVES
from pointsman.errors import BadRequest
from pointsman.predict.endpoint import ProfilePredictor
from pointsman.predict.held_out_prices import priced
from pointsman.predict.quality.held_out_rows import HeldOutRows
from pointsman.types import Endpoint

_SEED: Final = 0
_DIGITS: Final = 6
"""Of a floor: what is told is lower by the rounding of float32."""


def calibrated(
    rows: HeldOutRows,
    profiles: ProfilePredictor,
    made: Forecast,
    endpoints: Sequence[Endpoint],
    objective: Mapping[str, float],
) -> FloorCalibration:
    """From floors that are told to what is really reached, for one batch.

    Args:
        rows: what the fit held out, a column for each endpoint.
        profiles: what prices requests, over `endpoints`.
        made: the batch.
        endpoints: E of them.
        objective: weights by the words of `OBJECTIVES`.

    Raises: DataError for too few rows or labels; BadRequest where the objective is 0 everywhere.
    Cost: about .2 s for 20,000 rows on nine endpoints.
    """
    rng = np.random.default_rng(_SEED)
    cap_tokens = rng.choice(made.max_tokens, len(rows.tasks)).astype(float)
    table = priced(rows, profiles, cap_tokens, [endpoint.max_concurrent - 1 for endpoint in endpoints])
    cost = weighted_cost(
        [(weight, getattr(table, OBJECTIVES[word][0]).value) for word, weight in objective.items()]
    ).astype(float)
    if not cost.any():
        raise BadRequest(
            "every predicted cost is 0, so nothing decides between plans of the same quality",
            remedy="Minimise something that differs, such as --objective energy",
        )
    return FloorCalibration.fit(
        made.endpoints,
        cost,
        rows.quality,
        rows.labels,
        tasks=rows.tasks,
        groups=rows.groups,
        folds=rows.folds,
    )


def raised(problem: Problem, calibration: FloorCalibration, made: Forecast, confidence: float) -> Assured:
    """The problem whose plan reaches the floors really, each with that confidence. See `assured`."""
    tasks = [made.tasks[index] for index in made.task.tolist()]
    return assured(problem, calibration, confidence=confidence, tasks=tasks)


@dataclass(frozen=True, slots=True)
class Promise:
    """A floor with a confidence, and what the plan makes of it.

    Attributes:
        floor: its name, such as `all`.
        asked, confidence: of the real mean quality.
        requests: that the mean is over.
        told: what the forecasts had to reach.
        predicted: what they reach.
        expected: that, less what chosen forecasts overstate: what should really come.
    """

    floor: str
    asked: float
    confidence: float
    requests: int
    told: float
    predicted: float
    expected: float

    @property
    def words(self) -> str:
        """Of the plan's table."""
        return (
            f"quality floor {self.floor}: at least {self.asked:.4g} with {100 * self.confidence:.4g}% over "
            f"{self.requests:,} requests: planned for {self.predicted:.4g} predicted; "
            f"what is expected to really come: {self.expected:.4g}"
        )


def promises(sure: Assured, plan: Plan) -> tuple[Promise, ...]:
    """What the plan makes of each floor."""
    reached = {limit.name: limit.used for limit in plan.limits if limit.kind is LimitKind.FLOOR}
    return tuple(
        Promise(
            name,
            round(own.asked, _DIGITS),
            own.confidence,
            own.rows,
            own.effective,
            reached[name],
            reached[name] - own.bias,
        )
        for name, own in sure.floors.items()
    )
