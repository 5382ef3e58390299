"""The order inside an engine: who runs in the next step, and who is preempted for it.

An engine with continuous batching chooses anew before every step. `plan` is that choice as a pure function over plain
values, so that the simulator's engine and a scheduler class inside a real one share it.

    1. Candidates in order of rank: of an order that preempts all, of one that does not those that run, then the rest.
    2. Each takes a slot and the KV blocks that it needs after the step. Where blocks are short, those of the lowest
       rank that run give theirs back, if that is enough; who waits and finds none is passed by nobody who waits.
    3. Who runs and was not chosen is preempted. After a preemption for memory nobody else is let in.
    4. Tokens: one for each that decodes, then prompts of those that run, by rank, then of those let in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final, NamedTuple, Protocol

Rank = tuple[float, float, int]
"""(level, key, number): lower runs first."""

NEVER: Final = inf
"""The step in which a rank that holds for good changes."""


@dataclass(frozen=True, slots=True)
class EngineSequence:
    """A request inside an engine, before a step.

    Attributes:
        number: in order of arrival at the engine.
        arrived_s: when it arrived at the gateway, or at the engine where there is none; only differences count.
        predicted_tokens: of the whole answer; None where nothing is predicted.
        served_tokens: generated so far.
        prefill_tokens: still to compute before its next token; 0 while it decodes.
        blocks_held, blocks_needed: KV blocks now, and after the next step.
        running: it has a slot.
        since_step: the step before which it began to wait, to run, or, its prompt computed, to decode.
        waited_steps: how long it had waited when it began to run; 0 while it waits.
    """

    number: int
    arrived_s: float
    predicted_tokens: float | None
    served_tokens: int
    prefill_tokens: int
    blocks_held: int
    blocks_needed: int
    running: bool
    since_step: int
    waited_steps: int = 0


class Claim(NamedTuple):
    """What a sequence claims of a step: those attributes of `EngineSequence` that do not make its rank."""

    number: int
    running: bool
    prefill_tokens: int
    blocks_held: int
    blocks_needed: int


@dataclass(frozen=True, slots=True)
class EngineBudget:
    """What a step may use: slots in all, tokens in all (at least one a slot), and KV blocks that nobody holds."""

    slots: int
    tokens: int
    free_blocks: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One step: (number, tokens) of each that runs, those with 0 tokens keep their slot; numbers of the preempted."""

    run: tuple[tuple[int, int], ...]
    preempt: tuple[int, ...] = ()


class IterationOrder(Protocol):
    """By what rank sequences run.

    Attributes:
        name: for the command line and tables.
        bound: one sentence that says by what a sequence can be overtaken (invariant 4); a property test holds it.
        preempts: one that waits takes the slot of one that runs and has a higher rank.
    """

    name: str
    bound: str
    preempts: bool

    def rank(self, sequence: EngineSequence, step: int) -> tuple[float, float, float]:
        """(level, key, the step before which that changes if nothing else happens, or `NEVER`). Changes nothing."""
        ...


def rank_of(order: IterationOrder, sequence: EngineSequence, step: int) -> Rank:
    """The rank before a step; ties go by arrival."""
    level, key, _ = order.rank(sequence, step)
    return level, key, sequence.number


def plan(order: IterationOrder, sequences: Iterable[EngineSequence], budget: EngineBudget, step: int) -> Plan:
    """Choose who runs in this step. See the module. Changes nothing. Cost: O(n log n)."""
    ranked = sorted(sequences, key=lambda one: rank_of(order, one, step))
    claims = [
        Claim(one.number, one.running, one.prefill_tokens, one.blocks_held, one.blocks_needed)
        for one in ranked
    ]
    return plan_ranked(claims, budget, preempts=order.preempts)


def plan_ranked(ranked: Sequence[Claim], budget: EngineBudget, *, preempts: bool) -> Plan:
    """The same for sequences that are in the order of their ranks already. Changes nothing. Cost: O(n)."""
    holders = [one for one in ranked if one.running]
    waiting = [one for one in ranked if not one.running]
    candidates = ranked if preempts else holders + waiting
    chosen = _choose(candidates, holders, budget)
    stay = [one for one in holders if one.number in chosen]
    left = budget.tokens - sum(not one.prefill_tokens for one in stay)
    run: list[tuple[int, int]] = []
    for one in (*stay, *(one for one in waiting if one.number in chosen)):
        tokens = min(one.prefill_tokens, left)
        left -= tokens
        run.append((one.number, tokens if one.prefill_tokens else 1))
    return Plan(tuple(run), tuple(sorted(one.number for one in holders if one.number not in chosen)))


def _choose(candidates: Sequence[Claim], holders: Sequence[Claim], budget: EngineBudget) -> set[int]:
    """Numbers of those that get slot, blocks and tokens."""
    chosen: set[int] = set()
    behind = deque(holders)  # run, are not yet chosen, and rank below the candidate
    free = budget.free_blocks
    left = budget.tokens - sum((one.prefill_tokens or 1) for one in holders)
    closed, lost = False, set[int]()
    for one in candidates:
        if one.number in lost:
            continue
        if one.running:
            behind.popleft()
        if len(chosen) == budget.slots:
            break
        if not one.running and (closed or lost or left <= 0):
            continue
        need = one.blocks_needed - one.blocks_held
        if free < need <= free + sum(victim.blocks_held for victim in behind):
            while need > free:
                victim = behind.pop()
                lost.add(victim.number)
                free += victim.blocks_held
        if need > free:
            closed = True
            free += one.blocks_held
            continue
        free -= need
        chosen.add(one.number)
        left -= 0 if one.running else (one.prefill_tokens or 1)
    return chosen
