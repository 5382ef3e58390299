"""An entry to the competition: a quality model of the one competing model, from its labelled questions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from pointsman.compete.questions import Questions
from pointsman.compete.scoring import Scores, score_submission
from pointsman.compete.submission import Submission, Truth
from pointsman.errors import DataError
from pointsman.predict.features.core_text import core_text
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.fit import MIN_GROUPS, FitOptions, FittedQuality, fit_quality
from pointsman.predict.quality.learned_model import LearnedModel
from pointsman.types import Floats

MODEL: Final = "model"
"""The name of the only endpoint in an entry's artifact."""
_SUBJECTS: Final = "subjects"


@dataclass(frozen=True, slots=True)
class Entry:
    """A trained entry.

    Attributes:
        subjects: those it was trained on, without "".
    """

    model: LearnedModel
    subjects: frozenset[str]

    def write(self, path: Path) -> None:
        """Write it as a quality artifact that also lists its subjects."""
        self.model.write(path, {_SUBJECTS: sorted(self.subjects)})

    @classmethod
    def read(cls, path: Path) -> Entry:
        """Raises: DataError for what is no artifact, altered, of another version or not of one model."""
        model = LearnedModel.read(path)
        subjects: Any = model.about.get(_SUBJECTS)
        if model.endpoints != (MODEL,) or not isinstance(subjects, list):
            raise DataError(
                f"{path} predicts {', '.join(model.endpoints)}, it is no entry of the competition",
                remedy="Make one with: pointsman compete train",
            )
        return cls(model, frozenset(map(str, subjects)))

    def probability(self, questions: Questions) -> Floats:
        """That the model answers each rightly, shape (N,); a subject not trained on counts as none."""
        return self.model.forecast(_queries(questions)).quality.value[:, 0]

    def unseen(self, questions: Questions) -> dict[str, int]:
        """Subjects it was not trained on, with how many questions each has."""
        new = sorted(set(questions.subjects) - self.subjects - {""})
        return {subject: questions.subjects.count(subject) for subject in new}


@dataclass(frozen=True, slots=True)
class Trained:
    """An entry, and what it scores on its own training questions, each held out from what decided on it.

    Attributes:
        held_out: the probabilities behind `scores`, shape (N,).
    """

    entry: Entry
    scores: Scores
    held_out: Floats


def train(
    questions: Questions,
    options: FitOptions,
    stakes: tuple[float, float, float] = (0.2, 1.0, 1.0),
    progress: Callable[[str], None] = lambda _: None,
) -> Trained:
    """Fit an entry to labelled questions; the subject is used where there is one.

    Args:
        questions: with labels.
        options: how; its folds hold questions out, 2 or more.
        stakes: c_run, c_wrong, c_miss of the held-out score; the probabilities don't depend on it.
        progress: told what is done next.

    Raises: DataError for too few questions, or labels that are all equal.
    """
    matrix = _outcomes(questions)
    fitted: FittedQuality = fit_quality(matrix, options, _queries(questions), progress)
    assert fitted.held_out is not None
    assert questions.correct is not None
    held_out = fitted.held_out.quality.value[:, 0]
    scores = score_submission(
        Submission(questions.ids, None, held_out),
        Truth(questions.ids, questions.correct),
        *stakes,
        groups=matrix.groups,
        seed=options.seed,
    )
    return Trained(Entry(fitted.model, frozenset(questions.subjects) - {""}), scores, held_out)


def _outcomes(questions: Questions) -> OutcomeMatrix:
    correct = questions.correct
    assert correct is not None
    texts = _queries(questions).texts
    n = len(texts)
    matrix = OutcomeMatrix(
        questions.ids,
        tuple(texts),
        questions.subjects,
        (MODEL,),
        correct[:, np.newaxis],
        np.full((n, 1), np.nan),
    )
    if len(np.unique(matrix.groups)) < MIN_GROUPS:
        raise DataError(
            f"{n} questions, {len(np.unique(matrix.groups))} of them different, are too few to learn from",
            remedy=f"Give at least {MIN_GROUPS} different ones; some hundreds are useful",
        )
    if correct.min() == correct.max():
        raise DataError(
            f"all {n} labels are {correct[0]:g}, so nothing tells right from wrong",
            remedy="Add questions that the model answered otherwise",
        )
    return matrix


def _queries(questions: Questions) -> Queries:
    return Queries([core_text(text) for text in questions.texts], questions.subjects)
