"""Labels, and the plug-ins that give some."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np

from pointsman.build.plugins import plugin
from pointsman.clock import Clock
from pointsman.config import Config
from pointsman.data.outcome_folders import read_outcomes
from pointsman.live.feedback import Feedback
from pointsman.live.graders import Grader, Judge
from pointsman.live.grid import GridPredictor
from pointsman.live.growth import Growth
from pointsman.predict.base import Predictor
from pointsman.predict.learned import LearnedPredictor
from pointsman.store.decision_log import DecisionLog
from pointsman.store.labels import Served, read_served
from pointsman.types import Label


def graders_of(config: Config) -> tuple[Grader, ...]:
    """The configured graders. Raises: ConfigError where one is not installed or can't be loaded."""
    return tuple(
        Grader(made.name, made.share, cast(Judge, plugin("grade", made.name)))
        for made in config.feedback.graders
    )


def feedback_of(
    config: Config, log: DecisionLog | None, predictor: Predictor, clock: Clock
) -> Feedback | None:
    """What takes labels in; None without a log that they could join. Raises: ConfigError, DataError."""
    if log is None:
        return None
    return Feedback(
        log,
        clock,
        graders_of(config),
        max_waiting=config.feedback.max_waiting,
        growth=_growth_of(config, predictor, clock),
    )


def _growth_of(config: Config, predictor: Predictor, clock: Clock) -> Growth | None:
    """What grows the learned predictor, with what the log holds of past answers; None if none is to grow."""
    learned = predictor.asked if isinstance(predictor, GridPredictor) else predictor
    grow = config.predictor.grow
    if grow is None or config.log.path is None or not isinstance(learned, LearnedPredictor):
        return None
    served, labels = _collected(grow.collected)
    logged, said = read_served(config.log.path, grow.most)
    return Growth(learned, grow.most, clock, ([*served, *logged], [*labels, *said]))


def _collected(folders: Sequence[Path]) -> tuple[list[Served], list[Label]]:
    """Every outcome as a request that was answered and labelled. Raises: DataError, MissingError."""
    if not folders:
        return [], []
    made = read_outcomes(folders)
    served, labels = [], []
    for row, column in np.argwhere(np.isfinite(made.quality) | np.isfinite(made.output_tokens)).tolist():
        name, tokens, score = (
            f"collected {row} {column}",
            made.output_tokens[row, column],
            made.quality[row, column],
        )
        length = float(tokens) if np.isfinite(tokens) else None
        served.append(Served(name, made.prompts[row], made.tasks[row], made.endpoints[column], length))
        if np.isfinite(score):
            labels.append(Label(name, float(score), "collect", 0.0))
    return served, labels
