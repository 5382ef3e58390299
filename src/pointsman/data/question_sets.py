"""Questions with known answers to collect outcomes on, from the shared data's `outcomes` folder.

    mmlu   multiple choice over 57 subjects (`outcomes/mmlu`)
    gsm8k  grade-school mathematics, the 1,319 test questions (`outcomes/gsm8k`)
    mbpp   Python functions with three asserts each (`outcomes/llmrouter9`); the prompt shows the first
           assert, as is the custom of this benchmark, since it tells the function's name

Own questions come from `questions.jsonl`'s format or a CSV (`question_files.py`).
"""

from __future__ import annotations

import ast
import builtins
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from pointsman.data.answers import AnswerSpec, NumberAnswer, OptionAnswer, PythonAnswer
from pointsman.data.parquet import read_rows
from pointsman.errors import BadRequest, DataError

LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_OPTION_LINE: Final = re.compile(r"^([A-Z])\. ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class SetQuestion:
    """One question of a set.

    Attributes:
        id: unique in its set.
        dataset: the set's name.
        task: subject or category; "" where unknown.
        text: the question itself, without how to answer; multiple choice with its options.
        prompt: the whole user turn that is sent.
        max_tokens: of the answer.
        answer: what makes it right.
        options: the letters to choose from, such as "ABCD"; "" if it is no multiple choice.
        visible_test: the assert that the prompt shows; "" if none.
    """

    id: str
    dataset: str
    task: str
    text: str
    prompt: str
    max_tokens: int
    answer: AnswerSpec
    options: str = ""
    visible_test: str = ""


def choice_prompt(text: str, options: str) -> str:
    """Ask for the letter alone. What all questions share comes first, so that servers can reuse it."""
    letters = f"{', '.join(options[:-1])} or {options[-1]}"
    return (
        "Answer this multiple-choice question. "
        f"Reply with only the letter of the right option: {letters}.\n\n{text}\n\nAnswer:"
    )


def number_prompt(text: str) -> str:
    """Ask for the calculation, short, and a last line that can be matched."""
    return (
        f"{text}\n\nWrite only the equations, one a line, with no other words. "
        'Then write "The answer is" and the number.'
    )


def code_prompt(text: str, visible_test: str) -> str:
    """Ask for one function; the assert tells its name and how it is called."""
    return (
        "Write Python code for this task. Reply with one code block and nothing else.\n\n"
        f"{text}\n\nThe code must pass this test:\n{visible_test}"
    )


def load_set(name: str, data: Path) -> tuple[SetQuestion, ...]:
    """The named set in the order of its file.

    Args:
        name: one of `SETS`.
        data: the folder that holds `outcomes/`.

    Raises: BadRequest for an unknown name; DataError where the files are missing or wrong.
    """
    if name not in SETS:
        raise BadRequest(f"there is no question set {name!r}", remedy=f"Choose from {', '.join(SETS)}")
    source = SETS[name]
    path = data / "outcomes" / source.folder / "queries.parquet"
    if not path.exists():
        raise DataError(f"{path} does not exist", remedy="Give the folder that holds `outcomes` as --data")
    rows = [row for row in _rows(path, source.truth) if not source.tasks or row["task"] in source.tasks]
    questions = tuple(question for row in rows if (question := source.question(row)) is not None)
    if not questions:
        raise DataError(f"{path} holds no question of the set {name}")
    return questions


def _rows(path: Path, truth: str) -> list[dict[str, Any]]:
    """Rows that have an id of their own, a task, a text, and the truth in the column of that name."""
    rows = read_rows(path)
    seen: set[str] = set()
    for number, row in enumerate(rows):
        for name in ("query_id", "task", "prompt", truth):
            if name not in row:
                raise DataError(f"{path} has no column {name}", remedy="Give the folder of the outcome sets")
        for name in ("query_id", "prompt"):
            if not str(row[name] or "").strip():
                raise DataError(
                    f"{path}, row {number}: {name} is empty", remedy="Fill it in, or remove the row"
                )
        if row["query_id"] in seen:
            raise DataError(
                f"{path}, row {number}: the id {row['query_id']!r} is there twice", remedy="Remove one"
            )
        seen.add(row["query_id"])
    return rows


def _mmlu(row: Mapping[str, Any]) -> SetQuestion:
    options = "".join(_OPTION_LINE.findall(row["prompt"]))[-4:]
    return SetQuestion(
        id=row["query_id"],
        dataset="mmlu",
        task=row["task"],
        text=row["prompt"],
        prompt=choice_prompt(row["prompt"], options),
        max_tokens=8,
        answer=OptionAnswer(row["answer"]),
        options=options,
    )


def _gsm8k(row: Mapping[str, Any]) -> SetQuestion:
    value = float(row["answer"].replace(",", ""))
    return SetQuestion(
        id=row["query_id"],
        dataset="gsm8k",
        task="gsm8k",
        text=row["prompt"],
        prompt=number_prompt(row["prompt"]),
        max_tokens=1024,
        answer=NumberAnswer(int(value) if value.is_integer() else value),
    )


def _mbpp(row: Mapping[str, Any]) -> SetQuestion | None:
    """None where the asserts need more than one function (one needs `sys`, one redefines `sum`)."""
    tests = json.loads(row["choices_json"])
    functions = _names_used(tests)
    if len(functions) != 1:
        return None
    return SetQuestion(
        id=row["query_id"],
        dataset="mbpp",
        task="mbpp",
        text=row["prompt"],
        prompt=code_prompt(row["prompt"], tests[0]),
        max_tokens=512,
        answer=PythonAnswer(functions.pop(), tuple(tests)),
        visible_test=tests[0],
    )


def _names_used(tests: Sequence[str]) -> set[str]:
    """Names that the asserts need and Python does not bring."""
    nodes = (node for test in tests for node in ast.walk(ast.parse(test)))
    return {node.id for node in nodes if isinstance(node, ast.Name) and not hasattr(builtins, node.id)}


class _Source(NamedTuple):
    """Where a set lies, and how a row becomes a question.

    `tasks`: those of the folder that belong to the set, none for all. `truth`: the column of what is right.
    """

    folder: str
    tasks: tuple[str, ...]
    truth: str
    question: Callable[[Mapping[str, Any]], SetQuestion | None]


SETS: Final[Mapping[str, _Source]] = MappingProxyType(
    {
        "mmlu": _Source("mmlu", (), "answer", _mmlu),
        "gsm8k": _Source("gsm8k", ("test",), "answer", _gsm8k),
        "mbpp": _Source("llmrouter9", ("mbpp",), "choices_json", _mbpp),
    }
)
