"""Where, by constraints: what quality costs, and whether a floor that was asked for holds on new requests.

Sets of real outcomes (`data/routing_sets.py` says what their endpoints cost), five folds grouped by prompt, five
seeds. Each fold is forecast and planned by what was fitted on the others, calibrations included; settings were
chosen on seed 100.

    first table: curves of mean quality over mean cost, read off with 95% intervals over prompts and seeds
        ours                forecasts with shrunk contrasts (`assign/contrasts.py`), tuned multiplier
        as forecast         the same forecasts as they are
        nearest neighbours  plain mean of the 16 nearest, as in ECCOS; tuned multiplier
        threshold           RouteLLM's: the best single endpoint where it promises most above the cheapest
        oracle              chooses by the labels
        best single, cheapest, random: points, no curve
      cost_at_best: cost at the best single endpoint's quality, as a share of its cost; quality_at_70: at 70% of
      its cost, relative to its quality; .._over_existing: the same, relative to the best of nearest
      neighbours, threshold and single endpoints (of no higher cost); aiq, apgr, cpt, arena: `metrics/routing.py` (apgr and cpt: between the
      cheapest and the best single endpoint, by each way's forecasts; arena: best along the curve)
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
from pointsman.data.routing_sets import SHARED_SETS, RoutingSet, expected_cost, fleet_set, routing_set
from pointsman.metrics.intervals import Interval, Weighted, mean_of, paired_interval
from pointsman.metrics.quality_cost import cost_at_quality, quality_at_cost
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
from pointsman.types import Floats

FLEET = Path("bench") / "data"
PLOTS = Path("docs") / "assign.png", Path("docs") / "assign_floors.png"
FOLDS, QUICK_FOLDS, SEEDS, LEVELS, FLOORS = 5, 3, 5, 60, 10
FEW_ROWS, MANY_FOLDS = 3_000, 10
"""A set of few rows is held out in more parts, so that what is held out is forecast almost as new rows are."""
QUICK_SETS: Final = {"llmrouter9": 700, "bfcl_2024_08": 400}
RESAMPLES, QUICK_RESAMPLES = 400, 40
TOLD, UNTOLD, MINILM = "task told", "task not told", "task not told, MiniLM"
OURS, RAW, NEAREST, THRESHOLD, ORACLE = (
    "ours", "as forecast", "nearest neighbours", "threshold", "oracle",
)  # fmt: skip
EXISTING: Final = (NEAREST, THRESHOLD)
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
        calibrations: one for each outer fold.
        folds: shape (N,).
    """

    data: RoutingSet
    known: str
    planned: Floats
    forecasts: Mapping[str, Floats]
    calibrations: Sequence[FloorCalibration]
    folds: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Played:
    """Quality and cost of each row under each of L settings by rising cost, shape (N, L)."""

    quality: Floats
    cost: Floats


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


def fitted_case(data: RoutingSet, known: str, made: NestedForecasts, nearest: Floats) -> Case:
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
    forecasts = {OURS: ours, RAW: made.forecast, NEAREST: nearest}
    return Case(data, known, planned, forecasts, calibrations, made.outer)


def plain_neighbours(data: RoutingSet, folds: NDArray[np.int64], features: str, keep: Path | None) -> Floats:
    """The mean of the 16 nearest of the other folds, shape (N, E); by the sentence embedding if there is one."""
    hot = HotFeatures()
    queries, sentence = encoded(data, features, keep)
    unknown = queries.with_tasks(("",) * queries.n)
    made = np.empty_like(data.matrix.quality)
    for fold in np.unique(folds):
        rest, own = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        model = KnnQuality.fit(
            data.matrix.take(rest), hot, sentence, queries=unknown.take(rest), settings=KnnSettings.eccos()
        )
        made[own] = model.forecast(unknown.take(own)).quality.value
    return made


# Quality over cost


def ends(data: RoutingSet) -> tuple[int, int]:
    """The cheapest endpoint, of equally cheap ones the best, and the best."""
    cost, quality = data.cost.mean(axis=0), data.matrix.quality.mean(axis=0)
    cheap = cost <= cost.min() * (1 + 1e-9)
    return int(np.where(cheap, quality, -1.0).argmax()), int(quality.argmax())


def played(case: Case) -> dict[str, Played]:
    """Every way with a multiplier or threshold, over its settings."""
    data = case.data
    made = {
        name: by_choice(data, by_price(case.planned, forecast)) for name, forecast in case.forecasts.items()
    }
    weak, strong = ends(data)
    gain = case.forecasts[RAW][:, strong] - case.forecasts[RAW][:, weak]
    limits = np.quantile(gain, np.linspace(1, 0, LEVELS))
    limits[0] = np.inf
    made[THRESHOLD] = by_choice(data, np.where(gain[:, None] >= limits, strong, weak))
    made[ORACLE] = by_choice(data, by_price(data.cost, data.matrix.quality))
    return made


def by_price(cost: Floats, forecast: Floats) -> NDArray[np.int64]:
    """Choices at prices of quality spread over the frontier, shape (N, L)."""
    price = frontier(cost, forecast).price
    levels = np.quantile(price, np.linspace(0, 1, LEVELS)) * (1 + 1e-9)
    levels[0] = price[0] / 2
    return np.stack([(cost - level * forecast).argmin(axis=1) for level in levels], axis=1)


def by_choice(data: RoutingSet, choice: NDArray[np.int64]) -> Played:
    """What choices of shape (N, L) come to, in order of their cost."""
    quality = np.take_along_axis(data.matrix.quality, choice, axis=1)
    cost = np.take_along_axis(data.cost, choice, axis=1)
    order = np.argsort(cost.mean(axis=0), kind="stable")
    return Played(quality[:, order], cost[:, order])


def curve_rows(seeds: Sequence[Case], args: argparse.Namespace) -> tuple[list[dict[str, Cell]], CurvePanel]:
    """The first table's rows of one set, and its plot."""
    first = seeds[0]
    data, quality = first.data, first.data.matrix.quality
    weak, strong = ends(data)
    made = [played(case) for case in seeds]
    target, unit = quality[:, strong], data.cost[:, strong]
    begin = max(
        float(data.cost[:, weak].mean()),
        *(float(way.cost[:, 0].mean()) for each in made for way in each.values()),
    )
    rows: list[dict[str, Cell]] = []
    for name in made[0]:
        each = [ways[name] for ways in made]
        measures: dict[str, list[Weighted]] = {
            "cost_at_best": [cost_at_quality(own.quality, own.cost, target, unit) for own in each],
            "quality_at_70": [quality_at_cost(own.quality, own.cost, target, unit, SHARE) for own in each],
        }
        row: dict[str, Cell] = {"set": data.name, "n": len(quality), "known": first.known, "way": name}
        for measure, weighted in measures.items():
            row |= interval_cells(measure, bootstrapped(weighted, data, args))
        means = [(own.cost.mean(axis=0), own.quality.mean(axis=0)) for own in each]
        row["best_quality"] = float(np.mean([got.max() for _, got in means]))
        row["aiq"] = float(np.mean([aiq(*own, begin, float(data.cost.mean(axis=0).max())) for own in means]))
        rows.append(row | shares_cells(name, seeds, weak, strong) | arena_cells(data, means))
    rows += list(point_rows(data, first.known, weak, strong))
    against_existing(rows, data)
    curves = [
        Curve(name, np.mean([w[name].cost.mean(axis=0) for w in made], axis=0) / unit.mean(),
              np.mean([w[name].quality.mean(axis=0) for w in made], axis=0))
        for name in made[0]
    ]  # fmt: skip
    alone = zip((data.cost.mean(axis=0) / unit.mean()).tolist(), quality.mean(axis=0).tolist(), strict=True)
    return rows, CurvePanel(data.name, curves, list(alone))


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
        by = quality if name == ORACLE else case.forecasts[RAW if name == THRESHOLD else name]
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


def point_rows(data: RoutingSet, known: str, weak: int, strong: int) -> Iterator[dict[str, Cell]]:
    """Ways without a setting."""
    cost, quality = data.cost.mean(axis=0), data.matrix.quality.mean(axis=0)
    points = {
        f"best single: {data.matrix.endpoints[strong]}": (cost[strong], quality[strong]),
        f"cheapest: {data.matrix.endpoints[weak]}": (cost[weak], quality[weak]),
        "random": (cost.mean(), quality.mean()),
    }
    for name, (spent, got) in points.items():
        row: dict[str, Cell] = {"set": data.name, "n": len(data.cost), "known": known, "way": name}
        row |= {"best_quality": float(got), "cost_share": float(spent / cost[strong])}
        yield row | arena_cells(data, [(np.array([spent]), np.array([got]))])


def against_existing(rows: Sequence[dict[str, Cell]], data: RoutingSet) -> None:
    """Ours beside the best of the existing ways and single endpoints, at the same cost and at the same quality."""
    _, strong = ends(data)
    cost, quality = data.cost.mean(axis=0), data.matrix.quality.mean(axis=0)
    found = {str(row["way"]): row for row in rows}
    ours = found[OURS]
    singles = (quality[cost <= SHARE * cost[strong]] / quality[strong] - 1).tolist()
    at_70 = [*singles, *(_number(found[name]["quality_at_70"]) for name in EXISTING)]
    at_best = [1.0, *(_number(found[name]["cost_at_best"]) for name in EXISTING)]
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
        sets = [*(routing_set(name, data) for name in SHARED_SETS), fleet_set(FLEET, data)]
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
        if own.name == "fleet":
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
