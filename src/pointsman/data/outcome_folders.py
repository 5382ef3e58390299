"""Outcomes of one or more folders as one matrix to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from pointsman.data.shared_outcomes import shared_outcomes
from pointsman.data.tables import column_names
from pointsman.errors import DataError
from pointsman.predict.features.core_text import core_text
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.types import Floats

FILES: Final = ("queries.parquet", "outcomes.parquet")
_OTHER_TOKENIZER: Final = "output_tokens_cl100k"


def read_outcomes(folders: Sequence[Path]) -> OutcomeMatrix:
    """What the folders hold together; an endpoint that one lacks is missing there.

    Prompts are read as predictors read them (`core_text`). Lengths are in the model's own tokens; where a
    folder has none, in those of cl100k, if it has them.

    Queries without any outcome are left out.

    Raises: DataError for a folder without its files, a missing column, values out of range, an id of two
        texts, or an outcome told in two ways; MissingError without pyarrow.
    """
    whole = joined([_read(folder) for folder in folders])
    asked = ~(np.isnan(whole.quality) & np.isnan(whole.output_tokens)).all(axis=1)
    if not asked.any():
        raise DataError(
            f"no query of {', '.join(map(str, folders))} has an outcome", remedy="Collect some first"
        )
    return whole if asked.all() else whole.take(np.flatnonzero(asked))


def joined(parts: Sequence[OutcomeMatrix]) -> OutcomeMatrix:
    """One matrix over the queries and endpoints of all parts, each in the order of first appearance."""
    if len(parts) == 1:
        return parts[0]
    queries: dict[str, tuple[str, str]] = {}
    ids: list[str] = []
    names: list[str] = []
    quality: list[float] = []
    tokens: list[float] = []
    for part in parts:
        for query, prompt, task in zip(part.query_ids, part.prompts, part.tasks, strict=True):
            if queries.setdefault(query, (prompt, task)) != (prompt, task):
                raise DataError(
                    f"the query {query!r} has two texts or tasks",
                    remedy="Give queries of different sets ids of their own",
                )
        told = ~(np.isnan(part.quality) & np.isnan(part.output_tokens))
        for row, column in np.argwhere(told).tolist():
            ids.append(part.query_ids[row])
            names.append(part.endpoints[column])
        quality += part.quality[told].tolist()
        tokens += part.output_tokens[told].tolist()
    endpoints = list(dict.fromkeys(name for part in parts for name in part.endpoints))
    rows: dict[str, Sequence[str] | Floats] = {
        "query_id": ids,
        "endpoint": names,
        "quality": np.array(quality),
        "output_tokens": np.array(tokens),
    }
    return OutcomeMatrix.from_rows(queries, endpoints, rows)


def _read(folder: Path) -> OutcomeMatrix:
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        what = f"has no {' and no '.join(missing)}" if folder.is_dir() else "is no folder"
        raise DataError(
            f"{folder} {what}", remedy="Name a folder that `pointsman collect` wrote, or an outcome set"
        )
    made = shared_outcomes(folder)
    if np.isnan(made.output_tokens).all() and _OTHER_TOKENIZER in column_names(folder / FILES[1]):
        made = shared_outcomes(folder, lengths=_OTHER_TOKENIZER)
    prompts = tuple(core_text(prompt) for prompt in made.prompts)
    return OutcomeMatrix(
        made.query_ids, prompts, made.tasks, made.endpoints, made.quality, made.output_tokens
    )
