"""Labels in the decision log, joined to what it knows by request id.

    labels   every label as it came: none is changed or removed
    scores   a view: what the labels of a request come to

A label that its source gave last, or gave for the same time before, is not added again. Of each source the
last label counts, by the time it was said, then by the time it came; sources are averaged. A label of a
request that the log does not know is kept, and counts once the request is there. Where an id came again, its
labels are of the last answer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pointsman.errors import DataError
from pointsman.store.file import reading, writing
from pointsman.store.rows import sqlite_text
from pointsman.types import Kept, Label, without_superseded

_LAST: Final = """
SELECT score FROM labels WHERE request_id = ? AND source = ? ORDER BY at_unix_s DESC, id DESC LIMIT 1
"""
_SAME: Final = "SELECT 1 FROM labels WHERE request_id = ? AND source = ? AND score = ? AND at_unix_s = ?"
_KNOWN: Final = "SELECT 1 FROM decisions WHERE request_id = ?"
_INSERT: Final = "INSERT INTO labels VALUES (NULL, ?, ?, ?, ?, ?)"

_LOOKED_AT: Final = 10
_SERVED: Final = f"""
SELECT o.request_id, d.prompt, d.task, o.endpoint, o.output_tokens FROM outcomes o
JOIN decisions d ON d.id = (SELECT max(id) FROM decisions WHERE request_id = o.request_id AND prompt IS NOT NULL)
WHERE o.disposition = 'answered' AND o.id > (SELECT max(id) FROM outcomes) - ?1 * {_LOOKED_AT}
  AND o.id = (SELECT max(id) FROM outcomes WHERE request_id = o.request_id AND disposition = 'answered')
ORDER BY o.id DESC LIMIT ?1
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class Served:
    """A request that was answered, as far as it can be learnt from.

    Attributes:
        text: the last user turn's.
        endpoint: whose answer was given out.
        output_tokens: the answer's length; of several samples the mean.
    """

    request_id: str
    text: str
    task: str
    endpoint: str
    output_tokens: float | None


def insert_labels(connection: sqlite3.Connection, unix_s: float, labels: Sequence[Label]) -> Kept:
    """Add what is new of these; the caller commits. `unix_s` is now."""
    kept = Kept()
    for label in without_superseded(labels):
        request_id, source = sqlite_text(label.request_id), sqlite_text(label.source)
        known = connection.execute(_KNOWN, (request_id,)).fetchone() is not None
        new = _is_new(connection, request_id, source, label)
        if new:
            at = unix_s if label.at_unix_s is None else label.at_unix_s
            connection.execute(_INSERT, (unix_s, request_id, source, label.score, at))
        kept += Kept(int(new), int(not new), int(not known))
    return kept


def _is_new(connection: sqlite3.Connection, request_id: str, source: str, label: Label) -> bool:
    if label.at_unix_s is None:
        last = connection.execute(_LAST, (request_id, source)).fetchone()
        return last is None or last[0] != label.score
    same = (request_id, source, label.score, label.at_unix_s)
    return connection.execute(_SAME, same).fetchone() is None


def add_labels(path: Path, unix_s: float, labels: Sequence[Label]) -> Kept:
    """Add labels to a log, also while a gateway writes to it; all of them or none.

    Raises: DataError if the log is not there, is of another version, or can't be written.
    """
    with writing(path) as connection:
        try:
            with connection:
                return insert_labels(connection, unix_s, labels)
        except sqlite3.Error as error:
            raise DataError(
                f"{path} did not take the labels: {error}", remedy="Give it space and rights, and try again"
            ) from error


def read_labels(path: Path, *, request_id: str | None = None) -> Iterator[Label]:
    """Give every label in the order in which they came, with its time. Raises: DataError."""
    with reading(path) as connection:
        yield from _labels(
            connection,
            "SELECT request_id, score, source, at_unix_s FROM labels "
            "WHERE ?1 IS NULL OR request_id = ?1 ORDER BY id",
            request_id,
        )


def read_served(path: Path, most: int) -> tuple[list[Served], list[Label]]:
    """The newest answered requests whose prompts were kept, oldest first, and all their labels.

    Looked for among the newest `10 * most` outcomes, so that a log of millions without prompts costs little.

    Raises: DataError as `read_labels`.
    """
    with reading(path) as connection:
        served = [Served(*row) for row in connection.execute(_SERVED, (most,))][::-1]
        labels = [label for each in served for label in _labels(connection, _OF_REQUEST, each.request_id)]
    return served, labels


_OF_REQUEST: Final = (
    "SELECT request_id, score, source, at_unix_s FROM labels WHERE request_id = ? ORDER BY id"
)


def _labels(connection: sqlite3.Connection, query: str, request_id: str | None) -> Iterator[Label]:
    for row in connection.execute(query, (request_id,)):
        yield Label(*row)
