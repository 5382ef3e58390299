"""Scores of the competition, against the definition written out."""

import numpy as np
import pytest

from pointsman.compete.scoring import score_submission
from pointsman.compete.submission import Submission, Truth
from pointsman.errors import DataError

IDS = tuple("abcd")
TRUTH = Truth(IDS, np.array([1.0, 1.0, 0.0, 0.0]))


def test_the_definition_by_hand():
    run = np.array([True, False, True, False])
    made = score_submission(Submission(IDS, run, None), TRUTH, 0.2, 1, 1)
    assert made.score.value == pytest.approx((0.2 + 1 + 1.2 + 0) / 4)
    assert (made.all_run, made.all_skip, made.oracle) == pytest.approx((0.7, 0.5, 0.1))
    assert made.normalised == pytest.approx((0.5 - 0.6) / (0.5 - 0.1))
    assert (made.run_share, made.right_when_run, made.right_when_skipped) == (0.5, 0.5, 0.5)
    assert made.threshold == pytest.approx(0.6)
    assert made.probability is None
    assert made.score.low <= made.score.value <= made.score.high


def test_the_oracle_and_constants_are_the_ends_of_the_scale():
    for run, wanted in ((TRUTH.correct == 1, 1.0), (np.zeros(4, bool), 0.0)):
        assert score_submission(Submission(IDS, run, None), TRUTH, 0.2, 1, 1).normalised == pytest.approx(
            wanted
        )


def test_probabilities_are_judged_and_decided_on():
    made = score_submission(Submission(IDS, None, np.array([0.9, 0.7, 0.65, 0.1])), TRUTH, 0.2, 1, 1)
    assert made.run_share == 0.75
    assert made.probability.auroc == 1
    assert made.probability.brier == pytest.approx((0.01 + 0.09 + 0.4225 + 0.01) / 4)


def test_actions_win_over_probabilities():
    both = Submission(IDS, np.ones(4, bool), np.zeros(4))
    made = score_submission(both, TRUTH, 0.2, 1, 1)
    assert made.run_share == 1
    assert np.isnan(made.right_when_skipped)
    assert made.probability.auroc == 0.5


@pytest.mark.parametrize("labels", [[1.0, 1.0, 1.0, 1.0], [0.5, 1.0, 0.0, 0.0]])
def test_no_measures_of_probabilities_without_both_labels(labels):
    truth = Truth(IDS, np.array(labels))
    assert score_submission(Submission(IDS, None, np.full(4, 0.5)), truth, 0.2, 1, 1).probability is None


def test_a_negative_cost_has_words():
    with pytest.raises(DataError, match="c_run"):
        score_submission(Submission(IDS, None, np.full(4, 0.5)), TRUTH, -0.2, 1, 1)


def test_questions_of_one_group_are_drawn_together():
    rng = np.random.default_rng(2)
    right = rng.random(40) < 0.5
    ids = tuple(map(str, range(400)))
    truth = Truth(ids, np.repeat(right, 10).astype(float))
    skipped = Submission(ids, np.zeros(400, dtype=bool), None)

    def width(groups):
        score = score_submission(skipped, truth, 0.2, 1, 1, groups=groups).score
        return score.high - score.low

    assert width(np.repeat(np.arange(40), 10)) > 2 * width(None)
