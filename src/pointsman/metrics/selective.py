"""Selective prediction: how often the answers kept are wrong when only the most trusted are kept.

Labels of shape (N,) in [0, 1], 1 where right; the risk is 1 - label. Rows of equal trust are kept in
random order: each has the mean risk of its ties.
Source: El-Yaniv and Wiener 2010; the excess over the optimum: Geifman, Uziel and El-Yaniv 2019.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pointsman.metrics.columns import check_columns, check_shares
from pointsman.types import Floats


class RiskCoverage(NamedTuple):
    """Mean risk of the answers kept at each coverage 1/N, 2/N ... 1; arrays of shape (N,)."""

    coverage: Floats
    risk: Floats


def risk_coverage(labels: Floats, trust: Floats) -> RiskCoverage:
    """The curve from keeping only the most trusted answer to keeping all."""
    check_columns(labels, trust)
    check_shares("label", labels)
    _, level, count = np.unique(-trust, return_inverse=True, return_counts=True)
    per_level = np.bincount(level.ravel(), 1 - labels) / count
    kept = np.arange(1, len(labels) + 1)
    return RiskCoverage(kept / len(labels), np.cumsum(np.repeat(per_level, count)) / kept)


def aurc(labels: Floats, trust: Floats) -> float:
    """Area under the risk-coverage curve: the mean risk over all coverages; lower is better."""
    return float(risk_coverage(labels, trust).risk.mean())


def excess_aurc(labels: Floats, trust: Floats) -> float:
    """`aurc` less that of the best order, by the labels themselves; 0 is perfect."""
    return aurc(labels, trust) - aurc(labels, labels)
