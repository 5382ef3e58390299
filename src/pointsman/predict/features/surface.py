"""What a prompt looks like: characters by kind, words by kind, lines, options, the type of question.

Kinds of characters and of words are shares of the text, sizes are logarithms: columns of one order of
magnitude, so that a linear model can use them. (Logarithms of the kinds' counts beside their shares gave
nothing.) Kinds of words are counted by marks, small whole numbers that a word carries; who looks words up
adds up their marks (`hot`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from pointsman.predict.features.base import Encoding
from pointsman.predict.task import READ_CHARS, SIGNS, TASKS, prompt_task, task_of

# Kinds of characters, told by one byte of their UTF-8: the byte itself in ASCII, else the one that leads.
_BYTE_KINDS: Final[dict[str, bytes | range]] = {
    "lower": b"abcdefghijklmnopqrstuvwxyz",
    "upper": b"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "digit": b"0123456789",
    "space": b" \t",
    "line": b"\n",
    "stop": b".,;:!",
    "question": b"?",
    "quote": b"'\"",
    "bracket": b"()[]",
    "math": b"+-*/=<>^%",
    "code": b"{}\\_#@&$`|~",
    "accented": range(0xC2, 0xCD),
    "greek": range(0xCD, 0xD0),
    "cyrillic": range(0xD0, 0xD6),
    "semitic": range(0xD6, 0xE0),
    "indic": range(0xE0, 0xE2),
    "symbol": range(0xE2, 0xE3),
    "cjk": range(0xE3, 0xF0),
    "emoji": range(0xF0, 0xF5),
}
_REST: Final = len(_BYTE_KINDS)
_KIND_OF_BYTE: Final = bytes(
    next((kind for kind, members in enumerate(_BYTE_KINDS.values()) if byte in members), _REST)
    for byte in range(256)
)

_TASK_SIGNS: Final = ("code_ask", "code_thing", "open", "reasoning", "number", "arithmetic")
_OWN_KINDS: Final = {
    "negation": "not no never none nor neither without except cannot least false incorrect wrong unlikely",
    "asking": "what which who whom whose where when why how",
    "request": "write explain describe list give make find calculate compute solve translate summarize "
    "rewrite answer choose select identify determine evaluate prove show",
    "absolute": "all always every only any must each both same most exactly best",
    "logic": "if then because therefore thus hence since unless implies suppose assume given following "
    "statement true argument conclude premise valid follows",
    "compare": "more less than greater fewer higher lower larger smaller faster between",
    "quantity": "ratio volume rate value equation function probability integer number degree factor "
    "polynomial matrix group ring field",
    "person": "i you he she we they my your his her our their me him us them",
}
_WORD_KINDS: Final = {
    **dict(zip(_TASK_SIGNS, SIGNS, strict=True)),
    **{kind: frozenset(words.split()) for kind, words in _OWN_KINDS.items()},
}
WORD_MARKS: Final = (*_WORD_KINDS, "numeral", "long", "foreign", "letters", "rarity", "unknown")
_NUMERAL: Final = WORD_MARKS.index("numeral")
_LONG_LETTERS: Final = 9
_UNKNOWN_RARITY: Final = 16

_OPTION_LINES: Final = 64
"""Options are looked for in the last lines."""
_OPTION_LETTERS: Final = frozenset("ABCDEFGHIJabcdefghij")
_SCALARS: Final = (
    "chars", "words", "lines", "options", "option_chars", "option_spread", "option_numerals",
    "stem_chars", "of_the_above", "blank", "ends_asking", "fenced",
)  # fmt: skip
SURFACE_COLUMNS: Final = (
    *(f"chars_{kind}" for kind in _BYTE_KINDS),
    *(f"words_{mark}" for mark in WORD_MARKS),
    *_SCALARS,
    *(f"type_{task}" for task in TASKS),
)
_TYPE_ROWS: Final = {task: tuple(float(task == other) for other in TASKS) for task in TASKS}


def word_marks(word: str, rank: int | None) -> tuple[int, ...]:
    """What one word adds to each of `WORD_MARKS`.

    Args:
        word: in lower case.
        rank: its place among known words, the most frequent 0; None for an unknown one.
    """
    return (
        *(word in kind for kind in _WORD_KINDS.values()),
        any(map(str.isdigit, word)),
        len(word) >= _LONG_LETTERS,
        not word.isascii(),
        len(word),
        _UNKNOWN_RARITY if rank is None else (rank + 1).bit_length(),
        rank is None,
    )


def surface_row(text: str, read: str, words: Sequence[str], marks: Encoding, row: Encoding) -> None:
    """Write the surface features of one text; shares of an empty one are 0.

    Args:
        text: the whole text; of what is not read only the length is used.
        read: what is read of it, see `words.readable`.
        words: the words of that.
        marks: their marks added up, in the order of `WORD_MARKS`.
        row: shape (len(SURFACE_COLUMNS),); written.
    """
    raw = read.encode("utf-8", "surrogatepass")
    kinds = np.bincount(np.frombuffer(raw.translate(_KIND_OF_BYTE), np.uint8), minlength=_REST + 1)
    each_byte, each_word = 1 / max(len(raw), 1), 1 / max(len(words), 1)
    counts: list[float] = marks.tolist()
    # As one list: for so few numbers each product of arrays would cost more than all of them.
    row[:] = (
        *[each_byte * count for count in kinds.tolist()[:_REST]],
        *[each_word * count for count in counts],
        *_scalars(text, read, len(words)),
        *_TYPE_ROWS[_task(text, words, counts)],
    )


def _task(text: str, words: Sequence[str], marks: Sequence[float]) -> str:
    """What `prompt_task` says, mostly without splitting the text again."""
    if marks[0] and marks[1] and len(text) > READ_CHARS:
        return prompt_task(text)  # these words of code may stand behind what the classifier reads
    return task_of(text, words, marks[: len(SIGNS)], marks[_NUMERAL])


def _scalars(text: str, read: str, words: int) -> tuple[float, ...]:
    """The columns of `_SCALARS`: logarithms of sizes, and yes or no."""
    lines = read.split("\n")
    options = [
        line for line in lines[-_OPTION_LINES:] if line[1:2] in {".", ")"} and line[0] in _OPTION_LETTERS
    ]
    stem = len(read)
    numerals = 0.0
    spread = mean = 0
    if options:
        lengths = list(map(len, options))
        count, total = len(options), sum(lengths)
        mean = total // count - 2
        spread = max(lengths) - min(lengths)
        stem = max(stem - total - count, 0)  # each has a line's end, too
        numerals = sum([option[-1].isdigit() for option in options]) / count
    return (
        math.log1p(len(text)),
        math.log1p(words),
        math.log1p(len(lines)),
        math.log1p(len(options)),
        math.log1p(mean),
        math.log1p(spread),
        numerals,
        math.log1p(stem),
        "of the above" in read,
        "___" in read,
        "?" in read[max(stem - 3, 0) : stem + 3],
        "```" in read,
    )
