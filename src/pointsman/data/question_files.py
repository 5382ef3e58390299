"""Questions to collect outcomes on from a user's own file.

*.jsonl  the format of `questions.jsonl` (see `questions.py`), prompts as they are
*.csv    columns id, question, choices, subject, answer; `choices` is a list in JSON, or columns A, B, ... hold
         one option each, and `answer` is a letter; without options `answer` is a number or a text
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pointsman.data.answers import AnswerSpec, NumberAnswer, OptionAnswer, PythonAnswer, TextAnswer
from pointsman.data.csv_table import read_csv
from pointsman.data.numerals import final_number
from pointsman.data.question_sets import LETTERS, SetQuestion, choice_prompt, number_prompt
from pointsman.data.questions import Question, load_questions
from pointsman.errors import DataError

COLUMNS: Final = ("id", "question", "answer")
_CHOICE_TOKENS, _NUMBER_TOKENS, _TEXT_TOKENS = 8, 512, 128


def read_question_file(path: Path) -> tuple[SetQuestion, ...]:
    """All questions in the order of the file.

    Raises: DataError with file and line for what can't be asked or judged: no text, no answer, an answer
        that is none of the choices, an id that was there before, a broken file, one without questions.
    """
    if path.suffix == ".csv":
        return _csv(path)
    return tuple(_from_shipped(question, path.stem) for question in load_questions(path))


def _from_shipped(question: Question, dataset: str) -> SetQuestion:
    tests = question.answer.tests if isinstance(question.answer, PythonAnswer) else ()
    return SetQuestion(
        id=question.id,
        dataset=dataset,
        task=question.task,
        text=question.prompt,
        prompt=question.prompt,
        max_tokens=question.max_tokens,
        answer=question.answer,
        options=LETTERS if isinstance(question.answer, OptionAnswer) else "",
        visible_test=tests[0] if tests else "",
    )


def _csv(path: Path) -> tuple[SetQuestion, ...]:
    table = read_csv(path)
    table.require(COLUMNS)
    table.ids()
    questions = []
    for cells, line in zip(table.rows, table.lines, strict=True):
        try:
            questions.append(_question(cells, path.stem))
        except DataError as fault:
            raise DataError(f"{path}, line {line}: {fault.message}", remedy=fault.remedy) from fault
    return tuple(questions)


def _question(cells: Mapping[str, str], dataset: str) -> SetQuestion:
    """One row. Raises DataError without the place."""
    for name in COLUMNS:
        if not cells[name]:
            raise DataError(f"{name} is empty", remedy="Fill it in, or remove the row")
    choices = _choices(cells.get("choices", "")) or _columns(cells)
    options = LETTERS[: len(choices)]
    lines = [f"{letter}. {choice}" for letter, choice in zip(options, choices, strict=True)]
    text = "\n".join([cells["question"], *lines])
    answer = _answer(cells["answer"], options)
    prompt, max_tokens = _asked(text, answer, options)
    return SetQuestion(
        cells["id"], dataset, cells.get("subject", ""), text, prompt, max_tokens, answer, options
    )


def _choices(cell: str) -> list[str]:
    if not cell:
        return []
    try:
        choices = json.loads(cell)
    except (ValueError, RecursionError):
        choices = None
    if not isinstance(choices, list) or not 1 < len(choices) <= len(LETTERS):
        raise DataError(
            f"choices is no list of 2 to {len(LETTERS)} options: {cell:.60}",
            remedy='Write ["first", "second", ...], or use columns A, B, C, D',
        )
    return [str(choice) for choice in choices]


def _columns(cells: Mapping[str, str]) -> list[str]:
    """The options in columns A, B, ... of one row, of which the last may be empty."""
    named = [cells.get(letter.casefold(), "") for letter in LETTERS] if {"a", "b"} <= cells.keys() else []
    last = max((at for at, option in enumerate(named) if option), default=-1)
    if "" in named[: last + 1]:
        gap = named.index("")
        raise DataError(
            f"option {LETTERS[gap]} is empty, but {LETTERS[last]} is not",
            remedy="Fill the columns A, B, ... from the left",
        )
    if last == 0:
        raise DataError("there is one option only, in column A", remedy="Fill column B too, or empty both")
    return named[: last + 1]


def _answer(cell: str, options: str) -> AnswerSpec:
    if options:
        if cell not in tuple(options):
            raise DataError(f"the answer {cell!r:.60} is none of the letters {', '.join(options)}")
        return OptionAnswer(cell)
    number = cell.replace(",", "")
    try:
        value = float(number)
    except ValueError:
        return TextAnswer((cell,))
    if final_number(cell) is None:
        raise DataError(f"the answer {cell!r:.60} is no number that answers can be compared with")
    return NumberAnswer(int(value) if value.is_integer() else value)


def _asked(text: str, answer: AnswerSpec, options: str) -> tuple[str, int]:
    """The prompt and the longest answer."""
    if options:
        return choice_prompt(text, options), _CHOICE_TOKENS
    if isinstance(answer, NumberAnswer):
        return number_prompt(text), _NUMBER_TOKENS
    return f"{text}\n\nAnswer with the shortest phrase that is right.", _TEXT_TOKENS
