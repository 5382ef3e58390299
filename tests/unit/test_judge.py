import json

import numpy as np
import pytest

from pointsman.errors import DataError
from pointsman.predict.judge import SIGNS, AnswerJudge, AnswerRows
from pointsman.predict.logistic import MIN_ROWS, Logistic
from pointsman.types import AnswerSignals

NAMES = ("small", "large")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def world(n=4_000, seed=0):
    """Questions of one hidden difficulty: it moves both models' labels and the small one's log-probability."""
    rng = np.random.default_rng(seed)
    hard = rng.standard_normal(n)
    right = np.column_stack(
        [rng.random(n) < sigmoid(0.5 - 2 * hard), rng.random(n) < sigmoid(1.5 - 2 * hard)]
    )
    unknown = np.full(n, np.nan)
    rows = AnswerRows(
        unknown, -0.5 * np.exp(0.5 * hard), unknown, np.exp(4 + 0.3 * hard), np.ones(n), unknown
    )
    quality = np.column_stack([np.full(n, 0.55), np.full(n, 0.7)])
    return rows, right.astype(float), quality, np.full((n, 2), 50.0)


def fitted(n=4_000):
    rows, right, quality, expected = world(n)
    return AnswerJudge.fit(NAMES, {"small": rows}, right, quality, expected, source="made up")


def test_it_is_calibrated_and_knows_that_models_stumble_together():
    judge = fitted()
    rows, right, quality, expected = world(seed=1)
    said = judge.right_rows("small", rows, quality, expected)
    for target in range(2):
        order = np.argsort(said[:, target])
        for part in np.array_split(order, 8):
            assert said[part, target].mean() == pytest.approx(right[part, target].mean(), abs=0.06)
    assert np.corrcoef(said.T)[0, 1] > 0.9
    assert said[:, 0].std() > 0.2
    assert said[:, 1].std() > 0.1


def test_one_answer_gets_what_a_batch_gets_whatever_the_order_of_the_endpoints():
    judge = fitted()
    rows, _, quality, expected = world(5, seed=2)
    batch = judge.right_rows("small", rows, quality, expected)
    signals = AnswerSignals(None, rows.mean_logprob[3], None, rows.output_tokens[3], True)
    names = ("other", "large", "small")
    alone = judge.right(names, 2, signals, np.array([0.2, 0.7, 0.55]), np.array([9.0, 50.0, 50.0]))
    assert alone == pytest.approx([0.2, batch[3, 1], batch[3, 0]], abs=1e-12)


def test_what_it_does_not_know_keeps_the_prediction():
    judge = fitted()
    quality = np.array([0.3, 0.6, 0.9])
    names = ("a", "b", "c")
    assert judge.right(names, 0, AnswerSignals(), quality, quality).tolist() == quality.tolist()
    # `large` was never judged, so that nothing follows from its answer.
    said = judge.right(NAMES, 1, AnswerSignals(mean_logprob=-3.0), quality[:2], quality[:2])
    assert said.tolist() == quality[:2].tolist()


def test_missing_signs_are_averaged_over():
    judge = fitted()
    blind = judge.right(NAMES, 0, AnswerSignals(), np.array([0.55, 0.7]), np.array([50.0, 50.0]))
    assert blind == pytest.approx([0.57, 0.72], abs=0.08)


def test_it_reads_what_it_wrote(tmp_path):
    judge = fitted(300)
    path = tmp_path / "judge.json"
    path.write_text(judge.to_json())
    again = AnswerJudge.read(path)
    rows, _, quality, expected = world(50, seed=3)
    assert again.to_json() == judge.to_json()
    assert (
        again.right_rows("small", rows, quality, expected).tolist()
        == judge.right_rows("small", rows, quality, expected).tolist()
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(version=2), "pointsman.judge 2, not pointsman.judge 1"),
        (lambda d: d.update(signs=["mood"]), "fitted on other signs"),
        (lambda d: d["models"][0].update(judged="nobody"), "not among its endpoints"),
        (lambda d: d["models"][0].update(weights=[1.0]), f"a list of {len(SIGNS)} numbers"),
        (lambda d: d["models"][0]["scale"].__setitem__(0, 0.0), "scale"),
        (lambda d: d.pop("models"), "no field models"),
        (lambda d: d.update(more=1), "unknown fields more"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(change, said, tmp_path):
    document = json.loads(fitted(100).to_json())
    change(document)
    path = tmp_path / "judge.json"
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match=said) as caught:
        AnswerJudge.read(path)
    assert "pointsman judge" in caught.value.remedy


def test_a_truncated_file_and_none_are_refused(tmp_path):
    path = tmp_path / "judge.json"
    path.write_text(fitted(100).to_json()[:200])
    with pytest.raises(DataError, match="not JSON"):
        AnswerJudge.read(path)
    with pytest.raises(DataError, match="can't be read"):
        AnswerJudge.read(tmp_path / "none.json")


# Logistic regression


def test_the_fit_is_the_maximum_of_the_penalised_likelihood():
    rng = np.random.default_rng(0)
    signs = rng.standard_normal((200, 3))
    labels = (rng.random(200) < sigmoid(signs @ [1.0, -2.0, 0.0] + 0.5)).astype(float)
    model = Logistic.fit(signs, labels, ridge=1.0)

    def likelihood(intercept, weights):
        odds = intercept + ((signs - model.centre) / model.scale) @ weights
        return (labels * odds - np.log1p(np.exp(odds))).sum() - 0.5 * (weights**2).sum()

    best = likelihood(model.intercept, model.weights)
    for _ in range(200):
        nudge = rng.normal(0, 0.05, 4)
        assert likelihood(model.intercept + nudge[0], model.weights + nudge[1:]) < best


def test_separable_labels_have_a_finite_fit():
    signs = np.linspace(-1, 1, 40)[:, None]
    said = Logistic.fit(signs, (signs[:, 0] > 0).astype(float)).probability(signs)
    assert 0 < said[0] < 0.05
    assert 0.95 < said[-1] < 1


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.ones(50), 51 / 52),
        (np.zeros(50), 1 / 52),
        (np.array([1, 1, 0, 1, 0.0]), 4 / 7),
        (np.empty(0), 0.5),
    ],
    ids=["one class", "the other", "five rows", "none"],
)
def test_with_little_to_learn_from_only_the_smoothed_share_counts(labels, expected):
    assert len(labels) < MIN_ROWS or len(set(labels)) == 1
    signs = np.random.default_rng(0).standard_normal((len(labels), 2))
    said = Logistic.fit(signs, labels).probability(np.array([[0.0, 0.0], [9.0, -9.0], [np.nan, 1.0]]))
    assert said == pytest.approx([expected] * 3)


def test_labels_outside_0_and_1_are_refused():
    with pytest.raises(DataError, match=r"one is 1\.5"):
        Logistic.fit(np.zeros((2, 1)), np.array([1.0, 1.5]))
