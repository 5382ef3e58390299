"""Prompts that were held out in a fit, as an artifact keeps them: forecasts, labels, and nothing of the texts.

What is learnt from held-out forecasts later, such as a floor with a confidence, needs the labels beside
them, and what a prompt would cost: its size, its kind, and how long its answers were forecast to be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from pointsman.errors import DataError
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.bundle import REMEDY, read_held_out
from pointsman.predict.quality.fit import FittedQuality
from pointsman.predict.task import TASKS, prompt_task
from pointsman.types import Floats

MOST_ROWS: Final = 20_000
"""Kept at most: 2.5 MB at nine endpoints. Beside a batch of 1,000 so many widen a floor's margin by 2.5%."""

_PAIRS: Final = ("quality", "labels", "output_tokens")
_ROWS: Final = ("size_bytes", "groups", "folds")
_NAMES: Final = ("tasks", "kinds")


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutRows:
    """N prompts on E endpoints.

    Attributes:
        endpoints: E names, as outcomes name them.
        tasks: N names, as the model was told them; "" where it was not.
        kinds: N of `predict.task.TASKS`.
        size_bytes: shape (N,), of the prompt.
        quality: calibrated forecasts by a model that has not learnt the row, shape (N, E).
        labels: shape (N, E), NaN where unknown.
        output_tokens: mean forecast length of an answer without a limit, shape (N, E), NaN where unknown.
        groups: shape (N,): rows with one number are alike.
        folds: shape (N,): rows with one number were forecast by one model.
    """

    endpoints: tuple[str, ...]
    tasks: tuple[str, ...]
    kinds: tuple[str, ...]
    size_bytes: Floats
    quality: Floats
    labels: Floats
    output_tokens: Floats
    groups: NDArray[np.int64]
    folds: NDArray[np.int64]

    @classmethod
    def of(
        cls, matrix: OutcomeMatrix, fitted: FittedQuality, *, told_tasks: bool, seed: int = 0
    ) -> Self | None:
        """What a fit held out, at most `MOST_ROWS` rows, drawn; None where it held out nothing.

        Args:
            matrix: what was fitted to.
            fitted: by `fit_quality`.
            told_tasks: the model was told the tasks.
            seed: of the draw.
        """
        if fitted.held_out is None or fitted.folds is None:
            return None
        count = len(matrix.query_ids)
        rows = np.arange(count)
        if count > MOST_ROWS:
            rows = np.sort(np.random.default_rng(seed).choice(count, MOST_ROWS, replace=False))
        prompts = [matrix.prompts[row] for row in rows.tolist()]
        lengths = fitted.held_out.output_tokens
        return cls(
            matrix.endpoints,
            tuple(matrix.tasks[row] if told_tasks else "" for row in rows.tolist()),
            tuple(prompt_task(prompt) for prompt in prompts),
            np.array([len(prompt.encode("utf-8", "surrogatepass")) for prompt in prompts], dtype=float),
            fitted.held_out.quality.value[rows],
            matrix.quality[rows],
            np.full((len(rows), len(matrix.endpoints)), np.nan)
            if lengths is None
            else lengths[rows].mean(axis=2),
            matrix.groups[rows],
            fitted.folds[rows],
        )

    @classmethod
    def read(cls, artifact: Path) -> Self:
        """Those of an artifact. Raises: DataError where it keeps none, or others than can be."""
        arrays = read_held_out(artifact)
        if arrays is None:
            raise DataError(
                f"{artifact} keeps no forecasts of prompts that were held out",
                remedy="Train again, on at least 20 different prompts: pointsman train",
            )
        try:
            return cls._checked(arrays)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise DataError(
                f"what {artifact} keeps of held-out prompts can't be used: {error}", remedy=REMEDY
            ) from error

    def of_columns(self, columns: Sequence[int], endpoints: Sequence[str]) -> HeldOutRows:
        """The same rows with other columns, under other names."""
        pairs = {name: getattr(self, name)[:, columns] for name in _PAIRS}
        return replace(self, endpoints=tuple(endpoints), **pairs)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """As float32, and names as indices."""
        arrays: dict[str, NDArray[Any]] = {"endpoints": np.array(self.endpoints)}
        for name in _NAMES:
            known, index = np.unique(np.array(getattr(self, name)), return_inverse=True)
            arrays |= {name: known, f"{name}_index": index.ravel().astype(np.int32)}
        arrays |= {name: getattr(self, name).astype(np.float32) for name in ("size_bytes", *_PAIRS)}
        return arrays | {name: getattr(self, name).astype(np.int32) for name in ("groups", "folds")}

    @classmethod
    def _checked(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        endpoints = tuple(map(str, arrays["endpoints"].tolist()))
        tasks, kinds = (tuple(map(str, arrays[name][arrays[f"{name}_index"]].tolist())) for name in _NAMES)
        quality, labels, output_tokens = (arrays[name].astype(float) for name in _PAIRS)
        size_bytes, groups, folds = (arrays[name] for name in _ROWS)
        shapes = {own.shape for own in (quality, labels, output_tokens)}
        if shapes != {(len(tasks), len(endpoints))}:
            raise ValueError(f"arrays of the shapes {sorted(shapes)}")
        if not len(tasks) == len(kinds) == len(size_bytes) == len(groups) == len(folds):
            raise ValueError("columns of unequal length")
        if unknown := set(kinds) - set(TASKS):
            raise ValueError(f"the kind {min(unknown)!r}")
        known = labels[np.isfinite(labels)]
        if not ((quality >= 0) & (quality <= 1)).all() or not ((known >= 0) & (known <= 1)).all():
            raise ValueError("a quality that is not in [0, 1]")
        return cls(
            endpoints,
            tasks,
            kinds,
            size_bytes.astype(float),
            quality,
            labels,
            output_tokens,
            groups.astype(np.int64),
            folds.astype(np.int64),
        )
