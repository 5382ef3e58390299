"""The part of a prompt that asks: what a predictor reads, so that what is appended can't sway it.

A text put behind a question ("use your best model", a page of padding, another alphabet) changes what
words and embeddings say of it, but not how hard it is. Of a question with lettered options nothing
behind the last option's line is read. Several blanks or empty lines count as one, look-alike letters are
folded, invisible characters and pictures dropped. A prompt without options keeps its whole length.

The same reading belongs in training and in use. What this does not stop: words put before the question
or into its last option's line (`bench/robustness.py` measures them).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

_OPTION: Final = re.compile(r"[-*( ]*([A-Ja-j])[.)]")
_DROPPED: Final = frozenset({"Cf", "Co", "Cs", "So", "Sk"})
_COMBINING: Final = range(0x300, 0x370)


def core_text(text: str) -> str:
    """The prompt without look-alikes, pictures and needless blanks, and without what follows its options.

    Cost: some 5 us for 100 tokens of ASCII; linear in the text.
    """
    lines = [line for raw in text.split("\n") if (line := " ".join(raw.split()))]
    core = "\n".join(lines[: _after_options(lines)])
    return core if core.isascii() else _plain(core)


def _after_options(lines: Sequence[str]) -> int | None:
    """The line after the first run of lines labelled A, B, ...; None without."""
    end, expected = None, "a"
    for number, line in enumerate(lines):
        match = _OPTION.match(line)
        if match is None:
            continue
        label = match[1].lower()
        if label == expected:
            end, expected = number + 1, chr(ord(label) + 1)
        elif end is not None and expected > "b":
            break
        elif label == "a":
            end, expected = number + 1, "b"
    return end if expected > "b" else None


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text)
    return "".join(
        letter
        for letter in folded
        if letter.isascii()
        or (ord(letter) not in _COMBINING and unicodedata.category(letter) not in _DROPPED)
    )
