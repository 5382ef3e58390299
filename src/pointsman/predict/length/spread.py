"""How far an answer's length may lie from where it is expected: a heavy-tailed spread for each text.

    (log(8 + tokens) - location) / spread ~ Student's t,  log spread linear in the text

Fitted by maximum likelihood to residuals of prompts that were held out. The tails that are forecast are those
seen (`levels`), not those of the t: its part is that a few wild answers don't widen all intervals.
Source: the log-t of distribution-aware schedulers (prompt-wise spread); ours has no network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from pointsman.predict.length.curves import LEVELS, QUANTILES
from pointsman.predict.quality.length_levels import row_quantiles
from pointsman.predict.quality.scipy_parts import scipy_part
from pointsman.predict.quality.shared_fit import Singles
from pointsman.types import Floats

MOST_LOG: Final = 1.5
"""A spread is at most exp of this from that of an average text, either way."""
_PRECISION: Final = 10.0
_ROUNDS: Final = 60
_MOST_CELLS: Final = 50_000
_OWN_ROWS: Final = 400
"""From so many residuals on, an endpoint's levels are its own alone."""
_POOLED: Final = 100.0
"""As many residuals the pooled levels count for beside fewer own ones."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How wide the lengths of answers to a text lie, whatever the endpoint.

    Attributes:
        weights: shape (1 + F,): of 1 and the features, for the logarithm of the spread.
        freedom: the t's degrees of freedom, above 1: few are heavy tails.
    """

    weights: Floats
    freedom: float

    def at(self, features: Floats | Singles) -> Floats:
        """The spread of R rows, shape (R,), above 0; within `MOST_LOG` of the average text's."""
        # Not a product of matrices, which rounds a row otherwise in another batch.
        log = np.clip((features * self.weights[1:]).sum(axis=1), -MOST_LOG, MOST_LOG)
        made: Floats = np.exp(self.weights[0] + log)
        return made


def fit_spread(features: Floats, residuals: Floats, rng: np.random.Generator) -> Spread:
    """Maximum likelihood, shrunk to one spread for all.

    Args:
        features: shape (N, F), each column about mean 0.
        residuals: shape (N,).
        rng: draws rows where there are more than are needed.

    Raises: MissingError without scipy.
    """
    if len(residuals) > _MOST_CELLS:
        drawn = rng.choice(len(residuals), _MOST_CELLS, replace=False)
        features, residuals = features[drawn], residuals[drawn]
    special = scipy_part("special")
    squares = residuals**2 + 1e-12
    start = np.zeros(features.shape[1] + 2)
    start[0], start[-1] = 0.5 * np.log(np.median(squares) + 1e-9), np.log(5.0)

    def objective(flat: Floats) -> tuple[float, Floats]:
        log = flat[0] + features @ flat[1:-1]
        v = 1 + np.exp(flat[-1])
        ratio = squares * np.exp(-2 * log)
        inner = np.log1p(ratio / v)
        constant = special.gammaln((v + 1) / 2) - special.gammaln(v / 2) - 0.5 * np.log(v)
        loss = (log + 0.5 * (v + 1) * inner - constant).sum() + 0.5 * _PRECISION * flat[1:-1] @ flat[1:-1]
        by_log = 1 - (v + 1) * ratio / (v + ratio)
        by_v = 0.5 * inner - 0.5 * (v + 1) * ratio / (v * (v + ratio))
        of_constant = 0.5 * (special.digamma((v + 1) / 2) - special.digamma(v / 2) - 1 / v)
        slope = np.concatenate(
            [[by_log.sum()], features.T @ by_log + _PRECISION * flat[1:-1], [0.0]],
        )
        slope[-1] = (by_v - of_constant).sum() * (v - 1)
        return float(loss) / len(squares), slope / len(squares)

    bounds = [(None, None)] * (len(start) - 1) + [(-1.0, 5.0)]
    found = scipy_part("optimize").minimize(
        objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _ROUNDS}
    )
    return Spread(np.asarray(found.x[:-1], dtype=np.float64), float(1 + np.exp(found.x[-1])))


def conformal_levels(standardised: Floats) -> Floats:
    """Where each endpoint's lengths ended in units of the spread, at `LEVELS`, shape (E, QUANTILES).

    The rank that n + 1 exchangeable values promise, outwards (split conformal, one-sided for each level).
    An endpoint with few residuals rests on all endpoints' together.

    Args:
        standardised: shape (N, E): residuals of held-out prompts over their spread; NaN where missing.
    """
    pooled = _outward(standardised[np.isfinite(standardised)])
    made = np.empty((standardised.shape[1], QUANTILES))
    for column, values in enumerate(standardised.T):
        own = values[np.isfinite(values)]
        if len(own) >= _OWN_ROWS:
            made[column] = _outward(own)
        elif len(own):
            made[column] = row_quantiles(own[None], np.ones((1, len(own))), pooled, _POOLED)[0]
        else:
            made[column] = pooled
    return made


def _outward(values: Floats) -> Floats:
    n = len(values)
    rank = np.where(LEVELS < 0.5, np.floor((n + 1) * LEVELS), np.ceil((n + 1) * LEVELS))  # noqa: PLR2004
    made: Floats = np.sort(values)[np.clip(rank, 1, n).astype(np.int64) - 1]
    return made
