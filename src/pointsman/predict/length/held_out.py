"""How good forecasts of lengths are, of prompts that were held out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from pointsman.metrics.kendall import PairCounts, pair_counts
from pointsman.metrics.regression import coverage, quantile_loss
from pointsman.predict.length.curves import LEVELS
from pointsman.predict.length.heads import SHIFT_TOKENS
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.length_levels import endpoint_quantiles
from pointsman.types import Floats

Ints = NDArray[np.int64]
INTERVALS: Final = (0.8, 0.95)


@dataclass(frozen=True, slots=True)
class SetMeasures:
    """Of the answers to one data set's prompts.

    Attributes:
        name: of the set.
        answers: how many lengths.
        tau: Kendall's tau-b of the median forecast, among the answers of one endpoint.
        tau_input: the same of the prompt's size.
        loss: quantile loss, tokens.
        loss_plain: of forecasts that give each endpoint's own quantiles, whatever the text.
        held_80, held_95: share of lengths inside their interval.
    """

    name: str
    answers: int
    tau: float
    tau_input: float
    loss: float
    loss_plain: float
    held_80: float
    held_95: float


@dataclass(frozen=True, slots=True)
class LengthMeasures:
    """Of all answers, and of each set.

    Attributes:
        tau: over all pairs of answers, of any set and endpoint.
        tau_within: over pairs of one set and endpoint.
        tau_across: over all other pairs; NaN where there are none.
        whole: all sets together, its `tau` that of `tau_within`.
        sets: by set.
    """

    tau: float
    tau_within: float
    tau_across: float
    whole: SetMeasures
    sets: tuple[SetMeasures, ...]

    @classmethod
    def of(cls, matrix: OutcomeMatrix, curves: Floats, set_of: Ints, names: Sequence[str]) -> Self:
        """Measure forecasts.

        Args:
            matrix: N queries.
            curves: shape (N, E, QUANTILES), of prompts held out.
            set_of: the set of each query, shape (N,), an index of `names`.
            names: of the sets.
        """
        cells = _Cells.of(matrix, curves, set_of)
        middle, tokens = cells.median, cells.tokens
        everything = pair_counts(middle, tokens)
        within = cells.counts(middle)
        across = everything.less(within)
        found = [number for number in range(len(names)) if (cells.sets == number).any()]
        return cls(
            everything.tau,
            within.tau,
            across.tau,
            cells.measures("all"),
            tuple(cells.only(number).measures(names[number]) for number in found),
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it; what is NaN is None."""
        whole = {name: value for name, value in asdict(self.whole).items() if name not in ("name", "tau")}
        made: dict[str, Any] = {
            "tau": self.tau,
            "tau_within": self.tau_within,
            "tau_across": self.tau_across,
        } | whole
        made |= {"sets": {each.name: _told(each.tau) for each in self.sets}}
        return {name: _told(value) if isinstance(value, float) else value for name, value in made.items()}


def _told(value: float) -> float | None:
    return value if math.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class _Cells:
    """The known lengths, shape (C,), with their forecasts, shape (C, QUANTILES)."""

    tokens: Floats
    curves: Floats
    plain: Floats
    inputs: Floats
    sets: Ints
    strata: Ints

    @classmethod
    def of(cls, matrix: OutcomeMatrix, curves: Floats, set_of: Ints) -> Self:
        row, column = np.nonzero(np.isfinite(matrix.output_tokens))
        size = np.array([float(len(prompt.encode("utf-8", "surrogatepass"))) for prompt in matrix.prompts])
        return cls(
            matrix.output_tokens[row, column],
            curves[row, column],
            endpoint_quantiles(matrix.output_tokens)[column],
            size[row],
            set_of[row],
            set_of[row] * len(matrix.endpoints) + column,
        )

    @property
    def median(self) -> Floats:
        middle = self.curves.shape[1] // 2
        made: Floats = self.curves[:, middle - 1 : middle + 1].mean(axis=1)
        return made

    def only(self, number: int) -> _Cells:
        rows = self.sets == number
        return _Cells(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def counts(self, forecast: Floats) -> PairCounts:
        """Pairs of one set and endpoint."""
        order = np.argsort(self.strata, kind="stable")
        starts = np.flatnonzero(np.diff(self.strata[order], prepend=-1))
        total = PairCounts(0, 0, 0, 0)
        for rows in np.split(order, starts[1:]):
            total = total.plus(pair_counts(forecast[rows], self.tokens[rows]))
        return total

    def measures(self, name: str) -> SetMeasures:
        held = [coverage(self.tokens, *interval(self.curves, share)) for share in INTERVALS]
        return SetMeasures(
            name,
            len(self.tokens),
            self.counts(self.median).tau,
            self.counts(self.inputs).tau,
            quantile_loss(self.tokens, self.curves, LEVELS),
            quantile_loss(self.tokens, self.plain, LEVELS),
            *held,
        )


def interval(curves: Floats, share: float) -> tuple[Floats, Floats]:
    """The ends between which a share of lengths lies, from curves of shape (..., QUANTILES).

    Between two quantiles logarithms are drawn straight; a share above .95 gives the curve's own ends.
    """
    logs = np.log(SHIFT_TOKENS + curves)
    low = float(np.interp((1 - share) / 2, LEVELS, np.arange(len(LEVELS))))
    at = int(low)
    part = low - at
    after = min(at + 1, len(LEVELS) - 1)
    below = logs[..., at] * (1 - part) + logs[..., after] * part
    above = logs[..., -1 - at] * (1 - part) + logs[..., -1 - after] * part
    return np.exp(below) - SHIFT_TOKENS, np.exp(above) - SHIFT_TOKENS
