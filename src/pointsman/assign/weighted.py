"""The choice by weights: the lowest weighted sum of normalised costs.

    score = w_acc (1 - quality) + w_energy E + w_time T + w_price P + w_carbon C

E, T, P and C are min-max normalised over the endpoints that are eligible for the request:
`(x - min) / (max - min + eps)`. The weights are those of the request, else the default, with sum 1; so
every score lies between 0, the best, and 1.

Ties go to the lower energy, then to the earlier column. A prediction that bears weight and is not a
finite number counts as worst: its endpoint is chosen only if no other has finite ones. What is known of
no endpoint does not count. The reason says both.

Source: the energy, time and correctness aware scheduler. Differs in: `eps` is relative to the largest
value, so that picojoules are not swamped and rounding noise is not blown up; price and carbon.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointsman.types import (
    OBJECTIVES,
    UNASSIGNED,
    Assignment,
    Bools,
    CostTable,
    EndpointView,
    Floats,
    Request,
    Weights,
)

EPS_RELATIVE: Final = 1e-9
"""Values closer than this, relative to the largest, count as about equal."""

FIELDS: Final = ("quality", "energy_j", "time_s", "price_usd", "carbon_g")
"""The columns of `CostTable` that `OBJECTIVES` stand for."""

_TINY: Final = float(np.finfo(np.float64).tiny)


class Weighing(NamedTuple):
    """Weights of R requests as arrays.

    Attributes:
        objectives: rising indices into `OBJECTIVES` of those that bear weight in any request.
        column: their weights, shape (K, R, 1), or (K, 1, 1) where all requests share them.
    """

    objectives: tuple[int, ...]
    column: Floats

    @classmethod
    def of(cls, weights: Sequence[Weights]) -> Weighing:
        """From normalised weights; one stands for all requests."""
        column = np.array([own.as_tuple() for own in weights]).T[:, :, np.newaxis]
        bearing = column.any(axis=(1, 2))
        return cls(tuple(np.flatnonzero(bearing).tolist()), column[bearing])


class WeightedAssign:
    """Chooses the lowest weighted score.

    Args:
        default_weights: for requests without weights of their own; any sum above 0.

    Raises: BadRequest if the weights can't be used.
    """

    name = "weighted"

    def __init__(self, default_weights: Weights) -> None:
        self._default = default_weights.normalised()
        self._default_weighing = Weighing.of([self._default])

    def assign(
        self, requests: Sequence[Request], table: CostTable, eligible: Bools, view: Sequence[EndpointView]
    ) -> Assignment:
        """Choose for R requests over E endpoints; see `AssignPolicy`.

        Raises: BadRequest if a request's weights can't be used; they are checked where they come in.
        Cost: O(R E); about 20 us for R = 1, E = 10.
        """
        del view
        weights = tuple(
            self._default if request.weights is None else request.weights.normalised() for request in requests
        )
        weighing = self._default_weighing
        if any(own is not self._default for own in weights):
            weighing = Weighing.of(weights)
        raw = raw_costs(table, weighing.objectives)
        score, usable = weighted_scores(raw, eligible, weighing)
        best = np.minimum.reduce(score, axis=1, keepdims=True)
        chosen = score.argmin(axis=1)
        tied = score == best
        if np.count_nonzero(tied) > len(requests):
            chosen = _lowest_energy(tied, table.energy_j.value)
        counts = np.add.reduce(eligible, axis=1).tolist()
        reasons = [
            f"lowest weighted score {lowest:.3f} of {count} endpoints"
            for lowest, count in zip(best[:, 0].tolist(), counts, strict=True)
        ]
        if usable is not eligible:
            reasons = _with_unknown(reasons, table.endpoints, raw, eligible, weighing)
        if 0 in counts:
            chosen = np.where(eligible.any(axis=1), chosen, UNASSIGNED)
        return Assignment(chosen, score, tuple(reasons), weights)


def raw_costs(table: CostTable, objectives: Sequence[int]) -> Floats:
    """1 - quality, J, s, $ or g CO2e as predicted, lower is better.

    Args:
        table: R requests on E endpoints.
        objectives: K rising indices into `OBJECTIVES`.

    Returns: shape (K, R, E).
    """
    raw = np.array([getattr(table, FIELDS[k]).value for k in objectives])
    if objectives[0] == 0:
        np.subtract(1.0, raw[0], out=raw[0])
    return raw


def weighted_scores(raw: Floats, eligible: Bools, weighing: Weighing) -> tuple[Floats, Bools]:
    """Scores of shape (R, E), lower is better, inf where a pair is not usable; and the usable pairs.

    Args:
        raw: of the objectives in `weighing`, as `raw_costs` gives them.
        eligible: shape (R, E).
        weighing: with sum 1 for each request.
    """
    costs, usable = normalised_costs(raw, eligible, weighing)
    score = np.add.reduce(costs * weighing.column, axis=0)
    if np.count_nonzero(usable) < usable.size:
        score[~usable] = np.inf
    return score, usable


def normalised_costs(raw: Floats, eligible: Bools, weighing: Weighing) -> tuple[Floats, Bools]:
    """The costs that the weights multiply, shape (K, R, E), in [0, 1] where a pair is usable.

    Returns: the costs, and which pairs are usable: `eligible` itself unless a prediction is not finite.
    What a pair that is not usable holds has no meaning.
    """
    if np.count_nonzero(eligible) < eligible.size:
        raw = _without(raw, eligible)
    usable = eligible
    if not np.isfinite(raw).all():
        usable = _usable(raw, eligible, weighing.column)
        raw = _without(_filled(raw, worst_cost=1.0 if weighing.objectives[0] == 0 else 0.0), usable)
    low = np.minimum.reduce(raw, axis=2, keepdims=True)
    high = np.maximum.reduce(raw, axis=2, keepdims=True)
    span = high - low + (EPS_RELATIVE * np.abs(high) + _TINY)
    if weighing.objectives[0] == 0:  # accuracy is not normalised: its range is that of a probability
        low[0], span[0] = 0.0, 1.0
    return (raw - low) / span, usable


def _without(raw: Floats, usable: Bools) -> Floats:
    """Pairs that are not usable take the values of the row's first usable one: no effect on the range."""
    first = usable.argmax(axis=1)[np.newaxis, :, np.newaxis]
    return np.where(usable, raw, np.take_along_axis(raw, first, axis=2))


def _known(raw: Floats, eligible: Bools, column: Floats) -> tuple[Bools, Bools]:
    """What of the weighted predictions is finite.

    Returns: eligible pairs that lack nothing, shape (R, E); and objectives that are known of no eligible
    endpoint though they bear weight, shape (K, R).
    """
    finite, bears = np.isfinite(raw), column != 0
    unknown = bears & ~(finite & eligible).any(axis=2, keepdims=True)
    whole: Bools = eligible & (finite | ~bears | unknown).all(axis=0)
    return whole, unknown[:, :, 0]


def _usable(raw: Floats, eligible: Bools, column: Floats) -> Bools:
    """Eligible pairs that lack nothing; of a row in which every pair lacks something, all eligible ones."""
    whole, _ = _known(raw, eligible, column)
    return np.where(whole.any(axis=1, keepdims=True), whole, eligible)


def _filled(raw: Floats, worst_cost: float) -> Floats:
    """Values that are not finite become the row's largest finite one, or 0; a lost quality becomes 0."""
    finite = np.isfinite(raw)
    worst = np.max(raw, axis=2, keepdims=True, where=finite, initial=-np.inf)
    worst = np.where(np.isfinite(worst), worst, 0.0)
    worst[0] = np.maximum(worst[0], worst_cost)
    return np.where(finite, raw, worst)


def _lowest_energy(tied: Bools, energy_j: Floats) -> NDArray[np.int64]:
    """Of the tied pairs of each row the one of least energy, then the first."""
    energy_j = np.where(tied & np.isfinite(energy_j), energy_j, np.inf)
    least = tied & (energy_j == energy_j.min(axis=1, keepdims=True))
    chosen: NDArray[np.int64] = least.argmax(axis=1)
    return chosen


def _with_unknown(
    reasons: Sequence[str], endpoints: Sequence[str], raw: Floats, eligible: Bools, weighing: Weighing
) -> list[str]:
    """The reasons, with what is not finite."""
    whole, unknown = _known(raw, eligible, weighing.column)
    unknown = np.broadcast_to(unknown, (len(unknown), len(eligible)))
    said = []
    for row, reason in enumerate(reasons):
        lost = [OBJECTIVES[weighing.objectives[k]] for k in np.flatnonzero(unknown[:, row]).tolist()]
        if lost:
            reason += f"; unknown, so not counted: {', '.join(lost)}"  # noqa: PLW2901
        broken = [endpoints[e] for e in np.flatnonzero(eligible[row] & ~whole[row]).tolist()]
        if broken:
            reason += f"; not finite, so counted as worst: {', '.join(broken)}"  # noqa: PLW2901
        said.append(reason)
    return said
