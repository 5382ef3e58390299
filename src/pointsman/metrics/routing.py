"""The routing field's own measures: AIQ of RouterBench, APGR and CPT of RouteLLM, RouterArena's score.

Quality is a mean score in [0, 1], cost any unit unless a measure says otherwise.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from pointsman.errors import DataError
from pointsman.metrics.columns import check_columns
from pointsman.types import Floats

_DEAREST_USD: Final = 200.0
_CHEAPEST_USD: Final = 0.0044
_BETA: Final = 0.1


class StrongShares(NamedTuple):
    """What calling the strong model more often recovers of the gap; arrays of shape (N + 1,).

    `share`: of calls that go to the strong model, from 0 to 1. `recovered`: PGR, 0 with none of them, 1 with all.
    """

    share: Floats
    recovered: Floats


def rising_hull(cost: Floats, quality: Floats) -> tuple[Floats, Floats]:
    """The non-decreasing upper convex hull of points of shape (P,): its corners, from the cheapest to the best."""
    check_columns(cost, quality)
    order = np.lexsort((-quality, cost))
    corners: list[tuple[float, float]] = []
    for at in order:
        point = float(cost[at]), float(quality[at])
        if corners and point[1] <= corners[-1][1]:
            continue
        while len(corners) > 1 and _slope(corners[-2], point) >= _slope(corners[-2], corners[-1]):
            corners.pop()
        corners.append(point)
    hull = np.array(corners)
    return hull[:, 0], hull[:, 1]


def aiq(cost: Floats, quality: Floats, cheapest: float, dearest: float) -> float:
    """Average improvement in quality: the mean height of the rising hull over a range of cost.

    Past its best point the hull goes on level. Before its cheapest there is none, so a router that
    reaches the range's lower end is needed; compare routers over one range.

    Args:
        cost: shape (P,), mean cost of each setting of the router.
        quality: shape (P,).
        cheapest: the range's lower end.
        dearest: its upper end, above the lower.

    Raises: DataError for a range that is empty, or that begins below the cheapest point.
    Source: RouterBench.
    """
    at, height = rising_hull(cost, quality)
    if not at[0] <= cheapest < dearest:
        raise DataError(
            f"a hull from cost {at[0]:g} on has no mean height from {cheapest:g} to {dearest:g}",
            remedy="Begin the range at the router's cheapest setting, or after it",
        )
    inside = (at > cheapest) & (at < dearest)
    corners = np.concatenate([[cheapest], at[inside], [dearest]])
    return float(np.trapezoid(np.interp(corners, at, height), corners) / (dearest - cheapest))


def strong_shares(weak: Floats, strong: Floats, gain: Floats) -> StrongShares:
    """Performance gap recovered as more rows go to the strong model, those of most expected gain first.

    Args:
        weak: shape (N,), what the weak model scores.
        strong: shape (N,), what the strong model scores.
        gain: shape (N,), how much better the strong model is expected to be; of equals the earlier row.

    Raises: DataError where the strong model is not the better one.
    Source: RouteLLM, PGR = (r - weak) / (strong - weak).
    """
    check_columns(weak, strong, gain)
    gap = float((strong - weak).sum())
    if not gap > 0:
        raise DataError(
            f"the strong model's mean score, {strong.mean():g}, is not above the weak one's, {weak.mean():g}",
            remedy="Name the better model as the strong one",
        )
    first = np.argsort(-gain, kind="stable")
    recovered = np.concatenate([[0.0], np.cumsum((strong - weak)[first])]) / gap
    return StrongShares(np.linspace(0.0, 1.0, len(weak) + 1), recovered)


def apgr(shares: StrongShares) -> float:
    """Average PGR over all shares of strong calls; .5 for calls by chance."""
    return float(np.trapezoid(shares.recovered, shares.share))


def cpt(shares: StrongShares, recovered: float) -> float:
    """The least share of strong calls that recovers so much of the gap: CPT(50%) with .5."""
    if not 0 < recovered <= 1:
        raise DataError(f"CPT of {recovered:g} can't be asked", remedy="Give a share above 0, at most 1")
    return float(shares.share[int(np.argmax(shares.recovered >= recovered - 1e-12))])


def arena_score(quality: float, usd_per_thousand: float) -> float:
    """RouterArena's score of accuracy and cost, in [0, 1].

    Args:
        quality: mean accuracy.
        usd_per_thousand: dollars for a thousand queries; the scale ends at .0044 and 200.

    Source: RouterArena, S = 1.1 A C / (.1 A + C) with C on a logarithmic scale of cost.
    """
    if not (0 <= quality <= 1 and usd_per_thousand >= 0):
        raise DataError(
            f"accuracy {quality:g} at ${usd_per_thousand:g} a thousand has no score",
            remedy="Give an accuracy in [0, 1] and a cost of at least 0",
        )
    cost = min(max(usd_per_thousand, _CHEAPEST_USD), _DEAREST_USD)
    cheapness = math.log2(_DEAREST_USD / cost) / math.log2(_DEAREST_USD / _CHEAPEST_USD)
    under = _BETA * quality + cheapness
    return (1 + _BETA) * quality * cheapness / under if under > 0 else 0.0


def _slope(first: tuple[float, float], second: tuple[float, float]) -> float:
    return (second[1] - first[1]) / (second[0] - first[0])
