"""The journal of a run: whatever is cut off its end, what is whole counts and the run goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.batch.journal import End, open_journal
from pointsman.errors import BadRequest, DataError

ROWS = 6
RECORDS = [(0, End.ANSWERED), (3, End.FAILED), (1, End.REFUSED), (3, End.ANSWERED), (5, End.FAILED)]


def fill(path: Path) -> list[int]:
    """Write all records; gives the file's size after each, the head's first."""
    sizes = []
    with open_journal(path, "p", ROWS) as journal:
        sizes.append(path.stat().st_size)
        for number, (row, end) in enumerate(RECORDS):
            journal.add(row, end, b'{"n":%d}' % number)
            sizes.append(path.stat().st_size)
    return sizes


def test_the_last_record_of_a_row_counts_and_rows_come_in_order(tmp_path: Path) -> None:
    fill(tmp_path / "j")
    with open_journal(tmp_path / "j", "p", ROWS) as journal:
        assert list(journal.results()) == [
            (0, End.ANSWERED, b'{"n":0}'), (1, End.REFUSED, b'{"n":2}'), (3, End.ANSWERED, b'{"n":3}'), (5, End.FAILED, b'{"n":4}')
        ]  # fmt: skip
        assert journal.ended(End.ANSWERED).tolist() == [True, False, False, True, False, False]
        journal.add(2, End.ANSWERED, b"[]")  # after reading, still at the end
        assert [row for row, _, _ in journal.results()] == [0, 1, 2, 3, 5]


@given(st.integers(0, 400))
def test_cut_at_any_byte_the_whole_records_stay_and_it_goes_on(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "j"
    sizes = fill(path)
    path.write_bytes(path.read_bytes()[:cut])
    whole = sum(size <= cut for size in sizes[1:])
    rows = {row for row, _ in RECORDS[:whole]}
    with open_journal(path, "p", ROWS) as journal:
        assert {row for row, _, _ in journal.results()} == rows
        journal.add(4, End.ANSWERED, b'"new"')
    with open_journal(path, "p", ROWS) as journal:
        results = {row: result for row, _, result in journal.results()}
    assert results.keys() == rows | {4}
    assert results[4] == b'"new"'


def test_it_is_one_run_s_alone(tmp_path: Path) -> None:
    with (
        open_journal(tmp_path / "j", "p", ROWS),
        pytest.raises(BadRequest, match="another run of this plan"),
        open_journal(tmp_path / "j", "p", ROWS),
    ):
        pass
    with (
        pytest.raises(DataError, match="belongs to another plan"),
        open_journal(tmp_path / "j", "q", ROWS),
    ):
        pass


@pytest.mark.parametrize(
    "line", ["{}", "nothing", '{"row":6,"end":"answered","result":1}', '{"row":-1,"end":"failed","result":1}']
)
def test_damage_before_the_end_is_told_by_its_line(tmp_path: Path, line: str) -> None:
    fill(tmp_path / "j")
    lines = (tmp_path / "j").read_text().splitlines()
    lines[2] = line
    (tmp_path / "j").write_text("\n".join(lines) + "\n")
    with (
        pytest.raises(DataError, match="line 3 is no result of this plan"),
        open_journal(tmp_path / "j", "p", ROWS),
    ):
        pass


def test_what_is_no_journal_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "j").write_text("my thesis\nchapter 1\n")
    with pytest.raises(DataError, match="is no journal"), open_journal(tmp_path / "j", "p", ROWS):
        pass
    assert (tmp_path / "j").read_text() == "my thesis\nchapter 1\n"
