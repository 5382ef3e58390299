"""Three profiles of others that have times but no energy to fit, as arrays.

`llmperf_api_latency.parquet`: one row a call of a public API.
`splitwise_llama70b_bloom.parquet`: one row a run of a batch on A100 or H100.
`helm_api_runtimes.parquet`: coefficients that were fitted by the source, one row a prompt size.
Their sources stand in the shared data's README.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pointsman.data.shared_profiles import CostSeries
from pointsman.data.tables import read_columns
from pointsman.errors import DataError

COMPUTED_OUTPUTS: Final = (1.0, 8.0, 64.0, 512.0)
"""The answer lengths, in tokens, at which published coefficients are turned into points."""

_MS: Final = 1e-3


def llmperf(path: Path) -> tuple[CostSeries, ...]:
    """Series by (model, provider) without the failed calls, which the notes count.

    Raises DataError for a missing column, a bad value or a series in which every call failed.
    """
    columns = read_columns(
        path,
        texts=("provider", "model", "error_code"),
        numbers=("input_tokens", "output_tokens", "latency_s"),
    )
    keys = _keys(columns["model"], columns["provider"])
    good = columns["error_code"] == ""
    series = []
    for name in dict.fromkeys(keys.tolist()):
        own = keys == name
        at = own & good
        failed = int(own.sum() - at.sum())
        if not at.any():
            raise DataError(f"{path}: all {failed} calls of {name} failed", remedy="Remove its rows")
        inputs, outputs = columns["input_tokens"][at], columns["output_tokens"][at]
        notes = [f"{failed} of {own.sum()} calls failed and are left out"] if failed else []
        if len(np.unique(inputs)) == 1:
            low, high = np.quantile(outputs, (0.05, 0.95), method="nearest")
            answers = f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"
            notes.append(
                f"every prompt has {inputs[0]:.0f} tokens, 90% of the answers {answers}: what a "
                "prompt of another length costs can't be told"
            )
        series.append(
            CostSeries(
                name,
                inputs,
                outputs,
                columns["latency_s"][at],
                np.full(at.sum(), np.nan),
                tuple(notes),
            )
        )
    return tuple(series)


def splitwise(path: Path) -> tuple[CostSeries, ...]:
    """Series by (model, hardware, GPUs) of the runs at batch size 1, each row once.

    `output_tokens` is the limit, and answers often ended before it. What was generated follows from the
    times: the first token takes `prompt_time_ms`, each other one `token_time_ms`, all `e2e_time_ms`.
    The power-capped rows repeat the other rows' end-to-end times, and larger batches ran at one size
    of prompt and answer; both are left out. Power was recorded at one answer length on the A100 only, so
    that no energy by length follows from it. Raises DataError as `read_columns`, or for times that give
    no answer of at least one token.
    """
    columns = read_columns(
        path,
        texts=("model", "hardware"),
        numbers=(
            "tensor_parallel", "batch_size", "input_tokens", "output_tokens",
            "prompt_time_ms", "token_time_ms", "e2e_time_ms",
        ),
    )  # fmt: skip
    gpus = [f"{count:.0f} GPU" for count in columns["tensor_parallel"]]
    keys = _keys(columns["model"], columns["hardware"], gpus)
    capped = np.array([name.endswith("-pcap") for name in columns["hardware"]])
    alone = (columns["batch_size"] == 1) & ~capped
    first_s, token_s, time_s = (_MS * columns[f"{name}_time_ms"] for name in ("prompt", "token", "e2e"))
    wrong = np.flatnonzero(alone & ((token_s <= 0) | (time_s < first_s)))
    if len(wrong):
        raise DataError(
            f"{path}, row {wrong[0]}: {time_s[wrong[0]]:.4g} s can't be {first_s[wrong[0]]:.4g} s for the "
            f"first token and {token_s[wrong[0]]:.4g} s for each other",
            remedy="Remove the row, or measure it again",
        )
    series = []
    for name in dict.fromkeys(keys[alone].tolist()):
        own = np.flatnonzero(alone & (keys == name))
        # Each run stands in the table once for each sweep that it belongs to.
        runs = np.stack([columns["input_tokens"], columns["output_tokens"], first_s, token_s, time_s])[:, own]
        at = own[np.sort(np.unique(runs, axis=1, return_index=True)[1])]
        series.append(
            CostSeries(
                name,
                columns["input_tokens"][at],
                1.0 + np.round((time_s[at] - first_s[at]) / token_s[at]),
                time_s[at],
                np.full(len(at), np.nan),
                ("tokens generated are computed from the times; batches of 1 only",),
            )
        )
    return tuple(series)


def helm(path: Path) -> tuple[CostSeries, ...]:
    """Points of the source's own curves by (model, kind), at its prompt sizes and `COMPUTED_OUTPUTS`.

    `denoised` is the public API with its noise taken off, `idealized` the model alone on A100s. Time is
    overhead (where given) + that of the prompt, which holds the first token, + that of each other token:
    how the source adds them up. Raises DataError as `read_columns`.
    """
    columns = read_columns(
        path,
        texts=("kind", "model"),
        numbers=("runtime_per_output_token_s", "overhead_s", "prompt_tokens", "runtime_for_prompt_s"),
        optional=("overhead_s",),
    )
    keys = _keys(columns["model"], columns["kind"])
    series = []
    for name in dict.fromkeys(keys.tolist()):
        at = np.repeat(np.flatnonzero(keys == name), len(COMPUTED_OUTPUTS))
        outputs = np.tile(COMPUTED_OUTPUTS, len(at) // len(COMPUTED_OUTPUTS))
        time_s = (
            np.nan_to_num(columns["overhead_s"][at])
            + columns["runtime_for_prompt_s"][at]
            + columns["runtime_per_output_token_s"][at] * (outputs - 1.0)
        )
        series.append(
            CostSeries(
                name,
                columns["prompt_tokens"][at],
                outputs,
                time_s,
                np.full(len(at), np.nan),
                ("computed from the source's coefficients: no interval, no held-out error",),
            )
        )
    return tuple(series)


def _keys(*parts: Iterable[str]) -> NDArray[np.str_]:
    return np.array([", ".join(names) for names in zip(*parts, strict=True)])
