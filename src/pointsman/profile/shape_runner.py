"""Measure shapes over a grid of lengths and batches: one row for each cell.

A cell is run again and again until `span_s` seconds are full, and its joules and times are divided by
the number of runs: a GPU's energy counter is renewed only every 20 to 100 ms, which a single short
request does not outlast. What comes before, loading and warm-up, is not counted. All requests of a
batch begin and end together, so each has the batch's times and an equal part of its joules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

from pointsman.clock import Clock
from pointsman.data.profiles import ProfileRow
from pointsman.errors import EngineError
from pointsman.meters.base import Meter
from pointsman.profile.journal import Journal, open_journal
from pointsman.profile.shapes import SHAPES, Cell, Shape, Stage

WARM_UP_TOKENS: Final = 4
NOMINAL_BYTES_PER_TOKEN: Final = 4
"""Random token ids have no text; a row's `prompt_bytes` says what English of that length would have."""

NOTES: Final = {
    "weights": "random",
    "weights_note": "time and energy follow the shape; no model's weights were used and answers mean nothing",
    "execution": "plain torch, eager, greedy; every token is read by the host before the next is computed",
    "row": "mean over the runs of one cell that fill span_s; each request of a batch has the batch's times "
    "and an equal part of its joules",
    "prompt_bytes": f"nominal, {NOMINAL_BYTES_PER_TOKEN} a token",
}
"""What is true of every such profile; written into its metadata."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds from the start of a batch to its first tokens and to its last."""

    ttft_s: float
    e2e_s: float


class LoadedShape(Protocol):
    """A shape whose weights are on the device."""

    def generate(self, cell: Cell) -> Timing:
        """Run one batch to its end. Raises: EngineError where memory does not suffice."""
        ...


Load = Callable[[Shape, Iterable[Cell]], AbstractContextManager[LoadedShape]]
"""Loads a shape that will run these cells and unloads it at the end; raises EngineError."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Means over the runs of a cell; `energy_j` is that of one request."""

    ttft_s: float
    e2e_s: float
    energy_j: float
    runs: int


def measure(
    model: LoadedShape, cell: Cell, meter: Meter, now_s: Callable[[], float], span_s: float
) -> Measured:
    """Run a cell until `span_s` seconds are full, at least once, after a warm-up of a few tokens."""
    model.generate(replace(cell, output_tokens=min(cell.output_tokens, WARM_UP_TOKENS)))
    timings: list[Timing] = []
    begin_j, begin_s = meter.read_j(), now_s()
    while not timings or now_s() - begin_s < span_s:
        timings.append(model.generate(cell))
    energy_j = meter.read_j() - begin_j
    runs = len(timings)
    return Measured(
        sum(timing.ttft_s for timing in timings) / runs,
        sum(timing.e2e_s for timing in timings) / runs,
        energy_j / (runs * cell.batch),
        runs,
    )


def run_shapes(
    stages: Iterable[Stage],
    load: Load,
    meter: Meter,
    out: Path,
    clock: Clock,
    *,
    span_s: float,
    identity: Mapping[str, Any],
    metadata: Mapping[str, Any],
    on_row: Callable[[ProfileRow], None] = lambda _row: None,
) -> int:
    """Measure every stage and write `out`; gives the number of rows.

    Rows in the journal of an earlier, stopped run are not measured again; failed ones are.

    `identity` holds JSON values that a resumed run must share, e.g. the hardware; `metadata` is written
    beside `NOTES` and the shapes; `on_row` is called for each row that an earlier part measured, then
    for each new one.

    Effects: writes the journal and `out`. Raises: DataError if the journal is another run's,
    EngineError if a shape can't be loaded.
    """
    with open_journal(out, {**identity, "span_s": span_s}, clock.wall()) as journal:
        done = journal.done()
        for row in journal.rows:
            if row.error is None:
                on_row(row)
        for stage in stages:
            todo = [cell for cell in stage.cells if (stage.shape.name, _id(stage, cell)) not in done]
            if not todo:
                continue
            with load(stage.shape, todo) as model:
                _warm_up(model, min(todo), clock.now, span_s)
                for cell in todo:
                    row = _measured_row(stage, cell, model, meter, clock, journal, span_s)
                    journal.add(row)
                    on_row(row)
        return journal.write(
            {**metadata, **NOTES, "span_s": span_s, "meter": _meter_words(meter), "shapes": _shapes(journal)}
        )


def _warm_up(model: LoadedShape, cell: Cell, now_s: Callable[[], float], span_s: float) -> None:
    """Keep the device busy until its clocks have risen."""
    begin_s = now_s()
    try:
        while now_s() - begin_s < span_s:
            model.generate(cell)
    except EngineError:
        return  # its row will say so


def _measured_row(
    stage: Stage,
    cell: Cell,
    model: LoadedShape,
    meter: Meter,
    clock: Clock,
    journal: Journal,
    span_s: float,
) -> ProfileRow:
    unix_s = clock.wall()
    row = ProfileRow(
        endpoint=stage.shape.name,
        prompt_id=_id(stage, cell),
        task="ramp",
        repeat_of=cell.id if stage.again else None,
        max_tokens=cell.output_tokens,
        concurrency=cell.batch,
        started_unix_s=unix_s,
        started_s=unix_s - journal.origin_unix_s,
        prompt_bytes=NOMINAL_BYTES_PER_TOKEN * cell.input_tokens,
    )
    try:
        measured = measure(model, cell, meter, clock.now, span_s)
    except EngineError as error:
        return replace(row, error=str(error))
    after_first = cell.output_tokens - 1
    return replace(
        row,
        input_tokens=cell.input_tokens,
        output_tokens=cell.output_tokens,
        cached_tokens=0,
        finish_reason="length",
        ttft_s=measured.ttft_s,
        tpot_s=(measured.e2e_s - measured.ttft_s) / after_first if after_first else None,
        e2e_s=measured.e2e_s,
        energy_j=measured.energy_j,
        energy_modelled=meter.modelled,
        meter=meter.name,
    )


def _id(stage: Stage, cell: Cell) -> str:
    return cell.id + ("r" if stage.again else "")


def _meter_words(meter: Meter) -> dict[str, Any]:
    return {"name": meter.name, "modelled": meter.modelled, "description": meter.description}


def _shapes(journal: Journal) -> dict[str, Any]:
    names = dict.fromkeys(row.endpoint for row in journal.rows)
    return {
        name: {**asdict(SHAPES[name]), "parameters": SHAPES[name].parameters}
        for name in names
        if name in SHAPES
    }
