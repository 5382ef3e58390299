"""A problem whose floors are to hold out of sample, with a confidence: what the optimiser is told instead.

    sure = assured(problem, calibration, confidence=0.95, tasks=tasks)
    plan = lagrangian(sure.required())

Forecasts are shrunk (`Contrasts`), and each floor is raised by what chosen forecasts overstate and by a
margin for chance (`FloorCalibration`). Both are of plans that no other limit binds: where load limits or
budgets bind hard, other pairs are chosen, and the bias is that of the plan without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pointsman.assign.floor_calibration import Assurance, FloorCalibration
from pointsman.assign.prices import chunks
from pointsman.assign.problem import Problem, QualityFloor, Values
from pointsman.errors import BadRequest, Infeasible


@dataclass(frozen=True, slots=True, eq=False)
class Assured:
    """A problem for the optimiser.

    Attributes:
        problem: with shrunk forecasts and effective floors.
        floors: name of the group -> what it asks; groups without a floor or rows are left out.
    """

    problem: Problem
    floors: dict[str, Assurance]

    def required(self) -> Problem:
        """The problem itself.

        Raises: Infeasible where a floor can't be promised, with the best that can be.
        """
        for name, floor in self.floors.items():
            if not floor.holds:
                raise Infeasible(
                    f"quality floor {name}: {floor.words}",
                    remedy="Ask for no more than that, for less confidence, or plan more requests at once",
                )
        return self.problem


def assured(
    problem: Problem,
    calibration: FloorCalibration,
    *,
    confidence: float,
    tasks: Sequence[str] | None = None,
) -> Assured:
    """The problem whose plan reaches the real floors with a confidence, each.

    Args:
        problem: its first columns are the calibration's endpoints; its objective is the calibration's.
        calibration: fitted on held-out forecasts of the same predictor.
        confidence: from .5 to less than 1.
        tasks: of the R requests; None where unknown.

    Raises: BadRequest for other endpoints, tasks of another number, or a confidence that can't be used.
    Cost: about 7 looks at every pair for each floor.
    """
    count = len(calibration.endpoints)
    if problem.endpoints[:count] != calibration.endpoints:
        raise BadRequest(
            f"the floor was calibrated for the endpoints {', '.join(calibration.endpoints)}, "
            f"not for {', '.join(problem.endpoints)}",
            remedy="Calibrate it for these; forbid endpoints by `allowed`, and add choices after them",
        )
    if tasks is not None and len(tasks) != problem.shape[0]:
        raise BadRequest(f"{len(tasks)} tasks of {problem.shape[0]} requests", remedy="Give one a request")
    quality = problem.quality.copy()
    for chunk in chunks(problem):
        named = None if tasks is None else tasks[chunk]
        known: Values = problem.quality[chunk, :count]
        if problem.allowed is not None:
            known = np.where(problem.allowed[chunk, :count], known, np.nan)
        quality[chunk, :count] = calibration.contrasts.applied(known, named)
    shrunk = replace(problem, quality=quality)
    made: dict[str, Assurance] = {}
    floors = tuple(_raised(shrunk, floor, calibration, confidence, made) for floor in problem.floors)
    return Assured(replace(shrunk, floors=floors), made)


def _raised(
    problem: Problem,
    floor: QualityFloor,
    calibration: FloorCalibration,
    confidence: float,
    made: dict[str, Assurance],
) -> QualityFloor:
    """The floor as the optimiser is told it; what it asks of each group goes to `made`."""
    minimum = floor.minimum.copy()
    for at in range(len(floor.groups)):
        own = None if floor.group is None else floor.group == at
        rows = problem.shape[0] if own is None else int(own.sum())
        if minimum[at] > 0 and rows:
            forecast_at = partial(_forecast_at, problem, own)
            sure = calibration.assurance(float(minimum[at]), confidence, rows, forecast_at)
            minimum[at] = sure.effective
            made[floor.named(at)] = sure
    return replace(floor, minimum=minimum)


def _forecast_at(problem: Problem, own: NDArray[np.bool_] | None, price: float) -> float:
    """Mean forecast of the rows' chosen pairs where a unit of quality may cost so much."""
    total = rows = 0.0
    for chunk in chunks(problem):
        kept = slice(None) if own is None else own[chunk]
        quality: Values = problem.quality[chunk][kept]
        reduced: Values = problem.cost[chunk][kept] - price * quality
        if problem.allowed is not None:
            reduced = np.where(problem.allowed[chunk][kept], reduced, np.inf)
        chosen = quality[np.arange(len(quality)), reduced.argmin(axis=1)]
        total += float(chosen.sum(dtype=np.float64))
        rows += len(chosen)
    return total / rows
