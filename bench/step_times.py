"""How long a step of an engine takes: lines fitted to measurements, for the simulator (`src/pointsman/data/step_times.json`).

    step = base + sequence * sequences + context * context tokens of those that decode + prefill * prompt tokens

Least squares of the relative error without negative coefficients. `splitwise` rows: prompts of a batch in one step, and a
token of each of its requests, whose contexts are the prompt and half the answer on the mean. Fleet rows: our own profile
(CPU, llama.cpp): times to the first token of those alone, and times per token, at 2 and 4 requests at once only the
lowest tenth: those have fewest prompts of others in between. `error` is the mean absolute relative error on the rows fitted,
`error_prefill` and `error_decode` of its two parts. Power is the source's mean share of the GPUs' limit (A100 400 W, H100
700 W) times that. Two GPUs are left out: there the source's times jump with the memory that is left, which no line follows.

    python bench/step_times.py [--write]      # --write replaces the shipped file
"""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

import numpy as np

from pointsman.data.tables import read_columns
from pointsman.nnls import nnls
from pointsman.report.bench import Cell, bench_parser, shared_data, write_results
from pointsman.sim.step_times import StepTimes
from pointsman.types import Floats

GPU_LIMIT_W = {"a100-80gb": 400.0, "h100-80gb": 700.0}
SPLITWISE = "splitwise-sim data/perf_model.csv (MIT), profiles/splitwise_llama70b_bloom.parquet"
FLEET = "our profile of the embedded fleet, 2 cores of an AMD EPYC, llama.cpp: data/fleet_profile.parquet"
MIN_OUTPUT = 16
MIN_GPUS = 4
LOWEST = 0.1


def fitted(
    name: str, source: str, decode: Floats, prefill: Floats, power_w: float | None
) -> tuple[StepTimes, dict[str, Cell]]:
    """Fit rows of (sequences, context tokens, prompt tokens, seconds), shape (N, 4) each."""
    rows = np.concatenate([decode, prefill])
    matrix = np.column_stack([np.ones(len(rows)), rows[:, :3]])
    weight = np.sqrt(np.repeat([1 / len(decode), 1 / len(prefill)], [len(decode), len(prefill)]))
    scale = weight / rows[:, 3]
    found = nnls(matrix * scale[:, None], weight)
    off = np.abs(matrix @ found / rows[:, 3] - 1)
    parts = float(off[: len(decode)].mean()), float(off[len(decode) :].mean())
    base_s, sequence_s, context_s, prefill_s = (float(value) for value in found)
    error = float(np.mean(parts))
    times = StepTimes(name, source, base_s, sequence_s, context_s, prefill_s, error, power_w)
    cells: dict[str, Cell] = {**asdict(times), "error_prefill": parts[1], "error_decode": parts[0]}
    return times, cells | {"rows": len(rows)}


def of_gpus(path: Path) -> list[tuple[StepTimes, dict[str, Cell]]]:
    """One for each model, GPU and number of them."""
    numbers = (
        "tensor_parallel",
        "batch_size",
        "input_tokens",
        "output_tokens",
        "prompt_time_ms",
        "token_time_ms",
        "avg_power_frac",
    )
    rows = read_columns(
        path,
        texts=("model", "hardware"),
        numbers=numbers,
        optional=("token_time_ms", "avg_power_frac", "output_tokens"),
    )
    found = []
    keys = sorted(
        {
            key
            for key in zip(rows["model"], rows["hardware"], rows["tensor_parallel"], strict=True)
            if key[1] in GPU_LIMIT_W and key[2] >= MIN_GPUS
        }
    )
    for model, gpu, count in keys:
        at = (rows["model"] == model) & (rows["hardware"] == gpu) & (rows["tensor_parallel"] == count)
        batch, prompt, output, first_ms, token_ms, share = (rows[name][at] for name in numbers[1:])
        whole = np.isfinite(token_ms) & (token_ms > 0)
        context = batch * (prompt + output / 2)
        none = np.zeros_like(batch)
        decode = np.column_stack([batch, context, none, token_ms / 1000])[whole]
        prefill = np.column_stack([batch, none, batch * prompt, first_ms / 1000])
        powers = share[np.isfinite(share) & (share > 0)]
        power_w = float(powers.mean() * GPU_LIMIT_W[gpu] * count) if len(powers) else None
        found.append(
            fitted(f"{model}-{gpu.removesuffix('-80gb')}-x{int(count)}", SPLITWISE, decode, prefill, power_w)
        )
    return found


def of_fleet(path: Path) -> list[tuple[StepTimes, dict[str, Cell]]]:
    """One for each model of the embedded fleet."""
    numbers = ("concurrency", "input_tokens", "cached_tokens", "output_tokens", "ttft_s", "tpot_s")
    rows = read_columns(path, texts=("endpoint",), numbers=numbers, optional=numbers[1:])
    found = []
    for name in sorted(set(rows["endpoint"])):
        at = rows["endpoint"] == name
        beside, prompt, cached, output, first_s, token_s = (rows[column][at] for column in numbers)
        decodes = (output >= MIN_OUTPUT) & (token_s > 0)
        for count in sorted(set(beside) - {1.0}):
            these = decodes & (beside == count)
            decodes &= (beside != count) | (token_s <= np.quantile(token_s[these], LOWEST))
        context, none = beside * (prompt + output / 2), np.zeros_like(beside)
        decode = np.column_stack([beside, context, none, token_s])[decodes]
        alone = (beside == 1) & (first_s > 0) & np.isfinite(prompt)
        new = prompt - np.where(np.isfinite(cached), cached, 0.0)
        prefill = np.column_stack([beside, none, new, first_s])[alone]
        found.append(fitted(f"{name}-cpu", FLEET, decode, prefill, None))
    return found


def main() -> None:
    """Fit, print, write."""
    parser = bench_parser(str(__doc__).partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="replace the shipped file")
    args = parser.parse_args()
    shipped = Path(str(files("pointsman.data")))
    found = of_gpus(shared_data() / "profiles" / "splitwise_llama70b_bloom.parquet")
    found += of_fleet(shipped / "fleet_profile.parquet")
    if args.write:
        text = json.dumps([asdict(times) for times, _ in found], indent=1)
        (shipped / "step_times.json").write_text(text + "\n", encoding="utf-8")
    write_results("step_times", [row for _, row in found], args, title="Time of a step, fitted")


if __name__ == "__main__":
    main()
