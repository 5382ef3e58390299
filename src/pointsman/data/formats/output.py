"""What an import writes: tables that appear when all is well, and the log of what was refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pointsman.data.formats.row_writer import RowWriter
from pointsman.data.formats.rows import Refused
from pointsman.errors import DataError

SHOWN: Final = 10

Refuse = Callable[[Path, int, Refused], None]
"""Says that a line of a file is left out, and why."""


@dataclass(frozen=True, slots=True)
class Source:
    """What is imported, and how.

    Attributes:
        format: its name, for the metadata.
        files: read one after another; the first part of a name is the task where the format tells none.
        created: the day, for the metadata.
        dataset: the column of that name.
        options: what else was chosen, for the metadata.
        strict: the first bad line ends it, and nothing is written.
    """

    format: str
    files: tuple[Path, ...]
    created: str
    dataset: str
    options: Mapping[str, Any] = field(default_factory=dict)
    strict: bool = False


@dataclass(slots=True)
class Tally:
    """What came of an import.

    Attributes:
        refused: lines left out; each stands in the log.
        shown: the first of them.
    """

    queries: int = 0
    models: int = 0
    rows: int = 0
    failed_calls: int = 0
    refused: int = 0
    shown: list[str] = field(default_factory=list)


@contextmanager
def written(
    source: Source, tally: Tally, paths: Sequence[Path], tables: Sequence[Mapping[str, str]]
) -> Iterator[tuple[tuple[RowWriter, ...], Refuse]]:
    """Writers for all tables and a way to refuse a line; the tables are there when all went well.

    Args:
        source: what goes into the metadata; under `strict` a refused line raises.
        tally: is counted up.
        paths: of the tables, and of the log of refused lines, which is there only if there are some.
        tables: the columns of each.

    Raises: DataError where a table stays empty.
    """
    *targets, log_path = paths
    about: dict[str, Any] = {
        "imported": source.format,
        "created": source.created,
        "dataset": source.dataset,
        "files": [_provenance(path) for path in source.files],
        **{name: value for name, value in source.options.items() if value is not None},
    }
    writers: list[RowWriter] = []
    log = log_path.with_name(log_path.name + ".partial")
    try:
        writers += (RowWriter(path, columns) for path, columns in zip(targets, tables, strict=True))
        with log.open("w", encoding="utf-8", errors="backslashreplace") as lines:

            def refuse(path: Path, number: int, row: Refused) -> None:
                text = f"{path.name}, line {number}: {row.why}"
                if source.strict:
                    raise DataError(f"{text}. --strict takes no bad line", remedy="Nothing was written")
                tally.refused += 1
                lines.write(text.replace("\n", "\\n") + "\n")
                if len(tally.shown) < SHOWN:
                    tally.shown.append(text)

            yield tuple(writers), refuse
        if not all(writer.rows for writer in writers):
            why = f"; the first: {tally.shown[0]}" if tally.shown else ""
            raise DataError(
                f"no line of {', '.join(map(str, source.files))} is an answer in the format {source.format}{why}",
                remedy="Check the format's name: docs/formats.md",
            )
        counts = {"rows": tally.rows, "refused": tally.refused, "failed_calls": tally.failed_calls}
        for writer in writers:
            writer.close(about | counts)
        for writer in writers:
            writer.appear()
        if tally.refused:
            log.replace(log_path)
    finally:
        log.unlink(missing_ok=True)
        for writer in writers:
            writer.abandon()


def _provenance(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DataError(
            f"{path} {'is a folder' if path.is_dir() else 'does not exist'}", remedy="Name a file"
        )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": digest}
