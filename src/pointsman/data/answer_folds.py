"""Questions of several sets that every endpoint answered, and what is fitted of them on other questions.

What a cascade needs to decide one: P(right) before any endpoint has run, what runs are expected to take, and
judges of answers. Each question is decided by what was fitted without it (grouped cross-fitting).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from pointsman.data.answer_table import AnswerTable
from pointsman.data.outcomes import read_outcome_rows
from pointsman.metrics.splits import grouped_folds
from pointsman.predict.judge import AnswerJudge
from pointsman.predict.logistic import Logistic
from pointsman.types import Bools, Floats

FOLDS: Final = 5
HIDDEN: Final[Mapping[str, tuple[str, ...]]] = {
    "logprob": ("agreement",),
    "agreement": ("chosen_logprob", "mean_logprob", "min_logprob"),
    "both": (),
}
"""Signs that a judge of this name does not see."""


@dataclass(frozen=True, slots=True)
class AnsweredSets:
    """N questions of which the answers of all E endpoints are known, the smallest endpoint first.

    Attributes:
        sets: the data set of each question, shape (N,).
        input_tokens: of the prompt, shape (N,).
        c_run: of each run, shape (K, N, E), NaN where there is no such sample.
    """

    table: AnswerTable
    sets: NDArray[np.str_]
    input_tokens: Floats
    c_run: Floats

    @property
    def n(self) -> int:
        """N."""
        return len(self.sets)

    @classmethod
    def read(
        cls,
        paths: Mapping[Path, str],
        size: Callable[[str], float],
        *,
        share: float,
        energy: bool = False,
        limit: int | None = None,
    ) -> Self:
        """Questions that all endpoints of some outcome files answered.

        Args:
            paths: the set of each file's questions.
            size: of an endpoint of that name; the smallest stands first.
            share: c_run of a run of the largest endpoint that takes the mean time.
            energy: by joules instead of seconds.
            limit: at most so many questions of each set.

        Raises: DataError.
        """
        found = [(name, row) for path, name in paths.items() for row in read_outcome_rows(path).rows]
        table = AnswerTable.of([row for _, row in found], sorted({row.model for _, row in found}, key=size))
        of_query = {row.query_id: (name, float(row.input_tokens or np.nan)) for name, row in found}
        names = np.array([of_query[query_id][0] for query_id in table.query_ids])
        whole = np.isfinite(table.right).all(axis=1)
        rows = np.concatenate([np.flatnonzero(whole & (names == name))[:limit] for name in np.unique(names)])
        table = table.take(rows)
        took = table.energy_j if energy else table.time_s
        return cls(
            table,
            names[rows],
            np.array([of_query[query_id][1] for query_id in table.query_ids]),
            share * took / np.nanmean(took[0, :, -1]),
        )


def by_set(values: Floats, sets: NDArray[np.str_], train: Bools) -> Floats:
    """The training rows' mean of each set, for all rows, shape (N, E); smoothed by one row of the whole mean."""
    whole = np.nanmean(values[train], axis=0)
    made = np.empty_like(values)
    for name in np.unique(sets):
        own = train & (sets == name)
        made[sets == name] = (np.nansum(values[own], axis=0) + whole) / (own.sum() + 1)
    return made


def _by_prompt(asked: AnsweredSets, train: Bools) -> Floats:
    """P(right) by set and prompt length, shape (N, E)."""
    dummies = [asked.sets == name for name in np.unique(asked.sets)[1:]]
    signs = np.column_stack([np.log(asked.input_tokens), *dummies])
    right = asked.table.right
    return np.column_stack(
        [Logistic.fit(signs[train], right[train, e]).probability(signs) for e in range(right.shape[1])]
    )


@dataclass(frozen=True, slots=True)
class Fold:
    """What was fitted on the other folds, for the questions of this one, shape (N, E) each.

    Attributes:
        test: rows of the fold.
        prior, prompt: P(right) before any has run.
        c_run, tokens: expected of a run.
        judges: by what they see.
    """

    test: NDArray[np.int64]
    prior: Floats
    prompt: Floats
    c_run: Floats
    tokens: Floats
    judges: Mapping[str, AnswerJudge]


def fitted_folds(asked: AnsweredSets, seed: int) -> Iterator[Fold]:
    """Each of `FOLDS` folds with what the others teach."""
    table = asked.table
    folds = grouped_folds(list(table.query_ids), FOLDS, seed, strata=asked.sets.tolist())
    for fold in range(FOLDS):
        train = folds != fold
        prior, tokens, c_run = (
            by_set(values, asked.sets, train)
            for values in (table.right, table.output_tokens[0], asked.c_run[0])
        )
        judges = {
            by: AnswerJudge.fit(
                table.endpoints,
                {name: signs.take(train).without(*hidden) for name, signs in table.signs.items()},
                table.right[train], prior[train], tokens[train],
            )
            for by, hidden in HIDDEN.items()
        }  # fmt: skip
        yield Fold(np.flatnonzero(~train), prior, _by_prompt(asked, train), c_run, tokens, judges)
