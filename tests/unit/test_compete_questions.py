"""Reading the competition's CSV files: every layout that is allowed, and words for every fault."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pointsman.compete.questions import read_questions
from pointsman.compete.submission import (
    Submission,
    Truth,
    aligned,
    read_submission,
    read_truth,
    write_submission,
)
from pointsman.errors import DataError
from pointsman.metrics.run_or_skip import Stakes

HEADER = "id,question,subject,correct\n"


@pytest.fixture
def written(tmp_path):
    def write(text, name="file.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.mark.parametrize(
    "text",
    [
        'id,question,choices\nq,Why?,"[""yes"", ""no""]"\n',
        "id,question,choices\nq,Why?,\"['yes', 'no']\"\n",
        "ID , Question, A,B,C\nq,Why?, yes ,no,\n",
        "id;question;choices;A;B\nq;Why?;;yes;no\n",
        "id\tquestion\tA\tB\nq\tWhy?\tyes\tno\n",
        'id,question\nq,"Why?\nA. yes\nB. no"\n',
    ],
    ids=["json", "python", "columns", "semicolons", "tabs", "in the question"],
)
def test_choices_in_any_layout(written, text):
    questions = read_questions(written(text), labelled=False)
    assert questions.texts == ("Why?\nA. yes\nB. no",)
    assert questions.subjects == ("",)
    assert questions.correct is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(written, encoding):
    path = written(f"{HEADER}é,Où est 東京? 🙂,géographie,1\n".encode(encoding))
    questions = read_questions(path, labelled=True)
    assert (questions.ids, questions.texts) == (("é",), ("Où est 東京? 🙂",))
    assert questions.subjects == ("géographie",)


def test_long_questions_and_labels(written):
    rows = "".join(f"{n},{'x' * 100_000},s,{label}\n" for n, label in enumerate(["1", "0.25", "true", "No"]))
    questions = read_questions(written(HEADER + rows), labelled=True)
    assert [len(text) for text in questions.texts] == [100_000] * 4
    assert questions.correct.tolist() == [1, 0.25, 1, 0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        ("\n \n", "is empty"),
        (",,\n", "is empty"),
        (HEADER, "no rows"),
        ("id,question\nq,Why?\n", "no column correct; it has id, question"),
        ("id,question,question,correct\n", "'question' more than once"),
        (b"id,question,correct\nq,caf\xe9?,1\n", "not UTF-8: byte 25"),
        (HEADER + "q,Why,me?,s,1\n", "line 2 has 5 cells, the first line 4"),
        (HEADER + 'q,"Why?,s,1\n', "line 2: unexpected end of data"),
        (HEADER + f"q,{'x' * 1_000_001},s,1\n", "field larger than field limit"),
        (HEADER + ",Why?,s,1\n", "line 2, column id: it is empty"),
        (HEADER + "q,,s,1\n", "line 2, column question: 'q' has no text"),
        (HEADER + "q,Why?,s,\n", "line 2, column correct: '' is no number"),
        (HEADER + "q,Why?,s,maybe\n", "'maybe' is no number"),
        (HEADER + "q,Why?,s,nan\n", "'nan' is no number"),
        (HEADER + "q,Why?,s,1.5\n", r"1.5 is not in \[0, 1\]"),
        (HEADER + "q,Why?,s,-1\n", r"-1 is not in \[0, 1\]"),
        (HEADER + "q,Why?,s,1\nr,Who?,s,1\nq,Why?,s,1\n", "id 'q' stands on lines 2, 4. Keep"),
        (HEADER + "q,Why?,s,1\nq,Why?,s,0\n", "lines 2, 3, with conflicting labels 0, 1"),
        ('id,question,choices,correct\nq,Why?,"[""one""]",1\n', "no list of 2 to 10 options"),
        ("id,question,choices,correct\nq,Why?,yes or no,1\n", "no list of 2 to 10 options"),
    ],
)
def test_faults_have_words(written, text, words):
    with pytest.raises(DataError, match=words):
        read_questions(written(text), labelled=True)


def test_a_missing_file_has_words(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_questions(tmp_path / "none.csv", labelled=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,decision\nq,run\n", "neither a column action nor a column p"),
        ("id,action\nq,maybe\n", "'maybe' is no action"),
        ("id,p\nq,nan\n", "'nan' is no number"),
        ("id,p\nq,1.01\n", "not in"),
        ("id,p\nq,0.5\nq,0.5\n", "stands on lines"),
    ],
)
def test_faults_of_a_submission(written, text, words):
    with pytest.raises(DataError, match=words):
        read_submission(written(text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,correct,cost\nq,1,-2\n", "-2 is negative"),
        ("id,correct,cost\nq,1,0\n", "all are 0"),
        ("id,correct,cost\nq,1,\n", "is no number"),
    ],
)
def test_faults_of_costs(written, text, words):
    with pytest.raises(DataError, match=words):
        read_truth(written(text))


def test_a_submission_survives_its_file(tmp_path):
    path = tmp_path / "s.csv"
    write_submission(path, Submission(("a", "b"), np.array([True, False]), None))
    assert path.read_text() == "id,action\na,run\nb,skip\n"
    assert read_submission(path).run.tolist() == [True, False]
    write_submission(path, Submission(("a", "b"), None, np.array([0.25, 1.0])))
    assert read_submission(path).probability.tolist() == [0.25, 1.0]


def test_submissions_are_put_in_the_order_of_the_truth():
    truth = Truth(("a", "b"), np.array([1.0, 0.0]))
    found = aligned(Submission(("b", "a"), None, np.array([0.1, 0.9])), truth)
    assert (found.ids, found.probability.tolist()) == (("a", "b"), [0.9, 0.1])
    with pytest.raises(DataError, match="1 ids of the submission are unknown: 'c'"):
        aligned(Submission(("a", "c"), np.array([True, True]), None), truth)
    with pytest.raises(DataError, match="1 ids are missing from the submission: 'b'"):
        aligned(Submission(("a",), np.array([True]), None), truth)


def test_probabilities_become_actions_at_the_threshold():
    submission = Submission(("a", "b"), None, np.array([0.59, 0.61]))
    assert submission.actions(Stakes(0.2)).tolist() == [False, True]
    assert submission.actions(Stakes(np.array([0.1, 0.3]))).tolist() == [True, False]


def test_costs_are_relative_to_their_mean():
    truth = Truth(("a", "b"), np.array([1.0, 0.0]), np.array([1.0, 3.0]))
    assert truth.stakes(0.2, 1, 1).c_run.tolist() == pytest.approx([0.1, 0.3])


@given(
    st.binary(max_size=200)
    | st.text(alphabet='id,question;correct\n"\t 01é\x00\r', max_size=200).map(str.encode)
)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_questions_or_an_error_with_words(written, content):
    for marked in (content, b"\xef\xbb\xbf" + content, b"\xff\xfe" + content):
        try:
            questions = read_questions(written(marked), labelled=True)
        except DataError:
            continue
        assert len(questions.ids) == len(questions.texts) == len(questions.correct) > 0
