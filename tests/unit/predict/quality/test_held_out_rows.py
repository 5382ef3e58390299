"""What an artifact keeps of held-out prompts: bounded, without texts, apart from what is loaded to serve."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from pointsman.errors import BadRequest, DataError
from pointsman.predict.endpoint import ProfilePredictor
from pointsman.predict.learned import LearnedPredictor
from pointsman.predict.quality import held_out_rows as module
from pointsman.predict.quality.fit import FitOptions, fit_quality
from pointsman.predict.quality.held_out_rows import HeldOutRows
from pointsman.predict.quality.learned_model import LearnedModel
from pointsman.testing.fakes import make_endpoints
from pointsman.testing.outcomes import made_outcomes

MATRIX = made_outcomes(np.random.default_rng(1), 60, ("e1", "e0"), missing=0.1)
FITTED = fit_quality(MATRIX, FitOptions("knn", folds=3, tasks=True))


def kept(**told: bool) -> HeldOutRows:
    rows = HeldOutRows.of(MATRIX, FITTED, told_tasks=told.get("told", True))
    assert rows is not None
    return rows


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    FITTED.model.write(tmp_path / "quality", None, kept().to_arrays())
    return tmp_path / "quality"


def test_what_is_kept_is_what_was_held_out_to_the_precision_of_float32(artifact: Path) -> None:
    rows, again = kept(), HeldOutRows.read(artifact)
    assert FITTED.held_out is not None
    assert FITTED.held_out.output_tokens is not None
    np.testing.assert_array_equal(rows.quality, FITTED.held_out.quality.value)
    np.testing.assert_array_equal(rows.output_tokens, FITTED.held_out.output_tokens.mean(axis=2))
    np.testing.assert_array_equal(again.labels, MATRIX.quality)
    assert again.tasks == MATRIX.tasks
    assert again.size_bytes.tolist() == [len(prompt) for prompt in MATRIX.prompts]
    for field in fields(HeldOutRows):
        one, other = getattr(rows, field.name), getattr(again, field.name)
        if isinstance(one, tuple):
            assert one == other
        else:
            np.testing.assert_allclose(one, other, rtol=1e-6)
    assert set(kept(told=False).tasks) == {""}
    texts = (artifact / "held_out.npz").read_bytes()
    assert not any(prompt.encode() in texts for prompt in MATRIX.prompts)


def test_rows_are_drawn_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 20)
    one, same = kept(), kept()
    assert one.labels.shape == (20, 2)
    np.testing.assert_array_equal(one.groups, same.groups)
    assert len(set(one.groups.tolist())) == 20
    other = HeldOutRows.of(MATRIX, FITTED, told_tasks=True, seed=1)
    assert other is not None
    assert other.groups.tolist() != one.groups.tolist()


def test_a_model_loads_without_them_and_what_was_altered_is_refused(artifact: Path) -> None:
    place = artifact / "held_out.npz"
    place.write_bytes(place.read_bytes()[:-1])
    assert LearnedModel.read(artifact).endpoints == MATRIX.endpoints
    with pytest.raises(DataError, match=r"held_out\.npz was altered or cut short"):
        HeldOutRows.read(artifact)


def test_an_artifact_without_them_says_train_again(artifact: Path) -> None:
    FITTED.model.write(artifact)
    assert not (artifact / "held_out.npz").exists()
    with pytest.raises(DataError, match=r"keeps no forecasts of prompts that were held out\. Train again"):
        HeldOutRows.read(artifact)
    few = made_outcomes(np.random.default_rng(2), 5)
    assert HeldOutRows.of(few, fit_quality(few), told_tasks=False) is None


@pytest.mark.parametrize("name", ["quality", "labels", "groups", "kinds", "kinds_index"])
def test_numbers_that_can_t_be_are_refused(artifact: Path, name: str) -> None:
    arrays = kept().to_arrays()
    wrong = {"quality": arrays["quality"] + 2, "labels": arrays["labels"] - 3, "groups": arrays["groups"][1:]}
    wrong |= {"kinds": np.array(["x", "y"]), "kinds_index": arrays["kinds_index"] + 9}
    FITTED.model.write(artifact, None, arrays | {name: wrong[name]})
    with pytest.raises(DataError, match="can't be used"):
        HeldOutRows.read(artifact)


def test_columns_follow_the_endpoints_and_all_must_be_learnt() -> None:
    endpoints = make_endpoints(2)
    learned = LearnedPredictor(endpoints, ProfilePredictor(endpoints), FITTED.model)
    rows = learned.matched(kept())
    assert rows.endpoints == ("e0", "e1")
    np.testing.assert_array_equal(rows.labels, MATRIX.quality[:, ::-1])
    more = make_endpoints(3)
    with pytest.raises(BadRequest, match="the quality of e2 was not learnt"):
        LearnedPredictor(more, ProfilePredictor(more), FITTED.model).matched(kept())
    with pytest.raises(BadRequest, match="held-out prompts of e0, e1, and a model of e1, e0"):
        learned.matched(rows)
