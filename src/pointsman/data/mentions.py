"""Decides whether an answer names one of some accepted forms, and nothing but it.

Compared are whole words, without regard to case, accents and punctuation. A mention doesn't count

    after a negation                        "not Jupiter", "isn't Jupiter"
    as one of two alternatives              "Jupiter or Saturn", "Jupiter/Saturn"
    in a list                               three or more items of at most three words in a row, so
                                            that naming every candidate wins nothing

and none counts when a rival form (a wrong name of the prompt) is mentioned before the first of them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

SHORT_WORDS: Final = 3
"""An item of a list has at most this many words; a longer stretch between commas is a clause."""

LIST_ITEMS: Final = 3
"""This many short items in a row are a list."""

_MARKER: Final = re.compile(r"^[ \t]*(?:[-*•]|[0-9]{1,2}[.)])[ \t]+", re.MULTILINE)
_APOSTROPHE: Final = re.compile(r"['\u2019](?:s\b)?")
_TOKEN: Final = re.compile(r"[^\W_]+|[,;|/\n]|[.!?](?=\s|$)")
_NEGATIONS: Final = frozenset({"not", "never", "neither", "nor", "isnt", "wasnt", "arent"})
_ITEM_ENDS: Final = frozenset({"and", "or", *",;|/\n.!?"})
_ALTERNATIVE: Final = frozenset({"or", "/"})
_NEGATION_REACH: Final = 2


@dataclass(slots=True)
class _Text:
    """An answer as words, each in an item; `ends[i]` are the marks between items i and i + 1."""

    words: list[str]
    item_of: list[int]
    size: list[int]
    ends: list[set[str]]


def judge_mention(text: str, any_of: Sequence[str], rivals: Sequence[str] = ()) -> tuple[bool, str]:
    """Whether `text` names one of `any_of`, and why or why not."""
    read = _read(text)
    mentions = sorted(place for form in any_of for place in _places(read, form))
    if not mentions:
        return False, "not named"
    first = mentions[0][0]
    if any(start < first for rival in rivals for start, _ in _places(read, rival)):
        return False, "a wrong name comes first"
    reasons = [_alternatives(read, start, stop) for start, stop in mentions]
    if "" in reasons:
        return True, "named"
    return False, reasons[0]


def normalised(text: str) -> str:
    """Lower case, without accents, apostrophes and the possessive s."""
    decomposed = unicodedata.normalize("NFKD", text)
    plain = "".join(character for character in decomposed if not unicodedata.combining(character))
    return _APOSTROPHE.sub("", plain).casefold()


def _read(text: str) -> _Text:
    """Split into words and items; list markers are dropped, empty items too."""
    read = _Text([], [], [0], [])
    for token in _TOKEN.findall(normalised(_MARKER.sub("", text.strip()))):
        if token in _ITEM_ENDS:
            if read.size[-1]:
                read.size.append(0)
                read.ends.append({token})
            elif read.ends:
                read.ends[-1].add(token)
        if token[0].isalnum():  # "and" and "or" are words too: an accepted form may hold them
            read.words.append(token)
            read.item_of.append(len(read.size) - 1)
            read.size[-1] += token not in _ITEM_ENDS
    return read


def _places(read: _Text, form: str) -> Iterator[tuple[int, int]]:
    """Where the form stands as (first word, one past the last), unless a negation is just before."""
    wanted = [token for token in _TOKEN.findall(normalised(form)) if token[0].isalnum()]
    for start in range(len(read.words) - len(wanted) + 1):
        if read.words[start : start + len(wanted)] != wanted:
            continue
        before = range(max(0, start - _NEGATION_REACH), start)
        if not any(read.words[i] in _NEGATIONS and read.item_of[i] == read.item_of[start] for i in before):
            yield start, start + len(wanted)


def _alternatives(read: _Text, start: int, stop: int) -> str:
    """Why the mention is only one of several alternatives; empty if it is not."""
    first, last = read.item_of[start], read.item_of[stop - 1]

    def short(item: int) -> bool:
        return 0 <= item < len(read.size) and 1 <= read.size[item] <= SHORT_WORDS

    for neighbour, mark in ((first - 1, first - 1), (last + 1, last)):
        if short(neighbour) and read.ends[mark] & _ALTERNATIVE:
            return "one of two alternatives"
    run = last - first + 1
    for step, edge in ((-1, first), (1, last)):
        item = edge + step
        while short(item) and run < LIST_ITEMS:
            run += 1
            item += step
    if run >= LIST_ITEMS and all(short(item) for item in range(first, last + 1)):
        return "one of a list"
    return ""
