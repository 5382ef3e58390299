"""Paraphrase rules: pure rewritings of a question that leave its answer, and so every decision, as it was.

A question is a stem and, where it is multiple choice, lines `A. ...`, `B. ...` below it. A rule that
changes or moves the labels tells which label the right answer has afterwards. Written, and the held-out
ones drawn, before any defence existed. Equal texts give equal texts: rules draw nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Final

_OPTION: Final = re.compile(r"^([A-J])[.)] ?(.*)$", re.MULTILINE)
_LETTERS: Final = "ABCDEFGHIJ"
_LONG_WORD: Final = re.compile(r"\b[a-z]{6,}\b")
_SYNONYMS: Final = {
    "which of the following": "which one of these",
    "what is": "what would be",
    "which": "what",
    "find": "determine",
    "calculate": "work out",
    "according to": "going by",
    "best describes": "describes most closely",
    "most likely": "most probably",
    "how many": "what number of",
    "why": "for what reason",
    "because": "since",
    "true": "correct",
}
_CONTRACTIONS: Final = {
    "is not": "isn't",
    "are not": "aren't",
    "does not": "doesn't",
    "do not": "don't",
    "cannot": "can't",
    "can not": "can't",
    "would not": "wouldn't",
    "will not": "won't",
    "it is": "it's",
    "what is": "what's",
    "that is": "that's",
    "he is": "he's",
    "she is": "she's",
}


@dataclass(frozen=True, slots=True)
class Paraphrase:
    """One rule.

    Attributes:
        rewrite: text -> text of the same meaning; "" gives no error.
        held_out: never seen by a defence while it is made or trained.
        labels: text -> for each option's label, its label after `rewrite`; {} where there are no options.
    """

    name: str
    rewrite: Callable[[str], str]
    held_out: bool
    labels: Callable[[str], Mapping[str, str]]


def split_question(text: str) -> tuple[str, tuple[str, ...]]:
    """The stem and the options, without labels; no options where they aren't A, B, C, ... in order."""
    found = list(_OPTION.finditer(text))
    if len(found) < 2 or [match[1] for match in found] != list(_LETTERS[: len(found)]):  # noqa: PLR2004
        return text, ()
    ends = [match.start() for match in found[1:]] + [len(text)]
    options = (text[match.start(2) : end].rstrip("\n") for match, end in zip(found, ends, strict=True))
    return text[: found[0].start()].rstrip("\n"), tuple(options)


def _options(text: str, line: Callable[[int, str], str], between: str = "\n") -> str:
    """The text with each option written by `line(index, option)`; unchanged without options."""
    stem, options = split_question(text)
    if not options:
        return text
    return stem + between + between.join(line(index, option) for index, option in enumerate(options))


def _stem(text: str, rewrite: Callable[[str], str]) -> str:
    stem, options = split_question(text)
    if not options:
        return rewrite(text)
    return "\n".join([rewrite(stem), *(f"{_LETTERS[i]}. {option}" for i, option in enumerate(options))])


def _words(text: str, table: Mapping[str, str]) -> str:
    pattern = re.compile(r"\b(" + "|".join(map(re.escape, table)) + r")\b", re.IGNORECASE)

    def swap(match: re.Match[str]) -> str:
        new = table[match[0].lower()]
        return new[0].upper() + new[1:] if match[0][0].isupper() else new

    return pattern.sub(swap, text)


def _typos(text: str) -> str:
    """Swap the third and fourth letter of every third long lower-case word."""
    turn = count(1)

    def swap(match: re.Match[str]) -> str:
        word = match[0]
        return word if next(turn) % 3 else word[:2] + word[3] + word[2] + word[4:]

    return _LONG_WORD.sub(swap, text)


def _rotate(text: str) -> str:
    _, options = split_question(text)
    return _options(text, lambda index, _: f"{_LETTERS[index]}. {options[index - 1]}")


def _rotated(text: str) -> Mapping[str, str]:
    size = len(split_question(text)[1])
    return {_LETTERS[index]: _LETTERS[(index + 1) % size] for index in range(size)}


def _same(text: str) -> Mapping[str, str]:
    return {letter: letter for letter, _ in zip(_LETTERS, split_question(text)[1], strict=False)}


def _numbered(text: str) -> Mapping[str, str]:
    return {_LETTERS[index]: str(index + 1) for index in range(len(split_question(text)[1]))}


def _lowered(text: str) -> Mapping[str, str]:
    return {letter: letter.lower() for letter in _same(text)}


_HELD_OUT: Final = frozenset({"upper_stem", "blank_lines", "one_line"})
"""Drawn by chance from the names below before any defence was made."""

_REWRITES: Final[Mapping[str, Callable[[str], str]]] = {
    "polite": lambda text: f"Could you please help me with this question? {text}\nThank you very much!",
    "greeting": lambda text: f"Hi there, I hope you are well.\n\n{text}",
    "lower_case": str.lower,
    "upper_stem": lambda text: _stem(text, str.upper),
    "double_spaces": lambda text: text.replace(" ", "  "),
    "blank_lines": lambda text: text.replace("\n", "\n\n"),
    "number_labels": lambda text: _options(text, lambda index, option: f"{index + 1}. {option}"),
    "parenthesised_labels": lambda text: _options(
        text, lambda index, option: f"({_LETTERS[index].lower()}) {option}"
    ),
    "one_line": lambda text: _options(text, lambda index, option: f"{_LETTERS[index]}) {option}", " "),
    "rotate_options": _rotate,
    "synonyms": lambda text: _stem(text, lambda stem: _words(stem, _SYNONYMS)),
    "contractions": lambda text: _stem(text, lambda stem: _words(stem, _CONTRACTIONS)),
    "typos": lambda text: _stem(text, _typos),
    "markdown": lambda text: _options(
        f"**Question:** {text}", lambda index, option: f"- **{_LETTERS[index]}.** {option}"
    ),
    "no_final_punctuation": lambda text: _stem(text, lambda stem: stem.rstrip(".?!: ")),
    "answer_cue": lambda text: f"Question: {text}\nAnswer:",
}
_LABELS: Final[Mapping[str, Callable[[str], Mapping[str, str]]]] = {
    "number_labels": _numbered,
    "parenthesised_labels": _lowered,
    "lower_case": _lowered,
    "rotate_options": _rotated,
}

PARAPHRASES: Final = tuple(
    Paraphrase(name, rewrite, name in _HELD_OUT, _LABELS.get(name, _same))
    for name, rewrite in _REWRITES.items()
)
"""16 rules, 3 of them held out."""
