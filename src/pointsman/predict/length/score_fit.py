"""Linear scores of texts, fitted to targets: by least squares, by ranking losses, by classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pointsman.predict.length.design import ScoreWeights, TextRows
from pointsman.predict.length.grams import BUCKETS
from pointsman.predict.length.losses import Loss, listmle, pairwise
from pointsman.predict.quality.scipy_parts import scipy_part
from pointsman.types import Floats

SCORES: Final = ("regression", "listmle", "pairwise")
PRECISION: Final[Mapping[str, float]] = {"regression": 0.35, "listmle": 0.3, "pairwise": 0.3, "classes": 0.3}
"""Of the prior on weights, chosen on validation prompts (docs/log.md)."""
_LEAST_SPREAD: Final = 1e-9
_ROUNDS: Final = 150
_TOLERANCE: Final = 1e-5


def fit_score(rows: TextRows, targets: Floats, weight: Floats, kind: str, seed: int) -> ScoreWeights:
    """A score that rises with the targets.

    Args:
        rows: N texts.
        targets: shape (N,), about mean 0 and spread 1.
        weight: shape (N,), above 0: how much a text counts; `regression` alone looks at it.
        kind: one of `SCORES`.
        seed: of the lists or pairs.

    Raises: MissingError without scipy. Cost: about a second for 10,000 short texts; `listmle` some ten.
    """
    columns = _Columns(rows)
    centre = float(np.average(targets, weights=weight))
    if kind == "regression":
        found = _least_squares(columns, targets - centre, weight, PRECISION[kind])
    else:
        rng = np.random.default_rng(seed)
        loss = listmle(targets, rng) if kind == "listmle" else pairwise(targets, rng)
        found = _by_gradient(columns, loss, PRECISION[kind])
        found /= max(float(columns.times(found).std()), _LEAST_SPREAD)  # a ranking has no scale of its own
    offset = centre - float(np.average(columns.times(found), weights=weight))
    return columns.weights(found[:, None], np.array([offset]))


def fit_classes(rows: TextRows, labels: NDArray[np.int64], classes: int) -> ScoreWeights:
    """Scores whose softmax is each class's probability; a baseline.

    Args:
        rows: N texts.
        labels: shape (N,), below `classes`.
        classes: how many scores a text has.
    """
    columns = _Columns(rows)
    n, hot = len(labels), np.eye(classes)[labels]
    start = np.log(hot.mean(axis=0) + 1e-3)

    def objective(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(-1, classes)
        z = columns.times(weights) + start
        z -= z.max(axis=1, keepdims=True)
        chance = np.exp(z)
        chance /= chance.sum(axis=1, keepdims=True)
        loss = -float((hot * np.log(chance + 1e-12)).sum()) + _prior(flat, PRECISION["classes"])
        slope = columns.across(chance - hot).ravel() + PRECISION["classes"] * flat
        return loss / n, slope / n

    return columns.weights(_minimum(objective, columns.width * classes).reshape(-1, classes), start)


class _Columns:
    """The columns of some rows that are not all zero, dense ones first, as products."""

    def __init__(self, rows: TextRows) -> None:
        sparse = rows.sparse()
        self._held = np.flatnonzero(sparse.getnnz(axis=0))
        self._dense = rows.dense.astype(np.float64)
        self._sparse = sparse[:, self._held].astype(np.float64)
        self._back = self._sparse.T.tocsr()
        self._d = self._dense.shape[1]
        self.shape = (len(self._dense), self._d + len(self._held))
        self.width = self.shape[1]

    def times(self, weights: Floats) -> Floats:
        """Rows times weights of shape (width, ...)."""
        made: Floats = self._dense @ weights[: self._d] + self._sparse @ weights[self._d :]
        return made

    def across(self, slopes: Floats) -> Floats:
        """The transpose times slopes of shape (N, ...)."""
        return np.concatenate([self._dense.T @ slopes, self._back @ slopes])

    def weights(self, fitted: Floats, offset: Floats) -> ScoreWeights:
        """Fitted weights, shape (width, C), as weights of all buckets."""
        buckets = np.zeros((BUCKETS, fitted.shape[1]), np.float32)
        buckets[self._held] = fitted[self._d :]
        dense = np.ascontiguousarray(fitted[: self._d], np.float32)
        return ScoreWeights(dense, buckets, offset.astype(np.float32))


def _least_squares(columns: _Columns, targets: Floats, weight: Floats, precision: float) -> Floats:
    """Ridge regression by LSQR of targets about 0."""
    root = np.sqrt(weight)
    linalg = scipy_part("sparse.linalg")
    operator = linalg.LinearOperator(
        columns.shape,
        matvec=lambda flat: root * columns.times(flat.ravel()),
        rmatvec=lambda flat: columns.across(root * flat.ravel()),
        dtype=np.float64,
    )
    damp = np.sqrt(precision)
    found: Any = linalg.lsqr(
        operator, root * targets, damp=damp, iter_lim=_ROUNDS, atol=_TOLERANCE, btol=_TOLERANCE
    )
    return np.asarray(found[0], dtype=np.float64)


def _by_gradient(columns: _Columns, loss: Loss, precision: float) -> Floats:
    n = columns.shape[0]

    def objective(flat: Floats) -> tuple[float, Floats]:
        value, slope = loss(columns.times(flat))
        return (value + _prior(flat, precision)) / n, (columns.across(slope) + precision * flat) / n

    return _minimum(objective, columns.width)


def _prior(flat: Floats, precision: float) -> float:
    return 0.5 * precision * float(flat @ flat)


def _minimum(objective: Any, width: int) -> Floats:
    options = {"maxiter": _ROUNDS, "maxcor": 8, "ftol": 1e-7}
    found = scipy_part("optimize").minimize(
        objective, np.zeros(width), jac=True, method="L-BFGS-B", options=options
    )
    return np.asarray(found.x, dtype=np.float64)
