"""What makes an answer right: four kinds of specification, parsed from JSON.

{"kind": "number", "value": 42}                              the number the answer ends in
{"kind": "text", "any": ["Jupiter"], "rivals": ["Saturn"]}   one of these forms; a rival first is wrong
{"kind": "option", "letter": "B"}                            the letter of a multiple choice
{"kind": "python", "function": "f", "tests": ["assert ..."]} code that makes every assert hold
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pointsman.errors import DataError

KINDS = ("number", "text", "option", "python")


@dataclass(frozen=True, slots=True)
class NumberAnswer:
    """The answer is exactly this number, however it is written."""

    value: int | float


@dataclass(frozen=True, slots=True)
class TextAnswer:
    """The answer names one of `any_of` and no `rivals` before it (the wrong names of the prompt)."""

    any_of: tuple[str, ...]
    rivals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OptionAnswer:
    """The answer is this capital letter."""

    letter: str


@dataclass(frozen=True, slots=True)
class PythonAnswer:
    """The answer holds Python code that defines `function` and makes every assert hold."""

    function: str
    tests: tuple[str, ...]


AnswerSpec = NumberAnswer | TextAnswer | OptionAnswer | PythonAnswer


def parse_answer(raw: Any) -> AnswerSpec:
    """Make a specification from its JSON. Raises DataError with the value and what it should be."""
    if not isinstance(raw, Mapping):
        raise DataError(f"an answer is an object, not {raw!r:.80}")
    match dict(raw):
        case {"kind": "number", "value": int() | float() as value, **rest} if not rest:
            if isinstance(value, bool) or not math.isfinite(value):
                raise DataError(f"a number answer needs a finite number, not {value!r}")
            return NumberAnswer(value)
        case {"kind": "text", "any": any_of, **rest} if rest.keys() <= {"rivals"}:
            forms = _words("any", any_of)
            if not forms:
                raise DataError("a text answer accepts no form", remedy="Give at least one in `any`.")
            return TextAnswer(forms, _words("rivals", rest.get("rivals", [])))
        case {"kind": "option", "letter": str(letter), **rest} if not rest:
            if re.fullmatch("[A-Z]", letter) is None:
                raise DataError(f"an option is one letter from A to Z, not {letter!r}")
            return OptionAnswer(letter)
        case {"kind": "python", "function": str(function), "tests": list(tests), **rest} if not rest:
            return _python(function, tests)
        case {"kind": kind} if kind in KINDS:
            raise DataError(f"an answer of kind {kind} can't have the fields {sorted(map(str, raw))}")
        case _:
            raise DataError(
                f"unknown kind of answer {raw.get('kind')!r}", remedy=f"Known: {', '.join(KINDS)}."
            )


def _words(field: str, raw: Any) -> tuple[str, ...]:
    """A tuple of texts that each hold a letter or digit."""
    if not isinstance(raw, list) or not all(isinstance(form, str) for form in raw):
        raise DataError(f"`{field}` is a list of texts, not {raw!r:.80}")
    for form in raw:
        if not any(character.isalnum() for character in form):
            raise DataError(f"`{field}` holds {form!r}, which has no letter or digit to look for")
    return tuple(raw)


def _python(function: str, tests: list[Any]) -> PythonAnswer:
    if not function.isidentifier():
        raise DataError(f"a function's name is a Python identifier, not {function!r}")
    if not tests:
        raise DataError(
            f"{function} has no tests, so any code would pass", remedy="Give at least one assert."
        )
    for test in tests:
        if not isinstance(test, str) or not _is_assert(test):
            raise DataError(f"a test of {function} is an assert statement, not {test!r:.80}")
    return PythonAnswer(function, tuple(tests))


def _is_assert(source: str) -> bool:
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError):
        return False
    return len(body) == 1 and isinstance(body[0], ast.Assert)
