"""Question files and sets: what is asked, and what can't be is refused with file, line and value."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pointsman.data.answers import NumberAnswer, OptionAnswer, PythonAnswer, TextAnswer
from pointsman.data.draw import draw
from pointsman.data.question_files import read_question_file
from pointsman.data.question_sets import LETTERS, SetQuestion, load_set
from pointsman.errors import BadRequest, DataError

HEAD = "id,question,choices,subject,answer\n"


def csv(tmp_path: Path, rows: str, head: str = HEAD) -> Path:
    path = tmp_path / "mine.csv"
    path.write_text(head + rows, encoding="utf-8")
    return path


def test_a_csv_holds_multiple_choice_numbers_and_texts(tmp_path: Path) -> None:
    rows = (
        'c1,"Which, of these?","[""red"", ""blue 🙂"", 3]",colour,B\n'
        'n1,How many?,,sums,"1,200"\n'
        "n2,How much?,,sums,2.5\n"
        "t1,Who?,,,Ada Lovelace\n"
    )
    choice, number, fraction, text = read_question_file(csv(tmp_path, rows))
    assert choice.text == "Which, of these?\nA. red\nB. blue 🙂\nC. 3"
    assert (choice.options, choice.answer, choice.task) == ("ABC", OptionAnswer("B"), "colour")
    assert "A, B or C" in choice.prompt
    assert choice.text in choice.prompt
    assert (number.answer, fraction.answer) == (NumberAnswer(1200), NumberAnswer(2.5))
    assert text.answer == TextAnswer(("Ada Lovelace",))
    assert (text.task, text.dataset) == ("", "mine")


def test_options_may_have_columns_of_their_own(tmp_path: Path) -> None:
    rows = "c1,Which?,red,blue,3,,B\nn1,How many?,,,,,12\n"
    choice, number = read_question_file(csv(tmp_path, rows, "id,question,A,B,c,D,answer\n"))
    assert choice.text == "Which?\nA. red\nB. blue\nC. 3"
    assert (choice.options, choice.answer) == ("ABC", OptionAnswer("B"))
    assert (number.options, number.answer) == ("", NumberAnswer(12))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("c1,Which?,red,,3,A\n", r"line 2: option B is empty, but C is not"),
        ("c1,Which?,red,,,A\n", r"line 2: there is one option only, in column A"),
        ("c1,Which?,red,blue,,C\n", r"line 2: the answer 'C' is none of the letters A, B"),
    ],
)
def test_columns_of_options_with_gaps_are_refused(tmp_path: Path, rows: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_question_file(csv(tmp_path, rows, "id,question,A,B,C,answer\n"))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("a,,,s,3\n", r"mine.csv, line 2: question is empty"),
        ("a,Q,,s,\n", r"line 2: answer is empty"),
        ("a,Q,,s,3\na,R,,s,4\n", r"id 'a' stands on lines 2, 3"),
        ('a,Q,"[""x"", ""y""]",s,C\n', r"'C' is none of the letters A, B"),
        ("a,Q,x|y,s,A\n", r"choices is no list of 2 to 26 options: x\|y"),
        ('a,Q,"[""only""]",s,A\n', r"no list of 2 to 26"),
        ("a,Q,,s,nan\n", r"'nan' is no number"),
        ("a,Q\n", r"cells, the first line"),
        ("a,Q,,s,3,4\n", r"cells, the first line"),
        ('a,"Q,,s,3\n', r"unexpected end of data"),
        ("", r"a first line but no rows"),
    ],
)
def test_a_row_that_cannot_be_asked_or_judged_is_refused(tmp_path: Path, rows: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_question_file(csv(tmp_path, rows))


def test_a_csv_without_its_columns_or_not_utf8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column id, answer"):
        read_question_file(csv(tmp_path, "x\n", head="question\n"))
    path = csv(tmp_path, "")
    path.write_bytes(b"id,question,answer\na,caf\xe9,3\n")
    with pytest.raises(DataError, match="not UTF-8: byte 24"):
        read_question_file(path)
    with pytest.raises(DataError, match="does not exist"):
        read_question_file(tmp_path / "none.csv")


def test_a_jsonl_file_is_asked_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(
        '{"id": "q", "task": "code", "prompt": "Write f.", "max_tokens": 9, '
        '"answer": {"kind": "python", "function": "f", "tests": ["assert f() == 1"]}}\n'
    )
    (question,) = read_question_file(path)
    assert (question.prompt, question.max_tokens, question.options) == ("Write f.", 9, "")
    assert question.visible_test == "assert f() == 1"


def shared(tmp_path: Path, folder: str, **columns: list[str]) -> Path:
    (tmp_path / "outcomes" / folder).mkdir(parents=True)
    pq.write_table(pa.table(columns), tmp_path / "outcomes" / folder / "queries.parquet")
    return tmp_path


def test_named_sets_of_the_shared_layout_become_questions(tmp_path: Path) -> None:
    shared(
        tmp_path,
        "mmlu",
        query_id=["m"],
        task=["law"],
        prompt=["Which?\nA. a\nB. b\nC. c\nD. d"],
        answer=["D"],
    )
    shared(
        tmp_path,
        "gsm8k",
        query_id=["g0", "g1"],
        task=["train", "test"],
        prompt=["?", "How many?"],
        answer=["1", "70,000"],
    )
    tests = '["assert f(1) == 2", "assert f(2) == 3"]'
    needs_sys = '["assert f(1) == sys.getsizeof(1)"]'
    shared(
        tmp_path,
        "llmrouter9",
        query_id=["p0", "p1", "x"],
        task=["mbpp", "mbpp", "gpqa"],
        prompt=["Add one.", "Size.", "?"],
        choices_json=[tests, needs_sys, "[]"],
    )
    (mmlu,) = load_set("mmlu", tmp_path)
    assert (mmlu.options, mmlu.answer, mmlu.task) == ("ABCD", OptionAnswer("D"), "law")
    (gsm8k,) = load_set("gsm8k", tmp_path)
    assert (gsm8k.id, gsm8k.answer) == ("g1", NumberAnswer(70000))
    (mbpp,) = load_set("mbpp", tmp_path)
    assert mbpp.answer == PythonAnswer("f", ("assert f(1) == 2", "assert f(2) == 3"))
    assert "assert f(1) == 2" in mbpp.prompt
    assert "assert f(2) == 3" not in mbpp.prompt, "the other asserts stay unseen"


def test_an_unknown_or_missing_set_says_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="mmlu, gsm8k, mbpp"):
        load_set("trivia", tmp_path)
    with pytest.raises(DataError, match="--data"):
        load_set("mmlu", tmp_path)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"query_id": ["a"], "task": ["t"], "prompt": ["p"]}, "has no column answer"),
        ({"query_id": ["a"], "task": ["t"], "prompt": [" "], "answer": ["A"]}, "row 0: prompt is empty"),
        (
            {"query_id": ["a", "a"], "task": ["t"] * 2, "prompt": ["p"] * 2, "answer": ["A"] * 2},
            "row 1: the id 'a' is there twice",
        ),
    ],
)
def test_a_set_that_is_not_as_its_schema_says_is_refused(
    tmp_path: Path, columns: dict[str, list[str]], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        load_set("mmlu", shared(tmp_path, "mmlu", **columns))


@pytest.mark.data
def test_the_shared_sets_load_whole(shared_data: Path) -> None:
    assert {name: len(load_set(name, shared_data)) for name in ("mmlu", "gsm8k", "mbpp")} == {
        "mmlu": 14042,
        "gsm8k": 1319,
        "mbpp": 527,
    }


def questions(sizes: dict[str, int]) -> list[SetQuestion]:
    blank = SetQuestion("", "d", "", "t", "p", 8, OptionAnswer("A"), LETTERS)
    return [
        replace(blank, id=f"{task}{number}", task=task)
        for task, size in sizes.items()
        for number in range(size)
    ]


def test_every_beginning_of_a_draw_is_stratified() -> None:
    drawn = draw(questions({"a": 50, "b": 50, "c": 9}), per_task=10, limit=None, seed=1)
    assert Counter(question.task for question in drawn) == {"a": 10, "b": 10, "c": 9}
    for size in range(3, 27, 3):
        assert set(Counter(question.task for question in drawn[:size]).values()) == {size // 3}


def test_draws_repeat_with_their_seed_and_grow_with_their_limit() -> None:
    all_of_them = questions({"a": 30, "b": 30})
    ten = draw(all_of_them, per_task=None, limit=10, seed=2)
    assert draw(all_of_them, per_task=None, limit=20, seed=2)[:10] == ten
    assert draw(all_of_them, per_task=None, limit=10, seed=3) != ten
    with pytest.raises(BadRequest, match="--limit 0"):
        draw(all_of_them, per_task=None, limit=0, seed=2)
