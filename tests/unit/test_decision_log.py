"""The decision log: what was decided is read back the same; faults are counted, never raised at a request."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pointsman.errors import DataError
from pointsman.store.decision_log import DecisionLog, read_decisions, read_outcomes
from pointsman.store.rows import SCHEMA, VERSION
from pointsman.types import (
    Admission,
    CostTable,
    Decision,
    Disposition,
    Estimate,
    Outcome,
    Prompt,
    Request,
    Valuation,
    Weights,
)


def table(n: int = 3) -> CostTable:
    values = np.arange(2.0 * n).reshape(2, n)
    estimate = Estimate(values, values - 1, np.full_like(values, np.nan))
    names = tuple(f"e{index}" for index in range(n))
    return CostTable(names, values + 7, estimate, estimate, estimate, estimate, estimate, estimate)


def decision(request_id: str = "r1", index: int = 1) -> Decision:
    return Decision(
        request_id, 5.0, Admission.RUN, "why é", "weighted", table(), index, {"e0": "too small"},
        np.array([np.inf, 0.25, 0.5]), "e1", Weights(accuracy=1),
        Valuation(1, 0.5, run_cost=0.7, skip_cost=0.9), "gold",
    )  # fmt: skip


REQUEST = Request("r1", Prompt("secret words", total_bytes=12), 9, tenant="t")
OUTCOME = Outcome(
    "r1", "e1", Disposition.ANSWERED, output_tokens=3, e2e_s=0.5, energy_j=2.0, energy_modelled=True
)


def test_a_decision_and_an_outcome_come_back_as_they_were(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "log.db")
    log.record(decision(), REQUEST)
    log.finish(OUTCOME)
    log.close()
    (read,) = read_decisions(tmp_path / "log.db")
    made = decision()
    assert (read.request_id, read.action, read.reason, read.endpoint, read.weights, dict(read.excluded)) == (
        made.request_id, made.action, made.reason, made.endpoint, made.weights, dict(made.excluded),
    )  # fmt: skip
    assert (read.valuation, read.service_class) == (made.valuation, "gold")
    np.testing.assert_array_equal(read.score, made.score)
    for name in ("quality", "time_s", "carbon_g"):
        for part in ("value", "low", "high"):
            np.testing.assert_array_equal(
                getattr(getattr(read.predictions, name), part), getattr(getattr(made.predictions, name), part)
            )
    assert list(read_outcomes(tmp_path / "log.db")) == [OUTCOME]
    assert log.dropped == 0


@pytest.mark.parametrize("store_prompts", [False, True])
def test_prompts_are_kept_only_where_asked(tmp_path: Path, store_prompts: bool) -> None:
    path = tmp_path / "log.db"
    log = DecisionLog(path, store_prompts=store_prompts)
    log.record(decision(), REQUEST)
    log.close()
    assert (b"secret words" in path.read_bytes()) is store_prompts


def test_the_newest_are_given_oldest_first_and_one_request_alone(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "log.db")
    for number in range(1200):
        log.record(decision(f"r{number}"), REQUEST)
    assert log.flush()
    assert [d.request_id for d in read_decisions(tmp_path / "log.db", limit=2)] == ["r1198", "r1199"]
    assert len(list(read_decisions(tmp_path / "log.db", request_id="r7"))) == 1
    log.close()


def test_a_full_queue_and_a_closed_log_drop_and_count(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "log.db", max_waiting=1)
    blocker = sqlite3.connect(tmp_path / "log.db")
    blocker.execute("BEGIN IMMEDIATE")  # the writer waits for the lock; the queue fills behind it
    for _ in range(600):
        log.finish(OUTCOME)
    assert log.dropped > 0
    blocker.rollback()
    blocker.close()
    log.close()
    lost = log.dropped
    log.finish(OUTCOME)
    assert log.dropped == lost + 1


def test_a_write_that_fails_is_counted_and_the_next_one_works(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    log = DecisionLog(path)
    with sqlite3.connect(path) as other:
        other.execute("ALTER TABLE outcomes RENAME TO away")
    other.close()
    log.finish(OUTCOME)
    assert log.flush()
    assert log.dropped == 1
    with sqlite3.connect(path) as other:
        other.execute("ALTER TABLE away RENAME TO outcomes")
    other.close()
    log.finish(OUTCOME)
    log.close()
    assert len(list(read_outcomes(path))) == 1


def test_a_kill_loses_at_most_what_was_not_flushed(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from pointsman.store.decision_log import DecisionLog\n"
        "from pointsman.types import Disposition, Outcome\n"
        "log = DecisionLog(Path(sys.argv[2]))\n"
        "for n in range(50): log.finish(Outcome(f'r{n}', 'e', Disposition.ANSWERED))\n"
        "log.flush(); print('flushed', flush=True)\n"
        "n = 50\n"
        "while True: log.finish(Outcome(f'r{n}', 'e', Disposition.ANSWERED)); n += 1\n"
    )
    source = Path(__file__).resolve().parents[2] / "src"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(source), str(path)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline().strip() == "flushed"
        os.kill(child.pid, signal.SIGKILL)
    outcomes = [outcome.request_id for outcome in read_outcomes(path)]
    assert outcomes[:50] == [f"r{n}" for n in range(50)]
    assert outcomes == [f"r{n}" for n in range(len(outcomes))], "no hole, no repeat"


def test_files_that_are_no_log_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("hello, this is not a database, not at all")
    with pytest.raises(DataError, match="can't be opened"):
        DecisionLog(tmp_path / "text.db")
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE x (y)")
    other.close()
    with pytest.raises(DataError, match="no decision log of version"):
        DecisionLog(tmp_path / "other.db")
    with pytest.raises(DataError, match="can't be opened"):
        DecisionLog(tmp_path / "no" / "folder" / "log.db")
    with pytest.raises(DataError, match="does not exist"):
        next(iter(read_decisions(tmp_path / "none.db")))


def test_text_that_sqlite_cant_hold_costs_neither_its_entry_nor_the_next(tmp_path: Path) -> None:
    """JSON may carry half a surrogate pair (invariant 8)."""
    path = tmp_path / "log.db"
    log = DecisionLog(path, store_prompts=True)
    log.record(decision("r\ud800"), Request("r\ud800", Prompt("half \udfff"), tenant="\ud83d"))
    log.record(decision("r2"), REQUEST)
    log.close()
    assert [d.request_id for d in read_decisions(path)] == ["r?", "r2"]
    assert log.dropped == 0


def test_an_entry_that_cant_be_encoded_is_counted_and_harms_no_other(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    log = DecisionLog(path)
    broken = Decision("r0", 0.0, Admission.RUN, "", "p", table(), 0, {"e0": object()}, None, None)  # type: ignore[dict-item]
    for made in (decision("r1"), broken, decision("r2")):
        log.record(made, REQUEST)
    assert log.flush()
    assert log.dropped == 1
    log.finish(OUTCOME)
    log.close()
    assert [d.request_id for d in read_decisions(path)] == ["r1", "r2"]
    assert list(read_outcomes(path)) == [OUTCOME]


def test_another_databases_file_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE x (y)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(DataError, match="no decision log of version"):
        next(read_decisions(path))
    with pytest.raises(DataError, match="no decision log of version"):
        DecisionLog(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["other.db"]


@pytest.mark.parametrize("version", [1, 99])
def test_a_log_of_another_version_is_refused(tmp_path: Path, version: int) -> None:
    path = tmp_path / "log.db"
    DecisionLog(path).close()
    with sqlite3.connect(path) as other:
        other.execute(f"PRAGMA user_version = {version}")
    other.close()
    with pytest.raises(DataError, match=rf"its version is {version}\)") as refused:
        DecisionLog(path)
    assert "another path, or move the file away" in str(refused.value)


def test_a_log_that_cant_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    script = (
        "import resource, sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from pointsman.errors import DataError\n"
        "from pointsman.store.decision_log import DecisionLog\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, -1))\n"
        "try: DecisionLog(Path(sys.argv[2]))\n"
        "except DataError as error: print(error)\n"
    )
    source = Path(__file__).resolve().parents[2] / "src"
    done = subprocess.run(
        [sys.executable, "-c", script, str(source), str(tmp_path / "log.db")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "log.db can't be opened" in done.stdout
    assert "Give the path of a writable SQLite file" in done.stdout


def test_a_full_disk_loses_entries_visibly_and_the_caller_goes_on(tmp_path: Path) -> None:
    """The limit on a file's size stands in for the disk's end."""
    path = tmp_path / "log.db"
    script = (
        "import logging, resource, sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from pointsman.store.decision_log import DecisionLog\n"
        "from pointsman.types import Disposition, Outcome\n"
        "logging.disable()\n"
        "log = DecisionLog(Path(sys.argv[2]))\n"
        "log.finish(Outcome('first', 'e', Disposition.ANSWERED)); log.flush()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, -1))\n"
        "for n in range(5000): log.finish(Outcome(f'r{n}', 'e' * 100, Disposition.ANSWERED))\n"
        "log.flush(); log.close(); print(log.dropped)\n"
    )
    source = Path(__file__).resolve().parents[2] / "src"
    done = subprocess.run(
        [sys.executable, "-c", script, str(source), str(path)], capture_output=True, text=True, check=True
    )
    kept = [outcome.request_id for outcome in read_outcomes(path)]
    assert kept[0] == "first"
    assert len(kept) + int(done.stdout) == 5001
    assert int(done.stdout) > 0


def test_the_columns_belong_to_the_version() -> None:
    """Whoever adds a field to `Outcome` raises `VERSION`: files of the old shape must be told apart."""
    assert (VERSION, hashlib.sha256(SCHEMA.encode()).hexdigest()[:12]) == (3, "5761341779b0")
