"""Where similar queries are near: an embedding of the text, and what the text looks like.

The embedding is the encoder's, or without one the static part of the hot features, of length 1. Beside it
stand the surface features (lengths, digits, options, kinds of words), each with mean 0 and equal spread, so
that their row is `surface` long on average: two questions on one subject are more alike if both calculate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from pointsman.errors import DataError
from pointsman.predict.features.base import Encoding, TextEncoder
from pointsman.predict.features.hot import HotFeatures
from pointsman.predict.features.surface import SURFACE_COLUMNS
from pointsman.predict.quality.base import Queries

_SURFACE: Final = len(SURFACE_COLUMNS)
_FARTHEST_SPREADS: Final = 4.0
"""A column counts at most as if it lay so many standard deviations from its mean."""


@dataclass(frozen=True, slots=True)
class RetrievalSpace:
    """Fitted to texts, without labels.

    Attributes:
        hot: gives the surface features, and the static embedding.
        encoder: gives the embedding, or None.
        mean: of the surface columns, shape (S,).
        spread: of those, shape (S,); 0 for a constant column.
        surface: how long the surface part is beside an embedding of length 1; 0 for none.
    """

    hot: HotFeatures
    encoder: TextEncoder | None
    mean: Encoding
    spread: Encoding
    surface: float

    @classmethod
    def fit(cls, queries: Queries, hot: HotFeatures, encoder: TextEncoder | None, surface: float) -> Self:
        """From the texts that will be searched."""
        columns = queries.hot(hot).dense[:, :_SURFACE]
        return cls(hot, encoder, columns.mean(axis=0), columns.std(axis=0), surface)

    def rows(self, queries: Queries) -> Encoding:
        """Shape (R, width); only the direction of a row counts."""
        dense = queries.hot(self.hot).dense
        embedding = dense[:, _SURFACE:] if self.encoder is None else queries.encoded(self.encoder)
        if not self.surface:
            return embedding
        known = self.spread > 1e-6 * np.maximum(np.abs(self.mean), 1)
        apart = (dense[:, :_SURFACE] - self.mean) / np.where(known, self.spread, np.inf)
        apart = np.clip(apart, -_FARTHEST_SPREADS, _FARTHEST_SPREADS)
        scale = np.float32(self.surface / np.sqrt(max(int(known.sum()), 1)))
        return np.concatenate([embedding, apart * scale], axis=1, dtype=np.float32)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """What was fitted."""
        return {"mean": self.mean, "spread": self.spread}

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, NDArray[Any]], hot: HotFeatures, encoder: TextEncoder | None, surface: float
    ) -> Self:
        """What `to_arrays` gave. Raises: DataError for columns of other features."""
        for name in ("mean", "spread"):
            if arrays[name].shape != (_SURFACE,):
                raise DataError(f"{name} has the shape {arrays[name].shape}, not {(_SURFACE,)}")
        return cls(hot, encoder, arrays["mean"], arrays["spread"], surface)
