"""The choice among the three models of the original scheduler, from its own measurements.

Phi-3-mini-4k, Mistral-7B-Instruct and Falcon-7B-Instruct, 148,826 requests on one GPU, with published
accuracies (`original_accuracies.json` names their sources). Chosen under four weightings for prompts
spread over the lengths that were measured, with time and energy

    raw means            of the whole series, whatever the prompt
    static fit           `shape` on the whole series
    drift, last request  the fit times the drift factor at the end of each series
    drift, least loaded  the fit times the factors of the 1,000 consecutive requests that were fastest
    drift, any time      the fit times each series' factors at a request drawn by chance

The last three show how far other work on the machine decides: the three series were measured one after
the other, so each has its own. Falcon's looks affected by layers that did not fit into GPU memory: even
its fastest stretch takes 1.8 times as long as Mistral's, a model of the same size.

    python bench/original_models.py
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pointsman.assign.counterfactual import dominators
from pointsman.assign.weighted import WeightedAssign
from pointsman.data.shared_profiles import SMALL_LLMS, CostSeries, small_llms
from pointsman.predict.cost import ShapeCost
from pointsman.predict.drift import ENERGY, TIME, Drift
from pointsman.predict.length import LinearLength
from pointsman.report.bench import Cell, bench_parser, shared_data, write_results
from pointsman.types import CostTable, Estimate, Floats, Prompt, Request, Weights

ACCURACIES = Path(__file__).with_name("original_accuracies.json")
WEIGHTINGS = {
    "accuracy first": Weights(accuracy=0.8, energy=0.1, time=0.1),
    "energy first": Weights(accuracy=0.1, energy=0.8, time=0.1),
    "time first": Weights(accuracy=0.1, energy=0.1, time=0.8),
    "balanced": Weights(accuracy=1, energy=1, time=1),
}
WINDOW = 1_000
CAP_TOKENS = 50
PROMPTS = 61
DRAWS = 2_000


class Costs(NamedTuple):
    """What one way of reading the data says of R prompts on the models: shapes (R, E)."""

    name: str
    time_s: Floats
    energy_j: Floats


class Fitted(NamedTuple):
    """Shape models of one series, and the drift factors after each request, shape (N, 2)."""

    time: ShapeCost
    energy: ShapeCost
    factors: Floats


def fitted(series: CostSeries) -> Fitted:
    tokens = series.input_tokens, series.output_tokens
    models = ShapeCost.fit(*tokens, series.time_s), ShapeCost.fit(*tokens, series.energy_j)
    logs = np.log(
        [series.time_s / models[TIME].predict(*tokens), series.energy_j / models[ENERGY].predict(*tokens)]
    )
    drift, factors = Drift(1), np.empty((len(series.time_s), 2))
    for index, (time, energy) in enumerate(logs.T.tolist()):
        drift.update(0, TIME, time)
        drift.update(0, ENERGY, energy)
        factors[index] = drift.factor[0]
    return Fitted(*models, factors)


def least_loaded(factors: Floats) -> Floats:
    """Geometric means of both factors over the consecutive requests that were fastest; shape (2,)."""
    size = min(WINDOW, len(factors))
    total = np.cumsum(np.vstack([np.zeros(2), np.log(factors)]), axis=0)
    means = (total[size:] - total[:-size]) / size
    best: Floats = np.exp(means[means[:, TIME].argmin()])
    return best


def ways(series: Sequence[CostSeries], inputs: Floats, outputs: Floats, seed: int) -> list[Costs]:
    rng = np.random.default_rng(seed)
    models = [fitted(each) for each in series]
    time_s = np.array([each.time.predict(inputs, outputs) for each in models]).T
    energy_j = np.array([each.energy.predict(inputs, outputs) for each in models]).T
    last = np.array([each.factors[-1] for each in models])
    least = np.array([least_loaded(each.factors) for each in models])
    drawn = np.array([each.factors[rng.integers(len(each.factors), size=DRAWS)] for each in models])
    middle = len(inputs) // 2
    mean = np.array([[each.time_s.mean(), each.energy_j.mean()] for each in series])
    ones = np.ones_like(time_s)
    return [
        Costs("raw means", ones * mean[:, 0], ones * mean[:, 1]),
        Costs("static fit", time_s, energy_j),
        Costs("drift, last request", time_s * last[:, TIME], energy_j * last[:, ENERGY]),
        Costs("drift, least loaded", time_s * least[:, TIME], energy_j * least[:, ENERGY]),
        Costs(
            "drift, any time", time_s[middle] * drawn[:, :, TIME].T, energy_j[middle] * drawn[:, :, ENERGY].T
        ),
    ]


def table_of(names: Sequence[str], accuracy: Floats, costs: Costs) -> CostTable:
    def estimate(value: Floats) -> Estimate:
        return Estimate.without_interval(value)

    ones = np.ones_like(costs.time_s)
    return CostTable(
        tuple(names),
        ones,
        estimate(ones * accuracy),
        estimate(ones * CAP_TOKENS),
        estimate(costs.time_s),
        estimate(costs.energy_j),
        estimate(ones * 0),
        estimate(ones * np.nan),
    )


def dominated(names: Sequence[str], accuracy: Floats, costs: Costs) -> str:
    """Models that another beats on accuracy, energy and time in every row, with all that do."""
    always = np.ones((len(names), len(names)), dtype=bool)
    for energy_j, time_s in zip(costs.energy_j, costs.time_s, strict=True):
        always &= dominators(np.array([1 - accuracy, energy_j, time_s]).T)
    return "; ".join(
        f"{name} by {' and '.join(names[i] for i in np.flatnonzero(always[e]).tolist())}"
        for e, name in enumerate(names)
        if always[e].any()
    )


def measure(series: Sequence[CostSeries], accuracy: Floats, prompts: int, seed: int) -> list[dict[str, Cell]]:
    names = [each.name.partition("-")[0] for each in series]
    lengths = np.concatenate([each.input_tokens for each in series])
    inputs = np.quantile(lengths, np.linspace(0, 1, prompts))
    line = LinearLength()
    outputs = np.minimum(line.intercept_tokens + line.slope * inputs, CAP_TOKENS)
    rows: list[dict[str, Cell]] = []
    for costs in ways(series, inputs, outputs, seed):
        table, count = table_of(names, accuracy, costs), len(costs.time_s)
        requests = [Request(f"prompt-{index}", Prompt("x")) for index in range(count)]
        everything = np.ones((count, len(names)), dtype=bool)
        worse = dominated(names, accuracy, costs)
        for weighting, weights in WEIGHTINGS.items():
            made = WeightedAssign(weights).assign(requests, table, everything, ())
            chosen = Counter(names[e] for e in made.endpoint_index.tolist())
            row: dict[str, Cell] = {"costs": costs.name, "weights": weighting, "cases": count}
            row["chosen"] = ", ".join(f"{name} {100 * n / count:.0f}%" for name, n in chosen.most_common())
            row["always dominated"] = worse
            for e, name in enumerate(names):
                row[f"{name}_s"] = float(np.median(costs.time_s[:, e]))
                row[f"{name}_j"] = float(np.median(costs.energy_j[:, e]))
            rows.append(row)
    return rows


def main() -> None:
    args = bench_parser(__doc__ or "").parse_args()
    series = small_llms(shared_data() / "profiles" / SMALL_LLMS)
    published = json.loads(ACCURACIES.read_text(encoding="utf-8"))["models"]
    accuracy = np.array([published[each.name]["accuracy"] for each in series])
    rows = measure(series, accuracy, 11 if args.quick else PROMPTS, args.seed)
    write_results("original_models", rows, args, title="The original's three models, its own data")


if __name__ == "__main__":
    main()
