"""The choice by weights: the lowest weighted sum of normalised costs.

    score = w_acc (1 - quality) + w_energy E + w_time T + w_price P + w_carbon C

E, T, P and C are min-max normalised over the endpoints that are eligible for the request:
`(x - min) / (max - min + eps)`. The weights are those of the request, else the default, with sum 1; so
is every score, 0 at best and 1 at worst.

Ties go to the lower energy, then to the earlier column. A prediction that is not a finite number
counts as worst: its endpoint is chosen only if no other has finite ones, and the reason says so.

Source: the energy, time and correctness aware scheduler. Differs in: `eps` is relative to the largest
value, so that picojoules are not swamped and rounding noise is not blown up; price and carbon.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pointsman.types import (
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

_TINY: Final = float(np.finfo(np.float64).tiny)


class WeightedAssign:
    """Chooses the lowest weighted score.

    Args:
        default_weights: for requests without weights of their own; any sum above 0.

    Raises: BadRequest if the weights can't be used.
    """

    name = "weighted"

    def __init__(self, default_weights: Weights) -> None:
        self._default = default_weights.normalised()
        self._default_column = np.array(self._default.as_tuple()).reshape(-1, 1, 1)

    def assign(
        self, requests: Sequence[Request], table: CostTable, eligible: Bools, view: Sequence[EndpointView]
    ) -> Assignment:
        """Choose for R requests over E endpoints; see `AssignPolicy`.

        Raises: BadRequest if a request's weights can't be used; they are checked where they come in.
        Cost: O(R E); about 25 us for R = 1, E = 10.
        """
        del view
        weights = tuple(
            self._default if request.weights is None else request.weights.normalised() for request in requests
        )
        if all(request.weights is None for request in requests):
            column = self._default_column
        else:
            column = np.array([own.as_tuple() for own in weights]).T[:, :, np.newaxis]
        score, usable = weighted_scores(raw_costs(table), eligible, column)
        best = np.minimum.reduce(score, axis=1, keepdims=True)
        chosen = score.argmin(axis=1)
        tied = score == best
        if np.count_nonzero(tied) > len(requests):
            chosen = _lowest_energy(tied, table.energy_j.value)
        counts = np.add.reduce(eligible, axis=1).tolist()
        reasons = tuple(
            f"lowest weighted score {lowest:.3f} of {count} endpoints"
            for lowest, count in zip(best[:, 0].tolist(), counts, strict=True)
        )
        if usable is not eligible:
            reasons = _with_broken(reasons, table.endpoints, eligible, usable)
        if 0 in counts:
            chosen = np.where(eligible.any(axis=1), chosen, UNASSIGNED)
        return Assignment(chosen, score, reasons, weights)


def raw_costs(table: CostTable) -> Floats:
    """1 - quality, J, s, $ and g CO2e as predicted: shape (5, R, E), lower is better."""
    raw = np.array(
        (
            table.quality.value,
            table.energy_j.value,
            table.time_s.value,
            table.price_usd.value,
            table.carbon_g.value,
        )
    )
    np.subtract(1.0, raw[0], out=raw[0])
    return raw


def weighted_scores(raw: Floats, eligible: Bools, weights: Floats) -> tuple[Floats, Bools]:
    """Scores of shape (R, E), lower is better, inf where a pair is not usable; and the usable pairs.

    Args:
        raw: costs as `raw_costs` gives them, shape (5, R, E).
        eligible: shape (R, E).
        weights: with sum 1, shape (5, R, 1) or (5, 1, 1), in the order of `OBJECTIVES`.
    """
    costs, usable = normalised_costs(raw, eligible, weights)
    score = np.add.reduce(costs * weights, axis=0)
    if np.count_nonzero(usable) < usable.size:
        score[~usable] = np.inf
    return score, usable


def normalised_costs(raw: Floats, eligible: Bools, weights: Floats) -> tuple[Floats, Bools]:
    """The five costs that the weights multiply, shape (5, R, E), in [0, 1] where a pair is usable.

    Returns: the costs, and which pairs are usable: `eligible` itself unless a prediction that bears a
    weight is not finite. What a pair that is not usable holds has no meaning.
    """
    if np.count_nonzero(eligible) < eligible.size:
        raw = _without(raw, eligible)
    usable = eligible
    if not np.isfinite(raw).all():
        usable = _usable(raw, eligible, weights)
        raw = _without(_filled(raw), usable)
    low = np.minimum.reduce(raw, axis=2, keepdims=True)
    high = np.maximum.reduce(raw, axis=2, keepdims=True)
    span = high - low + (EPS_RELATIVE * np.abs(high) + _TINY)
    low[0], span[0] = 0.0, 1.0
    return (raw - low) / span, usable


def _without(raw: Floats, usable: Bools) -> Floats:
    """Pairs that are not usable take the values of the row's first usable one: no effect on the range."""
    first = usable.argmax(axis=1)[np.newaxis, :, np.newaxis]
    return np.where(usable, raw, np.take_along_axis(raw, first, axis=2))


def _usable(raw: Floats, eligible: Bools, weights: Floats) -> Bools:
    """Eligible pairs whose weighted predictions are finite; all eligible ones of a row that has none."""
    finite = eligible & (np.isfinite(raw) | (weights == 0)).all(axis=0)
    return np.where(finite.any(axis=1, keepdims=True), finite, eligible)


def _filled(raw: Floats) -> Floats:
    """Values that are not finite become the row's largest finite one, or 0; a lost quality becomes 0."""
    finite = np.isfinite(raw)
    worst = np.max(raw, axis=2, keepdims=True, where=finite, initial=-np.inf)
    worst = np.where(np.isfinite(worst), worst, 0.0)
    worst[0] = 1.0
    return np.where(finite, raw, worst)


def _lowest_energy(tied: Bools, energy_j: Floats) -> NDArray[np.int64]:
    """Of the tied pairs of each row the one of least energy, then the first."""
    energy_j = np.where(tied & np.isfinite(energy_j), energy_j, np.inf)
    least = tied & (energy_j == energy_j.min(axis=1, keepdims=True))
    chosen: NDArray[np.int64] = least.argmax(axis=1)
    return chosen


def _with_broken(
    reasons: Sequence[str], endpoints: Sequence[str], eligible: Bools, usable: Bools
) -> tuple[str, ...]:
    """Reasons that name the endpoints whose predictions are not finite."""
    said = []
    for row, reason in enumerate(reasons):
        broken = [endpoints[e] for e in np.flatnonzero(eligible[row] & ~usable[row]).tolist()]
        said.append(f"{reason}; not finite, so counted as worst: {', '.join(broken)}" if broken else reason)
    return tuple(said)
