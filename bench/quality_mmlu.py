"""How well is it known beforehand whether a model will answer an MMLU question rightly?

outcomes/mmlu, all 19 models for training, Mixtral-8x7B and gpt-4-1106-preview (14,031 questions each) for
measuring. Five folds grouped by prompt text, five seeds; settings were chosen on another seed (100), on parts
of four of its folds. A row's `task` says whether the subject was told, in training and in use.

    prior           mean of the model, or of the model on the subject
    knn, eccos      plain mean of the 16 nearest by MiniLM
    knn             64 neighbours, weighted, by MiniLM and surface features
    peer: ...       logistic regression on MiniLM (and subject); its mean with 64 nearest neighbours
    trained, blend  as shipped, with the cheap features (hot), or MiniLM beside them (first seed only: it
                    takes longer than all the rest)

`score` is the normalised score of run or skip: 0 the best constant, 1 the oracle; c_run = .2, c_wrong =
c_miss = 1. Intervals: 95% by bootstrap over prompts and seeds; `over_peer`: AUROC above that of the peer's
mean with the same task, paired. `confidence` of the shared data is never read.

    python bench/quality_mmlu.py --keep DIR      DIR: embeddings and finished folds, read again when there
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsman.data.shared_outcomes import shared_outcomes
from pointsman.metrics.intervals import Weighted, auroc_of, mean_of, paired_interval
from pointsman.metrics.run_or_skip import Stakes, decide, normalised_of
from pointsman.metrics.splits import grouped_folds
from pointsman.predict.features.base import TextEncoder
from pointsman.predict.features.cache import CachedEncoder
from pointsman.predict.features.hot import HotFeatures
from pointsman.predict.features.minilm import MiniLmEncoder
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.base import QualityModel, Queries
from pointsman.predict.quality.blend import BlendQuality
from pointsman.predict.quality.knn import KnnQuality, KnnSettings
from pointsman.report.bench import Cell, bench_parser, interval_cells, shared_data, write_results
from pointsman.types import Floats

MODELS = ("mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview")
FOLDS, SEEDS = 5, 5
QUICK_FOLDS, QUICK_ROWS = 2, 200
STAKES = Stakes()
RESAMPLES, QUICK_RESAMPLES = 400, 20
PEER = "peer: with 64 neighbours"
Predicted = dict[str, Floats]
"""`name|task` or `name|` -> probabilities, shape (N, 2) for the two measured models."""


class Task:
    """Outcomes and their encoded texts."""

    def __init__(self, matrix: OutcomeMatrix, keep: Path | None) -> None:
        self.matrix = matrix
        self.hot = HotFeatures()
        self.encoder: TextEncoder = MiniLmEncoder()
        if keep is not None:
            self.encoder = CachedEncoder(self.encoder, keep / "minilm.sqlite")
        self.queries = Queries(matrix.prompts, matrix.tasks)
        self.queries.hot(self.hot)
        self.queries.encoded(self.encoder)
        self.columns = [matrix.endpoints.index(name) for name in MODELS]

    def predict_fold(
        self, train: NDArray[np.int64], held: NDArray[np.int64], seed: int, *, slow: bool
    ) -> Predicted:
        """Fit to some rows and predict the others; `slow`: the blend with MiniLM as well."""
        outcomes, seen, asked = self.matrix.take(train), self.queries.take(train), self.queries.take(held)
        hot = BlendQuality.fit(outcomes, self.hot, queries=seen, seed=seed)
        eccos = KnnQuality.fit(
            outcomes, self.hot, self.encoder, queries=seen, settings=KnnSettings.eccos(), seed=seed
        )
        models: dict[str, QualityModel] = {
            "prior": hot.knn.prior,
            "knn, eccos": eccos,
            "trained, hot": hot.trained,
            "blend, hot": hot,
        }
        if slow:
            minilm = BlendQuality.fit(outcomes, self.hot, self.encoder, queries=seen, seed=seed)
            models |= {"knn": minilm.knn, "trained, minilm": minilm.trained, "blend, minilm": minilm}
        made: Predicted = {}
        for told, part in (("", asked.with_tasks([""] * asked.n)), ("task", asked)):
            for name, model in models.items():
                made[f"{name}|{told}"] = model.forecast(part).quality.value[:, self.columns]
            made |= {f"{name}|{told}": p for name, p in self._peer(train, held, told=bool(told)).items()}
        return made

    def _peer(self, train: NDArray[np.int64], held: NDArray[np.int64], *, told: bool) -> Predicted:
        """What a few lines with scikit-learn reach."""
        from sklearn.linear_model import LogisticRegression

        embedding = self.queries.encoded(self.encoder)
        subject = np.unique(np.array(self.matrix.tasks), return_inverse=True)[1]
        one_hot = np.eye(subject.max() + 1, dtype=np.float32)[subject]
        rows = np.hstack([embedding, one_hot]) if told else embedding
        near = embedding[held] @ embedding[train].T
        linear, both = (np.empty((len(held), len(MODELS))) for _ in range(2))
        for at, column in enumerate(self.columns):
            label = self.matrix.quality[train, column]
            known = np.flatnonzero(np.isfinite(label))
            fitted = LogisticRegression(max_iter=300).fit(rows[train][known], label[known])
            linear[:, at] = fitted.predict_proba(rows[held])[:, 1]
            nearest = np.argpartition(-near[:, known], 64, axis=1)[:, :64]
            both[:, at] = 0.5 * (linear[:, at] + label[known][nearest].mean(axis=1))
        return {"peer: logistic regression": linear, PEER: both}


def predict_seed(
    task: Task, seed: int, keep: Path | None, *, n_folds: int, slow: bool
) -> tuple[Predicted, NDArray[np.int64]]:
    """Out-of-fold predictions of all queries."""
    folds = grouped_folds(task.matrix.groups, n_folds, seed)
    whole: Predicted = {}
    for fold in range(n_folds):
        train, held = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        place = None if keep is None else keep / f"mmlu_{len(folds)}_{seed}_{fold}.npz"
        if place is not None and place.exists():
            with np.load(place) as kept:
                made = dict(kept)
        else:
            made = task.predict_fold(train, held, seed, slow=slow)
            if place is not None:
                columns: dict[str, Any] = {**made}
                np.savez(place.with_suffix(".part.npz"), **columns)
                place.with_suffix(".part.npz").replace(place)
        for name, values in made.items():
            whole.setdefault(name, np.full((len(folds), len(MODELS)), np.nan))[held] = values
        print(f"seed {seed}, fold {fold} done", flush=True)
    return whole, folds


def measures(right: Floats, p: Floats, folds: NDArray[np.int64]) -> dict[str, Weighted]:
    sure = np.clip(p, 1e-6, 1 - 1e-6)
    return {
        "auroc": auroc_of(right, p, folds),
        "brier": mean_of((p - right) ** 2),
        "log_loss": mean_of(-(right * np.log(sure) + (1 - right) * np.log1p(-sure))),
        "score": normalised_of(decide(p, STAKES), right, STAKES),
    }


def constants(right: Floats, seed: int) -> Mapping[str, Floats]:
    """Probabilities that make the choice of each simple rule."""
    rng = np.random.default_rng(seed)
    return {
        "always run": np.ones_like(right),
        "always skip": np.zeros_like(right),
        "random": (rng.random(len(right)) < right.mean()).astype(np.float64),
        "oracle": right,
    }


def table(
    task: Task, seeds: list[tuple[Predicted, NDArray[np.int64]]], seed: int, resamples: int
) -> list[dict[str, Cell]]:
    return [row for at in range(len(MODELS)) for row in model_rows(task, seeds, seed, at, resamples)]


def model_rows(
    task: Task, seeds: list[tuple[Predicted, NDArray[np.int64]]], seed: int, at: int, resamples: int
) -> list[dict[str, Cell]]:
    label = task.matrix.quality[:, task.columns[at]]
    known = np.flatnonzero(np.isfinite(label))
    right, groups = label[known], task.matrix.groups[known]

    def cells(name: str, of: list[Weighted], less: list[Weighted] | None = None) -> dict[str, Cell]:
        rng = np.random.default_rng(seed)
        return interval_cells(name, paired_interval(of, less, groups=groups, rng=rng, resamples=resamples))

    def row(name: str, told: Cell) -> dict[str, Cell]:
        return {"model": MODELS[at], "predictor": name, "task": told, "n": len(known)}

    simple = [constants(right, seed + number) for number in range(len(seeds))]
    choices = {name: [decide(made[name], STAKES) for made in simple] for name in simple[0]}
    rows = [
        row(name, None) | cells("score", [normalised_of(choice, right, STAKES) for choice in of])
        for name, of in choices.items()
    ]
    by_seed = {
        key: [measures(right, made[key][known, at], folds[known]) for made, folds in seeds if key in made]
        for key in seeds[0][0]
    }
    for key, made in by_seed.items():
        name, told = key.split("|")
        filled = row(name, bool(told))
        for measure in made[0]:
            filled |= cells(measure, [of[measure] for of in made])
        peer = [of["auroc"] for of in by_seed[f"{PEER}|{told}"][: len(made)]]
        rows.append(filled | cells("over_peer", [of["auroc"] for of in made], peer))
    return rows


def quick_part(matrix: OutcomeMatrix, seed: int) -> OutcomeMatrix:
    rows = np.random.default_rng(seed).choice(len(matrix.query_ids), QUICK_ROWS, replace=False)
    return matrix.take(np.sort(rows))


def measure(args: argparse.Namespace) -> list[dict[str, Cell]]:
    matrix = shared_outcomes(shared_data() / "outcomes" / "mmlu")
    if args.quick:
        matrix = quick_part(matrix, args.seed)
    if args.keep is not None:
        args.keep.mkdir(parents=True, exist_ok=True)
    task = Task(matrix, args.keep)
    n_seeds, n_folds = (1, QUICK_FOLDS) if args.quick else (SEEDS, FOLDS)
    seeds = [
        predict_seed(task, args.seed + number, args.keep, n_folds=n_folds, slow=number == 0)
        for number in range(n_seeds)
    ]
    return table(task, seeds, args.seed, QUICK_RESAMPLES if args.quick else RESAMPLES)


def main() -> None:
    parser = bench_parser(__doc__ or "")
    parser.add_argument("--keep", type=Path, help="folder of embeddings and finished folds")
    args = parser.parse_args()
    write_results("quality_mmlu", measure(args), args, title="Quality known beforehand, MMLU")


if __name__ == "__main__":
    main()
