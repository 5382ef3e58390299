"""Linear models of many endpoints at once, which share strength.

    z_ie = start_ie + offset_e + x_i . (sqrt(share) shared + sqrt(1 - share) own_e)

All weights have the same normal prior, so an endpoint with few labels rests on what all have in common
and one with many departs from it as far as its labels say; a missing label is simply not in the sum. In
kernel terms the endpoints' functions have the correlation `share` before any data.

Source: the additive form is that of regularised multi-task learning (Evgeniou and Pontil, 2004); with a
logistic loss it is a Rasch model whose difficulty is linear in the text, plus deviations per endpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pointsman.predict.quality.scipy_parts import scipy_part
from pointsman.types import Floats

_OFFSET_PRECISION: Final = 2.0
"""Offsets lie around their start with a standard deviation of .7 in log-odds."""
_MEMORY: Final = 8
_TOLERANCE: Final = 1e-6

Singles = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SharedWeights:
    """A fitted model of F features and E endpoints.

    Attributes:
        weights: shape (F, E).
        offsets: shape (E,): to be added to the start that the fit was given.

    An endpoint without labels has what is shared, and an offset of 0.
    """

    weights: Singles
    offsets: Singles

    def predict(self, features: Singles) -> Singles:
        """Z of each row less its start, shape (N, E)."""
        return features @ self.weights + self.offsets


def fit_shared(
    features: Singles,
    targets: Floats,
    start: Floats,
    *,
    share: float,
    precision: float,
    logistic: bool,
    rounds: int = 80,
) -> SharedWeights:
    """Maximum a posteriori by L-BFGS.

    Args:
        features: shape (N, F).
        targets: shape (N, E), NaN where missing; in [0, 1] if logistic.
        start: shape (E,) or (N, E): what z is before any weight.
        share: in [0, 1): how much endpoints have in common.
        precision: of the weights' prior, in labels (logistic) or in units of the residual variance.
        logistic: log loss of sigmoid(z), else half the squared error.
        rounds: iterations at most.

    Raises: MissingError without scipy.
    Cost: O(rounds * N * F * E), some seconds for 14,000 x 600 x 20 on one core.
    """
    minimize = scipy_part("optimize").minimize
    n, f, e = *features.shape, targets.shape[1]
    known = np.isfinite(targets).astype(np.float32)
    wanted = np.where(known > 0, targets, 0).astype(np.float32)
    start_ = np.asarray(start, np.float32)
    common, own = np.float32(np.sqrt(share)), np.float32(np.sqrt(1 - share))

    def split(flat: Floats) -> tuple[Singles, Singles, Singles]:
        singles = flat.astype(np.float32)
        both = singles[: f * (e + 1)].reshape(f, e + 1)
        return both[:, 0], both[:, 1:], singles[f * (e + 1) :]

    def objective(flat: Floats) -> tuple[float, Floats]:
        shared, owns, offsets = split(flat)
        z = features @ (common * shared[:, None] + own * owns)
        z += start_ + offsets
        loss, slope = (_log_loss if logistic else _squared)(z, wanted)
        slope *= known
        to_weights = features.T @ slope
        gradient = np.empty((f, e + 1), np.float32)
        gradient[:, 0] = common * to_weights.sum(axis=1) + precision * shared
        gradient[:, 1:] = own * to_weights + precision * owns
        prior = precision * (float(shared @ shared) + float((owns**2).sum()))
        prior += _OFFSET_PRECISION * float(offsets @ offsets)
        to_offsets = slope.sum(axis=0) + _OFFSET_PRECISION * offsets
        total = float((loss * known).sum(dtype=np.float64)) + 0.5 * prior
        return total / n, np.concatenate([gradient.ravel(), to_offsets]).astype(np.float64) / n

    options = {"maxiter": rounds, "maxcor": _MEMORY, "ftol": _TOLERANCE}
    found = minimize(objective, np.zeros(f * (e + 1) + e), jac=True, method="L-BFGS-B", options=options)
    shared, owns, offsets = split(found.x)
    return SharedWeights(common * shared[:, None] + own * owns, offsets)


def posterior_deviation(
    features: Singles, labels: Floats, curvature: Floats, *, share: float, precision: float
) -> Floats:
    """How far z of an average text may lie from its fit, one standard deviation, shape (E,).

    Laplace's approximation as if each endpoint's labels lay on texts like all: the shared weights are
    known from all N rows, once each, and its own from its own labels.

    Args:
        features: shape (N, F).
        labels: shape (E,): how many.
        curvature: shape (E,): of the loss by z at the fit; p (1 - p) if logistic.
        share: as fitted.
        precision: as fitted.
    """
    spread = np.maximum(np.linalg.eigvalsh(features.T @ features / np.float32(len(features))), 0)
    own = (labels * curvature)[:, None]
    variance = (spread / (own * spread + precision / (1 - share))).sum(axis=1)
    variance += 1 / (own[:, 0] + _OFFSET_PRECISION)
    if share > 0:
        variance += (spread / (len(features) * curvature[:, None] * spread + precision / share)).sum(axis=1)
    return np.asarray(np.sqrt(variance))


def _log_loss(z: Singles, wanted: Singles) -> tuple[Singles, Singles]:
    """Loss and its derivative by z, of one shape."""
    small = np.exp(-np.abs(z))
    loss = np.maximum(z, 0) + np.log1p(small) - wanted * z
    return loss, np.where(z >= 0, 1, small) / (1 + small) - wanted


def _squared(z: Singles, wanted: Singles) -> tuple[Singles, Singles]:
    error = z - wanted
    return 0.5 * error * error, error
