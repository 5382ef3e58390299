"""An engine with continuous batching in virtual time: chunked prefill, KV memory in blocks, preemption by recompute.

    start, stop -->  waiting (heap by rank)  --let in-->  prefill, in chunks  -->  decode pool  --> its end
                              ^--------------- preempted: its tokens are computed anew ---------'

Before every step `order.iteration` says who runs. Where only decodes run and nobody could be let in, nothing
changes until one ends, memory runs short, a rank changes or somebody comes: those steps are one *stretch*, taken at
once. Times are whole picoseconds, so a stretch ends exactly when its steps one by one would (property test).
A request that comes during a step is seen after it. Swapping out is not modelled, nor are shared prefixes.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass
from math import inf, nan
from operator import attrgetter

from pointsman.errors import BadRequest
from pointsman.order.iteration import (
    Claim,
    EngineBudget,
    EngineSequence,
    IterationOrder,
    Rank,
    plan_ranked,
)
from pointsman.sim.decode_pool import DecodePool
from pointsman.sim.service import Service
from pointsman.sim.step_times import PS, StepTimes
from pointsman.sim.stretch import LongestSteps, Stretch, picoseconds
from pointsman.types import Request


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """What an engine has: slots, tokens a step, KV blocks and their size.

    Raises: BadRequest where one is below 1, or a step has fewer tokens than slots.
    """

    slots: int
    step_tokens: int = 2048
    blocks: int = 1_000_000
    block_tokens: int = 16

    def __post_init__(self) -> None:
        least = min(self.slots, self.blocks, self.block_tokens)
        if least < 1 or self.step_tokens < self.slots:
            raise BadRequest(
                f"an engine can't have {self.slots} slots, {self.step_tokens} tokens a step and {self.blocks} blocks of {self.block_tokens}",
                remedy="Give at least 1 of each, and at least as many tokens a step as slots",
            )

    def blocks_of(self, tokens: int) -> int:
        """Blocks that so many tokens take."""
        return -(-tokens // self.block_tokens)


@dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens of a request: of its prompt, of its answer, and what is predicted of that, None for nothing."""

    prompt_tokens: int
    output_tokens: int
    predicted_tokens: float | None = None


@dataclass(slots=True)
class _Held:
    """A request in the engine. `rank` and `until` hold in its present place, waiting or running."""

    number: int
    id: str
    arrived_s: float
    came_s: float
    prompt_tokens: int
    output_tokens: int
    predicted_tokens: float | None
    prefill_tokens: int
    since_step: int
    served_tokens: int = 0
    running: bool = False
    waited_steps: int = 0
    rank: Rank = (0.0, 0.0, 0)
    until: float = inf
    first_ps: int = -1
    last_ps: int = -1
    token_step: int = -1
    gap_ps: int = 0
    energy_j: float = 0.0
    preemptions: int = 0

    @property
    def context_tokens(self) -> int:
        """That it holds while it decodes, or will once its prompt is computed."""
        return self.prompt_tokens + self.served_tokens + (1 if self.prefill_tokens else 0)


_BY_RANK = attrgetter("rank")


class SimulatedEngine:
    """See the module.

    Args:
        times: of its steps.
        limits: its slots and memory.
        order: by which sequences are let in and preempted.
        lengths: of a request; what it says of the answer is the truth that the engine reveals token by token.
    """

    def __init__(
        self,
        times: StepTimes,
        limits: EngineLimits,
        order: IterationOrder,
        lengths: Callable[[Request], Lengths],
    ) -> None:
        self._times, self._limits, self._order, self._lengths = times, limits, order, lengths
        coefficients = (times.base_s, times.sequence_s, times.context_token_s, times.prefill_token_s)
        self._base, self._sequence, self._context, self._prefill = (round(c * PS) for c in coefficients)
        self._pool = DecodePool(limits.block_tokens)
        self._held: dict[str, _Held] = {}
        self._of_number: dict[int, _Held] = {}
        self._waiting: list[Rank] = []
        self._running: list[Rank] = []
        self._prefilling: dict[int, _Held] = {}
        self._changes: list[tuple[float, int]] = []
        self._chunks: list[tuple[_Held, int]] = []
        self._leaving: list[_Held] = []
        self._ended: list[tuple[str, Service]] = []
        self._stretch: Stretch | None = None
        self._longest = LongestSteps()
        self._free = limits.blocks
        self._step = self._came = 0
        self._joules_each = 0.0
        self._in_step = 0
        self._now_ps = 0

    # What a driver calls

    def due_s(self) -> float:
        """When `advance` has something to do; inf while nothing is here."""
        if self._ended:
            return -inf
        return self._stretch.end_s() if self._stretch else inf

    def start(self, request: Request, arrived_s: float, now_s: float) -> None:
        """A request comes; one whose context never fits into memory fails at once."""
        lengths = self._lengths(request)
        output = max(1, lengths.output_tokens)
        if request.max_tokens is not None:
            output = max(1, min(output, request.max_tokens))
        prompt = max(1, lengths.prompt_tokens)
        if self._limits.blocks_of(prompt + output) > self._limits.blocks:
            self._ended.append((request.id, Service(0.0, 0, 0.0, fails=True, input_tokens=prompt)))
            return
        if self._stretch is None:
            self._now_ps = picoseconds(now_s)
            self._stretch = Stretch(self._now_ps, 0, 0, 0)
        steps = self._stretch.steps_until(now_s)
        held = _Held(
            self._came, request.id, arrived_s, now_s, prompt, output, lengths.predicted_tokens, prompt,
            self._step + steps,
        )  # fmt: skip
        self._came += 1
        self._held[held.id] = self._of_number[held.number] = held
        self._wait(held)
        if len(self._running) < self._limits.slots or self._beats(held.rank):
            self._stretch.cut(steps)
        elif held.until < self._step + self._stretch.steps:
            self._stretch.cut(int(held.until) - self._step)

    def stop(self, request_id: str, now_s: float) -> None:
        """A request is given up; what it holds is free after the present step."""
        held = self._held.pop(request_id, None)
        if held is None:
            return
        assert self._stretch is not None
        if held.running:
            self._leaving.append(held)
            self._stretch.cut(self._stretch.steps_until(now_s))
        else:
            self._forget(held)

    def advance(self, now_s: float) -> list[tuple[str, Service]]:
        """Take the steps that end by now; gives the requests that have ended, with what they took."""
        if self._stretch is not None and self._stretch.end_s() <= now_s:
            self._take(self._stretch)
            self._plan()
        ended, self._ended = self._ended, []
        return ended

    # Steps

    def _take(self, stretch: Stretch) -> None:
        """The steps of a stretch are done."""
        steps = stretch.steps
        if steps:
            self._now_ps = stretch.end_ps()
            self._free -= self._pool.new_blocks(self._step, steps)
            self._step += steps
            self._longest.add(self._step, stretch.longest_ps())
            if self._times.power_w:
                seconds = (self._now_ps - stretch.start_ps) / PS
                self._joules_each += self._times.power_w * seconds / self._in_step
            for held, tokens in self._chunks:
                held.prefill_tokens -= tokens
                if not held.prefill_tokens:
                    self._first_token(held)
            for number in self._pool.ended(self._step):
                self._end(self._of_number[number])
        for held in self._leaving:
            if held.number in self._of_number:
                self._release(held)
                self._forget(held)
        self._leaving.clear()

    def _first_token(self, held: _Held) -> None:
        """Its prompt is computed, which gives a token: the first, or the next after a preemption."""
        del self._prefilling[held.number]
        held.served_tokens += 1
        if held.first_ps < 0:
            held.first_ps = self._now_ps
        else:
            held.gap_ps = max(held.gap_ps, self._now_ps - held.last_ps)
        held.token_step = held.since_step = self._step
        left = held.output_tokens - held.served_tokens
        self._pool.add(held.number, held.context_tokens, left, self._step)
        if left:
            self._rank_anew(held)
        else:
            self._end(held)

    def _end(self, held: _Held) -> None:
        self._release(held)
        self._forget(held)
        if self._held.pop(held.id, None) is None:
            return  # it was given up during its last step
        first_s, end_s = held.first_ps / PS, self._now_ps / PS
        tpot_s = (end_s - first_s) / (held.output_tokens - 1) if held.output_tokens > 1 else nan
        service = Service(
            duration_s=end_s - held.came_s,
            output_tokens=held.output_tokens,
            energy_j=held.energy_j,
            input_tokens=held.prompt_tokens,
            ttft_s=first_s - held.came_s,
            tpot_s=tpot_s,
            longest_gap_s=held.gap_ps / PS,
            preemptions=held.preemptions,
        )
        self._ended.append((held.id, service))

    def _release(self, held: _Held) -> None:
        """It gives slot and blocks back, and what it was served is counted."""
        self._running.remove(held.rank)
        if held.number in self._prefilling:
            del self._prefilling[held.number]
        else:
            self._settle(held)
            self._pool.remove(held.number, held.context_tokens, self._step)
            held.gap_ps = max(held.gap_ps, self._longest.since(held.token_step))
            held.last_ps = self._now_ps
        self._free += self._limits.blocks_of(held.context_tokens)
        held.energy_j += self._joules_each
        held.running = False

    def _forget(self, held: _Held) -> None:
        del self._of_number[held.number]

    def _settle(self, held: _Held) -> None:
        """Count the tokens that it got in the pool."""
        held.served_tokens = held.output_tokens - self._pool.left_tokens(held.number, self._step)

    # Before a step

    def _plan(self) -> None:
        """Who runs from here on, and for how many steps nothing changes."""
        self._renew_ranks()
        preempted = False
        self._chunks = []
        if not self._let_in_beside():
            preempted = self._plan_all()
        self._stretch = self._next_stretch(once=preempted)

    def _next_stretch(self, *, once: bool) -> Stretch | None:
        decodes = len(self._pool)
        chunks = [tokens for _, tokens in self._chunks if tokens]
        self._in_step = decodes + len(chunks)
        if not self._in_step:
            self._longest.clear()
            return None
        context = self._pool.context_tokens(self._step)
        first_ps = self._base + self._sequence * self._in_step + self._context * context
        end = self._pool.next_end()
        if chunks or once or end is None:
            return Stretch(self._now_ps, 1, first_ps + self._prefill * sum(chunks), 0)
        steps = end - self._step
        if self._changes:
            steps = min(steps, int(self._changes[0][0]) - self._step)
        steps = self._pool.steps_within(self._free, self._step, steps)
        return Stretch(self._now_ps, steps, first_ps, self._context * decodes)

    def _let_in_beside(self) -> bool:
        """Go on with all that run, and let in who fits beside them; False, with nothing done, where that is not the plan."""
        free = self._free - self._pool.new_blocks(self._step, 1)
        if free < 0:
            return False
        left = self._limits.step_tokens - len(self._pool)
        chunks: list[tuple[_Held, int]] = []
        for held in self._prefills():
            chunks.append((held, min(held.prefill_tokens, left)))
            left -= chunks[-1][1]
        coming: list[_Held] = []
        while left > 0 and (head := self._first_waiting()) is not None:
            need = self._limits.blocks_of(head.context_tokens)
            if len(self._running) + len(coming) >= self._limits.slots or need > free:
                if self._beats(head.rank):
                    self._put_back(coming)
                    return False
                break
            heapq.heappop(self._waiting)
            head.running = True
            coming.append(head)
            chunks.append((head, min(head.prefill_tokens, left)))
            left -= chunks[-1][1]
            free -= need
        for held in coming:
            self._run(held)
        self._chunks = chunks
        return True

    def _put_back(self, coming: list[_Held]) -> None:
        for held in coming:
            held.running = False
            heapq.heappush(self._waiting, held.rank)

    def _prefills(self) -> list[_Held]:
        """Those that run and have no token yet, by rank."""
        return sorted(self._prefilling.values(), key=_BY_RANK) if self._prefilling else []

    def _plan_all(self) -> bool:
        """The plan over all; True if somebody was preempted."""
        budget = EngineBudget(self._limits.slots, self._limits.step_tokens, self._free)
        ranks = sorted((*self._running, *self._could_come()))
        claims = [self._claim(self._of_number[rank[2]]) for rank in ranks]
        chosen = plan_ranked(claims, budget, preempts=self._order.preempts)
        for number in chosen.preempt:
            held = self._of_number[number]
            self._release(held)
            held.preemptions += 1
            held.prefill_tokens = held.prompt_tokens + held.served_tokens
            held.since_step, held.waited_steps = self._step, 0
            self._wait(held)
        for number, tokens in chosen.run:
            held = self._of_number[number]
            if not held.running:
                self._run(held)
            if held.prefill_tokens:
                self._chunks.append((held, tokens))
        return bool(chosen.preempt)

    def _could_come(self) -> list[Rank]:
        """The ranks that wait and could be let in: who beats one that runs, and as many more as there are free slots."""
        free = self._limits.slots - len(self._running)
        found: list[Rank] = []
        while len(found) < self._limits.slots and (head := self._first_waiting()) is not None:
            free -= not self._beats(head.rank)
            if free < 0:
                break
            found.append(heapq.heappop(self._waiting))
            head.running = True  # so that a second entry of the same rank is passed by
        for rank in found:
            self._of_number[rank[2]].running = False
            heapq.heappush(self._waiting, rank)
        return found

    def _claim(self, held: _Held) -> Claim:
        if held.running and not held.prefill_tokens:
            self._settle(held)
        holds = self._limits.blocks_of(held.context_tokens)
        if held.prefill_tokens:
            return Claim(held.number, held.running, held.prefill_tokens, holds if held.running else 0, holds)
        return Claim(held.number, True, 0, holds, self._limits.blocks_of(held.context_tokens + 1))

    def _seen(self, held: _Held) -> EngineSequence:
        """As an order sees it before this step."""
        claim = self._claim(held)
        return EngineSequence(
            held.number, held.arrived_s, held.predicted_tokens, held.served_tokens, held.prefill_tokens,
            claim.blocks_held, claim.blocks_needed, held.running, held.since_step, held.waited_steps,
        )  # fmt: skip

    # Places

    def _wait(self, held: _Held) -> None:
        """It waits, at the place of its rank."""
        self._set_rank(held, held.since_step)
        heapq.heappush(self._waiting, held.rank)

    def _run(self, held: _Held) -> None:
        """It gets a slot, and blocks for its whole prompt."""
        held.running = True
        held.waited_steps = self._step - held.since_step
        held.since_step = self._step
        self._free -= self._limits.blocks_of(held.context_tokens)
        held.energy_j -= self._joules_each
        self._prefilling[held.number] = held
        self._set_rank(held, self._step)
        insort(self._running, held.rank)

    def _set_rank(self, held: _Held, step: int) -> None:
        level, key, until = self._order.rank(self._seen(held), step)
        held.rank, held.until = (level, key, held.number), until
        if until < inf:
            heapq.heappush(self._changes, (until, held.number))

    def _rank_anew(self, held: _Held) -> None:
        """Its rank may have changed."""
        if held.running:
            self._running.remove(held.rank)
            self._set_rank(held, self._step)
            insort(self._running, held.rank)
        else:
            self._set_rank(held, self._step)
            heapq.heappush(self._waiting, held.rank)

    def _renew_ranks(self) -> None:
        """Ranks that end before this step, and those that nobody has any more."""
        while self._changes:
            until, number = self._changes[0]
            held = self._of_number.get(number)
            current = held is not None and held.until == until
            if current and until > self._step:
                return
            heapq.heappop(self._changes)
            if current and held is not None:
                self._rank_anew(held)

    def _first_waiting(self) -> _Held | None:
        """The lowest rank that waits."""
        while self._waiting:
            if self._waits_at(self._waiting[0]):
                return self._of_number[self._waiting[0][2]]
            heapq.heappop(self._waiting)
        return None

    def _waits_at(self, rank: Rank) -> bool:
        """Somebody waits with this rank; else it is of one that ran, left or was ranked anew."""
        held = self._of_number.get(rank[2])
        return held is not None and not held.running and held.rank == rank

    def _beats(self, rank: Rank) -> bool:
        """One that waits with this rank would take the place of one that runs."""
        return self._order.preempts and bool(self._running) and rank < self._running[-1]
