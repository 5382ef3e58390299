from __future__ import annotations

import pytest

from pointsman.predict.features.words import READ_CHARS, readable, split_words

SPLIT = {
    "What is the GDP of France, in 2020?": ["what", "is", "the", "gdp", "of", "france", "in", "2020"],
    "x_1 = 3.5kg": ["x", "1", "3", "5kg"],
    "Café Ökonomie": ["cafe", "okonomie"],
    "日本の首都": ["日", "本", "の", "首", "都"],
    "Столица России?": ["столица", "россии"],
    "∫ x² dx — why…": ["∫", "x2", "dx", "why"],
    "go 🚂 on": ["go", "🚂", "on"],
    "it\u2019s": ["it", "s"],
    "": [],
    " \n\t.,;": [],
}


@pytest.mark.parametrize("text", SPLIT)
def test_split(text: str) -> None:
    assert split_words(text) == SPLIT[text]


def test_a_long_text_is_read_at_both_ends() -> None:
    text = f"begin {'middle ' * READ_CHARS} end"
    read = readable(text)
    assert read.startswith("begin middle")
    assert read.endswith("middle  end")
    assert len(read) <= READ_CHARS + 1
    assert readable("short") == "short"


def test_a_character_that_stands_for_many_letters_is_bounded() -> None:
    words = split_words(readable("\ufdfa" * 100_000))
    assert sum(map(len, words)) <= 2 * READ_CHARS
