"""All measures of the run-or-skip task for one submission."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pointsman.compete.submission import Submission, Truth, aligned
from pointsman.metrics.intervals import Interval, mean_of, paired_interval
from pointsman.metrics.probability import auroc, brier, calibration_error, calibration_error_floor
from pointsman.metrics.run_or_skip import CostCurve, bounds, cost_curve, costs_of, normalised
from pointsman.metrics.selective import aurc
from pointsman.metrics.splits import Ints
from pointsman.types import Floats


@dataclass(frozen=True, slots=True)
class ProbabilityScores:
    """How good the probabilities are, whatever the costs.

    Attributes:
        auroc: of right against wrong answers.
        calibration_floor: the calibration error that a perfect forecaster would show at this size.
        curve: the cost above the oracle at each threshold.
    """

    auroc: float
    brier: float
    calibration_error: float
    calibration_floor: float
    aurc: float
    curve: CostCurve


@dataclass(frozen=True, slots=True)
class Scores:
    """What a submission costs, beside what looks at no question and what knows all answers.

    Attributes:
        threshold: t*, the mean of the questions' own where their running costs differ.
        score: mean cost with its 95% bootstrap interval; lower is better.
        normalised: 0 is the best constant, 1 the oracle; NaN where those cost the same.
        run_share: of all questions.
        right_when_run: NaN where nothing was run.
        right_when_skipped: what was missed; NaN where nothing was skipped.
        probability: None without probabilities, or where a label is neither 0 nor 1, or all are equal.
    """

    n: int
    threshold: float
    score: Interval
    normalised: float
    all_run: float
    all_skip: float
    oracle: float
    run_share: float
    right_when_run: float
    right_when_skipped: float
    probability: ProbabilityScores | None


def score_submission(
    submission: Submission,
    truth: Truth,
    c_run: float,
    c_wrong: float,
    c_miss: float,
    *,
    groups: Ints | None = None,
    seed: int = 1,
) -> Scores:
    """Score decisions against what happened.

    Args:
        submission: of the truth's ids, in any order.
        truth: what happened.
        c_run: what running a question costs, on average.
        c_wrong: of a wrong answer.
        c_miss: of skipping what would have been right.
        groups: shape (N,): questions of the truth that are drawn together for the interval, such as those
            of equal text; None: each alone.
        seed: of the bootstrap.

    Raises: DataError for ids that differ, or a cost that is negative.
    """
    stakes = truth.stakes(c_run, c_wrong, c_miss)
    asked = aligned(submission, truth)
    run, right = asked.actions(stakes), truth.correct
    edge = bounds(right, stakes)
    rng = np.random.default_rng(seed)
    costs = costs_of(run, right, stakes)
    drawn = np.arange(len(right)) if groups is None else groups
    return Scores(
        n=len(right),
        threshold=float(np.mean(stakes.threshold)),
        score=paired_interval([mean_of(costs)], groups=drawn, rng=rng),
        normalised=normalised(run, right, stakes),
        all_run=float(edge.all_run[0]),
        all_skip=edge.all_skip,
        oracle=edge.oracle,
        run_share=float(run.mean()),
        right_when_run=_mean(right[run]),
        right_when_skipped=_mean(right[~run]),
        probability=_probability(asked.probability, right, rng),
    )


def _probability(p: Floats | None, right: Floats, rng: np.random.Generator) -> ProbabilityScores | None:
    binary = bool(np.isin(right, (0, 1)).all()) and 0 < right.mean() < 1
    if p is None or not binary:
        return None
    return ProbabilityScores(
        auroc(right, p),
        brier(right, p),
        calibration_error(right, p),
        calibration_error_floor(p, rng).mean,
        aurc(right, p),
        cost_curve(p, right),
    )


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")
