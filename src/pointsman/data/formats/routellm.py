"""RouteLLM's answers to a benchmark: a CSV file with a row a prompt and a column a model.

    prompt,<model>,<model>[,<model>_response,<model>_response]

`prompt` is the question as it was routed; a model's column says True or False: was it right. The reader of
these files takes every number that can be summed, so shares are read as well. `_response` is the text that
answered. Models have one column each, two in the published files.
Source: lm-sys/RouteLLM @0d78f12, `routellm/evals/benchmarks.py` (what is read, and that answers are averaged),
`evals/mmlu/generate_responses.py` (what is written), `evals/gsm8k/gsm8k_responses.csv` (with responses).

The files have no id and no task: the id is a hash of task and prompt (a prompt that comes again gets `~2`),
the task is the file's name, which is the subject in `evals/mmlu/responses`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TextIO

import numpy as np

from pointsman.data.formats.lines import csv_rows
from pointsman.data.formats.outcome_set import Exported, OutcomeSet
from pointsman.data.formats.rows import Answer, Answered, ContentIds, Query, Refused, parsed
from pointsman.data.formats.values import length, share
from pointsman.errors import DataError

_PROMPT: Final = "prompt"
_RESPONSE: Final = "_response"


def read(path: Path, task: str) -> Iterator[tuple[int, Answered | Refused]]:
    """The prompts of a file. Raises: DataError for a file without models."""
    columns, rows = csv_rows(path, [_PROMPT])
    models = _models(columns)
    if not models:
        raise DataError(f"{path} has no model's column", remedy="Beside `prompt` it needs one a model")
    ids = ContentIds()

    def parse(cells: Mapping[str, str]) -> Answered:
        answers = [_answer(cells, model) for model in models]
        return Answered(Query(ids.of(task, cells[_PROMPT]), task, cells[_PROMPT]), tuple(answers))

    return parsed(rows, parse)


def write(outcomes: OutcomeSet, file: TextIO) -> Exported:
    """Write the prompts for which every model was judged; lengths, times and prices have no place there.

    Raises: DataError for a model whose name is another column's.
    """
    models = outcomes.models
    if len(_models([_PROMPT, *models])) < len(models):
        raise DataError(
            f"RouteLLM's file can't hold these models: {', '.join(models)}",
            remedy=f"Rename what is called `{_PROMPT}` or ends in `{_RESPONSE}`",
        )
    scores = outcomes.numbers["score"]
    whole = ~np.isnan(scores).any(axis=1)
    writer = csv.writer(file)
    writer.writerow([_PROMPT, *models])
    for row in np.flatnonzero(whole).tolist():
        writer.writerow([outcomes.queries[row].prompt, *(_verdict(score) for score in scores[row].tolist())])
    notes = []
    if missing := int((~whole).sum()):
        notes.append(f"{missing:,} queries left out: a model has no score there, and the format has no gaps")
    if shares := int(((scores > 0) & (scores < 1)).sum()):
        notes.append(
            f"{shares:,} scores lie between 0 and 1: RouteLLM's accuracy of one model counts only True"
        )
    return Exported(int(whole.sum()), tuple(notes))


def _models(columns: Sequence[str]) -> list[str]:
    """All columns but the prompt, the responses, and an index that was written without a name."""
    responses = {name for name in columns if name.endswith(_RESPONSE) and name[: -len(_RESPONSE)] in columns}
    return [name for name in columns if name not in {_PROMPT, "", "Unnamed: 0", *responses}]


def _answer(cells: Mapping[str, str], model: str) -> Answer:
    return Answer(model, share(cells[model], model), output_chars=length(cells.get(model + _RESPONSE)))


def _verdict(score: float) -> str:
    return {0.0: "False", 1.0: "True"}.get(score, repr(score))
