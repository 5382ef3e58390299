"""Where, by constraints: what quality costs, and whether a floor that was asked for holds on new requests.

Sets of real outcomes (`data/routing_sets.py` says what their endpoints cost), five folds grouped by prompt, five
seeds. Each fold is forecast and planned by what was fitted on the others, calibrations included; settings were
chosen on seed 100.

    first table: curves of mean quality over mean cost, read off with 95% intervals over prompts and seeds
      of all the ways in `report/ways.py`, and single endpoints. `fleet` is our own, in modelled joules; `fleet_lengths`
      are those of its questions of which the models were asked how long their answer would be
      cost_at_best: cost at the best single endpoint's quality, as a share of its cost; quality_at_70: at 70% of
      its cost, relative to its quality; .._over_existing: the same, relative to the best of what others do
      (nearest neighbours, threshold, balance aware, all points), at no lower quality, at no higher cost; aiq, apgr, cpt, arena:
      `metrics/routing.py` (aiq: over the costs of single endpoints; apgr and cpt: between the cheapest and the best
      of them, by each way's forecasts; arena: best along the curve, for dollars only); length_rank: rank
      correlation of the lengths that a way goes by with the real ones
    second table: ten floors from the cheapest endpoint's quality to 98% of the best that ours reaches
      by the ways in `report/floor_trials.py`
      kept: share of (floor, fold, seed) at or above; overshoot: mean points above; promised: share that the
      calibration says can be promised; luck: the part of the margin that is the labels' own chance;
      cost: of all its plans over that of the oracle multiplier

    python bench/assign.py --keep DIR      DIR: finished forecasts, read again when there
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console

from pointsman.data.routing_sets import SHARED_SETS, RoutingSet, asked_lengths, fleet_set, routing_set
from pointsman.metrics.intervals import Interval, Weighted, mean_of, paired_interval
from pointsman.metrics.quality_cost import cost_at_quality, quality_at_cost
from pointsman.metrics.routing import StrongShares, aiq, apgr, arena_score, cpt, strong_shares
from pointsman.predict.quality.fit import FitOptions
from pointsman.report.assign_plot import Curve, CurvePanel, FloorPanel, plot_curves, plot_floors
from pointsman.report.bench import Cell, bench_parser, interval_cells, shared_data, write_results
from pointsman.report.figure import save
from pointsman.report.floor_trials import (
    ALWAYS_BEST,
    CONFIDENCES,
    MULTIPLIER,
    Kept,
    floors_of,
    in_oracles,
    kept_floors,
)
from pointsman.report.held_out_case import OURS, OUTER_FOLDS, RAW, Case, held_out_case
from pointsman.report.ways import EXISTING, GOES_BY, LENGTHS_TOLD, ORACLE, ends, placed, played
from pointsman.types import Floats

FLEET = Path("bench") / "data"
PLOTS = Path("docs") / "assign.png", Path("docs") / "assign_floors.png"
LENGTHS = FLEET / "fleet_lengths.parquet"
FOLDS, QUICK_FOLDS, SEEDS = 5, 3, 5
FEW_ROWS, MANY_FOLDS = 3_000, 10
"""A set of few rows is held out in more parts, so that what is held out is forecast almost as new rows are."""
QUICK_SETS: Final = {"llmrouter9": 700, "bfcl_2024_08": 400}
RESAMPLES, QUICK_RESAMPLES = 400, 40
TOLD, UNTOLD, MINILM = "task told", "task not told", "task not told, MiniLM"
SHARE = 0.7


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
        yield held_out_case(data, known, options, args.keep)
        Console(stderr=True).print(f"{data.name}, {known}, seed {seed}", highlight=False)


# Quality over cost


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
        about = f"{OUTER_FOLDS} folds by prompt, {args.seeds} seeds; the task is told. python bench/assign.py"
        save(plot_curves(panels, about), PLOTS[0], ("png",))
        save(plot_floors(floor_panels, f"{about}. Bands: 90% of (fold, seed)."), PLOTS[1], ("png",))


if __name__ == "__main__":
    main()
