"""What ways of deciding would have cost on questions of which every model's answer is recorded.

`right` has shape (N, E), in [0, 1]; `c_run` has shape (K, N, E), what each of K samples took, NaN where there
is no such sample. Sample 0 is the answer that is given out; a wrong one costs 1, and so does skipping a
question that a model would have answered rightly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from pointsman.metrics.run_or_skip import SKIP
from pointsman.metrics.splits import Ints
from pointsman.types import Floats

Ask = Callable[[int, Ints], Ints]
"""(column that answered, rows) -> the column to ask next for each of these rows, or the same to keep."""


class Played(NamedTuple):
    """What came of one way of deciding, shape (R,) each: run cost, score, and shares in [0, 1]."""

    run: Floats
    right: Floats
    escalated: Floats
    skipped: Floats

    def cost(self, right: Floats) -> Floats:
        """In all, shape (R,); `right` of the same questions, shape (R, E)."""
        missed = self.skipped * right.max(axis=1)
        return np.asarray(self.run + missed + (1.0 - self.skipped) - self.right)


def play_choice(choice: Ints, right: Floats, c_run: Floats) -> Played:
    """One chosen column, or `SKIP`, a question."""
    rows = np.arange(len(choice))
    ran = choice != SKIP
    return Played(
        np.where(ran, c_run[0, rows, choice], 0.0),
        np.where(ran, right[rows, choice], 0.0),
        np.zeros(len(rows)),
        (~ran).astype(float),
    )


def play_cascade(
    chain: Sequence[int], ask: Ask, right: Floats, c_run: Floats, rows: Ints, *, samples: bool = False
) -> Played:
    """Cascades over a chain of columns, for some rows of `right` and `c_run`.

    With `samples` the further samples of every answer that is judged are paid for.
    """
    run, score, escalated = (np.zeros(len(rows)) for _ in range(3))
    at = np.full(len(rows), chain[0])
    for column in chain:
        here = np.flatnonzero(at == column)
        judged = column != chain[-1]
        run[here] += np.nansum(c_run[: None if samples and judged else 1, rows[here], column], axis=0)
        score[here] = right[rows[here], column]
        if judged:
            following = ask(column, rows[here])
            escalated[here] = np.maximum(escalated[here], following != column)
            at[here] = np.where(following == column, SKIP, following)
    return Played(run, score, escalated, np.zeros(len(rows)))
