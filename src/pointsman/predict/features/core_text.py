"""The part of a prompt that asks: what a predictor reads, so that what is appended can't sway it.

A text put behind a question ("use your best model", a page of padding, another alphabet) changes what
words and embeddings say of it, but not how hard it is. Of a question with lettered options nothing behind
the last option is read. Look-alike letters are folded, invisible characters and pictures dropped. A prompt
without options keeps its whole length.

The same reading belongs in training and in use. What this does not stop: words put before the question
or into its last option's line (`bench/robustness.py` measures them).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_OPTION: Final = re.compile(r"^[-*( \t]*([A-Ja-j])[.)]", re.MULTILINE)
_DROPPED: Final = frozenset({"Cf", "Co", "Cs", "So", "Sk"})
_COMBINING: Final = range(0x300, 0x370)


def core_text(text: str) -> str:
    """The prompt without look-alikes and pictures, and without what follows its options.

    Cost: some 5 us for 100 tokens of ASCII; linear in the text.
    """
    text = text[: _options_end(text)]
    return text if text.isascii() else _plain(text)


def _options_end(text: str) -> int | None:
    """Where the line of the last option ends, of the first run of lines labelled A, B, ...; None without."""
    last, expected = None, "a"
    for match in _OPTION.finditer(text):
        label = match[1].lower()
        if label == expected:
            last, expected = match, chr(ord(label) + 1)
        elif last is not None and expected > "b":
            break
        elif label == "a":
            last, expected = match, "b"
    if last is None or expected <= "b":
        return None
    end = text.find("\n", last.end())
    return None if end < 0 else end


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text)
    return "".join(
        letter
        for letter in folded
        if letter.isascii()
        or (ord(letter) not in _COMBINING and unicodedata.category(letter) not in _DROPPED)
    )
