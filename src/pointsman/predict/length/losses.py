"""What a score of texts is fitted to: smooth losses of N scores, with their slopes.

    listmle   lists of 32 texts: how likely the shortest is picked first, then the next, and so on
    pairwise  pairs of texts: by how much a margin of 1 between longer and shorter is missed, squared

Sources: ListMLE, Xia et al. (2008), as vLLM-LTR uses it; the margin as in PARS, squared here, so that a
quasi-Newton step finds the optimum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pointsman.types import Floats

Loss = Callable[[Floats], tuple[float, Floats]]
"""Scores of shape (N,) -> the summed loss, and its derivative by each score."""

LIST_TEXTS: Final = 32
_PARTITIONS: Final = 8
"""How often the texts are dealt out to lists or pairs anew."""
_PAIRINGS: Final = 24
_LEAST_GAP: Final = 0.2
"""Pairs whose targets are closer, in standard deviations, say more of chance than of the texts."""


def listmle(targets: Floats, rng: np.random.Generator) -> Loss:
    """Lists drawn from all N texts, `_PARTITIONS` times; the loss is per text and partition."""
    n = len(targets)
    size = min(LIST_TEXTS, n)
    lists = [np.resize(rng.permutation(n), (-(-n // size), size)) for _ in range(_PARTITIONS)]
    members = np.concatenate(lists)
    members = np.take_along_axis(members, np.argsort(targets[members], axis=1, kind="stable"), axis=1)

    def loss(scores: Floats) -> tuple[float, Floats]:
        drawn = -scores[members]  # the shortest has the highest chance to be picked first
        left = np.logaddexp.accumulate(drawn[:, ::-1], axis=1)[:, ::-1]
        total = (left - drawn).sum()
        slope = np.exp(drawn + np.logaddexp.accumulate(-left, axis=1)) - 1
        by_text = np.bincount(members.ravel(), -slope.ravel(), minlength=n)
        return float(total) / _PARTITIONS, by_text / _PARTITIONS

    return loss


def pairwise(targets: Floats, rng: np.random.Generator) -> Loss:
    """Random pairs, `_PAIRINGS` a text; the loss is per text and pairing."""
    n = len(targets)
    pairs = np.concatenate([_pairing(n, rng) for _ in range(_PAIRINGS)], axis=1)
    gap = targets[pairs[0]] - targets[pairs[1]]
    pairs = np.where(gap > 0, pairs, pairs[::-1])[:, np.abs(gap) >= _LEAST_GAP * targets.std()]
    longer, shorter = pairs

    def loss(scores: Floats) -> tuple[float, Floats]:
        missed = np.maximum(1 - (scores[longer] - scores[shorter]), 0)
        both = np.bincount(shorter, missed, minlength=n) - np.bincount(longer, missed, minlength=n)
        return 0.5 * float(missed @ missed) / _PAIRINGS, both / _PAIRINGS

    return loss


def _pairing(n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """N texts paired with others by a shift of a random order, shape (2, N)."""
    order = rng.permutation(n)
    return np.stack([order, np.roll(order, 1)])
