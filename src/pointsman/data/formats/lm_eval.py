"""Sample logs of lm-evaluation-harness (`--log_samples`): JSONL with an object a (document, filter).

`doc_id` numbers the document within its task; `arguments.gen_args_0.arg_0` is the prompt as it was sent, few-shot
examples and chat template included; `resps` are the texts before a filter, log-likelihoods where options were
compared; `filter` is which filter made the answer that was judged. The other numbers are metrics of this document
(newer logs list them in `metrics`): one is taken as the score, and it has to be named where there are several.
The file is `<model>/samples_<task>_<time>.jsonl`; neither model nor task stands inside.
Source: EleutherAI/lm-evaluation-harness @034ab03, `lm_eval/loggers/evaluation_tracker.py` (names of file and folder,
shape of `arguments`), `lm_eval/evaluator.py` (a line a filter, metrics beside the other fields).

Logs have neither tokens nor times. Ids join the answers of several models to one query, which needs one prompt:
logs with each model's own chat template are refused where they meet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pointsman.data.formats.lines import json_objects
from pointsman.data.formats.rows import Answer, Answered, Query, Refused, parsed
from pointsman.data.formats.values import counted, length, optional_text, part, share
from pointsman.errors import BadRequest, DataError

_FILE: Final = re.compile(r"samples_(.+)_\d{4}-\d{2}-\d{2}T[\d.-]+")
_NO_METRIC: Final = frozenset({"doc_id", "filter", "doc_hash", "prompt_hash", "target_hash", "target"})


def read(
    path: Path, task: str, *, model: str | None = None, metric: str | None = None, only: str | None = None
) -> Iterator[tuple[int, Answered | Refused]]:
    """The judged answers of a log.

    Args:
        path: the log.
        task: taken where the file's name does not tell it.
        model: whose log it is; the name of the folder if None.
        metric: which number is the score; may be None where there is one.
        only: of this filter; may be None where there is one.

    Raises: BadRequest where a name has to be given and was not.
    """
    named = _FILE.match(path.name)
    task = named[1] if named else task
    model = model or path.resolve().parent.name
    seen: str | None = only

    def parse(record: Mapping[str, Any]) -> Answered:
        nonlocal seen
        found = optional_text(record, "filter") or "none"
        seen = found if seen is None else seen
        query = Query(f"{task}:{counted(record.get('doc_id'), 'doc_id')}", task, _prompt(record))
        if found != seen and only is None:
            raise BadRequest(
                f"{path} holds answers of the filters {seen!r} and {found!r}", remedy="Name one with --filter"
            )
        if found != seen:
            return Answered(query, ())
        name = metric or _metric(path, record)
        if name not in record:
            raise DataError(
                f"it has no {name}", remedy=f"It has {', '.join(_metrics(record)) or 'no metric'}"
            )
        score = share(record[name], name)
        return Answered(query, (Answer(model, score, output_chars=_chars(record.get("resps"))),))

    return parsed(json_objects(path), parse)


def _prompt(record: Mapping[str, Any]) -> str:
    """From the shape that is logged, or the one in memory: a list of lists."""
    found: Any = record.get("arguments")
    if isinstance(found, Mapping):
        found = part(found, "gen_args_0").get("arg_0")
    while isinstance(found, list) and found:
        found = found[0]
    if not isinstance(found, str):
        raise DataError("arguments.gen_args_0.arg_0 is no text", remedy="Log with --log_samples")
    return found


def _chars(found: Any) -> int | None:
    while isinstance(found, list) and found:
        found = found[0]
    return length(found)


def _metric(path: Path, record: Mapping[str, Any]) -> str:
    names = _metrics(record)
    if len(names) != 1:
        raise BadRequest(
            f"{path} has {'the metrics ' + ', '.join(names) if names else 'no metric'}",
            remedy="Name the one that is the score with --metric",
        )
    return names[0]


def _metrics(record: Mapping[str, Any]) -> list[str]:
    listed = record.get("metrics")
    if isinstance(listed, list):
        return [str(name) for name in listed]
    return [
        name for name, value in record.items() if isinstance(value, int | float) and name not in _NO_METRIC
    ]
