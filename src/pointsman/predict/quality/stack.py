"""Non-negative weights of members, by logistic regression on forecasts that had not seen the labels."""

from __future__ import annotations

from typing import Final

import numpy as np

from pointsman.predict.quality.logistic_fit import fit_logistic
from pointsman.types import Floats

_PRIOR: Final = np.array([0.0, 0.6, 0.5])
"""Without data: a little less sure together than each alone would be if they were independent."""
_TO_PRIOR: Final = 10.0
_TO_ALL: Final = 100.0
_LEAST: Final = np.array([-np.inf, 0.0, 0.0])


def stack_weights(odds: Floats, labels: Floats, base: Floats) -> Floats:
    """An offset and two weights for each endpoint, shape (E, 3).

    Args:
        odds: log-odds of the two members less `base`, shape (2, N, E).
        labels: shape (N, E), NaN where missing.
        base: log-odds of each endpoint's mean, shape (E,).
    """
    known = np.isfinite(labels)
    of_all = _regress(
        odds[:, known], labels[known], np.broadcast_to(base, labels.shape)[known], _PRIOR, _TO_PRIOR
    )
    of_all[0] = 0.0
    return np.array(
        [
            _regress(odds[:, rows, endpoint], labels[rows, endpoint], base[endpoint], of_all, _TO_ALL)
            for endpoint, rows in enumerate(known.T)
        ]
    )


def _regress(odds: Floats, labels: Floats, base: Floats, prior: Floats, precision: float) -> Floats:
    """An offset and the members' weights, which are not negative, held to a prior."""
    design = np.column_stack([np.ones(odds.shape[1]), *odds])
    return fit_logistic(design, labels, prior, np.full(3, precision), offset=base, least=_LEAST)
