from __future__ import annotations

import numpy as np
import pytest

from pointsman.data.questions import load_questions
from pointsman.predict.features.hot import HotFeatures
from pointsman.predict.features.surface import SURFACE_COLUMNS, WORD_MARKS, word_marks
from pointsman.predict.task import prompt_task

CHOICE = "Which of these is NOT a noble gas?\nA. Helium\nB. Neon\nC. Nitrogen\nD. 12"


@pytest.fixture(scope="module")
def hot() -> HotFeatures:
    return HotFeatures()


def columns_of(hot: HotFeatures, text: str) -> dict[str, float]:
    return dict(zip(hot.columns, hot.encode([text])[0].tolist(), strict=True))


def test_a_multiple_choice_question(hot: HotFeatures) -> None:
    found = columns_of(hot, CHOICE)
    assert np.expm1(found["options"]) == pytest.approx(4)
    assert found["option_numerals"] == pytest.approx(1 / 4)
    assert np.expm1(found["option_spread"]) == pytest.approx(len(" Nitrogen") - len(" 12"))
    assert np.expm1(found["lines"]) == pytest.approx(5)
    assert np.expm1(found["chars"]) == pytest.approx(len(CHOICE))
    assert found["ends_asking"] == 1
    assert found["words_negation"] == pytest.approx(1 / 16, rel=1e-6)
    assert found["chars_question"] == pytest.approx(1 / len(CHOICE), rel=1e-6)
    assert found["chars_digit"] == pytest.approx(2 / len(CHOICE), rel=1e-6)


def test_scripts_have_shares_of_bytes(hot: HotFeatures) -> None:
    assert columns_of(hot, "Привет")["chars_cyrillic"] == pytest.approx(1 / 2)
    assert columns_of(hot, "日本")["chars_cjk"] == pytest.approx(1 / 3)
    assert columns_of(hot, "🚂")["chars_emoji"] == pytest.approx(1 / 4)
    assert columns_of(hot, "β")["chars_greek"] == pytest.approx(1 / 2)


def test_the_type_is_that_of_the_classifier(hot: HotFeatures) -> None:
    texts = [question.prompt for question in load_questions()]
    texts += ["x " * 300 + "write a python function", "Write python code", "```\n```", "", CHOICE]
    for text in texts:
        found = columns_of(hot, text)
        assert [name for name, value in found.items() if name.startswith("type_") and value == 1] == [
            f"type_{prompt_task(text)}"
        ]


def test_an_empty_text_has_no_share_of_anything(hot: HotFeatures) -> None:
    row = columns_of(hot, "")
    assert {name for name in SURFACE_COLUMNS if row[name] != 0} == {"lines", "type_chat"}


def test_marks_of_a_word() -> None:
    known = dict(zip(WORD_MARKS, word_marks("probability", 5000), strict=True))
    assert known["quantity"] == known["long"] == 1
    assert known["letters"] == 11
    assert known["rarity"] == 13
    assert known["unknown"] == known["negation"] == 0
    assert dict(zip(WORD_MARKS, word_marks("x2", None), strict=True))["numeral"] == 1
