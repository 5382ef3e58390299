"""Scorers find the answer however a model words it, and don't reward naming everything."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.data.mentions import judge_mention
from pointsman.data.numerals import final_number
from pointsman.data.scoring import chosen_option, score
from pointsman.errors import DataError


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("85", 85),
        ("37 + 48 = 85.", 85),
        ("37+48=85", 85),
        ("**85**", 85),
        ("The answer is 85.", 85),
        ("The answer is: 37 + 48 = 85.", 85),
        ("The answer is 12 because 3 * 4 makes it.", 12),
        ("**Answer:** 12\n\n3 * 4 = 13 would be wrong", 12),
        ("The answer is:\n\n$85$", 85),
        ("12\n\nExplanation: multiply 3 by 4.", 12),
        ("12.\nThat is 3 times 4", 12),
        ("1. Add 37 and 48\n2. This gives 85", 85),
        ("1,234", 1234),
        ("It is 12,345,678.90 in all", Fraction("12345678.9")),
        ("1\u202f234", 1234),
        ("choose from 1, 2, 3", 3),
        ("-5", -5),
        ("\u22125", -5),
        ("x = -5.", -5),
        ("10-7", 7),
        ("(3)-7", 7),
        ("-$5.50", Fraction("-5.5")),
        ("$-5", -5),
        ("25%", 25),
        ("7/8", Fraction(7, 8)),
        ("it is 1/2.", Fraction(1, 2)),
        ("1 1/2", Fraction(3, 2)),
        ("-1 1/2", Fraction(-3, 2)),
        (r"\frac{3}{4}", Fraction(3, 4)),
        (r"So \boxed{85} follows from 37 and 48", 85),
        (r"\boxed{37 + 48 = 85}", 85),
        (".75", Fraction(3, 4)),
        ("0.750", Fraction(3, 4)),
        ("1.5e3", 1500),
        ("36 cm^2", 36),
        ("36 cm2", 36),
        ("5km", 5),
        ("100°C", 100),
        ("H2O has 3 atoms of C6", 3),
    ],
)
def test_number_given(text, number):
    assert final_number(text) == number


@pytest.mark.parametrize("text", ["", "none", "H2O", "1/0", "9" * 41, "-", ".", ",", r"\boxed{}", "^2"])
def test_no_number_or_one_beside_the_point(text):
    assert final_number(text) is None


@given(
    st.decimals(-(10**9), 10**9, places=3), st.sampled_from(["{}", "It is {}.", "3 + 4 = {}", "Answer: {}"])
)
def test_a_written_decimal_is_read_back(value, frame):
    for written in (f"{value}", f"{value:,}"):
        assert final_number(frame.format(written)) == Fraction(value)


@given(st.integers(-999, 999), st.integers(1, 999))
def test_a_written_fraction_is_read_back(top, bottom):
    assert final_number(f"That makes {top}/{bottom}.") == Fraction(top, bottom)


@given(
    st.text(alphabet="0123456789.,/-+eE^ \n$\\boxed{}frac=answer is:", max_size=200) | st.text(max_size=200)
)
def test_any_text_has_a_number_or_none(text):
    number = final_number(text)
    assert number is None or isinstance(number, Fraction)
    assert score({"kind": "number", "value": 4}, text).value == float(number == 4)


@pytest.mark.parametrize(
    ("value", "text", "right"),
    [
        (0.875, "7/8", 1),
        (0.1, "0.10", 1),
        (0.3, "0.30000001", 0),
        (4, "4.0", 1),
        (4, "40", 0),
        (4, "four", 0),
    ],
)
def test_numbers_compare_exactly(value, text, right):
    assert score({"kind": "number", "value": value}, text).value == right


@pytest.mark.parametrize(
    "text",
    [
        "Jupiter",
        "jupiter.",
        "**Jupiter**",
        "JÚPITER!",
        "The largest planet is Jupiter.",
        "It's Jupiter's",
        "Jupiter, the fifth planet from the Sun, is the largest of them.",
        "Not Saturn: it is Jupiter",
        "Jupiter\n\nIt is larger than all the others together.",
        "1. Jupiter",
        "Jupiter, or more exactly the planet which the Greeks called Zeus",
    ],
)
def test_form_is_named(text):
    assert judge_mention(text, ["Jupiter"])[0]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not named"),
        ("Jupiterian", "not named"),
        ("not Jupiter", "not named"),
        ("It isn't Jupiter.", "not named"),
        ("Jupiter or Saturn", "one of two alternatives"),
        ("Saturn/Jupiter", "one of two alternatives"),
        ("Saturn, Jupiter and Mars", "one of a list"),
        ("Mercury\nVenus\nEarth\nJupiter", "one of a list"),
        ("1. Mercury\n2. Jupiter\n3. Earth", "one of a list"),
        ("- Mercury\n- Jupiter\n- Earth", "one of a list"),
        ("Mercury. Jupiter. Earth.", "one of a list"),
        ("Saturn; Jupiter; Mars; Jupiter", "one of a list"),
    ],
)
def test_form_is_not_named(text, why):
    assert judge_mention(text, ["Jupiter"]) == (False, why)


def test_the_first_of_rivals_decides():
    def right(text: str) -> bool:
        return judge_mention(text, ["yes"], ["no"])[0]

    assert right("Yes, no doubt.")
    assert not right("No. Yes would be wrong.")
    assert not right("yes or no")
    assert right("Not no but yes")


def test_a_form_of_several_words_spans_marks():
    assert judge_mention("Salt and pepper", ["salt and pepper"])[0]
    assert judge_mention("The blue-whale", ["blue whale"])[0]
    assert not judge_mention("blue is a whale", ["blue whale"])[0]
    assert not judge_mention("red, salt and pepper, sand", ["salt and pepper"])[0]
    assert judge_mention("CO₂", ["co2"])[0]


@given(st.text(max_size=200), st.sampled_from(["Paris", "salt and pepper", "3", "a"]))
def test_any_text_is_judged(text, form):
    right, why = judge_mention(text, [form], ["no"])
    assert right == (why == "named")
    assert judge_mention(form, [form], ["no"]) == (True, "named")


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("B.", "B"),
        ("(B)", "B"),
        ("**B**", "B"),
        ("B) bats", "B"),
        ("B: bats", "B"),
        ("**B) bats**", "B"),
        ("Option B", "B"),
        ("The answer is B.", "B"),
        ("The answer is (B) bats", "B"),
        ("Answer: **B**", "B"),
        ("The correct answer is option B", "B"),
        ("A) squirrels glide, B) bats fly. The answer is B.", "B"),
        ("I choose (C) here", "C"),
        ("A train arrives", None),
        ("A) squirrels\nB) bats\nC) lemurs", None),
        ("bats", None),
        ("", None),
        ("Barometer", None),
        ("The answer is A's", None),
    ],
)
def test_option_chosen(text, letter):
    assert chosen_option(text) == letter
    assert score({"kind": "option", "letter": "B"}, text).value == float(letter == "B")


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "unit",
    [
        ".",
        "9",
        "1,",
        "9 ",
        "1/",
        "-",
        "*",
        "answer: ",
        "answer:(",
        "\\boxed{",
        "Jupiter, ",
        "A) ",
        "(",
        "```\n",
        "def f(",
        " \n",
    ],
)
def test_a_long_answer_is_judged_in_time(unit):
    text = unit * (100_000 // len(unit))
    for spec in (
        {"kind": "number", "value": 4},
        {"kind": "text", "any": ["Jupiter"], "rivals": ["Saturn"]},
        {"kind": "option", "letter": "B"},
        {"kind": "python", "function": "f", "tests": ["assert f"]},
    ):
        assert score(spec, text).value == 0


def test_detail_says_what_was_found():
    assert score({"kind": "number", "value": 85}, "It is 84.").detail == "84 for 85"
    assert score({"kind": "number", "value": 85}, "no idea").detail == "no number for 85"
    assert score({"kind": "text", "any": ["Jupiter"]}, "Mars").detail == "Jupiter: not named"
    assert score({"kind": "option", "letter": "B"}, "C").detail == "C for B"
    spec = {"kind": "python", "function": "f", "tests": ["assert f(2) == 4"]}
    assert score(spec, "I can't.").detail == "no code that defines f"
    assert score(spec, "def f(n): return n").detail == "assert f(2) == 4: AssertionError"


def test_code_counts_only_if_every_assert_holds():
    spec = {"kind": "python", "function": "f", "tests": ["assert f(2) == 4", "assert f(3) == 9"]}
    assert score(spec, "def f(n): return n * n").value == 1
    assert score(spec, "def f(n): return n + 2").value == 0


def test_a_bad_specification_is_refused():
    with pytest.raises(DataError, match="unknown kind"):
        score({"kind": "essay"}, "x")
