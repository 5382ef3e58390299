"""Probabilities and log-odds, and the interval of a share."""

from __future__ import annotations

from typing import Final

import numpy as np

from pointsman.types import Floats

Z_90: Final = 1.644854
"""Half the width of an interval that holds 90% of a normal distribution, in standard deviations."""

_EDGE: Final = 1e-6


def logit(share: Floats) -> Floats:
    """Log-odds of shares, those at 0 and 1 taken as 1e-6 from there."""
    inside = np.clip(share, _EDGE, 1.0 - _EDGE)
    return np.asarray(np.log(inside / (1.0 - inside)))


def sigmoid(odds: Floats) -> Floats:
    """The share that has these log-odds."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * odds)))


def beta_interval(mean: Floats, labels: Floats) -> tuple[Floats, Floats]:
    """The 5% and 95% quantile of a Beta distribution with this mean, `labels` = alpha + beta.

    Its log-odds have a known mean and variance (digamma, trigamma) and are taken as normal:
    right to .04, where alpha or beta is below 3, else to .01. The mean is always inside. Arrays of one shape.
    """
    alpha, beta = mean * labels, (1.0 - mean) * labels
    centre = _digamma(alpha) - _digamma(beta)
    half = Z_90 * np.sqrt(_trigamma(alpha) + _trigamma(beta))
    return np.minimum(sigmoid(centre - half), mean), np.maximum(sigmoid(centre + half), mean)


def _digamma(x: Floats) -> Floats:
    """To .001: two steps of its recurrence, then the asymptotic series."""
    x = np.maximum(x, _EDGE)
    y = x + 2.0
    return np.asarray(np.log(y) - 1.0 / (2.0 * y) - 1.0 / (12.0 * y**2) - 1.0 / x - 1.0 / (x + 1.0))


def _trigamma(x: Floats) -> Floats:
    x = np.maximum(x, _EDGE)
    y = x + 2.0
    return np.asarray(1.0 / y + 1.0 / (2.0 * y**2) + 1.0 / (6.0 * y**3) + 1.0 / x**2 + 1.0 / (x + 1.0) ** 2)
