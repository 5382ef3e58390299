"""A plan on disk: JSON lines, so that it can be read, compared and cut with ordinary tools.

The first line says of which file and settings it is; each further line is one line of the batch file, in
its order: where it is to run and what is expected there, or that it is skipped or waits, or why it can't run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from pointsman.assign.plan import Plan
from pointsman.batch.forecast import Forecast
from pointsman.batch.limits import Action
from pointsman.batch.requests import BadLine, Fingerprint
from pointsman.data.atomic import written_whole
from pointsman.errors import DataError

VERSION: Final = 1
BAD: Final = -1
SKIPPED: Final = -2
WAITING: Final = -3
_COLUMN_OF: Final = {None: BAD, Action.SKIP: SKIPPED, Action.WAIT: WAITING}
_DIGITS: Final = 6


class Expected(msgspec.Struct, frozen=True):
    """Predicted sums over the batch."""

    price_usd: float
    energy_j: float
    time_s: float


class PlanHead(msgspec.Struct, frozen=True):
    """The first line of a plan.

    Attributes:
        requests, config: paths; the shipped configuration where `config` is None.
        file: what the batch file was.
        any_model: the models that the requests name do not count.
        settings: what was asked, for readers.
        summary: what came of it, for readers.
        rows: how many lines follow.
        pointsman_plan: the format's version.
    """

    requests: str
    file: Fingerprint
    config: str | None
    endpoints: tuple[str, ...]
    any_model: bool
    settings: dict[str, Any]
    summary: dict[str, Any]
    expected: Expected
    rows: int
    pointsman_plan: int = VERSION


class PlanRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the batch file; without an endpoint `action`, or `code` and `error`, say what becomes of it."""

    line: Annotated[int, msgspec.Meta(ge=1)]
    offset: Annotated[int, msgspec.Meta(ge=0)]
    custom_id: str | None = None
    endpoint: str | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    quality: float | None = None
    price_usd: float | None = None
    time_s: float | None = None
    energy_j: float | None = None
    action: Action | None = None
    code: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PlannedRows:
    """A plan, ready to be run.

    Attributes:
        id: of the plan; another plan has another.
        lines, offsets: of each row in the batch file, shape (N,).
        endpoint: index into the head's endpoints, shape (N,); `BAD` for rows that can't run, `SKIPPED` and
            `WAITING` for those that are not to.
        max_tokens: the limit that the plan gives an answer, shape (N,), 0 for none.
        unrun: bad and skipped rows, by row.
    """

    head: PlanHead
    id: str
    lines: NDArray[np.int64]
    offsets: NDArray[np.int64]
    endpoint: NDArray[np.int16]
    max_tokens: NDArray[np.int32]
    unrun: dict[int, PlanRow]


_decode_head = msgspec.json.Decoder(PlanHead).decode
_decode_row = msgspec.json.Decoder(PlanRow).decode


def write_plan(
    path: Path, head: PlanHead, made: Forecast, plan: Plan, actions: Sequence[Action] = ()
) -> None:
    """Write the plan, whole or not at all; `actions` are the choices after the endpoints. Raises: OSError."""
    encode = msgspec.json.Encoder().encode
    with written_whole(path) as file:
        file.write(encode(head) + b"\n")
        file.writelines(encode(row) + b"\n" for row in _rows(made, plan.choice.tolist(), actions))


def _rows(made: Forecast, choice: Sequence[int], actions: Sequence[Action]) -> Iterator[PlanRow]:
    """Planned and bad lines in the order of the batch file."""
    bad = iter(made.bad)
    waiting, width = next(bad, None), len(made.columns)
    lines, offsets = made.lines.tolist(), made.offsets.tolist()
    for row, column in enumerate(choice):
        while waiting is not None and waiting.place.line < lines[row]:
            yield _bad_row(waiting)
            waiting = next(bad, None)
        place = (lines[row], offsets[row], made.custom_ids[row])
        if column >= width:
            yield PlanRow(*place, action=actions[column - width])
            continue
        yield PlanRow(
            *place,
            made.endpoints[made.endpoint_of(column)],
            made.budget_of(column),
            _rounded(made.quality[row, column]),
            _rounded(made.price_usd[row, column]),
            _rounded(made.time_s[row, column]),
            _rounded(made.energy_j[row, column]),
        )
    if waiting is not None:
        yield _bad_row(waiting)
        yield from map(_bad_row, bad)


def _rounded(value: np.float32) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _bad_row(line: BadLine) -> PlanRow:
    place = line.place
    return PlanRow(place.line, place.offset, line.custom_id, code=line.code, error=line.message)


def read_plan(path: Path) -> PlannedRows:
    """Raises: DataError where it is no plan of this version, or not whole."""
    if not path.is_file():
        raise DataError(f"{path} does not exist", remedy="Make it with: pointsman assign")
    digest = hashlib.sha256()
    lines: list[int] = []
    offsets: list[int] = []
    columns: list[int] = []
    max_tokens: list[int] = []
    unrun: dict[int, PlanRow] = {}
    number = 1
    with path.open("rb") as file:
        try:
            first = file.readline()
            head = _decode_head(first)
            digest.update(first)
            column_of = {name: column for column, name in enumerate(head.endpoints)}
            for number, data in enumerate(file, 2):  # noqa: B007 - the error says it
                row = _decode_row(data)
                digest.update(data)
                if row.endpoint is None and row.action is not Action.WAIT:
                    unrun[len(lines)] = row
                lines.append(row.line)
                max_tokens.append(row.max_tokens or 0)
                offsets.append(row.offset)
                columns.append(_COLUMN_OF[row.action] if row.endpoint is None else column_of[row.endpoint])
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError) as error:
            raise DataError(
                f"{path}, line {number} is no line of a plan: {error}",
                remedy="Make it with: pointsman assign",
            ) from error
    _check(path, head, len(lines))
    made = (np.array(lines, np.int64), np.array(offsets, np.int64), np.array(columns, np.int16))
    return PlannedRows(head, digest.hexdigest(), *made, np.array(max_tokens, np.int32), unrun)


def _check(path: Path, head: PlanHead, rows: int) -> None:
    if head.pointsman_plan != VERSION:
        raise DataError(
            f"{path} is a plan of version {head.pointsman_plan}, not {VERSION}",
            remedy="Make it anew with: pointsman assign",
        )
    if head.rows != rows:
        raise DataError(f"{path} has {rows:,} of its {head.rows:,} rows", remedy="Copy it whole")
