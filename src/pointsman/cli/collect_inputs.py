"""What `pointsman collect` is told to ask, and whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pointsman.config import Config
from pointsman.data.draw import draw
from pointsman.data.question_files import read_question_file
from pointsman.data.question_sets import SetQuestion, load_set
from pointsman.errors import BadRequest


def questions_of(
    path: Path | None, named_set: str | None, data: Path, per_task: int | None, limit: int | None, seed: int
) -> tuple[SetQuestion, ...]:
    """The questions of a file or a named set, drawn. Raises: BadRequest, DataError."""
    if (path is None) == (named_set is None):
        raise BadRequest(
            "give either a file of questions or --set", remedy="For example: pointsman collect --set mmlu"
        )
    found = read_question_file(path) if path else load_set(named_set or "", data)
    return draw(found, per_task=per_task, limit=limit, seed=seed)


def only_endpoints(config: Config, names: Sequence[str]) -> Config:
    """The configuration with the named endpoints alone, so that no other model is started; none: all.

    Raises: BadRequest for a name that is not configured.
    """
    if not names:
        return config
    known = [
        *(model.name for model in config.fleet.models),
        *(made.endpoint.name for made in config.endpoints),
    ]
    if unknown := [name for name in names if name not in known]:
        raise BadRequest(
            f"there is no endpoint {unknown[0]!r}", remedy=f"Configured: {', '.join(known) or 'none'}"
        )
    models = tuple(model for model in config.fleet.models if model.name in names)
    hosted = tuple(made for made in config.endpoints if made.endpoint.name in names)
    return replace(config, fleet=replace(config.fleet, models=models), endpoints=hosted)
