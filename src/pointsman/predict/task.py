"""What kind of question a prompt asks, by cheap rules: the key of per-task priors.

    code        asks for a function, a program or to mend one
    choice      offers lettered options
    reasoning   asks for what follows: order, comparison, sequence, calendar, deduction
    arithmetic  asks for a number that follows from the numbers given
    fact        asks for one known thing
    chat        anything else

The first rule that holds decides: code, choice, a written sum, an open task (a story, an
explanation: chat), reasoning, arithmetic, fact. Rules read the first `READ_CHARS` characters only. Cost: about 10 microseconds a prompt.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

TASKS: Final = ("arithmetic", "fact", "reasoning", "code", "choice", "chat")
READ_CHARS: Final = 400
_QUESTION_CHARS: Final = 200

_WORD: Final = re.compile(r"[a-z]+|\d+")
_SUM: Final = re.compile(r"\d\s?[-+*/^%\u00d7\u00f7]\s?\(?\d")
_ASCII_SUM: Final = re.compile(rb"0 ?\+ ?\(?0")
_SUM_KINDS: Final = bytes(
    ord(
        "0"
        if chr(byte).isdigit()
        else "+"
        if chr(byte) in "-+*/^%"
        else " "
        if chr(byte).isspace()
        else "("
        if chr(byte) == "("
        else "x"
    )
    for byte in range(128)
).ljust(256, b"x")
"""An ASCII byte to its part in a sum."""
_CODE_ASK: Final = frozenset(
    {
        "write", "implement", "fix", "debug", "complete", "refactor", "generate", "create", "define",
        "change", "repair",
    }
)  # fmt: skip
_CODE_THING: Final = frozenset(
    {
        "function", "program", "code", "script", "class", "method", "query", "regex", "python",
        "javascript", "sql", "java", "rust", "bash",
    }
)  # fmt: skip
_REASONING: Final = frozenset(
    {
        "than", "tallest", "shortest", "oldest", "youngest", "cheapest", "sequence", "row", "next",
        "follows", "belong", "odd", "must", "twice", "every", "therefore", "either", "neither", "today",
        "tomorrow", "yesterday", "later", "before", "after", "turn", "years",
    }
)  # fmt: skip
_ARITHMETIC: Final = frozenset(
    {
        "add", "subtract", "multiply", "divide", "divided", "times", "half", "double", "squared", "cubed",
        "root", "percent", "perimeter", "area", "speed", "multiple", "divisor", "remainder", "power", "sum",
        "product", "total", "average", "mean", "difference", "compute", "calculate", "evaluate", "solve",
        "away",
    }
)  # fmt: skip
_OPEN: Final = frozenset(
    {
        "retell", "story", "essay", "poem", "explain", "describe", "length", "summarise", "summarize",
        "translate", "happens",
    }
)  # fmt: skip
_NUMBER: Final = frozenset(
    {
        "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
        "hundred", "thousand",
    }
)  # fmt: skip
_ASKING: Final = frozenset(
    {
        "what", "which", "who", "whose", "where", "when", "name", "give", "how",
    }
)  # fmt: skip


SIGNS: Final = (_CODE_ASK, _CODE_THING, _OPEN, _REASONING, _NUMBER, _ARITHMETIC)
"""Kinds of words that `task_of` asks for."""


def prompt_task(text: str) -> str:
    """One of `TASKS` for the last user turn's text; an empty text is `chat`."""
    listed = _WORD.findall(text[:READ_CHARS].lower())
    words = set(listed)
    signs = [not words.isdisjoint(kind) for kind in SIGNS]
    return task_of(text, listed, signs, any(map(str.isdigit, words)))


def task_of(text: str, words: Sequence[str], signs: Sequence[float], numerals: float) -> str:
    """The same, for a caller that has split the text anyway.

    Args:
        text: the whole of it.
        words: those of its first `READ_CHARS`, in lower case and in order.
        signs: for each of `SIGNS` how many of these words belong to it, or whether any does.
        numerals: how many of these words are digits, or whether any is.
    """
    head = text[:READ_CHARS].lower()
    code_ask, code_thing, open_ask, reasoning, number, arithmetic = signs
    if (code_ask and code_thing) or "```" in head:
        return "code"
    if "b) " in head and "a) " in head:
        return "choice"
    if numerals and _has_sum(head):
        return "arithmetic"
    if len(text) > READ_CHARS or open_ask:
        return "chat"
    if reasoning:
        return "reasoning"
    if (numerals or number) and (arithmetic or ("how" in words and "many" in words)):
        return "arithmetic"
    if len(head) <= _QUESTION_CHARS and not _ASKING.isdisjoint([*words[:2], *words[-12:]]):
        return "fact"
    return "chat"


def _has_sum(text: str) -> bool:
    if not text.isascii():
        return _SUM.search(text) is not None
    # Of signs told apart by kind alone a sum begins with a fixed byte, which is found much sooner.
    return _ASCII_SUM.search(text.encode().translate(_SUM_KINDS)) is not None
