"""What a single answer may turn out to be: sets, intervals and curves that hold as much as they say.

Fitted on forecasts of rows that the model has not learnt from:

    labels, all 0 or 1    sets over {wrong, right}
    labels between        intervals around the expected score, wider where it is near one half
    lengths               the curve of quantiles with both ends moved in log(1 + tokens), so that the range
                          from its 5% to its 95% quantile holds `LEVEL` of the answers

A forecast's own interval is of an expectation; these are of one answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from pointsman.errors import DataError
from pointsman.predict.length import QUANTILES
from pointsman.predict.quality.base import QualityForecast
from pointsman.predict.quality.conformal import ConformalIntervals, ConformalSets
from pointsman.predict.quality.length_levels import range_ends
from pointsman.types import Bools, Floats

LEVEL: Final = 0.9
"""That of the range from the 5% to the 95% quantile."""

_ENDS: Final = 2
"""Quantiles at either end of a curve, whose mean is the range's end."""
_ROUNDING: Final = 1e-9
"""Lengths are whole numbers, and many lie at the very end of a range: these are to be in it."""
_LEAST_SPREAD: Final = 0.05

Range = tuple[Floats, Floats]
"""Low and high ends, of one shape."""


class LabelRegions(NamedTuple):
    """Of each row's set or interval, shape (N, E): does it hold the label, and its size or width."""

    covered: Bools
    size: Floats


@dataclass(frozen=True, slots=True)
class ConformalLengths:
    """How far the ends of curves of lengths are moved; what lies between stays, as far as it is between.

    Attributes:
        level: the share of answers in the range from the 5% to the 95% quantile.
        margin: shape (E,): by how much log(1 + tokens) moves at both ends; below 0 inwards.
    """

    level: float
    margin: Floats
    _factor: Floats = field(init=False, repr=False, compare=False)
    _more: Floats = field(init=False, repr=False, compare=False)
    _narrows: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raises DataError for a margin that is not finite."""
        if not np.isfinite(self.margin).all():
            raise DataError("a margin of lengths is not finite", remedy="Train again")
        factor = np.ones((len(self.margin), QUANTILES))
        factor[:, -_ENDS:] = np.exp(self.margin)[:, None]
        factor[:, :_ENDS] = 1.0 / factor[:, -_ENDS:]
        for name, value in (("_factor", factor), ("_more", factor - 1.0)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_narrows", bool((self.margin < 0).any()))

    @classmethod
    def fit(cls, output_tokens: Floats, curves: Floats | None) -> Self | None:
        """Margins from lengths of shape (N, E) and their curves; None for too few to say."""
        if curves is None:
            return None
        low, high = (np.log1p(end) for end in range_ends(curves))
        measured = np.where(np.isnan(low), np.nan, np.log1p(output_tokens))
        found = ConformalIntervals.fit(measured, low, high, LEVEL)
        margin = np.where(found.margin == 0, 0.0, found.margin + _ROUNDING)
        return cls(found.level, margin) if np.isfinite(margin).all() else None

    def moved(self, curves: Floats) -> Floats:
        """Curves of shape (R, E, QUANTILES), rising as before.

        Cost: 4 us for one request and ten endpoints, 10 us where a range narrows.
        """
        made: Floats = curves * self._factor
        made += self._more
        np.maximum(made, 0.0, out=made)
        if not self._narrows:
            return made
        inner = made[..., :-_ENDS]  # where the ends would cross, they meet at the upper one
        np.minimum(inner, made[..., -_ENDS, None], out=inner)
        inner = inner[..., _ENDS:]
        np.maximum(inner, made[..., _ENDS - 1, None], out=inner)
        return made


@dataclass(frozen=True, slots=True)
class ConformalLimits:
    """All limits of one model; each is None where there was nothing to fit it on.

    Attributes:
        sets: of labels that are all 0 or 1.
        scores: of other labels, in units of `score_spread`.
        lengths: of curves.
    """

    sets: ConformalSets | None = None
    scores: ConformalIntervals | None = None
    lengths: ConformalLengths | None = None

    @classmethod
    def fit(cls, labels: Floats, output_tokens: Floats, forecast: QualityForecast, *, graded: bool) -> Self:
        """From labels and lengths of shape (N, E), NaN where missing, and held-out forecasts of them.

        `graded`: the labels are scores, though these may all be 0 or 1.
        """
        expected = forecast.quality.value
        lengths = ConformalLengths.fit(output_tokens, forecast.output_tokens)
        if graded:
            spread = score_spread(expected)
            return cls(None, ConformalIntervals.fit(labels, expected, expected, LEVEL, spread), lengths)
        return cls(ConformalSets.fit(expected, labels, LEVEL), None, lengths)

    def score_range(self, expected: Floats) -> Range | None:
        """Where a score will lie, for expected ones of shape (R, E); None where limits are of sets."""
        if self.scores is None:
            return None
        low, high = self.scores.interval(expected, expected, score_spread(expected))
        return np.maximum(low, 0.0), np.minimum(high, 1.0)

    def regions(self, labels: Floats, expected: Floats) -> LabelRegions:
        """How sets, or else intervals of scores, do on labels of shape (N, E). Limits must be fitted."""
        ends = self.score_range(expected)
        if ends is not None:
            return LabelRegions((labels >= ends[0]) & (labels <= ends[1]), ends[1] - ends[0])
        assert self.sets is not None
        sets = self.sets.sets(expected)
        return LabelRegions(sets.covers(labels), sets.size.astype(np.float64))

    def applied(self, forecast: QualityForecast) -> QualityForecast:
        """The forecast with the ranges of its lengths moved."""
        curves = forecast.output_tokens
        if curves is None or self.lengths is None:
            return forecast
        return QualityForecast(forecast.quality, self.lengths.moved(curves))

    def to_arrays(self) -> dict[str, tuple[dict[str, NDArray[Any]], dict[str, Any]]]:
        """For each part that is there its arrays, and what JSON holds."""
        made: dict[str, tuple[dict[str, NDArray[Any]], dict[str, Any]]] = {}
        if self.sets is not None:
            limits = {"least_right": self.sets.least_right, "most_right": self.sets.most_right}
            made["sets"] = limits, {"level": self.sets.level}
        if self.scores is not None:
            made["scores"] = {"margin": self.scores.margin}, {"level": self.scores.level}
        if self.lengths is not None:
            made["lengths"] = {"margin": self.lengths.margin}, {"level": self.lengths.level}
        return made

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, Mapping[str, NDArray[Any]]],
        rest: Mapping[str, Any],
        n_endpoints: int,
    ) -> Self:
        """What `to_arrays` gave. Raises: DataError for limits of another number of endpoints."""
        made: dict[str, Any] = {}
        for name, kind in _KINDS.items():
            if name not in rest:
                continue
            for array in arrays[name].values():
                if array.shape != (n_endpoints,):
                    raise DataError(
                        f"limits of {name} have the shape {array.shape}, not {(n_endpoints,)}",
                        remedy="Train again",
                    )
            made[name] = kind(level=float(rest[name]["level"]), **arrays[name])
        return cls(**made)


_KINDS: Final[Mapping[str, Any]] = {
    "sets": ConformalSets,
    "scores": ConformalIntervals,
    "lengths": ConformalLengths,
}


def score_spread(expected: Floats) -> Floats:
    """The unit of a score's margin: sqrt(p (1 - p)), and a little more where that is near 0."""
    return np.asarray(np.sqrt(expected * (1.0 - expected)) + _LEAST_SPREAD)


def is_graded(labels: Floats) -> bool:
    """Whether a label is a score between 0 and 1."""
    return bool((~(np.isnan(labels) | (labels == 0) | (labels == 1))).any())
