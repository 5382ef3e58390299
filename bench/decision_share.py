"""What share of the response time the whole decision is: features, learnt prediction, admission, assignment.

    fleet            the decision and the response of real runs: `LiveDriver` over the embedded fleet's three models,
                     one short question of the shipped set after another
    bfcl             the latencies of outcomes/bfcl_2024_08 (58 models), with the decisions that `fleet` measured
    bfcl, 58 models  the same latencies, with decisions among all 58 about the set's own prompts, before an upstream that
                     answers at once

A decision lasts from `submit` until the decision is recorded (`Handle.arrived_s`, `Handle.decided_s`), so the event loop's
turn, the scheduler and, for a slow predictor, the way to its thread and back are in it. Admission is `value` at costs
at which every question runs. `features`: `hot` (static embedding, n-grams, surface) or `minilm`; the model is
`trained`, on the fleet's answers to GSM8K and MBPP, or on other prompts of bfcl. Each latency of bfcl meets a decision
drawn at random. `share_percent` is all decisions over all responses; p50 and p99 are of single requests;
`cpu_...` is the same by the CPU time of the decision: where wall time differs, something else had the
core. `within_...` says how many of the requests kept the bar by CPU time.

    python bench/decision_share.py
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pointsman.build import System, build_system, fleet_of, read_config
from pointsman.clock import RealClock
from pointsman.config import Config
from pointsman.data.questions import load_questions
from pointsman.data.routing_sets import fleet_set
from pointsman.data.shared_outcomes import shared_measure, shared_outcomes
from pointsman.engines.fleet_model import FleetEndpoint
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.fit import FitOptions, fit_quality
from pointsman.report.bench import Cell, bench_parser, shared_data, write_results
from pointsman.testing.upstream import Upstream
from pointsman.types import Disposition, Floats, Prompt, Request

DATA = Path("bench") / "data"
FEATURES = ("hot", "minilm")
POLICIES = {
    "weighted": "{name: weighted, weights: {accuracy: 4, energy: 1, time: 1}}",
    "value": "{name: value}",
    "floor": "{name: floor, threshold: 0.5}",
    "constrained": "{name: constrained, objective: time, limits: {min_quality: 0.5}}",
}
CONFIG = """
{models}
pointsman:
  predictor: {{name: learned, artifact: {artifact}}}
  admission: {{name: value}}
  costs: {{c_run: 1.0e-6, c_wrong: 0, c_miss: 1}}
  policy: {policy}
  {fleet}
"""
FLEET = "fleet: {models: [{name: smollm2-135m, weights: smollm2-135m}, {name: qwen2.5-coder-0.5b, weights: qwen2.5-coder-0.5b}, {name: qwen2.5-coder-1.5b, weights: qwen2.5-coder-1.5b}]}"
BARS_PERCENT = (0.5, 0.05)
WARM_UP = 2
REST_S = 0.002

Made = dict[tuple[str, str], Floats]
"""(features, policy) -> decision, response and the decision's CPU time of each request in seconds, shape (N, 3)."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is done.

    Attributes:
        questions: asked of the fleet.
        prompts: of bfcl, decided.
        learnt: rows that the model is fitted to, by features.
        folds: of its calibration; 0 for none.
    """

    questions: int
    prompts: int
    learnt: Mapping[str, int]
    folds: int


FULL = Sizes(18, 400, {"hot": 200, "minilm": 100}, folds=2)
QUICK = Sizes(2, 20, {"hot": 60}, folds=0)


def artifact(matrix: OutcomeMatrix, features: str, folder: Path, seed: int, sizes: Sizes) -> Path:
    """A model of the matrix's outcomes, written."""
    picked = np.random.default_rng(seed).permutation(len(matrix.query_ids))[: sizes.learnt[features]]
    path = folder / f"{features}-{len(matrix.endpoints)}"
    fit_quality(
        matrix.take(picked), FitOptions("trained", features, folds=sizes.folds, seed=seed)
    ).model.write(path)
    return path


def configured(path: Path, model: Path, policy: str, *, models: str = "", fleet: str = "") -> Config:
    """The configuration of one policy, read as a user's is."""
    path.write_text(
        CONFIG.format(models=models, artifact=model, policy=POLICIES[policy], fleet=fleet), encoding="utf-8"
    )
    return read_config(path)


def request_of(number: int, text: str, max_tokens: int) -> Request:
    body = {"messages": [{"role": "user", "content": text}], "max_tokens": max_tokens, "temperature": 0}
    return Request(
        f"q{number}",
        Prompt(text, total_bytes=len(text.encode())),
        max_tokens,
        payload=json.dumps(body).encode(),
    )


class CpuClock(RealClock):
    """Keeps the CPU seconds of this process at each look at it, by the time that it gave."""

    def __init__(self) -> None:
        self.cpu_s: dict[float, float] = {}

    def now(self) -> float:
        """Monotonic seconds."""
        now = super().now()
        self.cpu_s[now] = time.process_time()
        return now


async def ask(system: System, clock: CpuClock, request: Request) -> tuple[float, float, float]:
    """Seconds until the decision, until the whole answer, and CPU seconds until the decision."""
    clock.cpu_s.clear()
    async with system.driver.submit(request) as handle:
        while await handle.next_chunks():
            pass
        ended_s = clock.now()
    assert handle.outcome is not None
    assert handle.outcome.disposition is Disposition.ANSWERED, handle.outcome
    assert handle.decided_s is not None
    cpu_s = clock.cpu_s[handle.decided_s] - clock.cpu_s[handle.arrived_s]
    return handle.decided_s - handle.arrived_s, ended_s - handle.arrived_s, cpu_s


async def ask_all(config: Config, running: Sequence[FleetEndpoint], requests: Sequence[Request]) -> Floats:
    """What `ask` gives of each request, shape (N, 3); the first ones warm up and do not count."""
    clock = CpuClock()
    system = build_system(config, running, clock)
    times = []
    try:
        for request in requests:
            await asyncio.sleep(REST_S)  # what the last answer left for the event loop is not this one's
            times.append(await ask(system, clock, request))
    finally:
        await system.close()
    return np.array(times[WARM_UP:])


def row(what: str, endpoints: int, features: str, policy: str, times: Floats) -> dict[str, Cell]:
    """One row of decisions, responses and CPU times, shape (M, 3)."""
    decision_s, response_s, cpu_s = times.T
    percent, cpu_percent = 100 * decision_s / response_s, 100 * cpu_s / response_s
    return {
        "responses": what,
        "endpoints": endpoints,
        "features": features,
        "policy": policy,
        "requests": len(times),
        "decision_p50_us": 1e6 * float(np.median(decision_s)),
        "decision_p99_us": 1e6 * float(np.percentile(decision_s, 99)),
        "cpu_p50_us": 1e6 * float(np.median(cpu_s)),
        "cpu_p99_us": 1e6 * float(np.percentile(cpu_s, 99)),
        "response_p50_s": float(np.median(response_s)),
        "response_p99_s": float(np.percentile(response_s, 99)),
        "share_percent": 100 * float(decision_s.sum() / response_s.sum()),
        "share_p50_percent": float(np.median(percent)),
        "share_p99_percent": float(np.percentile(percent, 99)),
        "cpu_share_percent": 100 * float(cpu_s.sum() / response_s.sum()),
        "cpu_share_p99_percent": float(np.percentile(cpu_percent, 99)),
        **{f"within_{bar:g}_percent": 100 * float((cpu_percent <= bar).mean()) for bar in BARS_PERCENT},
    }


def drawn(times: Floats, response_s: Floats, rng: np.random.Generator) -> Floats:
    """Each response with a decision drawn at random, as rows of `row`."""
    picked = times[rng.integers(len(times), size=len(response_s))]
    return np.stack([picked[:, 0], response_s, picked[:, 2]], axis=1)


def over_fleet(folder: Path, models: Mapping[str, Path], requests: Sequence[Request]) -> Made:
    """Decision and response seconds by features and policy, over the real models."""
    configs = {
        (features, name): configured(folder / f"{features}-{name}.yaml", model, name, fleet=FLEET)
        for features, model in models.items()
        for name in POLICIES
    }
    with fleet_of(next(iter(configs.values()))) as fleet:
        return {key: asyncio.run(ask_all(own, fleet.endpoints(), requests)) for key, own in configs.items()}


async def over_upstream(
    folder: Path, models: Mapping[str, Path], names: Sequence[str], requests: Sequence[Request]
) -> Made:
    """The same before an upstream that answers at once, with an endpoint for each name."""
    made: Made = {}
    async with Upstream() as upstream:
        listed = "model_list:\n" + "".join(
            f'  - {{model_name: "{name}", litellm_params: {{model: "openai/{name}", api_base: "{upstream.base_url}"}}}}\n'
            for name in names
        )
        for features, model in models.items():
            for name in POLICIES:
                config = configured(folder / f"many-{features}-{name}.yaml", model, name, models=listed)
                made[features, name] = await ask_all(config, (), requests)
    return made


def bfcl() -> tuple[OutcomeMatrix, Floats]:
    """The models with latencies, and all their latencies in seconds, shape (M,)."""
    folder = shared_data() / "outcomes" / "bfcl_2024_08"
    matrix = shared_outcomes(folder)
    latency_s = shared_measure(folder, "latency_s", matrix)
    columns = np.flatnonzero(np.isfinite(latency_s).any(axis=0))
    matrix, latency_s = matrix.of_endpoints(columns), latency_s[:, columns]
    return matrix, latency_s[np.isfinite(latency_s)]


def measure(folder: Path, sizes: Sizes, kinds: Sequence[str], seed: int) -> list[dict[str, Cell]]:
    rng = np.random.default_rng(seed)
    matrix, latency_s = bfcl()
    order = rng.permutation(len(matrix.query_ids))
    asked, others = order[: sizes.prompts + WARM_UP], order[sizes.prompts + WARM_UP :]
    prompts = [request_of(n, matrix.prompts[at], 16) for n, at in enumerate(asked)]
    shipped = load_questions()
    chosen = rng.permutation(len(shipped))[: sizes.questions + WARM_UP]
    questions = [request_of(n, shipped[at].prompt, shipped[at].max_tokens) for n, at in enumerate(chosen)]
    own, elsewhere = fleet_set(DATA, shared_data()).matrix, matrix.take(others)

    def models(learnt: OutcomeMatrix) -> dict[str, Path]:
        return {kind: artifact(learnt, kind, folder, seed, sizes) for kind in kinds}

    few = over_fleet(folder, models(own), questions)
    many = asyncio.run(over_upstream(folder, models(elsewhere), matrix.endpoints, prompts))
    rows = [row("fleet", 3, *key, times) for key, times in few.items()]
    n_models = len(matrix.endpoints)
    for what, endpoints, made in (("bfcl", 3, few), (f"bfcl, {n_models} models", n_models, many)):
        for key, times in made.items():
            rows.append(row(what, endpoints, *key, drawn(times, latency_s, rng)))
    return rows


def main() -> None:
    """Measure, print, write."""
    parser = bench_parser(str(__doc__).partition("\n")[0])
    parser.add_argument("--no-minilm", action="store_true", help="without the extra embed; a quick run is")
    args = parser.parse_args()
    kinds = FEATURES[:1] if args.no_minilm or args.quick else FEATURES
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), QUICK if args.quick else FULL, kinds, args.seed)
    write_results("decision_share", rows, args, title="The decision as a share of the response time")


if __name__ == "__main__":
    main()
