"""Results in OpenAI's batch format: {id, custom_id, response: {status_code, request_id, body}, error}.

A field `pointsman` beside these says where it ran, and what that took.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from pointsman.batch.journal import End, ResultJournal
from pointsman.batch.plan_file import SKIPPED, WAITING, PlannedRows
from pointsman.batch.requests import open_requests
from pointsman.data.atomic import written_whole
from pointsman.types import Outcome

FIGURES = ("input_tokens", "output_tokens", "e2e_s", "price_usd", "energy_j", "energy_modelled", "meter")
SKIPPED_STATUS = 422
"""As in the gateway, whose error of a skipped request has this status and this form."""

_ID_BYTES = 12
_encode = msgspec.json.Encoder().encode


def result_id(plan_id: str, row: int) -> str:
    """The id of a row's result: the same whenever it is asked."""
    return "batch_req_" + hashlib.blake2b(f"{plan_id} {row}".encode(), digest_size=_ID_BYTES).hexdigest()


def answered(own_id: str, custom_id: str, body: bytes, outcome: Outcome) -> bytes:
    """The line of an answer; `body` is JSON."""
    return _line(own_id, custom_id, 200, msgspec.Raw(msgspec.json.format(body, indent=-1)), None, outcome)


def rejected(own_id: str, custom_id: str, status: int, body: bytes, outcome: Outcome) -> bytes:
    """The line of a request that its endpoint refused with a status; `body` is what it said, JSON or not."""
    try:
        said = msgspec.Raw(msgspec.json.format(body, indent=-1))
        msgspec.json.decode(said)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = msgspec.Raw(_encode({"error": {"message": body.decode(errors="replace")}}))
    return _line(own_id, custom_id, status, said, None, outcome)


def failed(own_id: str, custom_id: str | None, code: str, message: str, outcome: Outcome | None) -> bytes:
    """The line of a request that no endpoint answered."""
    return _line(own_id, custom_id, None, None, {"code": code, "message": message}, outcome)


def skipped(own_id: str, custom_id: str | None, skip_cost: float | None, unit: str) -> bytes:
    """The line of a request that the plan skips; `skip_cost` is what that was taken to cost, in `unit`."""
    reason = f"answering it is worth less than the {skip_cost:g} {unit} that skipping costs, within the limits of the plan"
    error = {"message": f"skipped: {reason}", "type": "skipped", "param": None, "code": "skipped"}
    body = msgspec.Raw(_encode({"error": error | {"expected_skip_cost": skip_cost}}))
    return _line(own_id, custom_id, SKIPPED_STATUS, body, None, None)


def _line(
    own_id: str,
    custom_id: str | None,
    status: int | None,
    body: msgspec.Raw | None,
    error: dict[str, str] | None,
    outcome: Outcome | None,
) -> bytes:
    response = None if status is None else {"status_code": status, "request_id": own_id, "body": body}
    made: dict[str, Any] = {"id": own_id, "custom_id": custom_id, "response": response, "error": error}
    if outcome is not None:
        figures = {name: value for name in FIGURES if (value := getattr(outcome, name)) is not None}
        made["pointsman"] = {"endpoint": outcome.endpoint, **figures}
    return _encode(made)


class _Figures(msgspec.Struct, frozen=True):
    e2e_s: float | None = None
    price_usd: float | None = None
    energy_j: float | None = None
    energy_modelled: bool = False


class _Result(msgspec.Struct):
    pointsman: _Figures = _Figures()


_decode = msgspec.json.Decoder(_Result).decode


@dataclass(slots=True)
class Spent:
    """What one endpoint did: how requests ended, and what those took in sum of whom it is known; None if of none."""

    ends: Counter[End] = field(default_factory=Counter)
    slot_s: float | None = None
    price_usd: float | None = None
    energy_j: float | None = None
    energy_modelled: bool = False

    def add(self, end: End, result: bytes) -> None:
        """One more result."""
        took = _decode(result).pointsman
        self.ends[end] += 1
        self.slot_s = _sum(self.slot_s, took.e2e_s)
        self.price_usd = _sum(self.price_usd, took.price_usd)
        self.energy_j = _sum(self.energy_j, took.energy_j)
        self.energy_modelled |= took.energy_modelled


def _sum(total: float | None, more: float | None) -> float | None:
    return total if more is None else (total or 0.0) + more


def write_results(path: Path, plan: PlannedRows, journal: ResultJournal) -> dict[str, Spent]:
    """Write one line for each line of the batch file that has ended, in its order, whole or not at all.

    Lines that can't be run have an error, skipped ones the gateway's answer; those that wait or are still
    open are left out.
    Returns: what each endpoint did. Raises: OSError.
    """
    spent = {name: Spent() for name in plan.head.endpoints}
    unrun = iter(sorted(plan.unrun))
    due = next(unrun, None)
    with written_whole(path) as file:
        for row, end, result in journal.results():
            while due is not None and due < row:
                _write_unrun(file, plan, due)
                due = next(unrun, None)
            file.write(result + b"\n")
            spent[plan.head.endpoints[plan.endpoint[row]]].add(end, result)
        while due is not None:
            _write_unrun(file, plan, due)
            due = next(unrun, None)
    return spent


def write_waiting(path: Path, plan: PlannedRows, requests: Path) -> int:
    """Write the lines of the batch file that wait, as a batch file of their own, whole or not at all.

    Returns: how many. Raises: OSError; DataError if the batch file is not there.
    """
    offsets = plan.offsets[plan.endpoint == WAITING].tolist()
    with open_requests(requests) as file, written_whole(path) as out:
        for offset in offsets:
            file.seek(offset)
            out.write(file.readline().rstrip(b"\r\n") + b"\n")
    return len(offsets)


def _write_unrun(file: BinaryIO, plan: PlannedRows, row: int) -> None:
    made, own_id = plan.unrun[row], result_id(plan.id, row)
    if plan.endpoint[row] == SKIPPED:
        head = plan.head
        line = skipped(own_id, made.custom_id, head.settings.get("skip_cost"), head.summary.get("unit", ""))
    else:
        message = f"line {made.line}: {made.error}"
        line = failed(own_id, made.custom_id, made.code or "", message, None)
    file.write(line + b"\n")
