"""The profiles of E endpoints as arrays, so that one request costs a fixed number of array operations.

Everything that does not depend on the request is computed once: polynomial tables for each number of
running requests, quantile curves and quality for each task.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from pointsman.predict.length import QUANTILES, LinearLength, predict_length
from pointsman.predict.model_profile import CostCurve, ModelProfile, QualityPrior
from pointsman.predict.polynomial import polynomial
from pointsman.predict.refined import MAX_LOG, OCTAVES, RefinedCost
from pointsman.predict.task import TASKS
from pointsman.types import Floats

MAX_RUNNING: Final = 64
"""Requests running on an endpoint beyond which predictions no longer change."""

_TASK_ROWS: Final = {task: index for index, task in enumerate(TASKS)}


class EndpointBank:
    """Arrays over endpoints (E), quantities (2: time, energy), tasks (T), quantiles (Q).

    Attributes:
        tables: shape (MAX_RUNNING + 1, A, E, 2, B): coefficient of in^a out^b under load, with as many
            powers as any model has.
        widths: shape (MAX_RUNNING + 1, E, 2, 2): log widths below and above at known token counts.
        scale: shape (E, 2, 2): of the widths below and above, once the length is uncertain.
        floor: shape (E, 2, 1).
        quality: shape (T, 3, E): value, low, high.
    """

    def __init__(self, profiles: Sequence[ModelProfile]) -> None:
        curves = [(profile.time, profile.energy) for profile in profiles]
        running = np.arange(MAX_RUNNING + 1, dtype=np.float64)
        tables = np.array([[_under_load(curve, running) for curve in pair] for pair in curves])
        in_powers = 1 + int(np.flatnonzero(tables.any(axis=(0, 1, 2, 4))).max(initial=0))
        out_powers = 1 + int(np.flatnonzero(tables.any(axis=(0, 1, 2, 3))).max(initial=0))
        self.tables = np.ascontiguousarray(tables[..., :in_powers, :out_powers].transpose(2, 3, 0, 1, 4))
        widths = np.array([[curve.spread.at(running + 1.0) for curve in pair] for pair in curves])
        self.widths = np.ascontiguousarray(widths.transpose(3, 0, 1, 2))
        spreads = [[curve.spread for curve in pair] for pair in curves]
        self.scale = np.array([[(each.scale_below, each.scale_above) for each in pair] for pair in spreads])
        self.floor = np.array([[[curve.floor] for curve in pair] for pair in curves])
        self.per_byte = np.array([profile.tokens.per_byte for profile in profiles])
        self.template_tokens = np.array([profile.tokens.template_tokens for profile in profiles])
        self._fill_lengths(profiles)
        self._fill_corrections(curves)
        priors = [[_prior(profile, task) for profile in profiles] for task in TASKS]
        self.quality = np.array(
            [[[getattr(prior, name) for prior in row] for name in ("mean", "low", "high")] for row in priors]
        )

    def task_row(self, task: str) -> int:
        """The index of a task in the arrays over tasks."""
        return _TASK_ROWS[task]

    def correction(self, input_tokens: Floats, output_tokens: Floats) -> Floats | None:
        """The factor of refined models, shape (R, E, 2); None where no model is refined."""
        if self._knots is None:
            return None
        at_input = np.log2(input_tokens + 1.0)[..., None, None]
        at_output = np.log2(output_tokens + 1.0)[..., None, None]
        distance = (at_input - self._knots[0]) ** 2 + (at_output - self._knots[1]) ** 2
        log = (np.exp(distance * (-0.5 / OCTAVES**2)) * self._knot_weights).sum(axis=-1)
        return np.asarray(np.exp(np.clip(log, -MAX_LOG, MAX_LOG)), dtype=np.float64)

    def _fill_lengths(self, profiles: Sequence[ModelProfile]) -> None:
        """Curves (T, E, Q); for lines their ratios (E, Q), slope and intercept (E,), else zeros."""
        count = len(profiles)
        self.curves = np.zeros((len(TASKS), count, QUANTILES))
        self.line_ratios = np.zeros((count, QUANTILES))
        self.slope, self.intercept_tokens = np.zeros(count), np.zeros(count)
        self.length_known = np.ones(count)
        for column, profile in enumerate(profiles):
            model = profile.length
            if isinstance(model, LinearLength):
                self.line_ratios[column] = model.ratios
                self.slope[column], self.intercept_tokens[column] = model.slope, model.intercept_tokens
                self.length_known[column] = 1.0 if model.measured else np.nan
            else:
                self.curves[:, column] = [model.curve(task, np.zeros(())) for task in TASKS]
        self.has_lines = bool(self.line_ratios.any())
        self.all_lengths_known = bool(np.isfinite(self.length_known).all())

    def _fill_corrections(self, curves: Sequence[tuple[CostCurve, CostCurve]]) -> None:
        models = [[curve.model for curve in pair] for pair in curves]
        refined = [model for pair in models for model in pair if isinstance(model, RefinedCost)]
        size = max((len(model.knots) for model in refined), default=0)
        self._knots: Floats | None = None
        if not size:
            return
        self._knots = np.zeros((2, len(curves), 2, size))
        self._knot_weights = np.zeros((len(curves), 2, size))
        for column, pair in enumerate(models):
            for quantity, model in enumerate(pair):
                if isinstance(model, RefinedCost):
                    used = len(model.knots)
                    self._knots[:, column, quantity, :used] = model.knots.T
                    self._knot_weights[column, quantity, :used] = model.knot_weights


def prior_lengths(profile: ModelProfile) -> tuple[Floats, Floats, Floats]:
    """Mean, low and high length of an answer to an unknown prompt of 100 tokens, each of shape ()."""
    return predict_length(profile.length, "", np.array(100.0), np.array(np.inf))


def _under_load(curve: CostCurve, running: Floats) -> Floats:
    """Polynomial tables, shape (len(running), 3, 4)."""
    on_input, on_output = curve.load.at(running + 1.0)
    factors = np.concatenate([on_input[:, None], np.repeat(on_output[:, None], 3, axis=1)], axis=1)
    return factors[:, None, :] * polynomial(curve.model)


def _prior(profile: ModelProfile, task: str) -> QualityPrior:
    return profile.quality.get(task, profile.quality[""])
