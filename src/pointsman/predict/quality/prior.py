"""The share of right answers an endpoint is known to give, per task: what is said without reading the text.

Three levels, each shrunk to the one above it by as many pseudo-labels as fit the spread seen there:

    all endpoints -> one endpoint -> one endpoint on one task

The task's level starts from the endpoint's share, moved by how much harder or easier the task is for all
(in log-odds). A task never seen has the endpoint's share with the width of a task's; an endpoint
without labels has the mean of all with the spread between endpoints, and without any at all one half with
nearly all of [0, 1]. (One that no outcome names is none of its columns: it has its profile's prior.)
Intervals hold 90% of a Beta posterior. Cost: a lookup.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.base import Queries, RawForecast
from pointsman.predict.quality.odds import beta_interval, logit, sigmoid
from pointsman.types import Estimate, Floats

_WEAKEST: Final = 1.0
_STRONGEST: Final = 200.0
_UNSEEN_AT_MOST: Final = 4.0
_UNSEEN, _ANY, _KNOWN = 0, 1, 2
"""Columns for a task that was never seen, for one that is not told, and for the first known one."""


@dataclass(frozen=True, slots=True)
class PriorQuality:
    """Means per endpoint and task.

    Attributes:
        tasks: those known; column 2 + i of the arrays is task i.
        mean: shape (E, 2 + T), in (0, 1).
        labels: shape (E, 2 + T): how many labels the mean counts for, pseudo-labels among them.
    """

    name: ClassVar[str] = "prior"
    endpoints: tuple[str, ...]
    tasks: tuple[str, ...]
    mean: Floats
    labels: Floats

    @classmethod
    def fit(cls, outcomes: OutcomeMatrix) -> Self:
        """From any number of labels, none at all included."""
        return cls.of_labels(outcomes.endpoints, outcomes.tasks, outcomes.quality)

    @classmethod
    def of_labels(cls, endpoints: tuple[str, ...], row_tasks: Sequence[str], quality: Floats) -> Self:
        """The same from labels of shape (N, E), NaN where missing, and each row's task, "" if unknown."""
        tasks = tuple(sorted(set(row_tasks) - {""}))
        totals, counts = _sums(quality, row_tasks, tasks)
        n = counts.sum(axis=1)
        everywhere = (totals.sum() + 0.5) / (n.sum() + 1.0)
        between = _pseudo_labels(totals.sum(axis=1), n, np.full(len(n), everywhere))
        own = (totals.sum(axis=1) + between * everywhere) / (n + between)
        expected = sigmoid(logit(own)[:, None] + _task_offsets(totals, counts, own))
        within = _pseudo_labels(totals[:, 1:].ravel(), counts[:, 1:].ravel(), expected[:, 1:].ravel())
        mean = (totals + within * expected) / (counts + within)
        seen = n > 0
        told = np.where(seen, n + between, min(between, _UNSEEN_AT_MOST))
        labels = np.where(seen[:, None], counts + within, told[:, None])
        return cls(
            endpoints,
            tasks,
            np.column_stack([own, own, mean[:, 1:]]),
            np.column_stack([np.minimum(told, within), told, np.minimum(labels[:, 1:], told[:, None])]),
        )

    @property
    def overall(self) -> Floats:
        """Mean of each endpoint whatever the task, shape (E,)."""
        return self.mean[:, _ANY]

    def task_numbers(self, tasks: Sequence[str]) -> NDArray[np.int64]:
        """Which of `self.tasks` each is, shape (R,); -1 where it is not told, -2 where it is not known."""
        number: Mapping[str, int] = {"": -1} | {task: i for i, task in enumerate(self.tasks)}
        return np.array([number.get(task, -2) for task in tasks], dtype=np.int64)

    def forecast(self, queries: Queries) -> RawForecast:
        """The text is not read."""
        columns = _KNOWN + self.task_numbers(queries.tasks)
        used, back = np.unique(columns, return_inverse=True)
        low, high = beta_interval(self.mean[:, used], self.labels[:, used])
        return RawForecast.of(Estimate(self.mean[:, columns].T, low[:, back].T, high[:, back].T))

    def to_arrays(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays, and what JSON holds."""
        rest = {"endpoints": list(self.endpoints), "tasks": list(self.tasks)}
        return {"mean": self.mean, "labels": self.labels}, rest

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], rest: Mapping[str, Any]) -> Self:
        """What `to_arrays` gave."""
        return cls(tuple(rest["endpoints"]), tuple(rest["tasks"]), arrays["mean"], arrays["labels"])


def _sums(quality: Floats, row_tasks: Sequence[str], tasks: Sequence[str]) -> tuple[Floats, Floats]:
    """Sums of quality and numbers of labels, shape (E, 1 + T); column 0 is for queries without a task."""
    column_of = {task: column for column, task in enumerate(("", *tasks))}
    column = np.array([column_of[task] for task in row_tasks])
    one_hot = (column[:, None] == np.arange(len(column_of))).astype(np.float64)
    known = ~np.isnan(quality)
    return np.where(known, quality, 0.0).T @ one_hot, known.T.astype(np.float64) @ one_hot


def _task_offsets(totals: Floats, counts: Floats, own: Floats) -> Floats:
    """How much easier each task is for all endpoints, in log-odds, shape (1, 1 + T)."""
    smooth = (totals + own[:, None] * _WEAKEST) / (counts + _WEAKEST)
    offset = logit(smooth) - logit(own)[:, None]
    weight = counts / (counts + 1.0 / (own * (1.0 - own))[:, None])
    return np.asarray((weight * offset).sum(axis=0) / (weight.sum(axis=0) + 0.1))[None, :]


def _pseudo_labels(totals: Floats, counts: Floats, expected: Floats) -> float:
    """How many labels at `expected` describe the spread of the true means around it.

    By moments: the variance of the shares beyond that of drawing them is p (1 - p) / (m + 1).
    """
    seen = counts > 0
    if not seen.any():
        return _WEAKEST
    n, p = counts[seen], expected[seen]
    noise = p * (1 - p) / n
    weight = n / (n + 20.0)
    excess = float((weight * ((totals[seen] / n - p) ** 2 - noise)).sum() / weight.sum())
    most = float((weight * p * (1 - p) * (1.0 - 1.0 / n)).sum() / weight.sum())
    if excess <= 0 or most <= 0:
        return _STRONGEST if seen.sum() > 1 else _WEAKEST
    return float(np.clip(most / excess - 1.0, _WEAKEST, _STRONGEST))
