"""Collected answers of several endpoints to the same questions, as arrays: what a judge is fitted from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pointsman.data.answer_key import agreement
from pointsman.data.outcomes import OutcomeRow
from pointsman.errors import DataError
from pointsman.predict.judge import AnswerRows
from pointsman.types import Floats

NATURAL_END = "stop"


@dataclass(frozen=True, slots=True)
class AnswerTable:
    """N questions, E endpoints, K samples; sample 0 is the answer that would be given out.

    Attributes:
        query_ids, endpoints: the axes.
        right: score of sample 0 in [0, 1], shape (N, E), NaN where it is missing.
        signs: of sample 0, by endpoint; agreement is over the further samples there are.
        time_s, energy_j, output_tokens: shape (K, N, E), NaN where missing.
        energy_modelled: any joule follows from a model with stated constants.
    """

    query_ids: tuple[str, ...]
    endpoints: tuple[str, ...]
    right: Floats
    signs: dict[str, AnswerRows]
    time_s: Floats
    energy_j: Floats
    output_tokens: Floats
    energy_modelled: bool

    @classmethod
    def of(cls, rows: Sequence[OutcomeRow], endpoints: Sequence[str] = ()) -> Self:
        """Make it of outcomes; questions and endpoints stand in the order of first appearance.

        Args:
            rows: as read by `data/outcomes.py`.
            endpoints: these alone, in this order; all if empty.

        Raises: DataError if an endpoint has no rows.
        """
        names = tuple(endpoints) or tuple(dict.fromkeys(row.model for row in rows))
        ids = tuple(dict.fromkeys(row.query_id for row in rows))
        if missing := set(names) - {row.model for row in rows}:
            raise DataError(f"there are no answers of {', '.join(sorted(missing))}")
        place = {query_id: index for index, query_id in enumerate(ids)}
        column = {name: index for index, name in enumerate(names)}
        samples = max(row.sample for row in rows) + 1
        found = np.full((samples, len(ids), len(names)), None, dtype=object)
        for row in rows:
            if row.model in column:
                found[row.sample, place[row.query_id], column[row.model]] = row
        return cls(
            ids,
            names,
            _column(found[0], "score"),
            {name: _signs(found[:, :, index]) for name, index in column.items()},
            _column(found, "latency_s"),
            _column(found, "energy_j"),
            _column(found, "output_tokens"),
            any(row.energy_modelled for row in rows),
        )

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Some questions, in that order."""
        return type(self)(
            tuple(self.query_ids[row] for row in rows.tolist()),
            self.endpoints,
            self.right[rows],
            {name: signs.take(rows) for name, signs in self.signs.items()},
            self.time_s[:, rows],
            self.energy_j[:, rows],
            self.output_tokens[:, rows],
            self.energy_modelled,
        )


def _signs(found: NDArray[np.object_]) -> AnswerRows:
    """Of one endpoint: shape (K, N) of rows or None."""
    first = found[0]
    finished = [None if row is None else row.finish_reason == NATURAL_END for row in first]
    return AnswerRows(
        _column(first, "chosen_logprob"),
        _column(first, "mean_logprob"),
        _column(first, "min_logprob"),
        _column(first, "output_tokens"),
        np.array([np.nan if value is None else float(value) for value in finished]),
        np.array([_agreement(column) for column in found.T.tolist()]),
    )


def _agreement(samples: Sequence[OutcomeRow | None]) -> float:
    """Of the further samples with the first; NaN where there is none to compare."""
    first, further = samples[0], [row.answer_key for row in samples[1:] if row is not None]
    found = None if first is None else agreement(first.answer_key, further)
    return float("nan") if found is None else found


def _column(found: NDArray[np.object_], name: str) -> Floats:
    """An attribute of every row, NaN where it or the row is missing."""
    values = [None if row is None else getattr(row, name) for row in found.ravel()]
    return np.array([np.nan if value is None else float(value) for value in values]).reshape(found.shape)
