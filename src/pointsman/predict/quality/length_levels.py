"""Quantiles of answers' lengths, at `predict.length.LEVELS`."""

from __future__ import annotations

import numpy as np

from pointsman.predict.length import LEVELS, QUANTILES
from pointsman.types import Floats


def endpoint_quantiles(output_tokens: Floats) -> Floats:
    """Of each column's lengths, shape (E, QUANTILES); NaN for a column without any.

    Args:
        output_tokens: shape (N, E), NaN where missing.
    """
    levels = np.full((output_tokens.shape[1], QUANTILES), np.nan)
    for column, tokens in enumerate(output_tokens.T):
        known = tokens[np.isfinite(tokens)]
        if len(known):
            levels[column] = np.quantile(known, LEVELS, method="inverted_cdf")
    return levels


def row_quantiles(tokens: Floats, weight: Floats, own: Floats, shrink: float) -> Floats:
    """Weighted quantiles of each row's lengths, beside a curve that counts as `shrink` of them.

    A quantile is the smallest length that a share of the weight does not exceed.

    Args:
        tokens: shape (R, k).
        weight: shape (R, k); 0 leaves the length out.
        own: shape (QUANTILES,): the curve.
        shrink: at least 0.

    Returns: shape (R, QUANTILES), rising.
    """
    rows = len(tokens)
    lengths = np.concatenate([tokens, np.broadcast_to(own, (rows, QUANTILES))], axis=1)
    weights = np.concatenate([weight, np.full((rows, QUANTILES), shrink / QUANTILES)], axis=1)
    order = np.argsort(lengths, axis=1, kind="stable")
    lengths = np.take_along_axis(lengths, order, 1)
    share = np.cumsum(np.take_along_axis(weights, order, 1), axis=1)
    share /= share[:, -1:]
    first = (share[:, :, None] < LEVELS - 1e-9).sum(axis=1)
    return np.take_along_axis(lengths, first, 1)


def range_ends(curves: Floats) -> tuple[Floats, Floats]:
    """The 5% and the 95% quantile of curves of shape (..., QUANTILES), each between two of them."""
    return curves[..., :2].mean(axis=-1), curves[..., -2:].mean(axis=-1)
