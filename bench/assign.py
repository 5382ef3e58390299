"""Where, by constraints: what quality costs, and whether a floor that was asked for holds on new requests.

Sets of real outcomes (`data/routing_sets.py` says what their endpoints cost), five folds grouped by prompt, five
seeds. Each fold is forecast and planned by what was fitted on the others, calibrations included; settings were
chosen on seed 100.

    first table: curves of mean quality over mean cost, read off with 95% intervals over prompts and seeds
        ours                forecasts with shrunk contrasts (`assign/contrasts.py`), tuned multiplier
        as forecast         the same forecasts as they are
        weighted, greedy    `assign/plan_baselines.py`, on the same forecasts
        nearest neighbours  plain mean of the 16 nearest, as in ECCOS; tuned multiplier
        threshold           RouteLLM's: the best single endpoint where it promises most above the cheapest
        balance aware       evens out requests among endpoints that promise enough
        oracle              chooses by the labels
        best single, cheapest, random, round robin, length first (by the 16 nearest's mean length), perception
        only (by the length that each model, asked, says): points, no curve
      fleet_lengths are the questions of which the models were asked how long their answer would be; there also
        lengths learned, asked, foreseen: ours, where plans go by joules of that length instead of the task's mean
      cost_at_best: cost at the best single endpoint's quality, as a share of its cost; quality_at_70: at 70% of
      its cost, relative to its quality; .._over_existing: the same, relative to the best of what others do (all
      but the first three lines and oracle), at no lower quality, at no higher cost; aiq, apgr, cpt, arena:
      `metrics/routing.py` (aiq: over the costs of single endpoints; apgr and cpt: between the cheapest and the best
      of them, by each way's forecasts; arena: best along the curve, for dollars only); length_rank: rank
      correlation of the lengths that a way goes by with the real ones
    second table: ten floors from the cheapest endpoint's quality to 98% of the best that ours reaches
        95%, 90%, 50%       plans for the floor with that confidence (`assign/assured.py`)
        as forecast         told to reach the floor, uncorrected
        oracle multiplier   ours, stopped where the fold's own labels reach the floor
        always best         the highest forecast, whatever it costs
      kept: share of (floor, fold, seed) at or above; overshoot: mean points above; promised: share that the
      calibration says can be promised; luck: the part of the margin that is the labels' own chance;
      cost: of all its plans over that of the oracle multiplier

    python bench/assign.py --keep DIR      DIR: finished forecasts, read again when there
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from pointsman.assign.floor_calibration import FloorCalibration
from pointsman.assign.frontier import Frontier, frontier
from pointsman.assign.plan_baselines import (
    as_said,
    balance_aware,
    greedy,
    length_first,
    perception_only,
    round_robin,
    weighted,
)  # fmt: skip
from pointsman.data.routing_sets import (
    SHARED_SETS,
    RoutingSet,
    asked_lengths,
    expected_cost,
    fleet_set,
    routing_set,
)  # fmt: skip
from pointsman.metrics.intervals import Interval, Weighted, mean_of, paired_interval
from pointsman.metrics.quality_cost import cost_at_quality, quality_at_cost
from pointsman.metrics.regression import rank_correlation
from pointsman.metrics.routing import StrongShares, aiq, apgr, arena_score, cpt, strong_shares
from pointsman.predict.features.base import TextEncoder
from pointsman.predict.features.cache import CachedEncoder
from pointsman.predict.features.hot import HotFeatures
from pointsman.predict.features.minilm import MiniLmEncoder
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.fit import FitOptions
from pointsman.predict.quality.knn import KnnQuality, KnnSettings
from pointsman.predict.quality.nested import NestedForecasts, nested_forecasts
from pointsman.report.assign_plot import Curve, CurvePanel, FloorPanel, plot_curves, plot_floors
from pointsman.report.bench import Cell, bench_parser, interval_cells, shared_data, write_results
from pointsman.report.figure import save
from pointsman.report.ways import (
    Played,
    by_choice,
    by_floor,
    by_plan,
    by_price,
    by_threshold,
    cost_of_length,
    ends,
    problem_of,
)  # fmt: skip
from pointsman.types import Floats

FLEET = Path("bench") / "data"
PLOTS = Path("docs") / "assign.png", Path("docs") / "assign_floors.png"
LENGTHS = FLEET / "fleet_lengths.parquet"
FOLDS, QUICK_FOLDS, SEEDS, LEVELS, PLANS, FLOORS = 5, 3, 5, 60, 13, 10
FEW_ROWS, MANY_FOLDS = 3_000, 10
"""A set of few rows is held out in more parts, so that what is held out is forecast almost as new rows are."""
QUICK_SETS: Final = {"llmrouter9": 700, "bfcl_2024_08": 400}
RESAMPLES, QUICK_RESAMPLES = 400, 40
TOLD, UNTOLD, MINILM = "task told", "task not told", "task not told, MiniLM"
OURS, RAW, WEIGHTED, GREEDY, NEAREST, THRESHOLD, BALANCED, ORACLE = (
    "ours", "as forecast", "weighted", "greedy", "nearest neighbours", "threshold", "balance aware", "oracle",
)  # fmt: skip
LEARNED, ASKED, FORESEEN = "lengths learned", "lengths asked", "lengths foreseen"
LENGTHS_TOLD: Final = (LEARNED, ASKED, FORESEEN)
RANDOM, ROBIN, SHORTEST, PERCEIVED = "random", "round robin", "length first", "perception only"
GOES_BY: Final = dict.fromkeys((WEIGHTED, GREEDY, THRESHOLD, BALANCED), RAW) | dict.fromkeys(
    LENGTHS_TOLD, OURS
)
"""Whose forecasts of quality a way goes by, where it has none of its own."""
EXISTING: Final = (NEAREST, THRESHOLD, BALANCED)
CONFIDENCES: Final = {"95%": 0.95, "90%": 0.9, "50%": 0.5}
MULTIPLIER, ALWAYS_BEST = "oracle multiplier", "always best"
SHARE = 0.7


@dataclass(frozen=True, slots=True)
class Case:
    """A set with the forecasts of one seed, and what was fitted on them; arrays of shape (N, E).

    Attributes:
        known: what the forecasts may read.
        planned: the cost that a plan goes by.
        forecasts: by the name of the way that chooses by them.
        tokens: mean length of the nearest neighbours' answers; None where no length is known.
        calibrations: one for each outer fold.
        folds: shape (N,).
    """

    data: RoutingSet
    known: str
    planned: Floats
    forecasts: Mapping[str, Floats]
    tokens: Floats | None
    calibrations: Sequence[FloorCalibration]
    folds: NDArray[np.int64]


# Forecasts


def cases(data: RoutingSet, seed: int, args: argparse.Namespace) -> Iterator[Case]:
    """What each way of knowing the task makes of a set."""
    ways = [(TOLD, "hot")]
    if data.name == "llmrouter9" and not args.quick:
        ways += [(UNTOLD, "hot"), (MINILM, "minilm")]
    for known, features in ways:
        few = len(data.matrix.query_ids) < FEW_ROWS
        inner = QUICK_FOLDS if args.quick else MANY_FOLDS if few else FOLDS
        options = FitOptions("knn", features, folds=inner, seed=seed, tasks=known == TOLD)
        made = kept_forecasts(data, known, options, args.keep)
        nearest = plain_neighbours(data, made.outer, features, args.keep)
        yield fitted_case(data, known, made, nearest)
        Console(stderr=True).print(f"{data.name}, {known}, seed {seed}", highlight=False)


def kept_forecasts(data: RoutingSet, known: str, options: FitOptions, keep: Path | None) -> NestedForecasts:
    """Made, or read where they were made before."""
    name = f"{data.name} {len(data.matrix.query_ids)} {known} {options.seed}.npz".replace(" ", "_")
    if keep is not None and (keep / name).exists():
        with np.load(keep / name) as found:
            return NestedForecasts(
                found["outer"],
                found["forecast"].astype(float),
                found["inner"],
                found["held_out"].astype(float),
            )
    queries, _ = encoded(data, options.features, keep)
    made = nested_forecasts(data.matrix, options, queries, FOLDS)
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        np.savez(
            keep / name,
            outer=made.outer,
            forecast=made.forecast.astype(np.float32),
            inner=made.inner,
            held_out=made.held_out.astype(np.float32),
        )
    return made


def encoded(data: RoutingSet, features: str, keep: Path | None) -> tuple[Queries, TextEncoder | None]:
    """The set's queries, and the sentence encoder that they have been encoded with, if any."""
    queries = Queries(data.matrix.prompts, data.matrix.tasks)
    if features != "minilm":
        return queries, None
    encoder = MiniLmEncoder()
    cached = encoder if keep is None else CachedEncoder(encoder, keep / "minilm.sqlite")
    return queries.with_encoding(encoder, cached.encode(queries.texts)), encoder


def fitted_case(
    data: RoutingSet, known: str, made: NestedForecasts, nearest: tuple[Floats, Floats | None]
) -> Case:
    """Calibrate each outer fold by what the fit without it said of its own rows."""
    matrix = data.matrix
    tasks = matrix.tasks if known == TOLD else ("",) * len(matrix.tasks)
    ours, planned = np.empty_like(made.forecast), data.cost.copy()
    calibrations = []
    for fold, inner in enumerate(made.inner):
        rest, own = np.flatnonzero(made.outer != fold), np.flatnonzero(made.outer == fold)
        cost = expected_cost(data.cost, matrix.tasks, rest) if data.measured else data.cost
        planned[own] = cost[own]
        calibration = FloorCalibration.fit(
            matrix.endpoints, cost[rest], made.held_out[fold, rest], matrix.quality[rest],
            tasks=[tasks[row] for row in rest], groups=matrix.groups[rest], folds=inner[rest],
        )  # fmt: skip
        ours[own] = calibration.contrasts.applied(made.forecast[own], [tasks[row] for row in own])
        calibrations.append(calibration)
    quality, tokens = nearest
    forecasts = {OURS: ours, RAW: made.forecast, NEAREST: quality}
    return Case(data, known, planned, forecasts, tokens, calibrations, made.outer)


def plain_neighbours(
    data: RoutingSet, folds: NDArray[np.int64], features: str, keep: Path | None
) -> tuple[Floats, Floats | None]:
    """Mean quality and length of the 16 nearest of the other folds, shape (N, E); by the sentence embedding if any.

    Lengths are None where an endpoint has none.
    """
    hot = HotFeatures()
    queries, sentence = encoded(data, features, keep)
    unknown = queries.with_tasks(("",) * queries.n)
    made = np.empty_like(data.matrix.quality)
    tokens = np.full_like(made, np.nan)
    for fold in np.unique(folds):
        rest, own = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        model = KnnQuality.fit(
            data.matrix.take(rest), hot, sentence, queries=unknown.take(rest), settings=KnnSettings.eccos()
        )
        found = model.forecast(unknown.take(own))
        made[own] = found.quality.value
        if found.output_tokens is not None:
            tokens[own] = found.output_tokens.mean(axis=-1)
    return made, tokens if np.isfinite(tokens).all() else None


# Quality over cost


def played(case: Case) -> dict[str, Played]:
    """Every way with a setting, over its settings."""
    data, raw = case.data, case.forecasts[RAW]
    told = problem_of(data, case.planned, raw)
    weights = np.linspace(0, 1, PLANS).tolist()
    choices = {name: by_price(case.planned, forecast, LEVELS) for name, forecast in case.forecasts.items()}
    choices[WEIGHTED] = by_plan(told, [partial(weighted, quality_weight=weight) for weight in weights])
    choices[GREEDY] = by_floor(told, greedy, PLANS)
    choices[THRESHOLD] = by_threshold(data, raw, LEVELS)
    choices[BALANCED] = by_floor(told, balance_aware, PLANS)
    if data.said_tokens is not None and case.tokens is not None:
        lengths = {
            LEARNED: case.tokens,
            ASKED: as_said(data.said_tokens),
            FORESEEN: data.matrix.output_tokens,
        }
        for name, tokens in lengths.items():
            choices[name] = by_price(cost_of_length(data, case.folds, tokens), case.forecasts[OURS], LEVELS)
    choices[ORACLE] = by_price(data.cost, data.matrix.quality, LEVELS)
    return {name: by_choice(data, choice) for name, choice in choices.items()}


def placed(case: Case) -> dict[str, tuple[float, float, float]]:
    """Ways without a setting: mean cost and quality, and the rank correlation of the lengths they go by."""
    data, matrix = case.data, case.data.matrix
    told = problem_of(data, case.planned, case.forecasts[RAW], case.tokens)
    plans = {ROBIN: round_robin(told)}
    lengths: dict[str, Floats] = {}
    if case.tokens is not None:
        plans[SHORTEST], lengths[SHORTEST] = length_first(told), case.tokens
    if data.said_tokens is not None:
        plans[PERCEIVED] = perception_only(told, data.said_tokens)
        lengths[PERCEIVED] = as_said(data.said_tokens)
    made = {RANDOM: (float(data.cost.mean()), float(matrix.quality.mean()), np.nan)}
    rows = np.arange(len(data.cost))
    for name, plan in plans.items():
        rank = _length_rank(matrix.output_tokens, lengths[name]) if name in lengths else np.nan
        cost, quality = (values[rows, plan.choice].mean() for values in (data.cost, matrix.quality))
        made[name] = (float(cost), float(quality), rank)
    return made


def _length_rank(tokens: Floats, forecast: Floats) -> float:
    """Mean over endpoints."""
    each = zip(tokens.T, forecast.T, strict=True)
    return float(
        np.mean([rank_correlation(own[np.isfinite(own)], told[np.isfinite(own)]) for own, told in each])
    )


def curve_rows(seeds: Sequence[Case], args: argparse.Namespace) -> tuple[list[dict[str, Cell]], CurvePanel]:
    """The first table's rows of one set, and its plot."""
    first = seeds[0]
    data, quality = first.data, first.data.matrix.quality
    weak, strong = ends(data)
    made = [played(case) for case in seeds]
    target, unit = quality[:, strong], data.cost[:, strong]
    rows: list[dict[str, Cell]] = []
    for name in made[0]:
        each = [ways[name] for ways in made]
        measures: dict[str, list[Weighted]] = {
            "cost_at_best": [cost_at_quality(own.quality, own.cost, target, unit) for own in each],
            "quality_at_70": [quality_at_cost(own.quality, own.cost, target, unit, SHARE) for own in each],
        }
        row: dict[str, Cell] = {"set": data.name, "n": len(quality), "known": first.known, "way": name}
        for measure, by_seed in measures.items():
            row |= interval_cells(measure, bootstrapped(by_seed, data, args))
        means = [(own.cost.mean(axis=0), own.quality.mean(axis=0)) for own in each]
        row["best_quality"] = float(np.mean([got.max() for _, got in means]))
        row["aiq"] = float(np.mean([_aiq(*own, data) for own in means]))
        rows.append(row | shares_cells(name, seeds, weak, strong) | arena_cells(data, means))
    each_placed = [placed(case) for case in seeds]
    points = {
        name: np.mean([found[name] for found in each_placed], axis=0).tolist() for name in each_placed[0]
    }
    rows += list(point_rows(data, first.known, points))
    against_existing(rows, data)
    curves = [
        Curve(name, np.mean([w[name].cost.mean(axis=0) for w in made], axis=0) / unit.mean(),
              np.mean([w[name].quality.mean(axis=0) for w in made], axis=0))
        for name in made[0] if name not in LENGTHS_TOLD
    ]  # fmt: skip
    alone = zip((data.cost.mean(axis=0) / unit.mean()).tolist(), quality.mean(axis=0).tolist(), strict=True)
    marks = {name: (cost / float(unit.mean()), got) for name, (cost, got, _) in points.items()}
    return rows, CurvePanel(data.name, curves, list(alone), marks)


def _aiq(cost: Floats, quality: Floats, data: RoutingSet) -> float:
    """Over the costs of single endpoints; a way that begins at a higher cost begins with the cheapest endpoint."""
    weak, _ = ends(data)
    alone, known = data.cost.mean(axis=0), data.matrix.quality.mean(axis=0)
    first = cost[0] > alone[weak]
    at = np.append(alone[weak], cost) if first else cost
    got = np.append(known[weak], quality) if first else quality
    return aiq(at, got, float(alone[weak]), float(alone.max()))


def bootstrapped(seeds: Sequence[Weighted], data: RoutingSet, args: argparse.Namespace) -> Interval:
    """The mean over seeds with its interval; NaN where no seed has the measure."""
    once = np.ones((1, len(data.cost)))
    if all(np.isnan(measure(once)).all() for measure in seeds):
        return Interval(np.nan, np.nan, np.nan)
    rng = np.random.default_rng(args.seed)
    resamples = QUICK_RESAMPLES if args.quick else RESAMPLES
    return paired_interval(seeds, groups=data.matrix.groups, rng=rng, resamples=resamples)


def shares_cells(name: str, seeds: Sequence[Case], weak: int, strong: int) -> dict[str, Cell]:
    """APGR and CPT between two endpoints, mean over seeds."""
    quality = seeds[0].data.matrix.quality

    def shares(case: Case) -> StrongShares:
        by = quality if name == ORACLE else case.forecasts[GOES_BY.get(name, name)]
        return strong_shares(quality[:, weak], quality[:, strong], by[:, strong] - by[:, weak])

    if not quality[:, strong].mean() > quality[:, weak].mean():
        return {}
    each = [shares(case) for case in seeds]
    return {
        "apgr": float(np.mean([apgr(own) for own in each])),
        "cpt_50": float(np.mean([cpt(own, 0.5) for own in each])),
        "cpt_80": float(np.mean([cpt(own, 0.8) for own in each])),
    }


def arena_cells(data: RoutingSet, means: Sequence[tuple[Floats, Floats]]) -> dict[str, Cell]:
    """The best RouterArena score along the curve, mean over seeds; only for dollars."""
    if data.unit != "$":
        return {}
    scores = [
        max(arena_score(q, 1_000 * c) for c, q in zip(cost.tolist(), got.tolist(), strict=True))
        for cost, got in means
    ]
    return {"arena": float(np.mean(scores))}


def point_rows(
    data: RoutingSet, known: str, placed: Mapping[str, tuple[float, float, float]]
) -> Iterator[dict[str, Cell]]:
    """Ways without a setting, single endpoints first."""
    weak, strong = ends(data)
    cost, quality = data.cost.mean(axis=0), data.matrix.quality.mean(axis=0)
    points = {
        f"best single: {data.matrix.endpoints[strong]}": (cost[strong], quality[strong], np.nan),
        f"cheapest: {data.matrix.endpoints[weak]}": (cost[weak], quality[weak], np.nan),
    }
    for name, (spent, got, rank) in (points | dict(placed)).items():
        row: dict[str, Cell] = {"set": data.name, "n": len(data.cost), "known": known, "way": name}
        row |= {"best_quality": float(got), "cost_share": float(spent / cost[strong])}
        if np.isfinite(rank):
            row["length_rank"] = rank
        yield row | arena_cells(data, [(np.array([spent]), np.array([got]))])


def against_existing(rows: Sequence[dict[str, Cell]], data: RoutingSet) -> None:
    """Ours beside the best of what others do, at the same cost and at the same quality."""
    _, strong = ends(data)
    alone = zip(data.cost.mean(axis=0).tolist(), data.matrix.quality.mean(axis=0).tolist(), strict=True)
    unit, best = float(data.cost[:, strong].mean()), float(data.matrix.quality[:, strong].mean())
    points = [(cost / unit, quality) for cost, quality in alone]
    points += [
        (_number(row["cost_share"]), _number(row["best_quality"])) for row in rows if "cost_share" in row
    ]
    found = {str(row["way"]): row for row in rows}
    ours = found[OURS]
    at_70 = [quality / best - 1 for cost, quality in points if cost <= SHARE]
    at_best = [cost for cost, quality in points if quality >= best]
    at_70 += [_number(found[name]["quality_at_70"]) for name in EXISTING]
    at_best += [_number(found[name]["cost_at_best"]) for name in EXISTING]
    if known := [own for own in at_70 if np.isfinite(own)]:
        ours["quality_over_existing"] = (1 + _number(ours["quality_at_70"])) / (1 + max(known)) - 1
    ours["cost_over_existing"] = _number(ours["cost_at_best"]) / float(np.nanmin(at_best)) - 1


def _number(cell: Cell) -> float:
    return float(cell) if isinstance(cell, float) else np.nan


# Floors


@dataclass(frozen=True, slots=True)
class Kept:
    """What one plan made of one floor: what it reached and cost, whether it was promised, margin and luck."""

    way: str
    asked: float
    reached: float
    cost: float
    cost_oracle: float
    promised: bool = True
    margin: float = 0.0
    luck: float = 0.0


def floors_of(case: Case, best: float) -> Floats:
    """Ten, from the cheapest endpoint's quality to 98% of the best reachable."""
    weak, _ = ends(case.data)
    return np.linspace(float(case.data.matrix.quality[:, weak].mean()), 0.98 * best, FLOORS)


def kept_floors(case: Case, asked: Floats) -> Iterator[list[Kept]]:
    """All ways on all floors, one list a fold."""
    for fold, calibration in enumerate(case.calibrations):
        own = np.flatnonzero(case.folds == fold)
        quality, paid = case.data.matrix.quality[own], case.data.cost[own]
        planned, ours, raw = case.planned[own], case.forecasts[OURS][own], case.forecasts[RAW][own]
        way, plain = frontier(planned, ours), frontier(planned, raw)
        forecast, got, spent = (way.means(values) for values in (ours, quality, paid))
        plain_forecast, plain_got, plain_spent = (plain.means(values) for values in (raw, quality, paid))
        made: list[Kept] = []
        for floor in asked.tolist():
            at = int(np.argmax(got >= floor)) if (got >= floor).any() else len(got) - 1
            oracle = float(spent[at])
            made.append(Kept(MULTIPLIER, floor, float(got[at]), oracle, oracle))
            made.append(Kept(ALWAYS_BEST, floor, float(got[-1]), float(spent[-1]), oracle))
            at = min(int(np.searchsorted(plain_forecast, floor)), len(plain_got) - 1)
            made.append(Kept(RAW, floor, float(plain_got[at]), float(plain_spent[at]), oracle))
            for name, confidence in CONFIDENCES.items():
                sure = calibration.assurance(
                    floor, confidence, len(own), partial(_forecast_at, way, forecast)
                )
                at = min(int(np.searchsorted(forecast, sure.effective - 1e-12)), len(got) - 1)
                luck = sure.margin * np.sqrt(calibration.rows / (calibration.rows + len(own)))
                made.append(
                    Kept(name, floor, float(got[at]), float(spent[at]), oracle, sure.holds, sure.margin, luck)
                )
        yield made


def in_oracles(folds: Sequence[Sequence[Kept]]) -> list[list[Kept]]:
    """Costs in units of the mean cost of the set's oracle multiplier, so that sets can be added up."""
    unit = float(np.mean([kept.cost_oracle for each in folds for kept in each]))
    return [
        [replace(kept, cost=kept.cost / unit, cost_oracle=kept.cost_oracle / unit) for kept in each]
        for each in folds
    ]


def _forecast_at(way: Frontier, forecast: Floats, price: float) -> float:
    return float(forecast[np.searchsorted(way.price, price, side="right")])


def floor_rows(
    name: str, folds: Sequence[Sequence[Kept]], args: argparse.Namespace
) -> Iterator[dict[str, Cell]]:
    """The second table's rows of one set, or of all; intervals over (fold, seed)."""
    for way in (*CONFIDENCES, RAW, MULTIPLIER, ALWAYS_BEST):
        own = [(at, kept) for at, each in enumerate(folds) for kept in each if kept.way == way]
        cluster = np.array([at for at, _ in own])
        over = np.array([kept.reached - kept.asked for _, kept in own])
        cost, oracle, promised, margin, luck = np.array(
            [(k.cost, k.cost_oracle, k.promised, k.margin, k.luck) for _, k in own]
        ).T
        row: dict[str, Cell] = {"set": name, "way": way, "plans": len(own)}
        for measure, values in (("kept", (over >= -1e-12).astype(float)), ("overshoot", 100 * over)):
            rng = np.random.default_rng(args.seed)
            row |= interval_cells(measure, paired_interval([mean_of(values)], groups=cluster, rng=rng))
        row["cost"] = float(cost.sum() / oracle.sum())
        if way in CONFIDENCES:
            row |= {"promised": float(promised.mean()), "margin": 100 * float(margin.mean())}
            row["luck"] = 100 * float(luck.mean())
        yield row


def floor_panel(name: str, folds: Sequence[Sequence[Kept]]) -> FloorPanel:
    """Mean and 5% to 95% of what was reached of each floor; floors as the mean over seeds."""
    shown = ("95%", "50%", RAW)
    made = []
    for way in shown:
        reached = np.array(
            [[kept.reached - kept.asked for kept in each if kept.way == way] for each in folds]
        )
        made.append((way, np.stack([reached.mean(axis=0), *np.quantile(reached, [0.05, 0.95], axis=0)])))
    asked = np.mean([[kept.asked for kept in each if kept.way == RAW] for each in folds], axis=0)
    return FloorPanel(name, asked, [(way, reached + asked) for way, reached in made])


def main() -> None:
    parser = bench_parser(__doc__ or "")
    parser.add_argument("--keep", type=Path, default=None, help="a folder for finished forecasts")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"default {SEEDS}; with --quick 1")
    args = parser.parse_args()
    data = shared_data()
    if args.quick:
        sets = [routing_set(name, data, limit) for name, limit in QUICK_SETS.items()]
    else:
        fleet = fleet_set(FLEET, data)
        sets = [*(routing_set(name, data) for name in SHARED_SETS), fleet, asked_lengths(fleet, LENGTHS)]
    curves: list[dict[str, Cell]] = []
    floors: list[dict[str, Cell]] = []
    panels: list[CurvePanel] = []
    floor_panels: list[FloorPanel] = []
    everything: list[list[Kept]] = []
    for own in sets:
        seeds = range(args.seed, args.seed + (1 if args.quick else args.seeds))
        by_known: dict[str, list[Case]] = {}
        for case in (case for seed in seeds for case in cases(own, seed, args)):
            by_known.setdefault(case.known, []).append(case)
        for known, made in by_known.items():
            rows, panel = curve_rows(made, args)
            curves += rows
            if known == TOLD:
                panels.append(panel)
        if own.name not in SHARED_SETS:
            continue
        folds = in_oracles(
            [
                kept
                for case in by_known[TOLD]
                for kept in kept_floors(
                    case, floors_of(case, float(played(case)[OURS].quality.mean(axis=0).max()))
                )
            ]
        )
        everything += folds
        floors += floor_rows(own.name, folds, args)
        floor_panels.append(floor_panel(own.name, folds))
    floors += floor_rows("all", everything, args)
    write_results("assign", curves, args)
    beside = argparse.Namespace(**vars(args))
    beside.out = args.out and args.out.with_stem(f"{args.out.stem}_floors")
    write_results("assign_floors", floors, beside)
    if not args.quick:
        about = f"{FOLDS} folds by prompt, {args.seeds} seeds; the task is told. python bench/assign.py"
        save(plot_curves(panels, about), PLOTS[0], ("png",))
        save(plot_floors(floor_panels, f"{about}. Bands: 90% of (fold, seed)."), PLOTS[1], ("png",))


if __name__ == "__main__":
    main()
