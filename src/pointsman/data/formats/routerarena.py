"""RouterArena's cached results: JSONL with an object a question, one file a model.

`global_index` is the question's id, its part before the first `_` the data set; `question` is the prompt as it was
sent, `llm_selected` the model. `token_usage` counts tokens, `evaluation_result` holds `score` (0 to 1), `metric`,
`ground_truth` and `inference_cost` (dollars); null where nothing was judged. `success` false is a failed call.
Source: RouteWorks/RouterArena @05a7e52, `cached_results/*.jsonl`; `llm_evaluation/evaluate_models.py` (dollars
of a call; data set of an index). The predictions of a router (`router_inference/predictions`) are another file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pointsman.data.formats.lines import json_objects
from pointsman.data.formats.rows import Answer, Answered, Query, Refused, parsed
from pointsman.data.formats.values import amount, count, length, optional_text, part, share, text


def read(path: Path, _task: str) -> Iterator[tuple[int, Answered | Refused]]:
    """The records of a file."""
    return parsed(json_objects(path), _parse)


def _parse(record: Mapping[str, Any]) -> Answered:
    index = text(record, "global_index")
    judged, tokens = part(record, "evaluation_result"), part(record, "token_usage")
    query = Query(
        index,
        index.partition("_")[0],
        text(record, "question"),
        optional_text(judged, "ground_truth"),
        optional_text(judged, "metric"),
    )
    if record.get("success") is False:
        return Answered(query, (), failed_calls=1)
    answer = Answer(
        text(record, "llm_selected"),
        share(judged.get("score"), "score"),
        count(tokens.get("input_tokens"), "input_tokens"),
        count(tokens.get("output_tokens"), "output_tokens"),
        length(record.get("generated_answer")),
        amount(judged.get("inference_cost"), "inference_cost"),
    )
    return Answered(query, (answer,))
