"""LLMRouter's routing data: JSONL with an object a (query, model).

`task_name`, `query`, `ground_truth`, `metric`, `choices` (JSON in a text) are the query's; `model_name`,
`performance` (0 to 1), `input_tokens`, `output_tokens`, `token_num` (both), `response_time` (seconds),
`response` the answer's. A query is what differs in task, text, truth, metric or choices; its id is their hash.
A call that failed has no tokens and a `response` that starts with `ERROR` or `API Error`: it is counted and
left out, though the source gives it a performance of 0.
Source: ulab-uiuc/LLMRouter @322c2cf, `llmrouter/data/README.md` (fields, units, what makes a query), and
@2756692 `llmrouter/data/api_calling_evaluation.py` (failed calls).

`embedding_id` is left: it points into a file of tensors, which is a pickle.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TextIO

import numpy as np

from pointsman.data.formats.lines import json_objects
from pointsman.data.formats.outcome_set import Exported, OutcomeSet
from pointsman.data.formats.rows import Answer, Answered, Query, Refused, content_id, parsed
from pointsman.data.formats.values import amount, count, length, optional_text, share, text

_FAILED: Final = ("ERROR", "API Error")


def read(path: Path, _task: str) -> Iterator[tuple[int, Answered | Refused]]:
    """The records of a file."""
    return parsed(json_objects(path), _parse)


def write(outcomes: OutcomeSet, file: TextIO) -> Exported:
    """Write an object for every judged answer. `response` is null: no text is kept."""
    numbers = outcomes.numbers
    judged = np.argwhere(~np.isnan(numbers["score"])).tolist()
    for row, column in judged:
        query = outcomes.queries[row]
        tokens = [_whole(numbers[name][row, column]) for name in ("input_tokens", "output_tokens")]
        record = {
            "task_name": query.task,
            "query": query.prompt,
            "ground_truth": query.ground_truth,
            "metric": query.metric,
            "choices": query.choices_json,
            "task_id": None,
            "model_name": outcomes.models[column],
            "response": None,
            "token_num": None if None in tokens else sum(filter(None, tokens)),
            "input_tokens": tokens[0],
            "output_tokens": tokens[1],
            "response_time": _known(numbers["latency_s"][row, column]),
            "api_key_used": "",
            "performance": numbers["score"][row, column].item(),
            "embedding_id": row,
            "user_id": None,
            "fig_id": None,
        }
        file.write(json.dumps(record, ensure_ascii=False) + "\n")
    unjudged = int(outcomes.asked.sum()) - len(judged)
    note = f"{unjudged:,} answers left out: they have no score, and the format has no gaps"
    return Exported(len(judged), (note,) if unjudged else ())


def _parse(record: Mapping[str, Any]) -> Answered:
    task, prompt = text(record, "task_name"), text(record, "query")
    told = [optional_text(record, name) for name in ("ground_truth", "metric", "choices")]
    query_id = content_id(task, prompt, *(part or "" for part in told))
    query = Query(query_id, task, prompt, *told)
    response, tokens = record.get("response"), count(record.get("output_tokens"), "output_tokens")
    if isinstance(response, str) and response.startswith(_FAILED) and not tokens:
        return Answered(query, (), failed_calls=1)
    answer = Answer(
        text(record, "model_name"),
        share(record.get("performance"), "performance"),
        count(record.get("input_tokens"), "input_tokens"),
        tokens,
        length(response),
        latency_s=amount(record.get("response_time"), "response_time"),
    )
    return Answered(query, (answer,))


def _known(number: float) -> float | None:
    return None if math.isnan(number) else float(number)


def _whole(number: float) -> int | None:
    return None if math.isnan(number) else int(number)
