"""Rewritings of a question that leave what it asks: suffixes at three places, and paraphrases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

import numpy as np

from pointsman.testing.paraphrases import PARAPHRASES
from pointsman.testing.suffixes import SUFFIXES

PLACES: Final[Mapping[str, Callable[..., str]]] = {
    "suffix": lambda text, words: f"{text}\n{words}",
    "prefix": lambda text, words: f"{words}\n{text}",
    "inline": lambda text, words: f"{text} {words}",
}
_SHARE_ATTACKED: Final = 0.5


class Attack(NamedTuple):
    """One rewriting of a question; `way` is a place of `PLACES` or `paraphrase`."""

    way: str
    kind: str
    held_out: bool
    rewrite: Callable[[str], str]


def attacks_of(ways: Sequence[str]) -> tuple[Attack, ...]:
    """All attacks of these ways: every suffix at each place, every rule of paraphrasing."""
    made = [
        Attack(way, suffix.kind, suffix.held_out, partial(put, words=suffix.text))
        for way, put in PLACES.items()
        for suffix in SUFFIXES
    ]
    made += [Attack("paraphrase", rule.name, rule.held_out, rule.rewrite) for rule in PARAPHRASES]
    return tuple(attack for attack in made if attack.way in ways)


def attacked_in_part(prompts: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Half of the texts with a suffix that is not held out, at any place; the others as they are."""
    words = [suffix.text for suffix in SUFFIXES if not suffix.held_out]
    places = list(PLACES.values())
    return [
        places[rng.integers(len(places))](text, words[rng.integers(len(words))])
        if rng.random() < _SHARE_ATTACKED
        else text
        for text in prompts
    ]
