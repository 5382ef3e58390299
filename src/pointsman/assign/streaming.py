"""The same choice for requests that come one by one: prices are the state, and what comes back moves them.

    duals = Duals(limits)
    row = duals.arrival(cost, quality, groups)
    column = duals.choose(row)              the least reduced cost, at the current prices
    duals.spend(row, column)                what it is expected to use moves the prices
    duals.label(groups, .8, 1.0)            predicted and real quality, late or never

A price rises where more is used than each request's part, and falls where less is. What was missed so far
(`debt`) raises it further until it is made good: steps alone hold a floor only in the end. Labels teach by
how much predictions of a group are too high or too low, for the unlabelled too. Where capacity changes
steps are long again. What runs is not planned anew.

How many run at once is kept by the queues, not priced here; who prices waits adds them to `reduced` and takes the `least`.
Source: OmniRouter, streaming. Differs in: step sizes in the units of each limit, debt, labels that lack.
"""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Self

import numpy as np

from pointsman.assign.check import check_number
from pointsman.assign.prices import Block, Layout
from pointsman.errors import BadRequest
from pointsman.types import Bools, Floats

_FIRST_STEP: Final = 0.2
_LAST_STEP: Final = 0.002
_MEMORY: Final = 0.003
"""Weight of the newest request in the running size of costs and uses."""

_DEBT_REQUESTS: Final = 50.0
"""A debt of so many requests' worth raises a price by its natural size: a row's range of cost by that of use."""

_MOST_DEBT: Final = 20.0
"""In those units: a limit that can't be kept for a while must not rule long after it can."""

_LABEL_MEMORY: Final = 0.003
_LABELS_BEFORE: Final = 20
_ALIKE: Final = 1e-3
"""Values that differ by less, relative to the largest, tell no scale: one near 0 would let prices run away."""


@dataclass(frozen=True, slots=True, eq=False)
class StreamLimits:
    """What the stream keeps to, a request: limits of a window are divided by the requests expected in it.

    Attributes:
        columns: E.
        minimum: of each floor, the least mean quality of its groups.
        share: the most of the requests that a column may get, shape (E,); inf for no limit.
        budget: the most that a request may use on the mean, shape (B,).
    """

    columns: int
    minimum: tuple[Floats, ...] = ()
    share: Floats | None = None
    budget: Floats | None = None

    def __post_init__(self) -> None:
        for minimum in self.minimum:
            for value in minimum.tolist():
                check_number("quality floor", value, 0.0, 1.0)
        if self.share is not None and self.share.shape != (self.columns,):
            raise BadRequest(
                f"shares of {self.share.shape} do not fit {self.columns} endpoints", remedy="Give one each"
            )
        for value in [*(() if self.share is None else self.share.tolist())]:
            if value != math.inf:
                check_number("share of the requests", value, 0.0)
        for value in [*(() if self.budget is None else self.budget.tolist())]:
            check_number("budget of a request", value, 0.0)

    @property
    def layout(self) -> Layout:
        """Where each price stands; bounds are those of one request."""
        parts = [-own for own in self.minimum]
        parts += [] if self.share is None else [self.share]
        parts.append(np.zeros(0) if self.budget is None else self.budget)
        ends = np.cumsum([0, *map(len, parts)]).tolist()
        slices = [slice(start, end) for start, end in pairwise(ends)]
        floors = len(self.minimum)
        return Layout(tuple(slices[:floors]), tuple(slices[floors:-1]), slices[-1], np.concatenate(parts))


class Duals:
    """The prices of a stream's limits.

    State: prices, debts, the running size of costs and of what budgets are used for, what labels taught.
    `arrival` and `choose` change nothing.

    Args:
        limits: what to keep to.
        prices: where to begin, as a plan's duals say, in the order of `StreamLimits.layout`; 0 if None.
    """

    def __init__(self, limits: StreamLimits, prices: Floats | None = None) -> None:
        self._layout = limits.layout
        count = len(self._layout.bound)
        self._pools = (np.arange(limits.columns),)[: len(self._layout.loads)]
        self._bias = [_Bias(len(minimum)) for minimum in limits.minimum]
        self._prices = np.zeros(count) if prices is None else prices.astype(float)
        self._debt, self._unit, self._mean = np.zeros(count), np.ones(count), np.zeros(count)
        self._counts, self._sign = np.zeros(count), np.ones(count)
        self._unit[self._layout.budgets] = np.inf  # no price until a row tells the scale
        for own in self._layout.floors:
            self._unit[own], self._sign[own] = np.inf, -1.0
        self._now: Floats | None = None
        self._cost, self._level, self._costs, self._sized, self._since = 0.0, 0.0, 0, np.zeros(count), 0
        self.change(limits)

    def copy(self) -> Self:
        """The same state, to look ahead without moving this one."""
        return deepcopy(self)

    def change(self, limits: StreamLimits) -> None:
        """Other limits of the same kind from now on: capacity that came or went. Prices stay, steps are long again."""
        self.limits, self._layout = limits, limits.layout
        free = self._layout.free
        self._bound = np.where(free, self._layout.bound, np.inf)
        self._debt[~free] = self._prices[~free] = 0.0
        self._limited = free.astype(float)
        for own in self._layout.floors:
            self._limited[own] = 0.0
        self._since, self._now = 0, None

    @property
    def prices(self) -> Floats:
        """What counts now: the prices, and what a debt adds, shape (M,); not to be written to."""
        if self._now is None:
            owed = np.maximum(self._debt / (_DEBT_REQUESTS * self._unit), 0.0)
            self._now = self._prices + owed * self.cost_range / self._unit
        return self._now

    def arrival(
        self,
        cost: Floats,
        quality: Floats,
        groups: tuple[int, ...] = (),
        spent: tuple[Floats, ...] = (),
        allowed: Bools | None = None,
    ) -> Block:
        """One request as a block of one row; its quality is corrected by what labels taught.

        Args:
            cost: shape (E,), at least 0, finite where allowed.
            quality: shape (E,), in [0, 1].
            groups: its group in each floor, -1 for none.
            spent: what it would use of each budget, each of shape (E,).
            allowed: shape (E,): hard limits, and free slots; all if None.
        """
        each = list(zip(groups, self._bias, strict=True))
        worth = np.minimum(np.maximum(quality + self.shift(groups), 0.0), 1.0)[np.newaxis]
        return Block(
            layout=self._layout,
            cost=(cost if allowed is None else np.where(allowed, cost, np.inf))[np.newaxis],
            worth=worth,
            quality=worth,
            group=tuple(np.array([group if group >= 0 else len(own.mean)]) for group, own in each),
            uses=(None,) * len(self._pools),
            pools=self._pools,
            spent=tuple(use[np.newaxis] for use in spent),
        )

    @property
    def cost_range(self) -> float:
        """By how much the dearest allowed column exceeds the cheapest, on the mean; if they never do, their cost or 1."""
        return self._cost or self._level

    def means(self) -> Floats:
        """What a request used of each limit, on the running mean, shape (M,); floors as quality, NaN before any."""
        means: Floats = np.where(self._counts > 0, self._sign * self._mean, np.nan)
        return means

    def shift(self, groups: tuple[int, ...]) -> float:
        """What labels taught to add to the predicted quality of a request: of its first floor that has some."""
        each = zip(groups, self._bias, strict=True)
        return next((float(own.mean[group]) for group, own in each if group >= 0), 0.0)

    def reduced(self, row: Block) -> Floats:
        """Its cost and what it would use at the present prices, shape (E,)."""
        reduced: Floats = row.reduced(self.prices)[0]
        return reduced

    def choose(self, row: Block) -> int:
        """The column of least reduced cost; see `least`."""
        return least(self.reduced(row))

    def spend(self, row: Block, column: int) -> Floats:
        """Move the prices by what the request is expected to use of each limit, against its part.

        Returns: what it uses above its part, shape (M,), for `owe` if that turns out otherwise.
        """
        used, mine = row.used(np.array([column])), self._limited.copy()
        for own, group in zip(self._layout.floors, row.group, strict=True):
            if group[0] < own.stop - own.start:
                mine[own.start + group[0]] = 1.0
        over: Floats = (used - np.where(mine > 0, self._bound, 0.0)) * mine
        self._size(row)
        self._counts += mine
        weight = mine * np.maximum(_MEMORY, 1.0 / np.maximum(self._counts, 1.0))
        self._mean += weight * (used - self._mean)
        step = max(_LAST_STEP, _FIRST_STEP / math.sqrt(1.0 + self._since))
        self._prices = np.maximum(self._prices + (step * self._cost) * over / (self._unit * self._unit), 0.0)
        self.owe(over)
        self._since += 1
        return over

    def owe(self, over: Floats) -> None:
        """So much more than its part was used of each limit, shape (M,); less where it is below 0."""
        natural = _DEBT_REQUESTS * self._unit
        self._debt = np.minimum(np.maximum(self._debt + over, -natural), _MOST_DEBT * natural)
        self._now = None

    def _size(self, row: Block) -> None:
        """Keep the mean range of cost and of what each limit bounds, over the rows whose columns differ."""
        finite = np.isfinite(row.cost[0])
        cost, quality = _range(row.cost[0], finite), _range(row.quality[0], finite)
        ranges = [(k, _range(own[0], finite)) for k, own in enumerate(row.spent, self._layout.budgets.start)]
        for own, group, bias in zip(self._layout.floors, row.group, self._bias, strict=True):
            if group[0] < own.stop - own.start:
                bias.requests[group[0]] += 1
                ranges.append((own.start + int(group[0]), quality))
        if cost:
            self._costs += 1
            self._cost += max(_MEMORY, 1.0 / self._costs) * (cost - self._cost)
        self._level = float(row.cost[0][finite].max()) or 1.0
        for k, each in ranges:
            if each:
                self._sized[k] += 1
                before = self._unit[k] if self._sized[k] > 1 else each
                self._unit[k] = before + max(_MEMORY, 1.0 / self._sized[k]) * (each - before)

    def label(self, groups: tuple[int, ...], predicted: float, realised: float) -> None:
        """Learn how far predictions of a group are off, and owe what the unlabelled will have lacked as well.

        A label stands for as many requests as there are of its group for each label: that is right where
        labels come by chance, not for the easy ones alone.

        Args:
            groups: the request's, as for `arrival`.
            predicted: of the column that ran, as its row says: `row.quality[0, column]`.
            realised: what came back, in [0, 1].
        """
        check_number("quality that came back", realised, 0.0, 1.0)
        error = realised - predicted
        for own, group, bias in zip(self._layout.floors, groups, self._bias, strict=True):
            if group >= 0:
                self._debt[own.start + group] -= error * bias.add(group, error)
        self._now = None

    def relabel(self, groups: tuple[int, ...], before: float, realised: float) -> None:
        """A label that was taken in as `before` is another now. It teaches nothing new of the predictions."""
        check_number("quality that came back", realised, 0.0, 1.0)
        for own, group, bias in zip(self._layout.floors, groups, self._bias, strict=True):
            if group >= 0:
                self._debt[own.start + group] -= (realised - before) * bias.stands_for(group)
        self._now = None


def least(reduced: Floats) -> int:
    """The column of least reduced cost; of equals the first.

    Raises: BadRequest where none is allowed, or a prediction is not a number.
    """
    column = int(reduced.argmin())
    if not reduced[column] < math.inf:
        raise BadRequest(
            "no endpoint with a finite prediction is allowed for the request",
            remedy="Let it wait, or add a choice that is always allowed, such as to skip",
        )
    return column


def _range(values: Floats, where: Bools) -> float:
    """By how much they differ; 0 where they are alike."""
    low, high = float(values[where].min()), float(values[where].max())
    return high - low if high - low > _ALIKE * max(abs(low), abs(high)) else 0.0


class _Bias:
    """By group: what to add to predictions, and how many requests and labels there were."""

    def __init__(self, groups: int) -> None:
        self.mean, self.requests, self._labels = np.zeros(groups), np.zeros(groups), np.zeros(groups)

    def add(self, group: int, error: float) -> float:
        """Learn an error of the corrected prediction; gives how many requests its label stands for."""
        self._labels[group] += 1
        weight = max(_LABEL_MEMORY, 1.0 / (self._labels[group] + _LABELS_BEFORE))
        self.mean[group] += weight * error
        return self.stands_for(group)

    def stands_for(self, group: int) -> float:
        """Requests of the group for each of its labels; at least 1."""
        return max(1.0, float(self.requests[group] / max(1.0, self._labels[group])))
