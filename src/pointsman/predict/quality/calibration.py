"""From a model's probability to one that is met as often as it says, per endpoint.

Each endpoint has one rising curve over log-odds: `identity`, `platt` or `isotonic`, whichever has the
lowest log loss on held-out folds. Platt's line is pulled to that of all endpoints together, so an
endpoint with few labels has nearly theirs; isotonic needs 100 labels.

Beside the curve stands a band: Wilson's 90% interval of the share of right answers among queries scored
like this one, from as many labels as lie near that score. It is the interval that policies read. (The
Venn-Abers pair would be narrower, but it says what one more label would do, not how far off the share is.)
Fit it on predictions made out of fold; on those of training rows it would learn their optimism.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from pointsman.errors import DataError
from pointsman.metrics.probability import log_loss
from pointsman.metrics.splits import grouped_folds
from pointsman.predict.quality.calibration_curves import (
    GRID,
    IDENTITY,
    REACH,
    STEPS,
    Line,
    fit_isotonic,
    fit_line,
)
from pointsman.predict.quality.odds import Z_90, logit, sigmoid
from pointsman.types import Estimate, Floats

KINDS: Final = ("identity", "platt", "isotonic")
FOLDS: Final = 5
BAND_SHARE: Final = 0.1
_ALONE_FROM: Final = 10
_ASKED: Final = np.array([0, 1, 2, 0, 0])
_TABLES: Final = np.array([0, 0, 0, 1, 2])
"""`calibrate` reads the curve at a value and its two ends, and the band's low and high end at the value."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A fitted curve for each of E endpoints.

    Attributes:
        endpoints: names, in column order.
        kinds: of each endpoint's curve.
        curve: shape (E, STEPS + 1): calibrated log-odds at the predicted ones of `GRID`, rising.
        near: shape (E, STEPS + 1): labels scored near there.
    """

    endpoints: tuple[str, ...]
    kinds: tuple[str, ...]
    curve: Floats
    near: Floats
    _table: Floats = field(init=False, repr=False, compare=False)
    _rise: Floats = field(init=False, repr=False, compare=False)
    _starts: NDArray[np.int64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Tabulate curve and band on `GRID` as probabilities, and how much they rise in a step."""
        share = sigmoid(self.curve)
        tables = np.array([share, *_wilson(share, self.near)])
        # The last place of the grid begins a step in which nothing rises.
        object.__setattr__(self, "_table", tables.ravel())
        object.__setattr__(self, "_rise", np.diff(tables, axis=2, append=tables[..., -1:]).ravel())
        rows = _TABLES[:, None] * len(self.curve) + np.arange(len(self.curve))
        object.__setattr__(self, "_starts", rows[:, None] * (STEPS + 1))

    @classmethod
    def fit(
        cls,
        endpoints: Sequence[str],
        predicted: Floats,
        labels: Floats,
        groups: NDArray[np.int64],
        seed: int,
    ) -> Self:
        """Choose and fit each endpoint's curve. Cost: six fits an endpoint.

        Args:
            endpoints: E names.
            predicted: out-of-fold probabilities, shape (N, E).
            labels: in [0, 1], NaN where missing, shape (N, E).
            groups: shape (N,); equal ones are never on both sides of a held-out fold.
            seed: of the folds.

        Raises: DataError for shapes that differ, or a label without a prediction.
        """
        if predicted.shape != labels.shape or predicted.shape[1:] != (len(endpoints),):
            raise DataError(
                f"predictions of shape {predicted.shape} and labels of shape {labels.shape} don't fit "
                f"{len(endpoints)} endpoints"
            )
        known = ~np.isnan(labels)
        if np.isnan(predicted[known]).any():
            raise DataError("a label has no prediction", remedy="Predict all labelled rows out of fold")
        odds = np.clip(logit(predicted), -REACH, REACH)
        pooled = fit_line(odds[known], labels[known])
        kinds, curves, near = [], [], []
        for column in range(len(endpoints)):
            rows = np.flatnonzero(known[:, column])
            own, own_labels = odds[rows, column], labels[rows, column]
            kind = _choose(own, own_labels, groups[rows], pooled, seed)
            kinds.append(kind)
            curves.append(_fitted(kind, own, own_labels, pooled))
            near.append(_labels_near(own))
        return cls(tuple(endpoints), tuple(kinds), np.array(curves), np.array(near))

    @classmethod
    def identity(cls, endpoints: Sequence[str]) -> Self:
        """Changes no probability, and has no labels behind it."""
        shape = (len(endpoints), STEPS + 1)
        curve = np.broadcast_to(GRID, shape)
        return cls(tuple(endpoints), ("identity",) * len(endpoints), curve, np.zeros(shape))

    def apply(self, predicted: Floats) -> Floats:
        """Calibrated probabilities, inside (0, 1), for predictions of shape (R, E)."""
        return self._read(logit(predicted), self._starts[0])

    def calibrate(self, log_odds: Floats) -> Estimate:
        """Value, low and high, shape (3, R, E), moved by the curve, and the ends widened to the band.

        Cost: some 10 us for one request.
        """
        # All at once: a call of NumPy costs more than the numbers of one request.
        value, low, high, least, most = self._read(log_odds.take(_ASKED, 0), self._starts)
        return Estimate(value, np.minimum(low, least), np.maximum(high, most))

    def _read(self, odds: Floats, starts: NDArray[np.int64]) -> Floats:
        """What the tables hold at finite log-odds of shape (..., R, E), on straight lines in between."""
        place = np.minimum(np.maximum((odds + REACH) * (STEPS / (2 * REACH)), 0), STEPS)
        step = place.astype(np.int64)
        place -= step
        step += starts
        place *= self._rise.take(step)
        place += self._table.take(step)
        return place

    def to_arrays(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays, and what JSON holds."""
        return (
            {"curve": self.curve, "near": self.near},
            {"endpoints": list(self.endpoints), "kinds": list(self.kinds)},
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], rest: Mapping[str, Any]) -> Self:
        """What `to_arrays` gave. Raises DataError for another grid, or a curve that falls."""
        endpoints, kinds = tuple(rest["endpoints"]), tuple(rest["kinds"])
        curve, near = arrays["curve"], arrays["near"]
        wanted = (len(endpoints), STEPS + 1)
        if curve.shape != wanted or near.shape != wanted or len(kinds) != len(endpoints):
            raise DataError(
                f"calibration curves have the shape {curve.shape}, not {wanted}", remedy="Train again"
            )
        if not (np.diff(curve, axis=1) >= 0).all():
            raise DataError("a calibration curve falls, or holds NaN", remedy="Train again")
        return cls(endpoints, kinds, curve, near)


def _choose(odds: Floats, labels: Floats, groups: NDArray[np.int64], pooled: Line, seed: int) -> str:
    """The kind of lowest held-out log loss, the simplest of equals; Platt where labels are too few to ask."""
    if len(np.unique(groups)) < max(FOLDS, _ALONE_FROM):
        return "identity" if pooled == IDENTITY else "platt"
    folds = grouped_folds(groups, FOLDS, seed)
    chance = np.empty((len(KINDS), len(odds)))
    for fold in range(FOLDS):
        held = folds == fold
        for at, kind in enumerate(KINDS):
            curve = _fitted(kind, odds[~held], labels[~held], pooled)
            chance[at, held] = sigmoid(np.interp(odds[held], GRID, curve))
    losses = [log_loss(labels, each) for each in chance]
    return KINDS[int(np.argmin(np.round(losses, 9)))]


def _fitted(kind: str, odds: Floats, labels: Floats, pooled: Line) -> Floats:
    """Isotonic falls back to Platt where rows are too few."""
    if kind == "identity":
        return GRID
    curve = fit_isotonic(odds, labels) if kind == "isotonic" else None
    return fit_line(odds, labels, pooled).on_grid() if curve is None else curve


def _labels_near(odds: Floats) -> Floats:
    """How many labels are among the nearest tenth, and within half a unit of log-odds on either side."""
    if not len(odds):
        return np.zeros(STEPS + 1)
    ordered = np.sort(odds)
    half = BAND_SHARE * len(ordered) / 2
    place = np.searchsorted(ordered, GRID)
    unit = np.searchsorted(ordered, GRID + 0.5, "right") - np.searchsorted(ordered, GRID - 0.5)
    tenth = np.minimum(place + half, len(ordered)) - np.maximum(place - half, 0)
    return np.asarray(np.minimum(unit, tenth), dtype=np.float64)


def _wilson(share: Floats, labels: Floats) -> tuple[Floats, Floats]:
    """`metrics.proportion.wilson_interval` for arrays, at 90%; (0, 1) without labels."""
    over = Z_90**2 / np.maximum(labels, 1e-9)
    middle = share + over / 2
    half = np.sqrt(over * (share * (1 - share) + over / 4))
    low = np.clip((middle - half) / (1 + over), 0.0, share)
    return low, np.clip((middle + half) / (1 + over), share, 1.0)
