"""What every measure asks of its columns."""

from __future__ import annotations

import numpy as np

from pointsman.errors import DataError
from pointsman.types import Floats


def check_columns(*columns: Floats, finite: int | None = None) -> None:
    """Raise DataError unless the columns have one shape (N,) with N at least 1 and no NaN or infinity.

    Args:
        columns: measured and predicted values.
        finite: only so many of the first must be finite.
    """
    shapes = {column.shape for column in columns}
    if len(shapes) > 1 or len(next(iter(shapes))) != 1 or not len(columns[0]):
        raise DataError(f"measures need columns of one length and at least one row, not {sorted(shapes)}")
    for column in columns[:finite]:
        if not np.isfinite(column).all():
            raise DataError("a measure got NaN or infinity", remedy="Leave those rows out")


def check_shares(name: str, column: Floats) -> None:
    """Raise DataError unless all values lie in [0, 1]."""
    bad = ~((column >= 0) & (column <= 1))
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"{name} {row} is {column[row]:g}, outside 0 to 1", remedy="Leave that row out, or correct it"
        )


def check_right_or_wrong(labels: Floats) -> None:
    """Raise DataError unless all labels are 0 or 1."""
    bad = (labels != 0) & (labels != 1)
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"label {row} is {labels[row]:g}, neither 0 nor 1",
            remedy="Round continuous scores first, or use brier",
        )
