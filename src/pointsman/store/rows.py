"""The decision log's tables, and rows to values and back.

Predictions are one little-endian float64 array of shape (19, E): input tokens, then value, low and
high of the six estimates in the order of `CostTable`.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, fields
from typing import Any, Final

import numpy as np

from pointsman.types import (
    Admission,
    CostTable,
    Decision,
    Disposition,
    Estimate,
    Outcome,
    Request,
    Valuation,
    Weights,
)

VERSION: Final = 3
"""Of the tables, kept in the file's `user_version`."""

_ESTIMATES: Final = ("quality", "output_tokens", "time_s", "energy_j", "price_usd", "carbon_g")
_ROWS: Final = 1 + 3 * len(_ESTIMATES)
OUTCOME_COLUMNS: Final = tuple(field.name for field in fields(Outcome))
_LABELLED: Final = ", ".join(
    "coalesce(o.quality, s.score)" if n == "quality" else f"o.{n}" for n in OUTCOME_COLUMNS
)
SCHEMA: Final = f"""
CREATE TABLE decisions (
  id INTEGER PRIMARY KEY, request_id TEXT NOT NULL, logged_unix_s REAL NOT NULL, at_s REAL NOT NULL,
  action TEXT NOT NULL, endpoint TEXT, reason TEXT NOT NULL, policy TEXT NOT NULL, weights TEXT, valuation TEXT,
  excluded TEXT NOT NULL, endpoints TEXT NOT NULL, predictions BLOB NOT NULL, score BLOB, bypassed INTEGER NOT NULL,
  model TEXT NOT NULL, tenant TEXT NOT NULL, service_class TEXT NOT NULL, session TEXT, max_tokens INTEGER,
  prompt_bytes INTEGER NOT NULL, prompt TEXT, task TEXT NOT NULL
);
CREATE INDEX decisions_by_request ON decisions (request_id);
CREATE TABLE outcomes (id INTEGER PRIMARY KEY, logged_unix_s REAL NOT NULL, {", ".join(OUTCOME_COLUMNS)});
CREATE INDEX outcomes_by_request ON outcomes (request_id);
CREATE TABLE labels (
  id INTEGER PRIMARY KEY, logged_unix_s REAL NOT NULL, request_id TEXT NOT NULL, source TEXT NOT NULL,
  score REAL NOT NULL, at_unix_s REAL NOT NULL
);
CREATE INDEX labels_by_request ON labels (request_id, source, at_unix_s, id);
CREATE VIEW scores AS SELECT request_id, avg(score) AS score FROM (
  SELECT request_id, score, row_number() OVER (
    PARTITION BY request_id, source ORDER BY at_unix_s DESC, id DESC) AS age FROM labels
) WHERE age = 1 GROUP BY request_id;
PRAGMA user_version = {VERSION};
"""  # noqa: S608 - constants
SELECT_OUTCOMES: Final = f"""
SELECT {_LABELLED} FROM outcomes o LEFT JOIN scores s ON s.request_id = o.request_id
  AND o.id = (SELECT max(id) FROM outcomes WHERE request_id = o.request_id AND disposition = 'answered')
ORDER BY o.id
"""  # noqa: S608 - constants
"""In the order of `OUTCOME_COLUMNS`; the answer that was given out has the score that labels came to."""
INSERT_DECISION: Final = f"INSERT INTO decisions VALUES (NULL{', ?' * 22})"  # noqa: S608 - constants
INSERT_OUTCOME: Final = f"INSERT INTO outcomes VALUES (NULL{', ?' * (len(OUTCOME_COLUMNS) + 1)})"  # noqa: S608 - constants


def decision_row(
    unix_s: float, decision: Decision, request: Request, *, store_prompt: bool
) -> tuple[Any, ...]:
    """The values of `INSERT_DECISION`."""
    weights = None if decision.weights is None else json.dumps(asdict(decision.weights))
    return (
        sqlite_text(decision.request_id),
        unix_s,
        decision.at_s,
        decision.action.value,
        decision.endpoint,
        sqlite_text(decision.reason),
        decision.policy,
        weights,
        None if decision.valuation is None else json.dumps(asdict(decision.valuation)),
        json.dumps(dict(decision.excluded)),
        json.dumps(decision.table.endpoints),
        _encode(decision.predictions),
        None if decision.score is None else np.asarray(decision.score, dtype="<f8").tobytes(),
        decision.table.bypassed,
        sqlite_text(request.model),
        sqlite_text(request.tenant),
        sqlite_text(decision.service_class),
        None if request.session is None else sqlite_text(request.session),
        request.max_tokens,
        request.prompt.total_bytes,
        sqlite_text(request.prompt.text) if store_prompt else None,
        sqlite_text(request.prompt.task),
    )


def outcome_row(unix_s: float, outcome: Outcome) -> tuple[Any, ...]:
    """The values of `INSERT_OUTCOME`."""
    values = (getattr(outcome, name) for name in OUTCOME_COLUMNS)
    return (unix_s, *(sqlite_text(value) if isinstance(value, str) else value for value in values))


def outcome_of(row: tuple[Any, ...]) -> Outcome:
    """An outcome from its columns in the order of `OUTCOME_COLUMNS`."""
    made = dict(zip(OUTCOME_COLUMNS, row, strict=True))
    made["disposition"] = Disposition(made["disposition"])
    modelled = made["energy_modelled"]
    made["energy_modelled"] = None if modelled is None else bool(modelled)
    return Outcome(**made)


def decision_of(row: sqlite3.Row) -> Decision:
    """A decision from a row of its table: equal arrays, R = 1."""
    endpoints = tuple(json.loads(row["endpoints"]))
    return Decision(
        request_id=row["request_id"],
        at_s=row["at_s"],
        action=Admission(row["action"]),
        reason=row["reason"],
        policy=row["policy"],
        table=_decode(row["predictions"], endpoints, bypassed=bool(row["bypassed"])),
        index=0,
        excluded=json.loads(row["excluded"]),
        score=None if row["score"] is None else np.frombuffer(row["score"], dtype="<f8"),
        endpoint=row["endpoint"],
        weights=None if row["weights"] is None else Weights(**json.loads(row["weights"])),
        valuation=None if row["valuation"] is None else Valuation(**json.loads(row["valuation"])),
        service_class=row["service_class"],
    )


def sqlite_text(value: str) -> str:
    """Text that SQLite can hold: half a surrogate pair, which JSON may carry, becomes `?`."""
    return value.encode("utf-8", "replace").decode("utf-8")


def _encode(table: CostTable) -> bytes:
    rows = [table.input_tokens[0]]
    for name in _ESTIMATES:
        estimate: Estimate = getattr(table, name)
        rows += [estimate.value[0], estimate.low[0], estimate.high[0]]
    return np.array(rows, dtype="<f8").tobytes()


def _decode(blob: bytes, endpoints: tuple[str, ...], *, bypassed: bool) -> CostTable:
    rows = np.frombuffer(blob, dtype="<f8").reshape(_ROWS, 1, len(endpoints))
    estimates = {
        name: Estimate(*rows[1 + 3 * index : 4 + 3 * index]) for index, name in enumerate(_ESTIMATES)
    }
    return CostTable(endpoints, rows[0], **estimates, bypassed=bypassed)
