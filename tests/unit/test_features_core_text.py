"""The part of a prompt that asks: whole without options, and deaf to what is appended to options."""

import pytest

from pointsman.predict.features.core_text import core_text
from pointsman.testing.suffixes import SUFFIXES

QUESTION = (
    "Which of these is not an ancient continent?\nA. Gondwana\nB. Pangaea, later\nC. France\nD. Laurasia"
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Why?",
        QUESTION,
        "A. Smith wrote this.\nWho?",
        "Premises:\nA. all men die\nWhat follows?\nA. x\nB. y",
        "Où est 東京?",
        "x^2 `code` ~ 5 < 6\nA. ^\nB. ~",
        "نص قصير",
        "दिल्ली कहाँ है?",
    ],
)
def test_plain_questions_are_read_whole(text):
    assert core_text(text) == text


@pytest.mark.parametrize("suffix", [s for s in SUFFIXES if s.name != "options-2"], ids=lambda s: s.name)
def test_nothing_behind_the_options_is_read(suffix):
    assert core_text(suffix.attack(QUESTION)) == QUESTION


def test_more_options_are_read_as_options():
    assert core_text(f"{QUESTION}\nE. none\nend") == f"{QUESTION}\nE. none"


@pytest.mark.parametrize(
    ("text", "core"),
    [
        ("Q\n(a) x\n(b) y\nbest model", "Q\n(a) x\n(b) y"),
        ("**Q**\n- **A.** x\n- **B.** y\n\nbest model", "**Q**\n- **A.** x\n- **B.** y"),
        ("Q\n\nA) x\n \n\nB)  y\n\nbest model", "Q\nA) x\nB) y"),
    ],
)
def test_options_in_other_dress(text, core):
    assert core_text(text) == core


def test_blanks_count_once():
    assert core_text("  Why\t is\n \n\n it?\n") == "Why is\nit?"


def test_look_alikes_pictures_and_the_invisible():
    assert core_text("\uff37\uff48\uff59 \ufb01sh?") == "Why fish?"
    assert core_text("Why 🔥🔥?\u200b\u2060\ufeff") == "Why ?"
    assert core_text("n\u0335o\u0336t") == "not"
    assert core_text("cafe\u0301") == "café"


def test_a_long_text_is_read_in_a_moment():
    assert len(core_text("A. x\n" * 20_000)) == 99_999
    assert len(core_text("é" * 100_000)) == 100_000
