"""What answers say, and how answers to a prompt of which only the text is known are compared."""

import pytest

from pointsman.data.answer_key import SHORT_WORDS, agreement, number_key, plain_key, reading_of
from pointsman.data.scoring import chosen_option

PROSE = "word " * (SHORT_WORDS + 1)


@pytest.mark.parametrize(
    ("prompt", "first", "reading"),
    [
        ("Which?\nA. one\nB. two", "B", chosen_option),
        ("Which? (A) one (B) two", PROSE, chosen_option),
        ("Plan B. is not an option, A. neither", "yes", plain_key),
        ("How many clips did Ada sell in May?", PROSE, number_key),
        ("What is 3 + 4?", "7", number_key),
        ("Who wrote it?", "Ada", plain_key),
        ("Who wrote it?", "word " * SHORT_WORDS, plain_key),
        ("Who wrote it?", PROSE, None),
        ("Write a Python function that tells how many", "def f(): ...", None),
        ("How many?", "```\n3\n```", None),
        ("How many?", " \n", None),
        ("", "", None),
    ],
)
def test_the_prompt_and_the_first_answer_tell_how_answers_are_compared(prompt, first, reading):
    assert reading_of(prompt, first) is reading


def test_a_long_prompt_is_read_in_linear_time():
    """The second option is looked for once, not behind every first one."""
    assert reading_of("A. " * 200_000, "yes") is plain_key
    assert reading_of("how " * 200_000, "yes") is plain_key


@pytest.mark.parametrize(
    ("first", "further", "share"),
    [
        ("7", [], None),
        ("7", ["7", "8", "7", None], 0.5),
        (None, [None, "7"], 0.0),
    ],
)
def test_agreement_is_the_share_that_says_what_the_first_says(first, further, share):
    assert agreement(first, further) == share


def test_numbers_are_compared_by_value_and_texts_but_for_case_blanks_and_full_stops():
    assert number_key("so 1,200") == number_key("The answer is 1200.") == "1200"
    assert plain_key(" ADA\n wrote it.") == plain_key("Ada wrote it!") == "ada wrote it"
    assert (number_key("none"), plain_key(" "), plain_key("...")) == (None, None, None)
