"""How many tokens an answer has: two models, both a curve of quantiles that a cap cuts.

    linear     out ~ slope * in + intercept; without data 1.028 in + 44.12
    task_mean  the lengths seen for the prompt's task, shrunk to those of all tasks

A curve has `QUANTILES` values at equal shares of probability. Under a cap (`max_tokens`) each is at
most the cap, so that the mean and the interval are those of a capped answer, not a cut-off mean.
Answers that a cap cut when they were measured count as "longer than this" (Kaplan and Meier).
Source of the default line: the energy, time and correctness aware scheduler (its description).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from pointsman.errors import DataError
from pointsman.predict.quantiles import censored_quantiles
from pointsman.types import Bools, Floats

QUANTILES: Final = 20
LEVELS: Final = (np.arange(QUANTILES) + 0.5) / QUANTILES
DEFAULT_SLOPE: Final = 1.028
DEFAULT_INTERCEPT_TOKENS: Final = 44.12
_SHRINK_ROWS: Final = 5.0
_MIN_TOKENS: Final = 1.0


@dataclass(frozen=True, slots=True)
class LengthRows:
    """Measured lengths, shape (N,): `cut` is True where the answer was ended by its cap."""

    input_tokens: Floats
    output_tokens: Floats
    cut: Bools
    task: Sequence[str]

    def __post_init__(self) -> None:
        """Raises DataError for no rows, unequal lengths, NaN or negative counts."""
        sizes = {len(self.input_tokens), len(self.output_tokens), len(self.cut), len(self.task)}
        if len(sizes) > 1 or sizes == {0}:
            raise DataError(f"lengths need columns of one length and at least one row, not {sizes}")
        for name, column in (("input_tokens", self.input_tokens), ("output_tokens", self.output_tokens)):
            if not (np.isfinite(column) & (column >= 0)).all():
                raise DataError(f"{name} holds NaN or a negative count", remedy="Remove those rows")


@dataclass(frozen=True, slots=True)
class LinearLength:
    """`slope * in + intercept_tokens`, times the quantiles `ratios` seen around that line.

    Attributes:
        ratios: shape (QUANTILES,); their mean is 1. All ones where nothing was measured; the interval
            is then absent.
    """

    name: ClassVar[str] = "linear"
    slope: float = DEFAULT_SLOPE
    intercept_tokens: float = DEFAULT_INTERCEPT_TOKENS
    ratios: tuple[float, ...] = (1.0,) * QUANTILES

    @classmethod
    def fit(cls, rows: LengthRows) -> LinearLength:
        """Least squares; a constant input gives slope 0. A slope below 0 is kept as fitted."""
        spread = rows.input_tokens - rows.input_tokens.mean()
        variance = float(spread @ spread)
        slope = float(spread @ rows.output_tokens) / variance if variance > 0 else 0.0
        intercept = float(rows.output_tokens.mean()) - slope * float(rows.input_tokens.mean())
        line = np.maximum(intercept + slope * rows.input_tokens, _MIN_TOKENS)
        ratios = censored_quantiles(rows.output_tokens / line, rows.cut, np.ones_like(line), LEVELS)
        return cls(slope, intercept, tuple(float(ratio) for ratio in ratios / max(ratios.mean(), 1e-9)))

    @property
    def measured(self) -> bool:
        """False for the documented default, which has no interval."""
        return len(set(self.ratios)) > 1

    def curve(self, task: str, input_tokens: Floats) -> Floats:
        """Quantiles of the uncapped length, shape (..., QUANTILES)."""
        del task  # the line is the same for all
        line = np.maximum(self.intercept_tokens + self.slope * input_tokens, _MIN_TOKENS)
        return np.asarray(line[..., None] * np.array(self.ratios), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class TaskMeanLength:
    """The lengths seen for each task, shrunk to those of all tasks.

    Attributes:
        curves: task -> quantiles; the key "" is for a task that was not measured.
        rows: task -> how many answers its curve stands on.
    """

    name: ClassVar[str] = "task_mean"
    curves: Mapping[str, tuple[float, ...]]
    rows: Mapping[str, int]

    @classmethod
    def fit(cls, rows: LengthRows) -> TaskMeanLength:
        """All rows together count as much as `_SHRINK_ROWS` of the task's own."""
        tasks = np.array(list(rows.task))
        curves: dict[str, tuple[float, ...]] = {}
        for task in ("", *sorted(set(rows.task))):
            own = tasks == task
            weights = np.where(own, 1.0, 0.0) + _SHRINK_ROWS / len(tasks)
            curve = censored_quantiles(rows.output_tokens, rows.cut, weights, LEVELS)
            curves[task] = tuple(float(value) for value in curve)
        return cls(curves, {task: int((tasks == task).sum()) for task in curves if task} | {"": len(tasks)})

    @property
    def measured(self) -> bool:
        """It always stands on measured rows."""
        return True

    def curve(self, task: str, input_tokens: Floats) -> Floats:
        """Quantiles of the uncapped length, shape (..., QUANTILES)."""
        values = np.array(self.curves.get(task, self.curves[""]))
        return np.broadcast_to(values, (*np.shape(input_tokens), QUANTILES))


LengthModel = LinearLength | TaskMeanLength


def capped(curve: Floats, cap_tokens: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean, 5% and 95% quantile of an answer's length under a cap.

    Args:
        curve: shape (..., QUANTILES), rising.
        cap_tokens: shape (...), infinity where there is none.
    """
    cut = np.minimum(curve, cap_tokens[..., None])
    mean = cut.sum(axis=-1) * (1.0 / QUANTILES)
    low = 0.5 * (cut[..., 0] + cut[..., 1])
    high = 0.5 * (cut[..., -1] + cut[..., -2])
    return mean, low, high


def predict_length(
    model: LengthModel, task: str, input_tokens: Floats, cap_tokens: Floats
) -> tuple[Floats, Floats, Floats]:
    """Mean, low and high of the capped length; the bounds are NaN for an unmeasured default."""
    mean, low, high = capped(model.curve(task, input_tokens), cap_tokens)
    if model.measured:
        return mean, low, high
    return mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
