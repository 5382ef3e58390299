"""RouterBench's table as CSV: a row a sample, three columns a model.

    sample_id,prompt,eval_name,<model>,...,<model>|model_response,...,<model>|total_cost,...,oracle_model_to_route_to

`sample_id` is unique, `eval_name` the benchmark. A model's column is its performance from 0 to 1 (accuracy, or
a grade brought to that range), `|total_cost` the dollars of prompt and answer, `|model_response` the text.
`prompt` and `|model_response` are lists of messages written as Python does: `['first', 'second']`; here they
are joined by an empty line. `oracle_model_to_route_to` is the cheapest of the best, or `no_model_correct`.
Source: withmartian/routerbench @30e0925, `convertors/common.py` (columns, oracle), `routers/abstract_router.py`
(cost in dollars, lists), `convertors/martian_evals_convertor.py` (performance).

The data are published as pickles only. None is loaded here; a file you trust can be made CSV by pandas.
"""

from __future__ import annotations

import ast
import csv
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TextIO

import numpy as np

from pointsman.data.formats.lines import csv_rows
from pointsman.data.formats.outcome_set import Exported, OutcomeSet
from pointsman.data.formats.rows import Answer, Answered, Query, Refused, parsed
from pointsman.data.formats.values import amount, length, share
from pointsman.errors import DataError
from pointsman.types import Floats

_ID, _PROMPT, _TASK, _ORACLE = "sample_id", "prompt", "eval_name", "oracle_model_to_route_to"
_COST: Final = "|total_cost"
_RESPONSE: Final = "|model_response"
_INDEX: Final = frozenset({"", "idx", "Unnamed: 0"})
_NONE_RIGHT: Final = "no_model_correct"
_MESSAGE: Final = re.compile(r"""'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*\"""", re.DOTALL)
_BETWEEN: Final = re.compile(r"\s*,\s*")


def read(path: Path, _task: str) -> Iterator[tuple[int, Answered | Refused]]:
    """The samples of a file. Raises: DataError for a file without models, or with a cost but no performance."""
    columns, rows = csv_rows(path, [_ID, _PROMPT, _TASK])
    models = [
        name for name in columns if "|" not in name and name not in {_ID, _PROMPT, _TASK, _ORACLE, *_INDEX}
    ]
    told = {name.removesuffix(_COST).removesuffix(_RESPONSE) for name in columns if "|" in name}
    if not models or not told <= set(models):
        unknown = ", ".join(sorted(told - set(models))) or "any model"
        raise DataError(f"{path} has no column with the performance of {unknown}", remedy="Add it, 0 to 1")

    def parse(cells: Mapping[str, str]) -> Answered:
        query = Query(cells[_ID], cells[_TASK], joined(cells[_PROMPT]))
        return Answered(query, tuple(_answer(cells, model) for model in models))

    return parsed(rows, parse)


def write(outcomes: OutcomeSet, file: TextIO) -> Exported:
    """Write every query; a cell is empty where nothing is known. Responses have no place: no text is kept.

    Raises: DataError for a model whose name is another column's.
    """
    models = outcomes.models
    taken = {_ID, _PROMPT, _TASK, _ORACLE, *_INDEX}
    if wrong := [name for name in models if "|" in name or name in taken]:
        raise DataError(f"RouterBench's file can't hold a model called {wrong[0]!r}", remedy="Rename it")
    scores, costs = outcomes.numbers["score"], outcomes.numbers["cost_usd"]
    writer = csv.writer(file)
    writer.writerow([_ID, _PROMPT, _TASK, *models, *(name + _COST for name in models), _ORACLE])
    for row, query in enumerate(outcomes.queries):
        cells = [_cell(number) for number in (*scores[row].tolist(), *costs[row].tolist())]
        best = _oracle(scores[row], costs[row], models)
        writer.writerow([query.id, repr([query.prompt]), query.task, *cells, best])
    notes = [
        f"{missing:,} of {numbers.size:,} {what} are empty: RouterBench's own scripts expect none"
        for numbers, what in ((scores, "performances"), (costs, "costs"))
        if (missing := int(np.isnan(numbers).sum()))
    ]
    return Exported(len(outcomes.queries), tuple(notes))


def joined(cell: str) -> str:
    """The messages of a list written as Python does, with empty lines between; other text as it is.

    Only string literals are read, one by one: no expression of others is parsed.
    """
    text = cell.strip()
    if not (text.startswith("[") and text.endswith("]")):
        return cell
    messages, at, end = [], 1, len(text) - 1
    while match := _MESSAGE.match(text, at, end):
        try:
            messages.append(_said(match[0]))
        except (SyntaxError, ValueError):
            return cell
        at = match.end()
        if between := _BETWEEN.match(text, at, end):
            at = between.end()
        else:
            break
    return "\n\n".join(messages) if messages and at == end else cell


def _said(literal: str) -> str:
    """The text of a string literal. A line break in it is no Python, but some writers leave it there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes that Python does not know and keeps as they are
        return str(ast.literal_eval(literal.replace("\r", "\\r").replace("\n", "\\n")))


def _answer(cells: Mapping[str, str], model: str) -> Answer:
    response = cells.get(model + _RESPONSE)
    return Answer(
        model,
        share(cells[model], model),
        output_chars=None if response is None else length(joined(response)),
        cost_usd=amount(cells.get(model + _COST), model + _COST),
    )


def _oracle(scores: Floats, costs: Floats, models: Sequence[str]) -> str:
    """The cheapest of the best; where no cost is known, the first of them."""
    known = np.nan_to_num(scores, nan=0.0)
    if not known.any():
        return _NONE_RIGHT
    price = np.where(known == known.max(), np.nan_to_num(costs, nan=np.finfo(np.float64).max), np.inf)
    return models[int(np.argmin(price))]


def _cell(number: float) -> str:
    return "" if np.isnan(number) else repr(number)
