"""An engine with continuous batching in virtual time: chunked prefill, KV memory in blocks, preemption by recompute.

    start, stop -->  waiting (heap by rank)  --let in-->  prefill, in chunks  -->  decode pool  --> its end
                              ^--------------- preempted: its tokens are computed anew ---------'

Before every step `order.iteration` says who runs. Where only decodes run and nobody could be let in, nothing
changes until one ends, memory runs short, a rank changes or somebody comes: those steps are one *stretch*, taken at
once. Times are whole picoseconds, so a stretch ends exactly when its steps one by one would (property test).
A request that comes during a step is seen after it. Swapping out is not modelled, nor are shared prefixes.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from pointsman.order.iteration import EngineBudget, EngineSequence, IterationOrder, plan_ranked
from pointsman.sim.decode_pool import DecodePool
from pointsman.sim.engine_request import EngineLimits, Held, Lengths
from pointsman.sim.places import Places
from pointsman.sim.service import Service
from pointsman.sim.step_times import PS, StepTimes
from pointsman.sim.stretch import LongestSteps, Stretch, picoseconds
from pointsman.types import Request


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
        self._times, self._limits, self._lengths = times, limits, lengths
        self._preempts = order.preempts
        coefficients = (times.base_s, times.sequence_s, times.context_token_s, times.prefill_token_s)
        self._base, self._sequence, self._context, self._prefill = (round(c * PS) for c in coefficients)
        self._pool = DecodePool(limits.block_tokens)
        self._held: dict[str, Held] = {}
        self._places = Places(order, self._seen)
        self._chunks: list[tuple[Held, int]] = []
        self._leaving: list[Held] = []
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
        held = Held(
            self._came, request.id, arrived_s, now_s, prompt, output, lengths.predicted_tokens, prompt,
            self._step + steps,
        )  # fmt: skip
        self._came += 1
        self._held[held.id] = held
        self._places.wait(held)
        if len(self._places.running) < self._limits.slots or self._places.beats(held):
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
            self._places.forget(held)

    def __len__(self) -> int:
        """Requests that are here, waiting or running."""
        return len(self._places)

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
                self._end(self._places[number])
        for held in self._leaving:
            if held in self._places:
                self._release(held)
                self._places.forget(held)
        self._leaving.clear()

    def _first_token(self, held: Held) -> None:
        """Its prompt is computed, which gives a token: the first, or the next after a preemption."""
        del self._places.prefilling[held.number]
        held.served_tokens += 1
        if held.first_ps < 0:
            held.first_ps = self._now_ps
        else:
            held.gap_ps = max(held.gap_ps, self._now_ps - held.last_ps)
        held.token_step = held.since_step = self._step
        left = held.output_tokens - held.served_tokens
        self._pool.add(held.number, held.context_tokens, left, self._step)
        if left:
            self._places.rank_anew(held, self._step)
        else:
            self._end(held)

    def _end(self, held: Held) -> None:
        self._release(held)
        self._places.forget(held)
        if self._held.get(held.id) is held:  # else it was given up during its last step
            del self._held[held.id]
            self._ended.append((held.id, held.service(self._now_ps)))

    def _release(self, held: Held) -> None:
        """It gives slot and blocks back, and what it was served is counted."""
        if held.number not in self._places.prefilling:
            self._settle(held)
            self._pool.remove(held.number, held.context_tokens, self._step)
            held.gap_ps = max(held.gap_ps, self._longest.since(held.token_step))
            held.last_ps = self._now_ps
        self._free += self._limits.blocks_of(held.context_tokens)
        held.energy_j += self._joules_each
        self._places.stop(held)

    def _settle(self, held: Held) -> None:
        """Count the tokens that it got in the pool, if it is there."""
        if held.running and not held.prefill_tokens:
            held.served_tokens = held.output_tokens - self._pool.left_tokens(held.number, self._step)

    # Before a step

    def _plan(self) -> None:
        """Who runs from here on, and for how many steps nothing changes."""
        self._places.renew(self._step)
        self._chunks = []
        preempted = not self._let_in_beside() and self._plan_all()
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
        steps = int(min(end, self._places.next_change())) - self._step
        steps = self._pool.steps_within(self._free, self._step, steps)
        return Stretch(self._now_ps, steps, first_ps, self._context * decodes)

    def _let_in_beside(self) -> bool:
        """Go on with all that run, and let in who fits beside them; False, with nothing done, where that is not the plan."""
        free = self._free - self._pool.new_blocks(self._step, 1)
        if free < 0:
            return False
        left = self._limits.step_tokens - len(self._pool)
        chunks: list[tuple[Held, int]] = []
        for held in self._places.prefills():
            chunks.append((held, min(held.prefill_tokens, left)))
            left -= chunks[-1][1]
        coming: list[Held] = []
        while left > 0 and (head := self._places.first()) is not None:
            need = self._limits.blocks_of(head.context_tokens)
            if len(self._places.running) + len(coming) >= self._limits.slots or need > free:
                if self._places.beats(head):
                    self._places.put_back(coming)
                    return False
                break
            self._places.take_first()
            coming.append(head)
            chunks.append((head, min(head.prefill_tokens, left)))
            left -= chunks[-1][1]
            free -= need
        for held in coming:
            self._let_in(held)
        self._chunks = chunks
        return True

    def _plan_all(self) -> bool:
        """The plan over all; True if somebody was preempted."""
        budget = EngineBudget(self._limits.slots, self._limits.step_tokens, self._free)
        ranked = self._places.ranked(self._limits.slots)
        for held in ranked:
            self._settle(held)
        claims = [held.claim(self._limits) for held in ranked]
        chosen = plan_ranked(claims, budget, preempts=self._preempts)
        for number in chosen.preempt:
            held = self._places[number]
            self._release(held)
            held.preemptions += 1
            held.prefill_tokens = held.prompt_tokens + held.served_tokens
            held.since_step, held.waited_steps = self._step, 0
            self._places.wait(held)
        for number, tokens in chosen.run:
            held = self._places[number]
            if not held.running:
                self._let_in(held)
            if held.prefill_tokens:
                self._chunks.append((held, tokens))
        return bool(chosen.preempt)

    def _let_in(self, held: Held) -> None:
        """It gets a slot, and blocks for its whole prompt."""
        self._free -= self._limits.blocks_of(held.context_tokens)
        held.energy_j -= self._joules_each
        self._places.run(held, self._step)

    def _seen(self, held: Held) -> EngineSequence:
        """As an order sees it before this step."""
        self._settle(held)
        return held.seen(self._limits)
