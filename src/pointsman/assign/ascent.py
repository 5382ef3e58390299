"""The dual of a problem, climbed by Newton steps on a smoothed form that is sharpened step by step.

D(y) is concave and has few variables (floors, loads, budgets), but kinks: subgradient steps crawl along
them. Each row's minimum is replaced by  -t log sum_j exp(-r_ij / t), the price signs by t log y, and the
maximum is followed as t falls: each t takes a few Newton steps, since the maxima of two neighbouring t
lie close. At the end the smoothed choices split no more than about M rows, and D itself is within a
vanishing share of the relaxation's optimum. An infeasible problem shows: D rises above any cost there is.

Source: OmniRouter's dual ascent. Differs in: second order, so that it converges; Boyd and Vandenberghe,
Convex Optimization (2004), chapter 11, for following a barrier's path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from pointsman.assign.prices import Block, grouped
from pointsman.assign.problem import Ints
from pointsman.types import Floats

_SHRINK: Final = 0.3
_STEPS_A_LEVEL: Final = 12
_NEAR: Final = 0.05
"""Newton's decrement, in units of the barrier, at which the next level begins."""

_INSIDE: Final = 0.95
_GROWTH: Final = 100.0
_EASE: Final = 1e-8
"""Limits are eased by this share while climbing: where no plan keeps one with room to spare, its price has no end."""

_RIDGE: Final = 1e-12
_ARMIJO: Final = 0.05
_HALVINGS: Final = 30


@dataclass(frozen=True, slots=True, eq=False)
class Smooth:
    """The smoothed dual at some prices: value, what is used of each limit, and how that moves.

    `curvature` is the sum over rows of the covariance of what they use: -t times the Hessian.
    """

    value: float
    used: Floats
    curvature: Floats


def smoothed(block: Block, prices: Floats, temperature: float) -> Smooth:
    """Value without y b, use and curvature of some rows. Cost: O(n E (1 + floors))."""
    shares, value = _shares(block.reduced(prices), temperature)
    layout = block.layout
    count = len(layout.bound)
    used, curvature = np.zeros(count), np.zeros((count, count))
    mean_quality = np.einsum("ij,ij->i", shares, block.worth)
    excess = block.worth - mean_quality[:, np.newaxis]
    parts = _Parts(block, shares)
    mean = parts.mean()
    start = layout.floors[-1].stop if layout.floors else 0
    used[start:] = mean.sum(axis=0)
    curvature[start:, start:] = parts.second() - mean.T @ mean
    variance = np.einsum("ij,ij,ij->i", shares, excess, excess)
    weighted = parts.mean(excess)
    for own, group in zip(layout.floors, block.group, strict=True):
        length = own.stop - own.start
        used[own] = -grouped(group, mean_quality, length)
        across = -_grouped_rows(group, weighted, length)
        curvature[own, start:], curvature[start:, own] = across, across.T
        for other, beside in zip(layout.floors, block.group, strict=True):
            width = other.stop - other.start
            pair = np.bincount(group * (width + 1) + beside, variance, minlength=(length + 1) * (width + 1))
            curvature[own, other] = pair.reshape(length + 1, width + 1)[:length, :width]
    return Smooth(value, used, curvature)


def climb(block: Block, bound: Floats, prices: Floats, *, start: float, end: float, ceiling: float) -> Floats:
    """Follow the maximum from temperature `start` down to `end`.

    Args:
        block: the rows.
        bound: shape (M,): of the rows, what other rows use taken off; inf where there is no limit.
        prices: where to begin, shape (M,).
        start: temperatures, in units of the cost.
        end: the last.
        ceiling: a value of the dual that no feasible problem reaches; the climb ends there.

    Returns: prices of shape (M,), above 0 where the bound is finite, else 0.
    """
    free = np.isfinite(bound)
    bound = bound + _EASE * np.maximum(1.0, np.abs(bound))
    y = np.where(free, np.maximum(prices, _least_price(block, start)), 0.0)
    temperature = start
    while free.any():
        for _ in range(_STEPS_A_LEVEL):
            y, decrement, value = _newton(block, bound, y, free, temperature)
            if value > ceiling:
                return y
            if decrement < _NEAR * temperature:
                break
        if temperature <= end:
            break
        temperature = max(end, temperature * _SHRINK)
    return y


def _newton(
    block: Block, bound: Floats, y: Floats, free: np.typing.NDArray[np.bool_], temperature: float
) -> tuple[Floats, float, float]:
    """One step, relative to y so that limits of any scale are alike; gives the prices, the decrement, the value."""
    at = smoothed(block, y, temperature)
    own = y[free]
    slope = own * (at.used[free] - bound[free]) + temperature
    curvature = own[:, np.newaxis] * at.curvature[np.ix_(free, free)] * own / temperature
    # Two limits that always move together make it singular but for the ridge.
    ridge = temperature + _RIDGE * float(curvature.diagonal().max())
    curvature[np.diag_indices_from(curvature)] += ridge
    step = np.linalg.solve(curvature, slope)
    decrement = float(slope @ step)
    value = at.value - float(own @ bound[free])
    merit = value + temperature * float(np.log(own).sum())
    length = min(1.0, _INSIDE / max(_INSIDE, float(-step.min())), _GROWTH / max(_GROWTH, float(step.max())))
    for _ in range(_HALVINGS):
        moved = y.copy()
        moved[free] = own * (1.0 + length * step)
        _, sharp = _shares(block.reduced(moved), temperature)
        reached = sharp - float(moved[free] @ bound[free])
        if reached + temperature * float(np.log(moved[free]).sum()) >= merit + _ARMIJO * length * decrement:
            return moved, decrement, reached
        length /= 2
    return y, 0.0, value


def _shares(reduced: Floats, temperature: float) -> tuple[Floats, float]:
    """How each row splits, shape (n, E), and the sum of the smoothed minima. Uses up its argument."""
    least = reduced.min(axis=1)
    reduced -= least[:, np.newaxis]
    reduced /= -temperature
    shares = np.exp(reduced, out=reduced)
    total = shares.sum(axis=1)
    shares /= total[:, np.newaxis]
    return shares, float(least.sum() - temperature * np.log(total).sum())


def _least_price(block: Block, temperature: float) -> Floats:
    """A price at which a limit's use weighs about the temperature in each row."""
    layout = block.layout
    typical = np.ones(len(layout.bound))
    for own, use in zip(layout.loads, block.uses, strict=True):
        if use is not None:
            typical[own] = float(use.mean()) or 1.0
    typical[layout.budgets] = [float(spent.mean()) or 1.0 for spent in block.spent]
    least: Floats = 1e-3 * temperature / typical
    return least


class _Parts:
    """What the rows use of loads and budgets when split by `shares`."""

    def __init__(self, block: Block, shares: Floats) -> None:
        self._shares, self._block = shares, block
        pools = [
            (own.stop - own.start, pool) for own, pool in zip(block.layout.loads, block.pools, strict=True)
        ]
        self._each = [np.array_equal(pool, np.arange(count)) for count, pool in pools]  # column j is pool j
        self._maps = [np.eye(count + 1)[pool][:, :-1] for count, pool in pools]

    def mean(self, factor: Floats | None = None) -> Floats:
        """Shape (n, K), each pair's share times a factor."""
        shares = self._shares if factor is None else self._shares * factor
        layout, block = self._block.layout, self._block
        start = layout.floors[-1].stop if layout.floors else 0
        made = np.empty((len(shares), len(layout.bound) - start))
        for own, use, each, to_pool in zip(layout.loads, block.uses, self._each, self._maps, strict=True):
            weighed = shares if use is None else shares * use
            made[:, own.start - start : own.stop - start] = weighed if each else weighed @ to_pool
        for k, spent in enumerate(block.spent, start=layout.budgets.start - start):
            made[:, k] = np.einsum("ij,ij->i", shares, spent)
        return made

    def second(self) -> Floats:
        """The sum over rows of the second moments, shape (K, K)."""
        kinds = [*self._block.uses, *self._block.spent]
        maps = [*self._maps, *(np.ones((self._shares.shape[1], 1)) for _ in self._block.spent)]
        rows = []
        for one, to_one in zip(kinds, maps, strict=True):
            weighed = self._shares if one is None else self._shares * one
            both = [
                weighed.sum(axis=0) if other is None else np.einsum("ij,ij->j", weighed, other)
                for other in kinds
            ]
            rows.append(
                np.hstack([to_one.T * own @ to_other for own, to_other in zip(both, maps, strict=True)])
            )
        return np.vstack(rows) if rows else np.zeros((0, 0))


def _grouped_rows(group: Ints, values: Floats, count: int) -> Floats:
    """Sums of rows by group, shape (count, K)."""
    if count == 1 and not group.any():
        whole: Floats = values.sum(axis=0, keepdims=True)
        return whole
    order = np.argsort(group, kind="stable")
    own = group[order]
    starts = np.flatnonzero(np.append(True, own[1:] != own[:-1])) if len(own) else np.zeros(0, dtype=int)
    total = np.zeros((count + 1, values.shape[1]))
    total[own[starts]] = np.add.reduceat(values[order], starts, axis=0) if values.shape[1] else 0.0
    made: Floats = total[:count]
    return made
