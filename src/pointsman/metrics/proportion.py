"""Shares with their intervals."""

from __future__ import annotations

from math import sqrt

Z_95 = 1.959964
"""Two-sided 95% quantile of the normal distribution."""


def wilson_interval(successes: float, n: float, z: float = Z_95) -> tuple[float, float]:
    """Wilson's score interval of a share; (0, 1) where n = 0.

    Source: Wilson 1927; unlike the normal approximation it never leaves [0, 1].
    """
    if n == 0:
        return 0.0, 1.0
    share = successes / n
    middle = share + z**2 / (2 * n)
    half = z * sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    low, high = (middle - half) / scale, (middle + half) / scale
    return min(max(0.0, low), share), max(min(1.0, high), share)  # rounding may leave the share outside
