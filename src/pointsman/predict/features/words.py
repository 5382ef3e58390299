"""One pass over a prompt: the words that all cheap features share.

A word is a run of letters and digits, a Chinese or Japanese character, or a symbol beyond ASCII; in lower
case, accents taken off. ASCII punctuation is no word: `surface` counts it by the byte. Of a long prompt
the beginning and the end are read, where its request usually stands, so that no prompt costs more than
one of `READ_CHARS`.
"""

from __future__ import annotations

import re
from string import ascii_letters, digits
from typing import Final
from unicodedata import normalize

READ_CHARS: Final = 2400
MAX_LETTERS: Final = 24
"""Of a longer word no more is looked at."""

_LETTERS: Final = frozenset(map(ord, ascii_letters + digits))
_ASCII: Final = bytes(ord(chr(byte).lower()) if byte in _LETTERS else ord(" ") for byte in range(256))
"""A letter or digit to itself in lower case, any other byte to a space."""
_WORD: Final = re.compile(r"[a-z0-9]+|[^\W\d_a-z\u2e80-\u9fff]+|[^\s\x00-\x7f\u2000-\u206f]")
_ACCENT: Final = re.compile("[\u0300-\u036f]+")


def readable(text: str) -> str:
    """The part that is read: the text, or its beginning and its end."""
    if len(text) <= READ_CHARS:
        return text
    return f"{text[: READ_CHARS // 2]}\n{text[-READ_CHARS // 2 :]}"


def split_words(text: str) -> list[str]:
    """The words of a readable text, in order; [] for an empty one."""
    if text.isascii():
        return text.encode().translate(_ASCII).decode().split()
    # One character may stand for many letters; cutting what it gives bounds the cost.
    plain = normalize("NFKD", text)[: 2 * READ_CHARS].lower()
    return _WORD.findall(_ACCENT.sub("", plain))
