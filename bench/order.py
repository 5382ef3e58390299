"""When: orders of an engine's queue in the simulator, on real lengths under a published predictor's ranking.

Answers are those of Vicuna-13B to 85,482 requests of LMSYS-Chat-1M (lengths/lmsys_vicuna13b_predictor), each with the class of
five that a trained BERT gave it; a class counts as the mean length of its requests among rows that are not served. The set has
no prompt lengths: every prompt has 64 tokens. The engine is Llama-2-70B on eight A100 as bench/step_times.py fitted it.

    burst       2,000 requests at once, 64, 128 and 256 slots, the order in the engine: seconds a token, and the share of
                the way from fcfs to foresight (`sjf`) in their mean
    synthetic   10,000 at once: seconds to the first 1,000 answers
    rates       15,000 requests, gamma arrivals with a variation of 2, load .7 to 1.1 of what 128 slots can serve, the order in the
                gateway's queue: the mean against max_waiting_time, over `bounded`'s stretch

Every figure is a mean over five seeds (rates: three), each with other requests; `_low` and `_high` are a 95% interval by Student's t.

    python bench/order.py [--part burst]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pointsman.data.tables import read_columns
from pointsman.report.bench import Cell, bench_parser, interval_cells, shared_data, write_results
from pointsman.report.figure import MARKERS, PALETTE, caption, new_figure, save, styled, title
from pointsman.sim.compare import over_seeds
from pointsman.sim.engine_request import EngineLimits
from pointsman.sim.measures import latencies, measures
from pointsman.sim.result import SimResult
from pointsman.sim.served import OrderSettings, Serving, Site, serve
from pointsman.sim.step_times import times_named
from pointsman.sim.workload import Workload, gamma_arrivals
from pointsman.types import Endpoint

ENGINE = "llama2-70b-a100-x8"
BLOCKS = 60_000
PROMPT_TOKENS = 64
SLOTS = (64, 128, 256)
BURST, SYNTHETIC, SAMPLES, RATE_REQUESTS = 2_000, 10_000, 1_000, 15_000
SEEDS, RATE_SEEDS = 5, 3
BURST_ORDERS = ("fcfs", "sjf", "ranked", "ranked+promotion", "bounded", "mlfq")
TICKS_S = (0.2, 0.5, 1, 2, 5, 10)
LOADS = (0.7, 0.9, 1.0, 1.1)
STRETCHES = (0.3, 1.0, 2.0, 6.0, 20.0)


@dataclass(frozen=True)
class Sizes:
    """How much is simulated."""

    seeds: range
    slots: tuple[int, ...] = SLOTS
    burst: int = BURST
    synthetic: int = SYNTHETIC
    samples: int = SAMPLES
    rate_requests: int = RATE_REQUESTS
    loads: tuple[float, ...] = LOADS


class Requests:
    """The lengths and the predictor's classes."""

    def __init__(self, path: Path) -> None:
        rows = read_columns(path, texts=(), numbers=("output_tokens", "pred_class5"))
        self._output, self._class = rows["output_tokens"], rows["pred_class5"].astype(int)

    def draw(self, count: int, seed: int) -> Workload:
        """So many requests, all at once; predicted by the others."""
        rng = np.random.default_rng((seed, 5))
        at = rng.permutation(len(self._output))
        mine, others = at[:count], at[count:]
        sums = np.bincount(self._class[others], self._output[others])
        means = sums / np.bincount(self._class[others])
        output = self._output[mine]
        return Workload(
            np.zeros(count), np.full(count, float(PROMPT_TOKENS)), output, means[self._class[mine]]
        )


def run(
    workload: Workload, order: str, slots: int, place: str = "engine", stretch: float = 10.0
) -> SimResult:
    """The engine under an order."""
    site = Site(Endpoint("engine", ENGINE), times_named(ENGINE), EngineLimits(slots, blocks=BLOCKS))
    settings = OrderSettings(stretch, cap_tokens=512.0)
    return serve(workload, [site], Serving(order, place, settings=settings))


def cells(figures: Sequence[dict[str, float]]) -> dict[str, Cell]:
    """Each measure's mean over seeds; those beside fcfs with their interval."""
    found: dict[str, Cell] = {"seeds": len(figures)}
    for name in figures[0]:
        over = over_seeds([row[name] for row in figures])
        column = name.replace(" ", "_")
        found |= interval_cells(column, over) if "fcfs" in name or "sjf" in name else {column: over.value}
    return found


def burst(requests: Requests, sizes: Sizes, say: Callable[[str], None]) -> list[dict[str, Cell]]:
    """All at once, in the engine."""
    rows: list[dict[str, Cell]] = []
    for slots in sizes.slots:
        results: dict[str, list[dict[str, float]]] = {}
        for order in BURST_ORDERS:
            say(f"burst, {slots} slots, {order}")
            results[order] = [
                token_figures(run(requests.draw(sizes.burst, seed), order, slots)) for seed in sizes.seeds
            ]
        rows += [{"slots": slots, "order": order, **cells(beside(results, order))} for order in BURST_ORDERS]
    return rows


def token_figures(result: SimResult) -> dict[str, float]:
    """What is shown of a run."""
    found = measures(result)
    names = (
        "token_s mean",
        "token_s p90",
        "token_s p99",
        "ttft_s mean",
        "tpot_s p99",
        "e2e_s mean",
        "e2e_s p99",
    )
    shown = (*names, "max_waiting_s mean", "max_waiting_s max", "preemptions", "makespan_s", "tokens_per_s")
    return {name: found[name] for name in shown}


def beside(results: dict[str, list[dict[str, float]]], order: str) -> list[dict[str, float]]:
    """The figures of an order, and beside fcfs and foresight of the same seed."""
    found = []
    for own, first, best in zip(results[order], results["fcfs"], results["sjf"], strict=True):
        way = first["token_s mean"] - best["token_s mean"]
        found.append(
            own
            | {
                "way_to_sjf": (first["token_s mean"] - own["token_s mean"]) / way if way else np.nan,
                "times_under_fcfs_mean": first["token_s mean"] / own["token_s mean"],
                "times_under_fcfs_p90": first["token_s p90"] / own["token_s p90"],
                "p99_token_over_fcfs": own["token_s p99"] / first["token_s p99"],
                "p99_tpot_over_fcfs": own["tpot_s p99"] / first["tpot_s p99"],
                "max_waiting_over_fcfs": own["max_waiting_s max"] / first["max_waiting_s max"],
            }
        )
    return found


def synthetic(requests: Requests, sizes: Sizes, say: Callable[[str], None]) -> list[dict[str, Cell]]:
    """Seconds until so many samples are there."""
    rows: list[dict[str, Cell]] = []
    for slots in sizes.slots:
        first: list[float] = []
        for order in ("fcfs", "ranked", "sjf"):
            say(f"synthetic, {slots} slots, {order}")
            found = []
            for seed in sizes.seeds:
                result = run(requests.draw(sizes.synthetic, seed), order, slots)
                found.append(float(np.sort(latencies(result)["e2e_s"])[sizes.samples - 1]))
            first = first or found
            figures = [
                {"samples_s": own, "times_under_fcfs": fcfs / own}
                for own, fcfs in zip(found, first, strict=True)
            ]
            rows.append({"slots": slots, "order": order, "samples": sizes.samples, **cells(figures)})
    return rows


def rates(requests: Requests, sizes: Sizes, say: Callable[[str], None]) -> list[dict[str, Cell]]:
    """The front of the mean against the longest wait, over the bound's stretch, in the gateway's queue."""
    slots, rows = SLOTS[1], []
    for load in sizes.loads:
        runs = {"fcfs": ("fcfs", 0.0), "sjf": ("sjf", 0.0), "ranked": ("ranked", 0.0)}
        runs |= {f"bounded {stretch:g}": ("bounded", stretch) for stretch in STRETCHES}
        results: dict[str, list[dict[str, float]]] = {}
        for name, (order, stretch) in runs.items():
            say(f"rates, load {load:g}, {name}")
            results[name] = [
                token_figures(
                    run(arriving(requests, sizes.rate_requests, load, seed), order, slots, "gateway", stretch)
                )
                for seed in sizes.seeds[:RATE_SEEDS]
            ]
        rows += [
            {"load": load, "order": order, "stretch": stretch, **cells(beside(results, name))}
            for name, (order, stretch) in runs.items()
        ]
    return rows


def arriving(requests: Requests, count: int, load: float, seed: int) -> Workload:
    """Requests that come at a load of what the slots can serve."""
    drawn = requests.draw(count, seed)
    share_s = times_named(ENGINE).share_s(drawn.prompt_tokens, drawn.output_tokens, SLOTS[1])
    rng = np.random.default_rng((seed, 6))
    return drawn.at(gamma_arrivals(count, load / float(share_s.mean()), 2.0, rng))


def draw_burst(rows: Sequence[dict[str, Cell]], path: Path) -> None:
    """Mean and p90 seconds a token by slots."""
    from matplotlib.ticker import FixedLocator, NullFormatter, ScalarFormatter

    figure = new_figure(9, 4.6)
    for axes, word in zip(styled(figure, 1, 2), ("mean", "p90"), strict=True):
        for order, color, marker in zip(BURST_ORDERS, PALETTE, MARKERS, strict=False):
            mine = [row for row in rows if row["order"] == order]
            at = [str(row["slots"]) for row in mine]
            axes.plot(
                at,
                [float(str(row[f"token_s_{word}"])) for row in mine],
                color=color,
                marker=marker,
                label=order,
            )
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(FixedLocator(TICKS_S))
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("slots of the engine")
        axes.set_ylabel("seconds a token")
        title(axes, f"{word} of {BURST:,} at once")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=6, frameon=False)
    caption(
        figure,
        "Simulated: answers of Vicuna-13B to LMSYS-Chat-1M, ranked by a published classifier; Llama-2-70B on eight A100. "
        "sjf is foresight. python bench/order.py",
    )
    save(figure, path, ("png",))


def main() -> None:
    """Simulate, print, write."""
    parser = bench_parser(str(__doc__).partition("\n")[0])
    parser.add_argument("--part", choices=("burst", "synthetic", "rates"), help="only this; all by default")
    args = parser.parse_args()
    sizes = Sizes(range(args.seed, args.seed + SEEDS))
    if args.quick:
        seeds = range(args.seed, args.seed + 2)
        sizes = Sizes(seeds, (64,), 400, 1_000, 100, 1_000, (0.9,))
    requests = Requests(shared_data() / "lengths" / "lmsys_vicuna13b_predictor.parquet")
    parts = {"burst": burst, "synthetic": synthetic, "rates": rates}
    for name, part in parts.items():
        if args.part in (None, name):
            rows = part(requests, sizes, print)
            write_results(f"order_{name}", rows, args, title=name)
            if name == "burst" and not args.quick:
                draw_burst(rows, Path("docs") / "order.png")


if __name__ == "__main__":
    main()
