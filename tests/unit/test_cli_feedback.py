"""`pointsman feedback`: a file of labels into a log, bad lines by number, the same again changes nothing."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from pointsman.cli.feedback import feedback
from pointsman.cli.group import ErrorGroup
from pointsman.store.decision_log import DecisionLog, read_outcomes
from pointsman.store.labels import read_labels
from pointsman.types import Disposition, Label, Outcome


@pytest.fixture
def run() -> Callable[..., Result]:
    app = typer.Typer(cls=ErrorGroup, pretty_exceptions_enable=False)
    app.command()(feedback)
    app.callback()(lambda: None)
    return lambda *words: CliRunner().invoke(app, ["feedback", *map(str, words)])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    made = DecisionLog(tmp_path / "log.db")
    for request_id in ("r1", "r2"):
        made.finish(Outcome(request_id, "e", Disposition.ANSWERED))
    made.close()
    return tmp_path / "log.db"


def file(tmp_path: Path, name: str, *lines: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
    return path


def scores(log: Path) -> dict[str, float | None]:
    return {outcome.request_id: outcome.quality for outcome in read_outcomes(log)}


def test_a_csv_file_joins_the_log_and_the_same_again_changes_nothing(run, log: Path, tmp_path: Path) -> None:
    path = file(
        tmp_path, "labels.csv",
        "Request_ID,score,source,comment,at", "r1,0,a,bad,", "r1,1,a,better,", "r2,.5,b,,1700000000",
    )  # fmt: skip
    first = run(path, "--log", log)
    assert first.exit_code == 0, first.output
    assert "2 labels: 2 new, 0 known before" in first.output
    assert "2 of 2 labels" in first.stderr
    assert scores(log) == {"r1": 1, "r2": 0.5}
    again = run(path, "--log", log)
    assert "2 labels: 0 new, 2 known before" in again.output
    assert Label("r2", 0.5, "b", 1_700_000_000.0) in list(read_labels(log))
    assert len(list(read_labels(log))) == 2


def test_jsonl_with_one_source_for_all(run, log: Path, tmp_path: Path) -> None:
    path = file(
        tmp_path, "labels.jsonl",
        '{"request_id": "r1", "score": 1}', "", '{"request_id": "r2", "score": 0, "source": "own"}',
    )  # fmt: skip
    result = run(path, "--log", log, "--source", "review")
    assert result.exit_code == 0, result.output
    assert [label.source for label in read_labels(log)] == ["review", "own"]


def test_bad_lines_are_told_by_number_and_the_rest_is_kept(run, log: Path, tmp_path: Path) -> None:
    path = file(
        tmp_path, "labels.jsonl",
        '{"request_id": "r1", "score": 1, "source": "a"}',
        '{"request_id": "r1"',
        '{"request_id": "r1", "score": "1", "source": "a"}',
        '{"request_id": "r1", "score": 2, "source": "a"}',
        '{"request_id": "r1", "score": 1}',
        '{"request_id": "r1", "score": 1, "sorce": "a"}',
        b'{"request_id": "\xff", "score": 1, "source": "a"}',
        '{"request_id": "r2", "score": true, "source": "a"}',
    )  # fmt: skip
    result = run(path, "--log", log)
    assert result.exit_code == 4
    assert "1 labels: 1 new" in result.stdout
    assert scores(log) == {"r1": 1, "r2": None}
    told = [line for line in result.stderr.splitlines() if ", line " in line]
    assert [line.partition(", line ")[2].partition(":")[0] for line in told] == list("2345678")
    for said, why in zip(
        told,
        ["is not JSON", "score: Expected `float`", "score is 2, not in [0, 1]", "source is missing",
         "sorce", "not UTF-8: byte 0xff", "got `bool`"],
        strict=True,
    ):  # fmt: skip
        assert why in said
    assert "7 lines of" in result.stderr


def test_bad_lines_of_a_csv_file(run, log: Path, tmp_path: Path) -> None:
    path = file(
        tmp_path, "labels.csv",
        "request_id,score,source", "r1,yes,a", "r1,1", '"r1"x,1,a', b"\xff,1,a", "r1,nan,a", "r2,1,a",
    )  # fmt: skip
    result = run(path, "--log", log)
    assert result.exit_code == 4
    assert scores(log) == {"r1": None, "r2": 1}
    for number, why in ((2, "score is 'yes'"), (3, "it has 2 cells, the first line 3"), (4, "it is no CSV"),
                        (5, "request_id is"), (6, "score is nan")):  # fmt: skip
        assert f"line {number}: {why}" in result.stderr


def test_many_bad_lines_are_cut_short(run, log: Path, tmp_path: Path) -> None:
    result = run(file(tmp_path, "labels.jsonl", *["{"] * 50), "--log", log)
    assert result.stderr.count(", line ") == 20
    assert "and 30 more" in result.stderr


def test_many_labels_go_in_parts(run, log: Path, tmp_path: Path) -> None:
    lines = [json.dumps({"request_id": f"r{n}", "score": 1, "source": "a"}) for n in range(2_500)]
    result = run(file(tmp_path, "labels.jsonl", *lines), "--log", log)
    assert "2,500 labels: 2,500 new, 0 known before, 2,500 of requests" in result.stdout
    assert "1,000 of 2,500" in result.stderr


@pytest.mark.parametrize(
    ("name", "lines", "more", "code", "why"),
    [
        ("labels.txt", ["x"], [], 2, "neither CSV nor JSONL"),
        ("labels.csv", ["id,score"], [], 4, "has no column request_id"),
        ("labels.csv", [""], [], 4, "has no column request_id, score"),
        ("labels.jsonl", ["{}"], ["--url", "nowhere"], 2, "is no http or https address"),
        ("labels.jsonl", ["{}"], ["--url", "http://h", "--log", "x"], 2, "both --log and --url"),
        ("labels.jsonl", ['{"request_id": "r", "score": 1, "source": "a"}'], ["--log", "none.db"], 4, "not exist"),
    ],
)  # fmt: skip
def test_what_cant_be_done_is_one_clear_line(run, tmp_path: Path, name, lines, more, code, why) -> None:
    result = run(file(tmp_path, name, *lines), *more)
    assert (result.exit_code, why in " ".join(result.stderr.split())) == (code, True), result.output


def test_a_file_that_is_not_there(run, tmp_path: Path) -> None:
    assert run(tmp_path / "none.csv").exit_code == 4


def test_nobody_at_the_address(run, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        result = run(
            file(tmp_path, "l.jsonl", '{"request_id": "r", "score": 1, "source": "a"}'), "--url", url
        )
    assert result.exit_code == 6
    assert "pointsman serve" in result.stderr
