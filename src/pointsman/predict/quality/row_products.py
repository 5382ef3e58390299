"""Products of rows with a matrix, in which a row's result is the same in any batch."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]

BLOCK: Final = 8


def row_products(rows: Singles, matrix: Singles) -> Singles:
    """`rows @ matrix` for shapes (R, K) and (K, C).

    A library rounds a product of one row otherwise than one of seven, so rows are always taken `BLOCK` at
    a time, the last block filled up with zeros. For R = 1 that costs a few microseconds.
    """
    count, width = rows.shape
    made = np.empty((count, matrix.shape[1]), np.float32)
    whole = count - count % BLOCK
    for start in range(0, whole, BLOCK):
        np.matmul(rows[start : start + BLOCK], matrix, out=made[start : start + BLOCK])
    if whole < count:
        last = np.zeros((BLOCK, width), np.float32)
        last[: count - whole] = rows[whole:]
        made[whole:] = (last @ matrix)[: count - whole]
    return made
