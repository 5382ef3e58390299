"""How measured costs stray from fitted ones as time goes on: a factor and a width an endpoint.

    log factor += gain * trust * (ln(measured / predicted without drift) - log factor)
    log width  += rate * (0.9 if the measurement lay outside its interval, else -0.1)

The first is a log-EWMA with a half-life of 10 trusted requests: one that ran beside others says less
of drift, since what the others did is in it. The second raises or lowers an interval's width until 9 of 10 measurements
lie inside, whatever the spread was at the time of the fit (adaptive conformal inference).
Clipping what is surprising was tried and is not better (`docs/log.md`).
Source: Gibbs and Candes, Adaptive Conformal Inference Under Distribution Shift (2021), for the width;
theirs moves the quantile's level, ours the logarithm of the width.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from pointsman.errors import BadRequest
from pointsman.types import Floats

HALF_LIFE_REQUESTS: Final = 10.0
NOMINAL: Final = 0.9
TIME, ENERGY = 0, 1
"""Columns of the arrays."""

_MAX_LOG_FACTOR: Final = math.log(30.0)
_WIDTH_RATE: Final = 0.03
_MAX_LOG_WIDTH: Final = math.log(8.0)


class Drift:
    """The only mutable part of a prediction; arrays of shape (E, 2), time and energy.

    Attributes:
        factor: what predictions are multiplied by; between 1/30 and 30, 1 at first.
        width: what the logs of interval widths are multiplied by; between 1/8 and 8, 1 at first.
        seen: measurements taken in.
    """

    def __init__(self, n_endpoints: int, *, half_life_requests: float = HALF_LIFE_REQUESTS) -> None:
        if not half_life_requests > 0:
            raise BadRequest(
                f"a half-life of {half_life_requests} requests can't be used", remedy="Give a number above 0"
            )
        self._gain = 1.0 - 0.5 ** (1.0 / half_life_requests)
        self._log_factor: Floats = np.zeros((n_endpoints, 2))
        self._log_width: Floats = np.zeros((n_endpoints, 2))
        self.factor: Floats = np.ones((n_endpoints, 2))
        self.width: Floats = np.ones((n_endpoints, 2))
        self.seen = np.zeros((n_endpoints, 2), dtype=np.int64)

    def update(
        self,
        endpoint: int,
        quantity: int,
        log_ratio: float,
        *,
        below: float = math.nan,
        above: float = math.nan,
        trust: float = 1.0,
    ) -> None:
        """Take in one measurement.

        Args:
            endpoint: its index.
            quantity: `TIME` or `ENERGY`.
            log_ratio: ln(measured / predicted without drift), token counts known; not finite: ignored.
            below: the log width under the prediction that the fit found; NaN where it has none.
            above: the same, over it.
            trust: in [0, 1], how much the factor heeds it; less for a noisy one (`Spread.trust`).
        """
        if not math.isfinite(log_ratio):
            return
        at = (endpoint, quantity)
        surprise = log_ratio - float(self._log_factor[at])
        if math.isfinite(below) and math.isfinite(above):
            width = float(self.width[at])
            outside = not -below * width <= surprise <= above * width
            moved = float(self._log_width[at]) + _WIDTH_RATE * (NOMINAL if outside else NOMINAL - 1.0)
            self._log_width[at] = min(max(moved, -_MAX_LOG_WIDTH), _MAX_LOG_WIDTH)
            self.width[at] = math.exp(self._log_width[at])
        moved = float(self._log_factor[at]) + self._gain * trust * surprise
        self._log_factor[at] = min(max(moved, -_MAX_LOG_FACTOR), _MAX_LOG_FACTOR)
        self.factor[at] = math.exp(self._log_factor[at])
        self.seen[at] += 1
