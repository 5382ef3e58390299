"""From a text's score to the lengths of each endpoint's answers; heads share strength.

    location_e = mean_e + unit * (offset_e + features . (sqrt(share) shared + sqrt(1 - share) own_e))
    tokens at a level = exp(location_e + unit * spread * level_e) - 8

Features are the score, for it alone looks at words, and the dense columns of the text. What is learnt is
log(8 + tokens): among answers of a few tokens differences are chance, and there the logarithm is flat.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from pointsman.predict.length.spread import Spread
from pointsman.predict.quality.row_products import row_products
from pointsman.predict.quality.shared_fit import Singles, fit_shared
from pointsman.types import Floats

SHIFT_TOKENS: Final = 8.0
_SHARE: Final = 0.8
_PRECISION: Final = 4.0
_LEAST_UNIT: Final = 1e-3
_MOST_TOKENS: Final = 1e7


@dataclass(frozen=True, slots=True)
class Scale:
    """Lengths as logarithms of one unit, each endpoint's around 0.

    Attributes:
        mean: of log(8 + tokens), shape (E,).
        unit: what a 1 stands for in that logarithm: the spread within endpoints.
    """

    mean: Floats
    unit: float

    @classmethod
    def of(cls, tokens: Floats) -> Self:
        """Of lengths of shape (N, E), NaN where missing; an endpoint without any has the mean of all."""
        logs = np.log(SHIFT_TOKENS + tokens)
        known = np.isfinite(logs)
        count = known.sum(axis=0)
        mean = np.where(known, logs, 0).sum(axis=0) / np.maximum(count, 1)
        mean = np.where(count > 0, mean, logs[known].mean())
        return cls(mean, max(float(np.sqrt(np.nanmean((logs - mean) ** 2))), _LEAST_UNIT))

    def standard(self, tokens: Floats) -> Floats:
        """Tokens, shape (N, E), in units."""
        made: Floats = (np.log(SHIFT_TOKENS + tokens) - self.mean) / self.unit
        return made

    def tokens(self, standard: Floats) -> Floats:
        """Back, from shape (R, E, Q); none is below 0."""
        raised = np.exp(self.mean[:, None] + self.unit * standard) - SHIFT_TOKENS
        return np.clip(raised, 0.0, _MOST_TOKENS)


@dataclass(frozen=True, slots=True)
class LengthHeads:
    """One location and one curve an endpoint.

    Attributes:
        scale: of all endpoints.
        weights: of the features, shape (F, E).
        offsets: shape (E,).
        ends: the least and the largest location that was learnt, in units.
        spread: of the features.
        levels: shape (E, QUANTILES), rising.
    """

    scale: Scale
    weights: Singles
    offsets: Singles
    ends: tuple[float, float]
    spread: Spread
    levels: Floats

    def location(self, features: Singles) -> Floats:
        """In units, shape (R, E)."""
        found = row_products(features, self.weights) + self.offsets
        return np.clip(found.astype(np.float64), *self.ends)

    def curves(self, features: Singles) -> Floats:
        """Quantiles of tokens at `LEVELS`, shape (R, E, QUANTILES)."""
        return curves(self.scale, self.location(features), self.spread.at(features), self.levels)

    def to_arrays(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays, and the rest as JSON can hold it."""
        arrays: dict[str, NDArray[Any]] = {
            "mean": self.scale.mean,
            "weights": self.weights,
            "offsets": self.offsets,
            "spread": self.spread.weights,
            "levels": self.levels,
        }
        return arrays, {"unit": self.scale.unit, "freedom": self.spread.freedom, "ends": list(self.ends)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], rest: Mapping[str, Any]) -> Self:
        """What `to_arrays` gave."""
        low, high = (float(end) for end in rest["ends"])
        return cls(
            Scale(arrays["mean"].astype(np.float64), float(rest["unit"])),
            arrays["weights"].astype(np.float32, copy=False),
            arrays["offsets"].astype(np.float32, copy=False),
            (low, high),
            Spread(arrays["spread"].astype(np.float64), float(rest["freedom"])),
            arrays["levels"].astype(np.float64),
        )


def curves(scale: Scale, location: Floats, spread: Floats, levels: Floats) -> Floats:
    """Quantiles of tokens, shape (R, E, Q), from locations (R, E), spreads (R,) and levels (E, Q)."""
    return scale.tokens(location[..., None] + spread[:, None, None] * levels)


def features_of(scores: Floats | Singles, dense: Singles) -> Singles:
    """What heads read of R texts, shape (R, 1 + D)."""
    return np.column_stack([scores, dense]).astype(np.float32)


def fit_location(features: Singles, standard: Floats) -> tuple[Singles, Singles]:
    """Weights, shape (F, E), and offsets, shape (E,), by least squares; targets NaN where missing."""
    fitted = fit_shared(
        features,
        standard,
        np.zeros(standard.shape[1]),
        share=_SHARE,
        precision=_PRECISION,
        logistic=False,
    )
    return fitted.weights, fitted.offsets
