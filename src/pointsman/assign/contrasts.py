"""Forecasts made safe to choose by: what tells endpoints apart is shrunk to what it is worth.

A forecast of a row on an endpoint is the endpoint's mean on the row's task, plus what makes the row easy or
hard for all, plus a contrast: what makes this endpoint better or worse here than there. Choosing goes by
the contrasts alone, and picks those that err upwards. On held-out rows the labels' contrasts are a share of
the forecast ones, in [0, 1]; that share is kept of each.

Right for a task as a whole, a forecast can be much too sure within it: of the contrasts of outcomes/routerdc7
a fifth is real (docs/log.md).
Source: shrinkage of James and Stein, its factor from data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from pointsman.assign.problem import Values
from pointsman.types import Floats

_LEAST_ROWS: Final = 5
"""Of a task in a fold, below which the mean of all rows is its centre."""


@dataclass(frozen=True, slots=True, eq=False)
class Contrasts:
    """How much of the forecast differences between endpoints is kept.

    Attributes:
        tasks: T names; any other task has the centre of all.
        centre: mean forecasts, shape (T + 1, E), those of all rows last.
        share: of a contrast that is kept, in [0, 1].
    """

    tasks: tuple[str, ...]
    centre: Floats
    share: float

    @classmethod
    def fit(cls, quality: Floats, labels: Floats, tasks: Sequence[str], folds: NDArray[np.int64]) -> Self:
        """From held-out forecasts.

        Args:
            quality: shape (N, E), each row forecast by a model that has not learnt it.
            labels: shape (N, E), NaN where unknown.
            tasks: N names; "" where unknown.
            folds: shape (N,): rows with one number were forecast by one model.
        """
        names = tuple(sorted(set(tasks)))
        task = _places(names, tasks)
        real = forecast = 0.0
        for fold in np.unique(folds):
            own = np.flatnonzero(folds == fold)
            level, contrast = _parts(quality[own], _centres(quality[own], task[own], len(names))[task[own]])
            left = labels[own] - level
            known = np.isfinite(left)
            real += float(contrast[known] @ left[known])
            forecast += float(contrast[known] @ contrast[known])
        share = min(1.0, max(0.0, real / forecast)) if forecast > 0 else 1.0
        return cls(names, _centres(quality, task, len(names)), share)

    def applied(self, quality: Values, tasks: Sequence[str] | None = None) -> Floats:
        """Forecasts with shrunk contrasts, shape (R, E), in [0, 1].

        Args:
            quality: shape (R, E), of the fit's endpoints; NaN counts as no contrast.
            tasks: R names; None where unknown.
        """
        task = _places(self.tasks, ("",) * len(quality) if tasks is None else tasks)
        centre = self.centre[task]
        return self._shrunk(np.where(np.isfinite(quality), quality, centre), centre)

    def held_out(self, quality: Floats, tasks: Sequence[str], folds: NDArray[np.int64]) -> Floats:
        """The rows of the fit as unseen rows would look: with centres of each fold's own forecasts.

        The centre of all folds' forecasts holds each row's own label; choosing by it would look too good.
        """
        task = _places(self.tasks, tasks)
        made = np.empty_like(quality)
        for fold in np.unique(folds):
            own = np.flatnonzero(folds == fold)
            centre = _centres(quality[own], task[own], len(self.tasks))[task[own]]
            made[own] = self._shrunk(quality[own], centre)
        return made

    def to_document(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"tasks": list(self.tasks), "centre": self.centre.tolist(), "share": self.share}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """What `to_document` gave."""
        return cls(tuple(document["tasks"]), np.array(document["centre"], dtype=float), document["share"])

    def _shrunk(self, quality: Floats, centre: Floats) -> Floats:
        level, contrast = _parts(quality, centre)
        shrunk: Floats = np.clip(level + self.share * contrast, 0.0, 1.0)
        return shrunk


def _places(names: tuple[str, ...], tasks: Sequence[str]) -> NDArray[np.int64]:
    """Indices of tasks; unknown ones come last."""
    place = {name: at for at, name in enumerate(names)}
    return np.fromiter((place.get(task, len(names)) for task in tasks), np.int64, len(tasks))


def _centres(quality: Floats, task: NDArray[np.int64], count: int) -> Floats:
    """Mean forecasts of each task, and of all rows."""
    centre = np.tile(quality.mean(axis=0), (count + 1, 1))
    for at in range(count):
        own = task == at
        if own.sum() >= _LEAST_ROWS:
            centre[at] = quality[own].mean(axis=0)
    return centre


def _parts(quality: Floats, centre: Floats) -> tuple[Floats, Floats]:
    """The centre moved to the row's own level, and contrasts around it."""
    off = quality - centre
    level = centre + off.mean(axis=1, keepdims=True)
    return level, quality - level
