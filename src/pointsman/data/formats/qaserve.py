"""QAServe, the data of OmniRouter: JSONL with an object a query.

    {query, input_token_length, outputs: [{model_name, correctness, output_token_length, prediction}]}

`correctness` is true or false (or a share), `prediction` the text. There is no id and no task: the id is a hash of
the query, the task the file's name.

Partly verified: the fields are those that the released router reads (its `SmartRouting.QueryStore.add_data`), but
the data themselves are not public, so that the container (an object a line is expected here), `prediction` and
whether `input_token_length` is the same for every model are as told, not as seen. It is given to every model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pointsman.data.formats.lines import json_objects
from pointsman.data.formats.rows import Answer, Answered, ContentIds, Query, Refused, parsed
from pointsman.data.formats.values import count, length, share, text
from pointsman.errors import DataError


def read(path: Path, task: str) -> Iterator[tuple[int, Answered | Refused]]:
    """The queries of a file."""
    ids = ContentIds()

    def parse(record: Mapping[str, Any]) -> Answered:
        prompt, outputs = text(record, "query"), record.get("outputs")
        if not isinstance(outputs, list) or not outputs or not all(isinstance(o, Mapping) for o in outputs):
            raise DataError(f"outputs is {outputs!r:.60}, not a list of objects", remedy="Give one a model")
        input_tokens = count(record.get("input_token_length"), "input_token_length")
        answers = tuple(_answer(output, input_tokens) for output in outputs)
        return Answered(Query(ids.of(task, prompt), task, prompt), answers)

    return parsed(json_objects(path), parse)


def _answer(output: Mapping[str, Any], input_tokens: int | None) -> Answer:
    return Answer(
        text(output, "model_name"),
        share(output.get("correctness"), "correctness"),
        input_tokens,
        count(output.get("output_token_length"), "output_token_length"),
        length(output.get("prediction")),
    )
