"""Judges an answer by its signs: how likely it is right, and how likely another endpoint's would be.

One logistic regression for each ordered pair of endpoints: P(target right | signs of judged's answer,
what was predicted of both before). Since a question that stumps one model stumps others too, the
target's chance falls with the judged answer's signs; that is learnt, not assumed away.

Fitted from answers of all endpoints to the same questions. What is known only of the file's own
endpoints: of another one, or of a target never seen beside it, the prediction made before it ran stands.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from pointsman.errors import DataError
from pointsman.predict.json_reader import Reader
from pointsman.predict.logistic import Logistic
from pointsman.predict.quality.odds import logit
from pointsman.types import AnswerSignals, Floats

SIGNS: Final = (
    "chosen_logprob",
    "mean_logprob",
    "min_logprob",
    "log_tokens",
    "log_tokens_over_expected",
    "finished",
    "agreement",
    "predicted_quality",
    "predicted_quality_of_target",
)
FORMAT: Final = "pointsman.judge"
VERSION: Final = 1
_REMEDY: Final = "Make it again with: pointsman judge"
_LEAST_LOGPROB: Final = -20.0


@dataclass(frozen=True, slots=True)
class AnswerRows:
    """`AnswerSignals` of N answers as columns of shape (N,), NaN where unknown; `finished` is 0 or 1."""

    chosen_logprob: Floats
    mean_logprob: Floats
    min_logprob: Floats
    output_tokens: Floats
    finished: Floats
    agreement: Floats

    @classmethod
    def of(cls, answers: Iterable[AnswerSignals]) -> Self:
        """The columns of single answers."""
        rows = list(answers)
        return cls(*(_column(getattr(row, field.name) for row in rows) for field in fields(cls)))

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Self:
        """Some rows, in that order."""
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))

    def without(self, *names: str) -> Self:
        """The same with some columns unknown."""
        columns = (getattr(self, field.name) for field in fields(self))
        return type(self)(
            *(
                np.full_like(column, np.nan) if field.name in names else column
                for field, column in zip(fields(self), columns, strict=True)
            )
        )


@dataclass(frozen=True, slots=True)
class AnswerJudge:
    """P(right) of an answer and of the others that could be asked for. See the module.

    Attributes:
        endpoints: E names, the columns of `right`.
        models: (judged, target) -> regression on `SIGNS`; a pair may be missing.
        source: one sentence on the answers it was fitted from.
    """

    endpoints: tuple[str, ...]
    models: Mapping[tuple[str, str], Logistic]
    source: str = ""

    @classmethod
    def fit(
        cls,
        endpoints: Sequence[str],
        answers: Mapping[str, AnswerRows],
        right: Floats,
        quality: Floats,
        expected_tokens: Floats,
        *,
        ridge: float = 1.0,
        source: str = "",
    ) -> Self:
        """Fit from N questions that E endpoints answered.

        Args:
            endpoints: E names.
            answers: of each endpoint that is to be judged, N rows.
            right: labels in [0, 1], shape (N, E), NaN where an endpoint was not asked.
            quality: predicted before, out of sample, shape (N, E); NaN where unknown.
            expected_tokens: predicted output, shape (N, E); NaN where unknown.
            ridge: see `Logistic.fit`.
            source: kept with the fit.
        """
        models = {}
        for judged, rows in answers.items():
            column = endpoints.index(judged)
            for target, name in enumerate(endpoints):
                known = np.flatnonzero(np.isfinite(right[:, column]) & np.isfinite(right[:, target]))
                signs = _signs(rows, quality, expected_tokens, column, target)
                models[judged, name] = Logistic.fit(signs[known], right[known, target], ridge)
        return cls(tuple(endpoints), models, source)

    def right_rows(self, judged: str, rows: AnswerRows, quality: Floats, expected_tokens: Floats) -> Floats:
        """P(right) of N answers of `judged`, and given those of each other endpoint's, shape (N, E).

        Args:
            judged: who answered.
            rows: N answers.
            quality: predicted before, shape (N, E), in the order of `endpoints`.
            expected_tokens: predicted output, shape (N, E).
        """
        made = np.array(quality, dtype=float)
        if judged not in self.endpoints:
            return made
        column = self.endpoints.index(judged)
        for target, name in enumerate(self.endpoints):
            model = self.models.get((judged, name))
            if model is not None:
                made[:, target] = model.probability(_signs(rows, quality, expected_tokens, column, target))
        return made

    def right(
        self,
        names: Sequence[str],
        column: int,
        signals: AnswerSignals,
        quality: Floats,
        expected_tokens: Floats,
    ) -> Floats:
        """The same of one answer, for any endpoints, shape (len(names),).

        Args:
            names: in the order of the arrays; endpoints the judge does not know keep their `quality`.
            column: who answered.
            signals: of the answer.
            quality: predicted before, shape (len(names),).
            expected_tokens: predicted output, shape (len(names),).
        """
        known = [names.index(name) if name in names else -1 for name in self.endpoints]
        absent = np.array([np.nan])
        rows = self.right_rows(
            names[column],
            AnswerRows.of([signals]),
            np.append(quality, absent)[known][None, :],
            np.append(expected_tokens, absent)[known][None, :],
        )[0]
        made = np.array(quality, dtype=float)
        for value, index in zip(rows.tolist(), known, strict=True):
            if index >= 0 and math.isfinite(value):
                made[index] = value
        return made

    def heeds_agreement(self, judged: str) -> bool:
        """Whether the agreement of that endpoint's samples changes what is said of its answers."""
        sign = SIGNS.index("agreement")
        return any(model.weights[sign] != 0.0 for (name, _), model in self.models.items() if name == judged)

    def to_json(self) -> str:
        """The fit as JSON: readable, and equal fits give equal text."""
        document = {
            "format": FORMAT,
            "version": VERSION,
            "source": self.source,
            "endpoints": list(self.endpoints),
            "signs": list(SIGNS),
            "models": [
                {
                    "judged": judged,
                    "target": target,
                    "intercept": model.intercept,
                    "centre": model.centre.tolist(),
                    "scale": model.scale.tolist(),
                    "weights": model.weights.tolist(),
                }
                for (judged, target), model in sorted(self.models.items())
            ],
        }
        return json.dumps(document, indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str, place: str) -> Self:
        """Read what `to_json` wrote. Raises DataError naming the field at fault."""
        try:
            return cls._read(Reader(json.loads(text), place))
        except json.JSONDecodeError as error:
            raise DataError(f"{place} is not JSON: {error}", remedy=_REMEDY) from error
        except DataError as error:
            raise DataError(error.message, remedy=_REMEDY) from error

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file. Raises DataError."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"the judge {path} can't be read: {error}", remedy=_REMEDY) from error
        return cls.from_json(text, str(path))

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        found = (reader.text("format"), reader.whole("version"))
        if found != (FORMAT, VERSION):
            raise DataError(f"{reader.place} is {found[0]} {found[1]}, not {FORMAT} {VERSION}")
        if reader.texts("signs") != SIGNS:
            raise DataError(f"{reader.place} was fitted on other signs than {', '.join(SIGNS)}")
        endpoints, source = reader.texts("endpoints"), reader.text("source")
        models = {}
        for child in reader.children("models"):
            pair = (child.text("judged"), child.text("target"))
            if not set(pair) <= set(endpoints):
                raise DataError(f"{child.place} is about {pair}, which are not among its endpoints")
            models[pair] = Logistic(
                child.number("intercept"),
                np.array(child.numbers("centre", len(SIGNS))),
                np.array(child.numbers("scale", len(SIGNS), low=1e-9)),
                np.array(child.numbers("weights", len(SIGNS))),
            )
            child.end()
        reader.end()
        return cls(endpoints, models, source)


def _signs(rows: AnswerRows, quality: Floats, expected_tokens: Floats, column: int, target: int) -> Floats:
    """The regressors of one pair, shape (N, len(SIGNS)), NaN where unknown."""
    tokens = np.log(np.maximum(rows.output_tokens, 1.0))
    odds = logit(quality[:, [column, target]])
    return np.column_stack(
        [
            np.maximum(rows.chosen_logprob, _LEAST_LOGPROB),
            np.maximum(rows.mean_logprob, _LEAST_LOGPROB),
            np.maximum(rows.min_logprob, _LEAST_LOGPROB),
            tokens,
            tokens - np.log(np.maximum(expected_tokens[:, column], 1.0)),
            rows.finished,
            rows.agreement,
            odds[:, 0],
            odds[:, 1] if target != column else np.full(len(tokens), np.nan),
        ]
    )


def _column(values: Iterable[float | bool | None]) -> Floats:
    return np.array([np.nan if value is None else float(value) for value in values])
