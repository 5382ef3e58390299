"""Questions with known answers: the shipped set (`questions.jsonl`) or a file of the same shape.

One JSON object a line: `id`, `task` (arithmetic, fact, reasoning or code), `prompt`, `max_tokens` and
`answer` (see `answers.py`). All of the shipped set was written for this package; no prompt of it is
one that a profile asks.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from pointsman.data.answers import AnswerSpec, parse_answer
from pointsman.errors import BadRequest, DataError

TASKS: Final = ("arithmetic", "fact", "reasoning", "code")
_FIELDS: Final = frozenset({"id", "task", "prompt", "max_tokens", "answer"})


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        id: unique in its file.
        task: one of `TASKS`.
        prompt: the whole user turn; it says how to answer.
        max_tokens: enough for a right answer, short enough to be cheap.
        answer: what makes an answer right (`scoring.score`).
    """

    id: str
    task: str
    prompt: str
    max_tokens: int
    answer: AnswerSpec


def load_questions(path: Path | None = None) -> tuple[Question, ...]:
    """Read questions in the file's order; without a path, the shipped ones.

    Blank lines are skipped. Raises DataError with file and line for text that isn't UTF-8, broken
    JSON, a missing, unknown or bad field, an id that was there before, and for a file without questions.
    """
    source = files("pointsman.data") / "questions.jsonl" if path is None else path
    name = "questions.jsonl (shipped)" if path is None else str(path)
    try:
        text = source.read_bytes().decode("utf-8")
    except OSError as fault:
        raise DataError(f"can't read the questions {name}: {fault.strerror}") from fault
    except UnicodeDecodeError as fault:
        raise DataError(f"{name} isn't UTF-8 at byte {fault.start}") from fault
    line_of: dict[str, int] = {}
    questions = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            question = _parse(line)
        except DataError as fault:
            raise DataError(f"{name}, line {number}: {fault.message}", remedy=fault.remedy) from fault
        if question.id in line_of:
            before = line_of[question.id]
            raise DataError(f"{name}, line {number}: the id {question.id!r} is already on line {before}")
        line_of[question.id] = number
        questions.append(question)
    if not questions:
        raise DataError(f"{name} holds no question", remedy="Write one JSON object a line.")
    return tuple(questions)


def sample_questions(questions: Iterable[Question], n: int, rng: random.Random) -> tuple[Question, ...]:
    """Draw `n` questions without replacement, each task by its share, tasks taking turns.

    Shares are rounded by largest remainder, so that a task gets its exact share up to one question.
    Equal arguments and an equally seeded `rng` give equal samples.

    Raises: BadRequest if `n` lies outside 0..len(questions).
    """
    by_task: defaultdict[str, list[Question]] = defaultdict(list)
    total = 0
    for question in questions:
        by_task[question.task].append(question)
        total += 1
    if not 0 <= n <= total:
        raise BadRequest(f"can't draw {n} of {total} questions", remedy=f"Give a number from 0 to {total}.")
    sizes = _shares([len(group) for group in by_task.values()], n)
    drawn = [rng.sample(group, size) for group, size in zip(by_task.values(), sizes, strict=True)]
    longest = max(sizes, default=0)
    return tuple(group[turn] for turn in range(longest) for group in drawn if turn < len(group))


def _shares(sizes: Sequence[int], n: int) -> list[int]:
    """Split `n` in proportion to `sizes`, by largest remainder; ties go to the earlier."""
    total = sum(sizes)
    if total == 0:
        return []
    shares = [n * size // total for size in sizes]
    by_remainder = sorted(range(len(sizes)), key=lambda i: -(n * sizes[i] % total))
    for index in by_remainder[: n - sum(shares)]:
        shares[index] += 1
    return shares


def _parse(line: str) -> Question:
    """One line of the file. Raises DataError without the place."""
    try:
        raw = json.loads(line)
    except (ValueError, RecursionError) as fault:
        raise DataError(f"not JSON ({fault})") from fault
    if not isinstance(raw, dict):
        raise DataError(f"a question is an object, not {raw!r:.80}")
    if raw.keys() != _FIELDS:
        wrong = sorted(raw.keys() ^ _FIELDS)
        raise DataError(f"missing or unknown fields: {', '.join(wrong)}", remedy=f"Give {sorted(_FIELDS)}.")
    if raw["task"] not in TASKS:
        raise DataError(f"unknown task {raw['task']!r:.80}", remedy=f"Known: {', '.join(TASKS)}.")
    max_tokens = raw["max_tokens"]
    if not isinstance(max_tokens, int) or isinstance(max_tokens, bool) or max_tokens < 1:
        raise DataError(f"max_tokens is a whole number from 1, not {max_tokens!r:.80}")
    return Question(
        _text(raw, "id"), raw["task"], _text(raw, "prompt"), max_tokens, parse_answer(raw["answer"])
    )


def _text(raw: dict[str, Any], field: str) -> str:
    value = raw[field]
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{field} is a text that isn't empty, not {value!r:.80}")
    return value
