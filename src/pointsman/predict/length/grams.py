"""What of a text tells how long its answer will be: hashed words, by where they stand.

    words and pairs      of all that is read
    head                 words, pairs and triples of the first line again, words by place, beginnings and
                         endings of words: there stands what is asked, below it what it is asked about
    crossed              the first word with each other word of the head; words of the head with the size of
                         what is below; words of content with the next three
    opening              the first one, two, three and four words
    marks                punctuation with its neighbours
    shape                words in the first line, words below it, the last character

Each counts once, however often it occurs. Eight times the buckets of `features.ngrams`: fewer collisions
raised Kendall's tau by .015, the head by .01, the rest by .01 (docs/log.md).
"""

from __future__ import annotations

import re
import zlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pointsman.predict.features.ngrams import word_hash
from pointsman.predict.features.words import readable, split_words

BITS: Final = 18
BUCKETS: Final = 1 << BITS
VERSION: Final = 1
"""Raised when a text falls into other buckets."""

_SHIFT: Final = np.uint32(32 - BITS)
_MIX: Final = np.uint32(0x9E3779B1)
"""2^32 over the golden ratio: spreads neighbouring numbers over the upper bits (Knuth, 6.4)."""
_IN_HEAD: Final = np.uint32(0x5BD1E995)
_OPENING: Final = np.uint32(0x27D4EB2F)
_OPENING_WORDS: Final = 4
_PLACES: Final = np.uint32(8)
_PLACE: Final = np.uint32(0x85EBCA6B)
_ALL: Final = 0xFFFFFFFF
_CROSSED: Final = np.uint32(0xC2B2AE35)
_FIRST: Final = np.uint32(0x165667B1)
_SIZED: Final = np.uint32(0x2545F491)
_CROSSED_WORDS: Final = 20
_SIZED_WORDS: Final = 12
_CONTENT_WORDS: Final = 8
_CONTENT_REACH: Final = 3
_FUNCTION: Final = "the a an of to in for and that with is are be this on as by from it your you"
_FUNCTION_WORDS: Final = frozenset(_FUNCTION.split())
_PARTED_WORDS: Final = 60
_BEGINNING: Final = 5
_ENDING: Final = 3
_MARKS_CHARS: Final = 1200
_TOKEN: Final = re.compile(r"\w+|[^\w\s]")
_MOST_HEAD_WORDS: Final = 30

Buckets = NDArray[np.uint32]


def text_buckets(text: str) -> Buckets:
    """The buckets that a text is in, each once, rising, below `BUCKETS`. Cost: some 130 us for 60 words."""
    body = text.lstrip()
    head, _, below = body.partition("\n")
    words = split_words(readable(body))
    hashes = np.fromiter(map(word_hash, words), np.uint32, len(words))
    n_head = min(len(split_words(readable(head))), len(words))
    names = [*_word_parts(words[:n_head]), *_marks(body), *_shape(body, n_head, below)]
    parts = [
        hashes,
        hashes[:-1] * _MIX + hashes[1:],
        *_of_head(hashes[:n_head]),
        *_crossed(words[:n_head], hashes[:n_head], _size_step(below)),
        _opening(hashes[:_OPENING_WORDS]),
        np.array([zlib.crc32(name.encode("utf-8", "surrogatepass")) for name in names], dtype=np.uint32),
    ]
    return np.unique((np.concatenate(parts) * _MIX) >> _SHIFT)


def _of_head(hashes: Buckets) -> tuple[Buckets, ...]:
    """Words, pairs, triples, and words by their place."""
    pairs = hashes[:-1] * _MIX + hashes[1:]
    triples = pairs[:-1] * _MIX + hashes[2:]
    places = np.minimum(np.arange(len(hashes), dtype=np.uint32), _PLACES) * _PLACE
    return hashes ^ _IN_HEAD, pairs ^ _IN_HEAD, triples ^ _IN_HEAD, hashes ^ places ^ _OPENING


def _crossed(words: list[str], hashes: Buckets, below: int) -> tuple[Buckets, ...]:
    """What a task makes of the size of its material, and words that belong together though they don't touch."""
    content = [
        hashed for word, hashed in zip(words, hashes, strict=True) if word not in _FUNCTION_WORDS
    ][:_CONTENT_WORDS]  # fmt: skip
    told = np.array(content, dtype=np.uint32)
    near = [told[:-apart] * _MIX + told[apart:] for apart in range(1, _CONTENT_REACH + 1)]
    first = hashes[:1] * _FIRST
    return (
        *(pairs ^ _CROSSED for pairs in near),
        (first + hashes[1:_CROSSED_WORDS]) ^ _CROSSED,
        hashes[:_SIZED_WORDS] ^ np.uint32((below * int(_PLACE) + int(_SIZED)) & _ALL),
    )


def _size_step(below: str) -> int:
    """The number of words in steps, each twice as long as the last; 0 for none."""
    return (below.count(" ") + below.count("\n") + 1).bit_length() if below.strip() else 0


def _word_parts(words: list[str]) -> list[str]:
    """Beginnings and endings of the first words: forms of one word have one in common."""
    named = words[:_PARTED_WORDS]
    return [f"{word[:_BEGINNING]}-" for word in named] + [f"-{word[-_ENDING:]}" for word in named]


def _opening(hashes: Buckets) -> Buckets:
    """One hash of the first word, one of the first two, and so on."""
    made, total = np.empty_like(hashes), int(_OPENING)
    for place, word in enumerate(hashes.tolist()):
        total = (total * int(_MIX) + word) & _ALL
        made[place] = total
    return made


def _marks(text: str) -> list[str]:
    """Each mark of punctuation, and it with the token before and after it."""
    tokens = _TOKEN.findall(text[:_MARKS_CHARS].lower())
    marks = [place for place, token in enumerate(tokens) if not (token[0].isalnum() or token[0] == "_")]
    made = [tokens[place] for place in marks]
    made += [f"<{tokens[place - 1]}{tokens[place]}" for place in marks if place]
    made += [f">{tokens[place]}{tokens[place + 1]}" for place in marks if place + 1 < len(tokens)]
    return made


def _shape(text: str, head_words: int, below: str) -> list[str]:
    """Sizes in steps, and how the text ends."""
    return [
        f"head={min(head_words, _MOST_HEAD_WORDS)}",
        f"below={_size_step(below)}",
        f"end={text.rstrip()[-1:]}",
    ]
