"""Seeded draws from a question set, in an order of which every beginning is stratified by task."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

from pointsman.data.question_sets import SetQuestion
from pointsman.errors import BadRequest


def draw(
    questions: Sequence[SetQuestion], *, per_task: int | None, limit: int | None, seed: int
) -> tuple[SetQuestion, ...]:
    """Choose questions and shuffle them so that the tasks take turns.

    Args:
        questions: of any tasks.
        per_task: at most so many of each task; None for all.
        limit: at most so many in all, the first of the shuffled order; None for all.
        seed: of the draw and the order.

    Returns: rounds over the tasks, each round shuffled: a run that is stopped early has seen all tasks
        alike. Equal arguments give equal draws, and a larger `limit` only adds to a smaller one.

    Raises: BadRequest where a number is below 1.
    """
    for name, value in (("--per-task", per_task), ("--limit", limit)):
        if value is not None and value < 1:
            raise BadRequest(f"{name} {value} draws no question", remedy="Give a number from 1")
    rng = random.Random(seed)  # noqa: S311 - a sample, not a secret
    by_task: defaultdict[str, list[SetQuestion]] = defaultdict(list)
    for question in questions:
        by_task[question.task].append(question)
    drawn = [rng.sample(group, len(group))[:per_task] for _, group in sorted(by_task.items())]
    order: list[SetQuestion] = []
    for turn in range(max(map(len, drawn), default=0)):
        row = [group[turn] for group in drawn if turn < len(group)]
        order.extend(rng.sample(row, len(row)))
    return tuple(order[:limit])
