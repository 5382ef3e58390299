"""When, in a real vLLM: one burst by arrival, by `priority` in our order, and by our scheduler class.

`REQUESTS` requests at once to SmolLM2-135M on one core with 8 slots, sent by the gateway's engine. Lengths are a quarter of those of
Vicuna-13B's answers to LMSYS-Chat-1M (lengths/lmsys_vicuna13b_predictor), at most 128 tokens, which the server is made to give
(`ignore_eos`, `max_tokens`); predictions are the class of five that a trained BERT gave each, as the mean of its requests that
are not sent. Since `max_tokens` is the length here, the predictions that are sent stay below it (a hundredth: only their order counts).

    fcfs             a server with `--scheduling-policy priority`, all alike
    priority         the same server; `model_info: {priority: lower_first}` under the order `ranked`
    sjf              the same by the true lengths: what foresight would bring
    class ORDER      a server with `--scheduler-cls pointsman.engines.vllm.Scheduler`

    token_s          seconds a token of a request: its end, from the burst, by its tokens
    even_s           the same if the server had put out 100 tokens/s at any time: by what it had put out, to all, until the
                     request ended. Other work on the machine moves token_s, not this
    way_to_sjf       share of the way from fcfs to sjf in the mean of even_s, at the same seed
    p90_under_fcfs   how often the p90 of even_s goes into that of fcfs
    tokens_per_s     output of the whole burst

Needs vLLM 0.32.0 and the model's folder (docs/engines.md), and says so where they are not there:

    POINTSMAN_VLLM_PYTHON=... POINTSMAN_VLLM_MODEL=... python bench/order_vllm.py
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import numpy as np

import pointsman
from pointsman.data.tables import read_columns
from pointsman.engines.base import Timeouts, Usage
from pointsman.engines.openai_http import OpenAIEngine
from pointsman.engines.priority import Telling
from pointsman.errors import EngineUnreachable, MissingError
from pointsman.report.bench import Cell, bench_parser, interval_cells, shared_data, write_results
from pointsman.sim.compare import over_seeds
from pointsman.types import Api, Prompt, Request, Turn

REQUESTS, SEEDS, SLOTS, SHRINK, MOST_TOKENS, UNSEEN = 64, 3, 8, 4, 128, 0.01
PACE: Final = 100.0
READY_S: Final = 300.0
CLASS: Final = "pointsman.engines.vllm.Scheduler"
TIMEOUTS: Final = Timeouts(connect_s=60.0, first_byte_s=1800.0, between_chunks_s=600.0, total_s=1800.0)


@dataclass(frozen=True)
class Burst:
    """Requests in order of arrival: true and predicted tokens."""

    tokens: np.ndarray
    predicted: np.ndarray


@dataclass(frozen=True)
class Way:
    """A way to run a burst: on a server of such arguments, told so, with such keys."""

    name: str
    server: tuple[str, ...]
    telling: Telling | None
    foresight: bool = False


PRIORITY: Final = ("--scheduling-policy", "priority")


def by_class(order: str) -> Way:
    """The scheduler class with an order."""
    options = json.dumps({"pointsman": {"order": order}})
    return Way(
        f"class {order}",
        ("--scheduler-cls", CLASS, "--additional-config", options),
        Telling.VLLM_SCHEDULER,
    )


WAYS: Final = (
    Way("fcfs", PRIORITY, None),
    Way("priority", PRIORITY, Telling.LOWER_FIRST),
    Way("sjf", PRIORITY, Telling.LOWER_FIRST, foresight=True),
    by_class("ranked"),
    by_class("ranked+promotion"),
)


def draw(path: Path, count: int, seed: int) -> Burst:
    """Requests of the data set, with what the others of their class say of them."""
    rows = read_columns(path, texts=(), numbers=("output_tokens", "pred_class5"))
    tokens, kind = rows["output_tokens"], rows["pred_class5"].astype(int)
    at = np.random.default_rng((seed, 7)).permutation(len(tokens))
    mine, others = at[:count], at[count:]
    means = np.bincount(kind[others], tokens[others]) / np.bincount(kind[others])
    true = np.clip(np.rint(tokens[mine] / SHRINK), 2, MOST_TOKENS).astype(int)
    return Burst(true, means[kind[mine]] / SHRINK)


def python_with_vllm() -> str:
    """The interpreter that has vLLM. Raises: MissingError."""
    python = os.environ.get("POINTSMAN_VLLM_PYTHON", sys.executable)
    probe = "from pointsman.engines.vllm.version import *; check_version(installed_version())"
    found = subprocess.run([python, "-c", probe], env=_env(), capture_output=True, text=True, check=False)
    if found.returncode:
        raise MissingError(
            f"no vLLM to run: {found.stderr.strip().splitlines()[-1]}",
            remedy="Install vLLM 0.32.0 (docs/engines.md) and name its interpreter in POINTSMAN_VLLM_PYTHON",
        )
    if not Path(os.environ.get("POINTSMAN_VLLM_MODEL", "")).joinpath("config.json").is_file():
        raise MissingError(
            "no model to serve", remedy="Name its folder in POINTSMAN_VLLM_MODEL (docs/engines.md)"
        )
    return python


def _env() -> dict[str, str]:
    """One core, no network, and this checkout's package."""
    own = {
        "PYTHONPATH": str(Path(pointsman.__file__).parents[1]),
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "0",
        "OMP_NUM_THREADS": "1",
    }
    return {**os.environ, **own}


@asynccontextmanager
async def serving(python: str, arguments: Sequence[str]) -> AsyncIterator[str]:
    """A server while the block runs; gives its base URL. Raises: EngineUnreachable with its last words."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    fixed = f"--model {os.environ['POINTSMAN_VLLM_MODEL']} --served-model-name m --max-model-len 2048 --max-num-seqs {SLOTS} --host 127.0.0.1 --port {port}"
    command = [
        python,
        "-m",
        "vllm.entrypoints.openai.api_server",
        *fixed.split(),
        "--enforce-eager",
        *arguments,
    ]
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(command, env=_env(), stdout=log, stderr=log)  # noqa: ASYNC220 - nothing else runs
        try:
            if not await _ready(server, port):
                log.seek(0)
                said = log.read().decode(errors="replace")[-2000:]
                raise EngineUnreachable(f"vLLM did not start: {said}", endpoint="vllm")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()
            server.wait()


async def _ready(server: subprocess.Popen[bytes], port: int) -> bool:
    until_s = time.monotonic() + READY_S
    async with aiohttp.ClientSession() as session:
        while server.poll() is None and time.monotonic() < until_s:
            try:
                async with session.get(f"http://127.0.0.1:{port}/health") as answer:
                    if answer.status == 200:
                        return True
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.5)
    return False


async def run(way: Way, url: str, burst: Burst) -> dict[str, float]:
    """A burst's figures."""
    engine = OpenAIEngine("vllm", url, "m", timeouts=TIMEOUTS, priority=way.telling)
    keys = burst.tokens if way.foresight else burst.predicted
    try:
        await _ask(engine, 0, 4, 1.0)  # the first step of a server takes longer
        start_s = time.monotonic()
        ends = await asyncio.gather(
            *(
                _ask(engine, number, int(tokens), float(key))
                for number, (tokens, key) in enumerate(zip(burst.tokens, keys, strict=True))
            )
        )
    finally:
        await engine.close()
    return figures(
        burst.tokens, np.array([end_s - start_s for end_s, _ in ends]), [usage for _, usage in ends]
    )


async def _ask(engine: OpenAIEngine, number: int, tokens: int, key: float) -> tuple[float, Usage]:
    """When it ended, and what the server said of it."""
    body = {
        "prompt": f"Question {number}: what is the capital of country number {number}? Answer:",
        "max_tokens": tokens,
        "ignore_eos": True,
        "stream": True,
    }
    request = Request(
        str(number),
        Prompt(str(body["prompt"])),
        api=Api.COMPLETIONS,
        stream=True,
        turn=Turn(key, predicted_tokens=UNSEEN * key),
        payload=json.dumps(body).encode(),
    )
    async for piece in engine.run(request):
        if isinstance(piece, Usage):
            assert piece.output_tokens == tokens, f"{piece.output_tokens} tokens came, {tokens} were to come"
            return time.monotonic(), piece
    raise AssertionError("an engine gives its usage at the end")


def figures(tokens: np.ndarray, end_s: np.ndarray, usages: Sequence[Usage]) -> dict[str, float]:
    """What is shown of a burst."""
    token_s = end_s / tokens
    first_s = np.array([usage.ttft_s for usage in usages], float)
    even_s = served(tokens, first_s, end_s) / PACE / tokens
    between_s = np.array([usage.tpot_s for usage in usages if usage.tpot_s is not None])
    return {
        "token_s mean": float(token_s.mean()),
        "token_s p90": float(np.percentile(token_s, 90)),
        "token_s p99": float(np.percentile(token_s, 99)),
        "even_s mean": float(even_s.mean()),
        "even_s p90": float(np.percentile(even_s, 90)),
        "even_s p99": float(np.percentile(even_s, 99)),
        "ttft_s mean": float(first_s.mean()),
        "ttft_s max": float(first_s.max()),
        "tpot_s p99": float(np.percentile(between_s, 99)),
        "e2e_s mean": float(end_s.mean()),
        "makespan_s": float(end_s.max()),
        "tokens_per_s": float(tokens.sum() / end_s.max()),
    }


def served(tokens: np.ndarray, first_s: np.ndarray, end_s: np.ndarray) -> np.ndarray:
    """Tokens put out to all requests until each ended; each is given its own at an even pace from its first to its last."""
    share = (end_s[:, None] - first_s) / np.maximum(end_s - first_s, 1e-9)
    return np.asarray(np.clip(share, 0.0, 1.0) @ tokens)


def table(found: Mapping[str, Sequence[Mapping[str, float]]]) -> list[dict[str, Cell]]:
    """A row a way: means over seeds; beside fcfs and sjf of the same seed with a 95% interval."""
    rows: list[dict[str, Cell]] = []
    for name, runs in found.items():
        row: dict[str, Cell] = {"way": name, "requests": REQUESTS, "slots": SLOTS, "seeds": len(runs)}
        for measure in runs[0]:
            row[measure.replace(" ", "_")] = float(np.mean([one[measure] for one in runs]))
        mean, tail = "even_s mean", "even_s p90"
        way, times = [], []
        for own, first, best in zip(runs, found["fcfs"], found["sjf"], strict=True):
            way.append((first[mean] - own[mean]) / (first[mean] - best[mean]))
            times.append(first[tail] / own[tail])
        row |= interval_cells("way_to_sjf", over_seeds(way)) | interval_cells(
            "p90_under_fcfs", over_seeds(times)
        )
        rows.append(row)
    return rows


async def measure(python: str, seeds: range) -> list[dict[str, Cell]]:
    """All ways; those of one server one after another, so that they meet the machine alike."""
    path = shared_data() / "lengths" / "lmsys_vicuna13b_predictor.parquet"
    found: dict[str, list[dict[str, float]]] = {way.name: [] for way in WAYS}
    for server in dict.fromkeys(way.server for way in WAYS):
        async with serving(python, server) as url:
            for seed in seeds:
                for way in (one for one in WAYS if one.server == server):
                    found[way.name].append(await run(way, url, draw(path, REQUESTS, seed)))
                    print(way.name, seed, found[way.name][-1], flush=True)
    return table(found)


def main() -> None:
    """Measure, print, write."""
    args = bench_parser(__doc__.partition("\n")[0]).parse_args()
    try:
        python = python_with_vllm()
    except MissingError as error:
        print(f"{error.message}. {error.remedy}")
        if args.quick:
            return
        raise SystemExit(error.exit_code) from error
    rows = asyncio.run(measure(python, range(args.seed, args.seed + (1 if args.quick else SEEDS))))
    write_results("order_vllm", rows, args)


if __name__ == "__main__":
    main()
