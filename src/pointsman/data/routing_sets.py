"""Outcome sets to choose endpoints on: every endpoint's score of every query, and what each would cost.

    llmrouter9     prices of the source (LLMRouter), tokens = prompt + 150
    bfcl_2024_08   `cost_usd` of the calls, endpoints that have it
    mmlu_pro       list prices of November 2024, open models by size; prompt, and the endpoint's mean answer
    routerdc7      no price list tells its 7B and 8B models apart: $.2 a million tokens of 7.24 billion
                   parameters, in proportion; tokens = prompt + 150
    fleet          our own answers to questions of MMLU, GSM8K and MBPP; modelled joules

Endpoints that lack more than 1% of the scores are left out, then queries that lack one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pointsman.data.answer_table import AnswerTable
from pointsman.data.outcomes import read_outcome_rows
from pointsman.data.shared_outcomes import shared_measure, shared_outcomes
from pointsman.data.tables import read_columns
from pointsman.errors import DataError
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.types import Floats

SHARED_SETS: Final = ("llmrouter9", "bfcl_2024_08", "mmlu_pro", "routerdc7")
_MOST_MISSING: Final = 0.01
_FLEET_TEXTS: Final = {"mmlu": "mmlu", "gsm8k": "gsm8k", "mbpp": "llmrouter9"}
_ANSWER_TOKENS: Final = 150.0
_MILLION: Final = 1e6
_LADDER: Final = (4.0, 8.0, 21.0, 41.0, 80.0, 110.0)
_LADDER_NAMES: Final = ("up-to-4b", "4.1b-8b", "8.1b-21b", "21.1b-41b", "41.1b-80b", "81.1b-110b")
_LISTED: Final = {
    "c4ai-command-r-v01": "command-r",
    "Mixtral": "together_ai/mistralai/Mixtral-8x7B-Instruct-v0.1",
}
_SIZE_B: Final = {"Phi-3-mini-4k-instruct": 3.8}
_USD_A_BILLION: Final = 0.2 / 7.24
_LLAMA_3_B, _MISTRAL_B = 8.03, 7.24


@dataclass(frozen=True, slots=True, eq=False)
class RoutingSet:
    """N queries on E endpoints.

    Attributes:
        matrix: complete in quality.
        cost: shape (N, E), what is paid.
        unit: of `cost`.
        measured: the cost of a run shows only afterwards; see `expected_cost`.
        said_tokens: how long each endpoint, asked, says its answer will be, shape (N, E), NaN where it says no
            number; None where none was asked.
    """

    name: str
    matrix: OutcomeMatrix
    cost: Floats
    unit: str
    measured: bool
    said_tokens: Floats | None = None


def routing_set(name: str, data: Path, limit: int | None = None) -> RoutingSet:
    """One of `SHARED_SETS`.

    Args:
        name: which.
        data: the folder of the shared data.
        limit: only so many queries, spread evenly.

    Raises: DataError for another name, or files that are not as their schema says.
    """
    if name not in SHARED_SETS:
        raise DataError(f"no set {name!r} has prices", remedy=f"Choose among {', '.join(SHARED_SETS)}")
    matrix = shared_outcomes(
        data / "outcomes" / name, lengths="output_tokens_cl100k" if name == "mmlu_pro" else "output_tokens"
    )
    queries = read_columns(
        data / "outcomes" / name / "queries.parquet", texts=(), numbers=("prompt_tokens_cl100k",)
    )
    cost = _COSTS[name](data, matrix, queries["prompt_tokens_cl100k"])
    columns = np.flatnonzero(
        (np.isnan(matrix.quality).mean(axis=0) <= _MOST_MISSING) & np.isfinite(cost).all(axis=0)
    )
    rows = np.flatnonzero(np.isfinite(matrix.quality[:, columns]).all(axis=1))
    if limit is not None:
        rows = rows[np.unique(np.linspace(0, len(rows) - 1, limit).astype(np.int64))]
    return RoutingSet(
        name,
        matrix.of_endpoints(columns).take(rows),
        cost[np.ix_(rows, columns)],
        "$",
        measured=name == "bfcl_2024_08",
    )


def fleet_set(folder: Path, data: Path) -> RoutingSet:
    """What the embedded fleet made of knowledge, mathematics and code, with modelled joules.

    Args:
        folder: with `fleet_mmlu.parquet`, `fleet_gsm8k.parquet` and `fleet_mbpp.parquet`; questions that not
            all models answered are left out.
        data: the folder of the shared data, for the texts.
    """
    found = {task: read_outcome_rows(folder / f"fleet_{task}.parquet").rows for task in _FLEET_TEXTS}
    rows = [row for some in found.values() for row in some]
    table = AnswerTable.of(rows, sorted({row.model for row in rows}))
    task_of = {row.query_id: task for task, some in found.items() for row in some}
    text_of: dict[str, str] = {}
    for name in _FLEET_TEXTS.values():
        queries = read_columns(
            data / "outcomes" / name / "queries.parquet", texts=("query_id", "prompt"), numbers=()
        )
        text_of |= dict(zip(queries["query_id"].tolist(), queries["prompt"].tolist(), strict=True))
    joules, tokens = table.energy_j[0], table.output_tokens[0]
    whole = np.flatnonzero(np.isfinite(table.right + joules + tokens).all(axis=1))
    ids = [table.query_ids[row] for row in whole]
    matrix = OutcomeMatrix(
        tuple(ids),
        tuple(text_of[query] for query in ids),
        tuple(task_of[query] for query in ids),
        tuple(table.endpoints),
        table.right[whole],
        tokens[whole],
    )
    return RoutingSet("fleet", matrix, joules[whole], "J", measured=True)


def asked_lengths(fleet: RoutingSet, path: Path) -> RoutingSet:
    """The fleet's questions of which every model was asked how long its answer would be.

    Args:
        fleet: of `fleet_set`.
        path: `fleet_lengths.parquet`, with the number that each (query_id, model) said.
    """
    asked = read_columns(
        path, texts=("query_id", "model"), numbers=("said_tokens",), optional=("said_tokens",)
    )
    pairs = zip(asked["query_id"].tolist(), asked["model"].tolist(), strict=True)
    said = dict(zip(pairs, asked["said_tokens"].tolist(), strict=True))
    matrix = fleet.matrix
    whole = [
        row
        for row, query in enumerate(matrix.query_ids)
        if all((query, name) in said for name in matrix.endpoints)
    ]
    rows = np.array(whole, dtype=np.int64)
    tokens = [[said[matrix.query_ids[row], name] for name in matrix.endpoints] for row in whole]
    return RoutingSet(
        "fleet_lengths", matrix.take(rows), fleet.cost[rows], fleet.unit, fleet.measured, np.array(tokens)
    )


def expected_cost(cost: Floats, tasks: Sequence[str], train: NDArray[np.int64]) -> Floats:
    """The training rows' mean cost of each endpoint on each task, for all rows, shape (N, E)."""
    names = np.array(tasks)
    made = np.tile(cost[train].mean(axis=0), (len(cost), 1))
    for name in np.unique(names[train]):
        made[names == name] = cost[train][names[train] == name].mean(axis=0)
    return made


def _llmrouter9(data: Path, matrix: OutcomeMatrix, prompt_tokens: Floats) -> Floats:
    prices = _prices(data / "prices" / "router_model_prices.parquet", "source", "LLMRouter")
    return _by_price([prices[name] for name in matrix.endpoints], prompt_tokens, _ANSWER_TOKENS)


def _bfcl(data: Path, matrix: OutcomeMatrix, _: Floats) -> Floats:
    """A few calls of an endpoint lack a cost: its mean."""
    cost = shared_measure(data / "outcomes" / "bfcl_2024_08", "cost_usd", matrix)
    known = np.isfinite(cost)
    mean = np.where(known, cost, 0.0).sum(axis=0) / np.maximum(1, known.sum(axis=0))
    usual = np.where(known.mean(axis=0) >= 0.9, mean, np.nan)  # noqa: PLR2004
    return np.where(known, cost, usual)


def _mmlu_pro(data: Path, matrix: OutcomeMatrix, prompt_tokens: Floats) -> Floats:
    prices = _prices(data / "prices" / "litellm_prices_2024_11.parquet")

    def price(name: str) -> tuple[float, float]:
        listed = next((full for part, full in _LISTED.items() if part in name), name)
        if listed in prices:
            return prices[listed]
        sizes = re.findall(r"(\d+)[bB]\b", name)
        size = float(sizes[-1]) if sizes else _SIZE_B.get(name, np.nan)
        step = int(np.searchsorted(_LADDER, size))
        rung = f"together-ai-{_LADDER_NAMES[step]}" if step < len(_LADDER) else ""
        return prices.get(rung, (np.nan, np.nan))

    answer = np.nanmean(matrix.output_tokens, axis=0)
    return _by_price([price(name) for name in matrix.endpoints], prompt_tokens, answer)


def _routerdc7(_: Path, matrix: OutcomeMatrix, prompt_tokens: Floats) -> Floats:
    size = [_LLAMA_3_B if "llama" in name.casefold() else _MISTRAL_B for name in matrix.endpoints]
    prices = [(own * _USD_A_BILLION, own * _USD_A_BILLION) for own in size]
    return _by_price(prices, prompt_tokens, _ANSWER_TOKENS)


_COSTS: Final[Mapping[str, Callable[[Path, OutcomeMatrix, Floats], Floats]]] = {
    "llmrouter9": _llmrouter9,
    "bfcl_2024_08": _bfcl,
    "mmlu_pro": _mmlu_pro,
    "routerdc7": _routerdc7,
}


def _by_price(
    usd_per_mtok: Sequence[tuple[float, float]], prompt_tokens: Floats, answer_tokens: float | Floats
) -> Floats:
    price = np.array(usd_per_mtok)
    made: Floats = (prompt_tokens[:, None] * price[:, 0] + answer_tokens * price[:, 1]) / _MILLION
    return made


def _prices(path: Path, column: str | None = None, value: str = "") -> dict[str, tuple[float, float]]:
    """Model -> $ a million tokens in and out, of rows with this value."""
    texts = ("model",) if column is None else ("model", column)
    numbers = ("usd_per_mtok_in", "usd_per_mtok_out")
    rows = read_columns(path, texts=texts, numbers=numbers, optional=numbers)
    kept = np.full(len(rows["model"]), True) if column is None else rows[column] == value
    pairs = zip(rows["usd_per_mtok_in"][kept], rows["usd_per_mtok_out"][kept], strict=True)
    return dict(zip(rows["model"][kept].tolist(), ((float(a), float(b)) for a, b in pairs), strict=True))
