"""The shipped questions are right, distinct from the profile's, and bad files get clear errors."""

from __future__ import annotations

import json
import math
import random
import runpy
from collections import Counter
from pathlib import Path

import pytest

from pointsman.data.answers import NumberAnswer, OptionAnswer, PythonAnswer, TextAnswer, parse_answer
from pointsman.data.questions import TASKS, load_questions, sample_questions
from pointsman.data.scoring import score
from pointsman.errors import BadRequest, DataError
from pointsman.profile.prompts import profile_prompts

QUESTIONS = load_questions()
GOLDEN = runpy.run_path(str(Path(__file__).parents[1] / "golden" / "reference_solutions.py"))
FIRST = {
    "id": "a",
    "task": "fact",
    "prompt": "Which planet has rings?",
    "max_tokens": 8,
    "answer": {"kind": "text", "any": ["Saturn"]},
}


def test_the_shipped_set_has_enough_of_each_task():
    count = Counter(question.task for question in QUESTIONS)
    assert len(QUESTIONS) >= 140
    assert set(count) == set(TASKS)
    assert count["arithmetic"] >= 45
    assert min(count.values()) >= 30


def test_no_question_twice():
    assert len({question.prompt for question in QUESTIONS}) == len(QUESTIONS)
    functions = [q.answer.function for q in QUESTIONS if isinstance(q.answer, PythonAnswer)]
    assert len(set(functions)) == len(functions)


def test_no_prompt_of_a_profile_is_asked():
    profiled = {prompt.text for seed in range(3) for prompt in profile_prompts(2_000, seed)}
    assert not profiled & {question.prompt for question in QUESTIONS}


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.id)
def test_prompt_says_how_to_answer_and_fits(question):
    assert any(word in question.prompt for word in ("Answer", "Reply"))
    limit = 160 if question.task == "code" else 48
    assert 16 <= question.max_tokens <= limit
    if isinstance(question.answer, OptionAnswer):
        assert f"\n{question.answer.letter}) " in question.prompt
    if isinstance(question.answer, PythonAnswer):
        assert f"`{question.answer.function}(" in question.prompt
        assert 3 <= len(question.answer.tests) <= 5


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.id)
def test_the_right_answer_scores_and_an_empty_one_does_not(question):
    match question.answer:
        case NumberAnswer(value):
            right = [str(value), f"The answer is {value}."]
        case TextAnswer(any_of, _):
            right = [f"{form}." for form in any_of] + [f"It is {any_of[0]}."]
        case OptionAnswer(letter):
            right = [letter, f"{letter})"]
        case PythonAnswer():
            right = [GOLDEN["SOLUTIONS"][question.id], f"```python\n{GOLDEN['SOLUTIONS'][question.id]}```"]
    for answer in right:
        assert score(question.answer, answer).value == 1, answer
    assert score(question.answer, "").value == 0
    assert score(question.answer, question.prompt).value == 0


def test_every_sum_has_a_working_that_gives_its_answer():
    sums = {q.id: q.answer for q in QUESTIONS if q.task == "arithmetic"}
    assert sums.keys() == GOLDEN["WORKINGS"].keys()
    for name, answer in sums.items():
        value = eval(GOLDEN["WORKINGS"][name], {"math": math})
        assert isinstance(answer, NumberAnswer)
        assert value == answer.value, name


def test_a_text_answer_with_rivals_refuses_each_rival():
    for question in QUESTIONS:
        if isinstance(question.answer, TextAnswer):
            for rival in question.answer.rivals:
                assert score(question.answer, rival).value == 0


def test_sample_is_stratified_seeded_and_without_replacement():
    drawn = sample_questions(QUESTIONS, 40, random.Random(7))
    assert drawn == sample_questions(QUESTIONS, 40, random.Random(7))
    assert drawn != sample_questions(QUESTIONS, 40, random.Random(8))
    assert len(set(drawn)) == 40
    whole, part = (Counter(q.task for q in some) for some in (QUESTIONS, drawn))
    for task in TASKS:
        assert abs(part[task] - 40 * whole[task] / len(QUESTIONS)) < 1
    assert [q.task for q in drawn[:4]] == list(TASKS)


@pytest.mark.parametrize("n", [0, 1, 3, len(QUESTIONS)])
def test_sample_has_the_size_asked_for(n):
    assert len(set(sample_questions(QUESTIONS, n, random.Random(1)))) == n


@pytest.mark.parametrize("n", [-1, len(QUESTIONS) + 1])
def test_sample_refuses_sizes_it_cannot_draw(n):
    with pytest.raises(BadRequest, match=f"can't draw {n} of {len(QUESTIONS)}"):
        sample_questions(QUESTIONS, n, random.Random(1))


def write(path: Path, *rows: object) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_file_of_ones_own(tmp_path):
    second = FIRST | {"id": "b"}
    questions = load_questions(write(tmp_path / "own.jsonl", FIRST, "", second))
    assert [question.id for question in questions] == ["a", "b"]
    assert questions[0].answer == TextAnswer(("Saturn",))


@pytest.mark.parametrize(
    ("second", "says"),
    [
        ('{"id": ', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("3", "a question is an object, not 3"),
        (FIRST, "the id 'a' is already on line 1"),
        ({key: FIRST[key] for key in FIRST if key != "prompt"}, "missing or unknown fields: prompt"),
        (FIRST | {"hint": "x"}, "missing or unknown fields: hint"),
        (FIRST | {"id": "b", "task": "poetry"}, "unknown task 'poetry'"),
        (FIRST | {"id": "b", "task": ["fact"]}, "unknown task"),
        (FIRST | {"id": "b", "prompt": " "}, "prompt is a text that isn't empty"),
        (FIRST | {"id": 3}, "id is a text that isn't empty, not 3"),
        (FIRST | {"id": "b", "max_tokens": 0}, "max_tokens is a whole number from 1, not 0"),
        (FIRST | {"id": "b", "max_tokens": True}, "max_tokens is a whole number from 1, not True"),
        (FIRST | {"id": "b", "answer": {"kind": "oracle"}}, "unknown kind of answer 'oracle'"),
        (FIRST | {"id": "b", "answer": "Saturn"}, "an answer is an object, not 'Saturn'"),
    ],
)
def test_a_bad_line_is_named(tmp_path, second, says):
    path = write(tmp_path / "own.jsonl", FIRST, second)
    with pytest.raises(DataError) as caught:
        load_questions(path)
    assert f"{path}, line 2: " in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ({"kind": "number", "value": math.nan}, "finite number, not nan"),
        ({"kind": "number", "value": True}, "finite number, not True"),
        ({"kind": "number", "value": "4"}, "kind number can't have the fields"),
        ({"kind": "number", "value": 4, "unit": "m"}, "kind number can't have the fields"),
        ({"kind": "text", "any": []}, "accepts no form"),
        ({"kind": "text", "any": "Saturn"}, "`any` is a list of texts"),
        ({"kind": "text", "any": ["?"]}, "no letter or digit"),
        ({"kind": "option", "letter": "b"}, "one letter from A to Z, not 'b'"),
        ({"kind": "python", "function": "a b", "tests": ["assert 1"]}, "Python identifier, not 'a b'"),
        ({"kind": "python", "function": "f", "tests": []}, "f has no tests"),
        ({"kind": "python", "function": "f", "tests": ["f(2)"]}, "an assert statement, not 'f(2)'"),
        ({"kind": "python", "function": "f", "tests": ["assert ("]}, "an assert statement"),
        ({}, "unknown kind of answer None"),
    ],
)
def test_a_bad_answer_is_refused(raw, says):
    with pytest.raises(DataError) as caught:
        parse_answer(raw)
    assert says in str(caught.value)


def test_an_empty_file_a_missing_one_and_other_encodings_are_refused(tmp_path):
    with pytest.raises(DataError, match="holds no question"):
        load_questions(write(tmp_path / "empty.jsonl", "", " "))
    with pytest.raises(DataError, match=r"can't read the questions .*No such file"):
        load_questions(tmp_path / "none.jsonl")
    (tmp_path / "latin.jsonl").write_bytes("{'prompt': 'déjà'}".encode("latin-1"))
    with pytest.raises(DataError, match="isn't UTF-8 at byte 13"):
        load_questions(tmp_path / "latin.jsonl")
