"""One endpoint's measured requests as arrays: what a profile is fitted from."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from pointsman.errors import DataError
from pointsman.types import Bools, Floats


@dataclass(frozen=True, slots=True)
class ProfileRows:
    """N requests in order of time; every array has shape (N,).

    Attributes:
        prompt: an integer for each different prompt; folds never split one.
        task: the task that `prompt_task` gives, since priors are looked up by it.
        input_tokens: without those that the server had cached.
        cut: the answer was ended by its cap.
        max_tokens: the cap; infinity where there was none.
        concurrency: requests outstanding on the endpoint, this one counted.
        time_s: end to end, above 0.
        energy_j: NaN where not measured.
        score: in [0, 1]; NaN where not judged.
    """

    prompt: NDArray[np.int64]
    task: NDArray[np.str_]
    prompt_bytes: Floats
    input_tokens: Floats
    output_tokens: Floats
    cut: Bools
    max_tokens: Floats
    concurrency: Floats
    time_s: Floats
    energy_j: Floats
    score: Floats

    def __post_init__(self) -> None:
        """Raises DataError if columns differ in length or none has a row."""
        sizes = {field.name: len(getattr(self, field.name)) for field in fields(self)}
        if len(set(sizes.values())) > 1:
            raise DataError(f"columns of one length are needed, not {sizes}")
        if not len(self.time_s):
            raise DataError("no measured rows", remedy="Run: pointsman profile")

    def __len__(self) -> int:
        """N."""
        return len(self.time_s)

    def take(self, keep: Bools | NDArray[np.int64]) -> ProfileRows:
        """The rows of a mask or of indices."""
        return ProfileRows(**{field.name: getattr(self, field.name)[keep] for field in fields(self)})


def folds(group: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """A fold 0..count-1 for each row, shape (N,); rows of one group share it."""
    unique, member = np.unique(group, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(unique))
    return np.asarray((order % min(count, max(len(unique), 1)))[member.reshape(-1)], dtype=np.int64)
