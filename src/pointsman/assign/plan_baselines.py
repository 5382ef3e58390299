"""Plans that a plan by constraints must beat; each reads no more than it says, and none proves anything.

    cheapest          the least cost in each row
    best              the highest predicted quality in each row
    best_single       one column for all: the cheapest by mean that keeps the overall floor, else the best
    random, round_robin
    greedy            in order of arrival: the cheapest with the quality asked for and room left
    weighted          the least of normalised cost and lost quality, half and half
    threshold         two columns, RouteLLM's way: the strong one where it promises most above the weak one
    balance_aware     in order of arrival: the least loaded of those with the quality asked for
    length_first      S3-like: shortest first, each to the column that would be done with it soonest
    perception_only   the same by the length that each model, asked, says its own answer will have
    oracle            `lagrangian` on what really happened, given as another problem's cost and quality

Of balance_aware, length_first and perception_only the sources give the names, not how they choose: what
stands here is our reading. Nearest neighbours is a predictor (`KnnSettings.eccos`): it fills a problem's arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from pointsman.assign.lagrangian import lagrangian
from pointsman.assign.measured import measured
from pointsman.assign.plan import Plan
from pointsman.assign.prices import Layout
from pointsman.assign.problem import Ints, LimitKind, Problem, Values
from pointsman.errors import BadRequest
from pointsman.types import Bools, Floats


def cheapest(problem: Problem) -> Plan:
    """The least cost in each row."""
    return _plan(problem, "cheapest", _masked(problem, problem.cost).argmin(axis=1))


def best(problem: Problem) -> Plan:
    """The highest predicted quality in each row; of equals the first."""
    return _plan(problem, "best", _masked(problem, -problem.quality).argmin(axis=1))


def best_single(problem: Problem) -> Plan:
    """The cheapest column by mean that keeps the overall floor, else that of the highest mean quality.

    Rows that may not run there take their cheapest.
    """
    quality, cost = _mean(problem, problem.quality, -np.inf), _mean(problem, problem.cost)
    keeps = quality >= _asked(problem)
    column = int(np.where(keeps, cost, np.inf).argmin() if keeps.any() else quality.argmax())
    return _plan(problem, "best_single", _or_cheapest(problem, np.full(problem.shape[0], column)))


def random_plan(problem: Problem, seed: int = 0) -> Plan:
    """Any allowed column, each as likely."""
    draws = np.random.default_rng(seed).random(problem.shape, dtype=np.float32)
    return _plan(problem, "random", _masked(problem, draws).argmin(axis=1))


def round_robin(problem: Problem) -> Plan:
    """One column after the other; a row that may not run there takes its next."""
    rows, columns = problem.shape
    ahead = (np.arange(columns) - np.arange(rows)[:, np.newaxis]) % columns
    return _plan(problem, "round_robin", _masked(problem, ahead.astype(np.float32)).argmin(axis=1))


def greedy(problem: Problem) -> Plan:
    """In order of arrival the cheapest with the quality asked for and room; without one, the best with room."""
    cost, quality = _masked(problem, problem.cost), problem.quality

    def choose(row: int, room: Bools, _load: Floats) -> int:
        good = room & (quality[row] >= asked) & np.isfinite(cost[row])
        if good.any():
            return int(np.where(good, cost[row], np.inf).argmin())
        open_ = (
            np.isfinite(cost[row]) & room if (room & np.isfinite(cost[row])).any() else np.isfinite(cost[row])
        )
        return int(np.where(open_, quality[row], -np.inf).argmax())

    asked = _asked(problem)
    return _plan(problem, "greedy", _one_by_one(problem, choose, np.arange(problem.shape[0])))


def weighted(problem: Problem, quality_weight: float = 0.5) -> Plan:
    """The least of w (1 - quality) + (1 - w) cost, cost normalised over the row's allowed columns."""
    cost = _masked(problem, problem.cost)
    low = cost.min(axis=1, keepdims=True)
    high = np.max(cost, axis=1, keepdims=True, where=np.isfinite(cost), initial=0.0)
    normalised = (cost - low) / np.maximum(high - low, np.finfo(np.float32).tiny)
    score = quality_weight * (1.0 - problem.quality) + (1.0 - quality_weight) * normalised
    return _plan(problem, "weighted", np.where(np.isfinite(cost), score, np.inf).argmin(axis=1))


def threshold(problem: Problem) -> Plan:
    """RouteLLM's: the best and the cheapest column; the best where it adds most, as often as the floor asks.

    Quality is predicted; no limit but the overall floor is looked at.
    """
    rows = np.arange(problem.shape[0])
    weak = _or_cheapest(problem, np.full(len(rows), int(_mean(problem, problem.cost).argmin())))
    strong = _or_cheapest(problem, np.full(len(rows), int(_mean(problem, problem.quality, -np.inf).argmax())))
    gain = problem.quality[rows, strong].astype(np.float64) - problem.quality[rows, weak]
    order = np.argsort(-gain, kind="stable")
    base = float(problem.quality[rows, weak].sum(dtype=np.float64))
    enough = base + np.append(0.0, np.cumsum(gain[order])) >= _asked(problem) * len(rows)
    count = int(enough.argmax()) if enough.any() else int((gain > 0).sum())
    weak[order[:count]] = strong[order[:count]]
    return _plan(problem, "threshold", weak)


def balance_aware(problem: Problem) -> Plan:
    """In order of arrival the least loaded of the columns with the quality asked for, else of all."""
    allowed, quality = np.isfinite(_masked(problem, problem.cost)), problem.quality

    def choose(row: int, _room: Bools, load: Floats) -> int:
        good = allowed[row] & (quality[row] >= asked)
        return int(np.where(good if good.any() else allowed[row], load, np.inf).argmin())

    asked = _asked(problem)
    return _plan(problem, "balance_aware", _one_by_one(problem, choose, np.arange(problem.shape[0])))


def length_first(problem: Problem) -> Plan:
    """S3-like: rows by rising work, each to the allowed column that would be done with it soonest.

    Work is that of the first load limit that has one, else each row counts 1. What answers are worth and
    cost is not looked at.
    """
    work = next((load.use for load in problem.loads if load.use is not None), None)
    return _plan(problem, "length_first", _soonest_done(problem, work))


def perception_only(problem: Problem, said_tokens: Values) -> Plan:
    """As `length_first`, by the lengths that the models themselves foresee.

    Args:
        problem: its allowed pairs.
        said_tokens: what each model says its answer will take, shape (R, E), at least 0; NaN where it said
            no number (`as_said`).

    Raises: BadRequest where nothing was said.
    """
    return _plan(problem, "perception_only", _soonest_done(problem, as_said(said_tokens)))


def as_said(said_tokens: Values) -> Floats:
    """Lengths for all pairs, shape (R, E): where a model said none, its median, or that of all that was said.

    Raises: BadRequest where nothing was said.
    """
    if np.isnan(said_tokens).all():
        raise BadRequest("no model has said how long its answers are", remedy="Ask them, or use length_first")
    usual = np.nanmedian(said_tokens)
    medians = [usual if np.isnan(own).all() else np.nanmedian(own) for own in said_tokens.T]
    return np.where(np.isnan(said_tokens), np.array(medians, dtype=float), said_tokens)


def oracle(problem: Problem, cost: Values, quality: Values) -> Plan:
    """The plan of one who knows what each pair really costs and gives: the limits kept in truth.

    Args:
        problem: its limits and allowed pairs.
        cost: what really happened, shape (R, E).
        quality: shape (R, E).
    """
    return replace(lagrangian(replace(problem, cost=cost, quality=quality)), policy="oracle")


BASELINES: Final[Mapping[str, Callable[[Problem], Plan]]] = {
    "cheapest": cheapest,
    "best": best,
    "best_single": best_single,
    "random": random_plan,
    "round_robin": round_robin,
    "greedy": greedy,
    "weighted": weighted,
    "threshold": threshold,
    "balance_aware": balance_aware,
    "length_first": length_first,
}


def _plan(problem: Problem, name: str, choice: Ints) -> Plan:
    return measured(problem, Layout.of(problem), name, choice)


def _masked(problem: Problem, values: Values) -> Values:
    """Values with inf where a pair is forbidden; not copied where none is."""
    if problem.allowed is None:
        return values
    masked = values.copy()
    masked[~problem.allowed] = np.inf
    return masked


def _mean(problem: Problem, values: Values, never: float = np.inf) -> Floats:
    """The mean of each column over the rows that may run there; `never` where none may."""
    allowed = np.ones(problem.shape, dtype=bool) if problem.allowed is None else problem.allowed
    total = np.sum(values, axis=0, dtype=np.float64, where=allowed)
    count = allowed.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), never)


def _asked(problem: Problem) -> float:
    """The highest floor over all rows; 0 without one."""
    return max((float(floor.minimum.max()) for floor in problem.floors if floor.group is None), default=0.0)


def _or_cheapest(problem: Problem, choice: Ints) -> Ints:
    """The choice where it is allowed, else the row's cheapest."""
    if problem.allowed is None:
        return choice
    rows = np.arange(len(choice))
    return np.where(problem.allowed[rows, choice], choice, _masked(problem, problem.cost).argmin(axis=1))


def _soonest_done(problem: Problem, work: Values | None) -> Ints:
    """Rows by their least work, each to the allowed column with the least work in all; None: each row counts 1."""
    allowed = np.isfinite(_masked(problem, problem.cost))
    each = np.ones((1, problem.shape[1])) if work is None else work

    def choose(row: int, _room: Bools, load: Floats) -> int:
        return int(np.where(allowed[row], load + each[row % len(each)], np.inf).argmin())

    shortest = np.min(np.broadcast_to(each, problem.shape), axis=1, where=allowed, initial=np.inf)
    return _one_by_one(problem, choose, np.argsort(shortest, kind="stable"), work)


def _one_by_one(
    problem: Problem, choose: Callable[[int, Bools, Floats], int], order: Ints, work: Values | None = None
) -> Ints:
    """Rows in an order, each knowing which columns have room for one request more and what they hold.

    Args:
        problem: R requests on E endpoints.
        choose: from the row, the columns with room, shape (E,), and their load, shape (E,), a column.
        order: rows.
        work: what a pair adds to the load; 1 if None.
    """
    columns = problem.shape[1]
    room = np.full(columns, np.inf)
    for limit in problem.loads:
        if limit.kind is LimitKind.SHARE:
            room = np.minimum(room, np.append(limit.capacity, np.inf)[limit.pool])
    load, held = np.zeros(columns), np.zeros(columns)
    choice = np.zeros(problem.shape[0], dtype=np.int64)
    for row in order.tolist():
        column = choose(row, held + 1 <= room, load)
        choice[row] = column
        held[column] += 1
        load[column] += 1.0 if work is None else float(work[row, column])
    return choice
