"""`pointsman compete` on generated CSV files."""

import json

import pytest
from typer.testing import CliRunner

from pointsman.cli.compete import app


def run(*words, exit_code=0):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == exit_code, result.output
    return result


@pytest.fixture
def files(tmp_path):
    truth, submission = tmp_path / "truth.csv", tmp_path / "submission.csv"
    truth.write_text("id,correct\na,1\nb,1\nc,0\nd,0\n")
    submission.write_text("id,p\nd,0.1\na,0.9\nb,0.7\nc,0.65\n")
    return submission, truth


def test_score_prints_a_table(files):
    shown = run("score", *files).stdout
    assert "score               0.4000" in shown
    assert "AUROC               1.0000" in shown
    assert "of 4 questions" in shown


def test_score_as_json_and_with_other_costs(files):
    made = json.loads(run("score", *files, "--json", "--c-run", 0.5, "--c-wrong", 0.5).stdout)
    assert made["score"] == pytest.approx((0.5 + 0.5) / 4)
    assert made["threshold"] == pytest.approx(2 / 3)
    assert len(made["probability"]["curve"]["threshold"]) == 99


def test_nan_is_null(files):
    submission, truth = files
    submission.write_text("id,action\na,run\nb,run\nc,run\nd,run\n")
    made = json.loads(run("score", submission, truth, "--json").stdout)
    assert made["right_when_skipped"] is None
    assert made["probability"] is None


def test_score_draws_the_cost_curve(files, tmp_path):
    pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
    run("score", *files, "--plot", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 10_000


def test_a_curve_needs_probabilities(files, tmp_path):
    submission, truth = files
    submission.write_text("id,action\na,run\nb,run\nc,run\nd,run\n")
    result = run("score", submission, truth, "--plot", tmp_path / "curve.png", exit_code=2)
    assert "needs probabilities" in result.stderr


def test_unknown_ids_end_with_words(files):
    submission, truth = files
    submission.write_text("id,p\nz,0.5\n")
    assert "'z'" in run("score", submission, truth, exit_code=4).stderr


WORDS = {1: ("capital", "colour", "animal", "river"), 0: ("integral", "eigenvalue", "isotope", "theorem")}


def write_questions(path, n=120, *, subjects=("easy", "hard"), labelled=True):
    """Questions of two kinds of words, of which the first are mostly answered rightly."""
    rows = ["id,question,choices,subject,correct" if labelled else "id,question,choices,subject"]
    for number in range(n):
        kind = number % 2
        words = WORDS[kind]
        text = f"Which {words[number % 4]} goes with the {words[(number // 4) % 4]} of case {number}?"
        label = kind if number % 10 else 1 - kind
        rows.append(
            f'q{number},{text},"[""red"", ""blue""]",{subjects[1 - kind]}' + (f",{label}" if labelled else "")
        )
    path.write_text("\n".join(rows) + "\n")
    return path


def test_train_predict_score(tmp_path):
    train, test = write_questions(tmp_path / "train.csv"), write_questions(tmp_path / "test.csv", 40)
    entry, submission = tmp_path / "entry", tmp_path / "submission.csv"
    held_out = json.loads(run("train", train, "--out", entry, "--json").stdout)
    assert held_out["normalised"] > 0.3
    assert held_out["probability"]["auroc"] > 0.75
    assert "run 20, skip 20" in run("predict", entry, test, "--out", submission).stdout
    assert submission.read_text().splitlines()[:3] == ["id,action", "q0,skip", "q1,run"]
    scored = json.loads(run("score", submission, test, "--json").stdout)
    assert scored["score"] < min(scored["all_run"], scored["all_skip"])
    run("predict", entry, test, "--out", submission, "--probabilities")
    assert json.loads(run("score", submission, test, "--json").stdout)["score"] == scored["score"]


def test_costs_decide_how_much_is_run(tmp_path):
    entry, submission = tmp_path / "entry", tmp_path / "submission.csv"
    train = write_questions(tmp_path / "train.csv")
    run("train", train, "--out", entry, "--model", "prior")
    for c_run, wanted in ((0, "skip 60"), (0.99, "skip 120"), (1.5, "skip 120")):
        shown = run("predict", entry, train, "--out", submission, "--c-run", c_run, "--c-wrong", 1).stdout
        assert wanted in shown


def test_training_prints_what_it_holds_out(tmp_path):
    shown = run("train", write_questions(tmp_path / "q.csv"), "--out", tmp_path / "e", "--model", "prior")
    assert "held out from the training questions" in shown.stdout
    assert "fold 5 of 5" in shown.stderr


def test_a_subject_never_seen_is_told_and_judged_by_its_text(tmp_path):
    entry, submission = tmp_path / "entry", tmp_path / "s.csv"
    run("train", write_questions(tmp_path / "train.csv"), "--out", entry)
    other = write_questions(tmp_path / "t.csv", 20, subjects=("new", "odd"), labelled=False)
    shown = run("predict", entry, other, "--out", submission)
    assert "20 questions of 2 subjects not trained on (new, odd)" in shown.stderr
    assert len(submission.read_text().splitlines()) == 21


def test_long_and_foreign_questions_are_predicted(tmp_path):
    entry, submission, test = tmp_path / "entry", tmp_path / "s.csv", tmp_path / "t.csv"
    run("train", write_questions(tmp_path / "train.csv"), "--out", entry)
    test.write_text(f"id,question\na,{'wide river ' * 9_000}\nb,🙂🙂🙂\nc,什么是首都\nd,\x00\n")
    run("predict", entry, test, "--out", submission, "--probabilities")
    values = [float(line.split(",")[1]) for line in submission.read_text().splitlines()[1:]]
    assert len(values) == 4
    assert all(0 <= value <= 1 for value in values)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("a,Why?,1\nb,Who?,0\nc,How?,1\nd,When?,0\ne,Where?,1\n", "5 questions, 5 of them different"),
        ("".join(f"{n},Why not {n}?,1\n" for n in range(50)), "all 50 labels are 1"),
        ("".join(f"{n},Why?,{n % 2}\n" for n in range(50)), "50 questions, 1 of them different"),
        ("a,Why?,2\n", "not in [0, 1]"),
    ],
)
def test_what_can_not_be_learnt_from(tmp_path, rows, words):
    path = tmp_path / "train.csv"
    path.write_text("id,question,correct\n" + rows)
    assert words in run("train", path, "--out", tmp_path / "entry", exit_code=4).stderr
    assert not (tmp_path / "entry").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--c-run", "inf"), "c_run = inf can't be a cost"),
        (("--c-wrong", "1e308"), "c_wrong = 1e+308 is too large"),
        (("--out", "."), "is no artifact of Pointsman"),
    ],
)
def test_what_can_not_be_scored_or_written_is_said_before_anything_is_learnt(
    tmp_path, monkeypatch, words, said
):
    monkeypatch.chdir(tmp_path)
    write_questions(tmp_path / "train.csv", 40)
    result = CliRunner().invoke(app, ["train", "train.csv", *words])
    assert result.exit_code in {2, 4}
    assert said in result.output
    assert "fitting" not in result.output


def test_a_folder_that_is_no_entry(tmp_path):
    questions = write_questions(tmp_path / "t.csv", 10)
    assert run("predict", tmp_path / "none", questions, exit_code=4).stderr.startswith("error: ")
