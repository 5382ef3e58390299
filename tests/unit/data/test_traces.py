from pathlib import Path

import numpy as np
import pytest

from pointsman.data.traces import Trace
from pointsman.errors import BadRequest, DataError

TRACE = Trace(np.array([0.0, 1.0, 4.0, 8.0]), np.array([5.0, 6.0, 7.0, 8.0]), np.array([1.0, 2.0, 3.0, 4.0]))


def test_a_window_begins_at_zero_and_keeps_each_request_whole() -> None:
    starts = set()
    for seed in range(30):
        made = TRACE.window(2, np.random.default_rng(seed))
        first = int(made.output_tokens[0]) - 1
        starts.add(first)
        assert made.arrival_s.tolist() == [0.0, TRACE.arrival_s[first + 1] - TRACE.arrival_s[first]]
        assert made.input_tokens.tolist() == [5.0 + first, 6.0 + first]
    assert starts == {0, 1, 2}
    assert TRACE.window(9, np.random.default_rng(1)).arrival_s.tolist() == TRACE.arrival_s.tolist()


def test_a_rate_stretches_the_pattern() -> None:
    made = TRACE.at_rate(0.25)
    assert made.arrival_s.tolist() == [0.0, 2.0, 8.0, 16.0]
    with pytest.raises(BadRequest, match="all 1 requests of the trace come at once"):
        TRACE.window(1, np.random.default_rng(1)).at_rate(1.0)


def test_arrivals_have_the_row_for_an_id_and_the_length_of_the_prompt() -> None:
    made = list(TRACE.arrivals())
    assert [(at_s, request.id, request.prompt.total_bytes) for at_s, request in made] == [
        (0.0, "0", 20), (1.0, "1", 24), (4.0, "2", 28), (8.0, "3", 32)
    ]  # fmt: skip


@pytest.mark.data
def test_the_shared_traces_are_read(shared_data: Path) -> None:
    for name in ("azure_2023_conv", "azure_2023_code", "mooncake_synthetic"):
        made = Trace.read(shared_data / "traces" / f"{name}.parquet")
        assert made.arrival_s[0] == 0
        assert (np.diff(made.arrival_s) >= 0).all()
        assert len(made.input_tokens) == len(made.output_tokens) == len(made.arrival_s) > 3_000


def test_what_is_no_trace_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        Trace.read(tmp_path / "none.parquet")
