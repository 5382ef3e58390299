"""Judges a model's answer against what makes it right (`answers.py`): 1.0 or 0.0, with the reason.

number  `numerals.py` finds the number the answer gives; compared exactly (3/4 = 0.75 = .750)
text    `mentions.py` looks for an accepted form; naming many candidates does not count
option  the letter after the last "answer is" or "answer:", else the one the text opens with, else
        the only one written like an option, "(B)" or "B)"; a text that writes several like options
        and announces none has not chosen
python  every assert holds for the code in the answer (`sandbox.py`)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from pointsman.data.answers import (
    AnswerSpec,
    NumberAnswer,
    OptionAnswer,
    PythonAnswer,
    TextAnswer,
    parse_answer,
)
from pointsman.data.mentions import judge_mention
from pointsman.data.numerals import final_number
from pointsman.data.sandbox import SandboxLimits, extract_code, run_tests

_ANNOUNCED_LETTER: Final = re.compile(
    r"\b(?i:answer(?:\s+is\b|\W{0,2}[:=]))[\s:*(]*(?i:option\s+)?[*(]{0,3}([A-Z])(?![\w'])"
)
_OPENING_LETTER: Final = re.compile(
    r"[\s*(`\"']*(?:(?i:option)\s+)?([A-Z])(?:[\s*`\"']*$|\*{0,2}[).:,\n]|\n)"
)
_OPTION_LETTER: Final = re.compile(r"(?<!\w)(?:\(([A-Z])\)|([A-Z])\)|([A-Z])[.:](?=\s))")


@dataclass(frozen=True, slots=True)
class Score:
    """How right an answer is, in [0, 1], and one sentence that says why."""

    value: float
    detail: str


def score(spec: AnswerSpec | Mapping[str, Any], text: str, *, limits: SandboxLimits | None = None) -> Score:
    """Judge an answer. Code runs in a child process and may take `limits.wall_s`.

    Args:
        spec: what makes it right, parsed or as JSON.
        text: all the model said.
        limits: what code may use; None means the sandbox's defaults.

    Raises: DataError for a bad `spec`; never for anything in `text`.
    """
    parsed = parse_answer(spec) if isinstance(spec, Mapping) else spec
    match parsed:
        case NumberAnswer(value):
            return _score_number(value, text)
        case TextAnswer(any_of, rivals):
            right, why = judge_mention(text, any_of, rivals)
            return Score(float(right), f"{any_of[0]}: {why}")
        case OptionAnswer(letter):
            given = chosen_option(text)
            return Score(float(given == letter), f"{given or 'no letter'} for {letter}")
        case PythonAnswer(function, tests):
            code = extract_code(text, function)
            if code is None:
                return Score(0.0, f"no code that defines {function}")
            result = run_tests(code, function, tests, limits=limits)
            return Score(float(result.ok), result.detail)


def chosen_option(text: str) -> str | None:
    """Give the letter of the option that the text chooses, or None. See the module's text."""
    if announced := _ANNOUNCED_LETTER.findall(text):
        return str(announced[-1])
    written = {next(filter(None, groups)) for groups in _OPTION_LETTER.findall(text)}
    if len(written) > 1:
        return None
    if opening := _OPENING_LETTER.match(text):
        return opening[1]
    return written.pop() if written else None


def _score_number(value: float, text: str) -> Score:
    given = final_number(text)
    if given is None:
        return Score(0.0, f"no number for {value}")
    wanted = Fraction(str(value))
    shown = str(given) if given.denominator == 1 else f"{float(given):g}"
    return Score(float(given == wanted), f"{shown} for {value}")
