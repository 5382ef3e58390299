"""A folder of outcomes into a public format, for the tools of others."""

from __future__ import annotations

from pathlib import Path

from pointsman.data.formats.outcome_set import Exported, read_outcome_set
from pointsman.data.formats.registry import OutcomeExporter
from pointsman.errors import DataError


def export_outcomes(write: OutcomeExporter, folder: Path, path: Path) -> Exported:
    """Write the folder's outcomes to one file, which appears when it is whole.

    Raises: DataError for a folder that is none of outcomes, and where the format could hold nothing of it.
    """
    outcomes = read_outcome_set(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            exported = write(outcomes, file)
        if not exported.rows:
            raise DataError(
                f"nothing of {folder} fits the format: {'; '.join(exported.notes)}",
                remedy="Export a folder whose outcomes have scores",
            )
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return exported
