"""A request inside the simulated engine, and what the engine has."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan

from pointsman.errors import BadRequest
from pointsman.order.iteration import Claim, EngineSequence, Rank
from pointsman.sim.service import Service
from pointsman.sim.step_times import PS


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
class Held:
    """A request in the engine; its fields are those of `EngineSequence` where they have the same name.

    Attributes:
        came_s: when it was sent here.
        rank, until: hold in its present place, waiting or running, before the step `until`.
        first_ps, last_ps: its first token, and the last before a preemption; -1 before they came.
        token_step: the step before which it began to decode.
        gap_ps: the longest between two tokens, up to its last preemption.
        energy_j: while it runs, less what each had got when it began.
    """

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

    def claim(self, limits: EngineLimits) -> Claim:
        """What it claims of the next step."""
        holds = limits.blocks_of(self.context_tokens)
        if self.prefill_tokens:
            return Claim(self.number, self.running, self.prefill_tokens, holds if self.running else 0, holds)
        return Claim(self.number, True, 0, holds, limits.blocks_of(self.context_tokens + 1))

    def seen(self, limits: EngineLimits) -> EngineSequence:
        """As an order sees it."""
        claim = self.claim(limits)
        return EngineSequence(
            self.number, self.arrived_s, self.predicted_tokens, self.served_tokens, self.prefill_tokens,
            claim.blocks_held, claim.blocks_needed, self.running, self.since_step, self.waited_steps,
        )  # fmt: skip

    def service(self, now_ps: int) -> Service:
        """What it took, all told."""
        first_s, end_s = self.first_ps / PS, now_ps / PS
        return Service(
            duration_s=end_s - self.came_s,
            output_tokens=self.output_tokens,
            energy_j=self.energy_j,
            input_tokens=self.prompt_tokens,
            ttft_s=first_s - self.came_s,
            tpot_s=(end_s - first_s) / (self.output_tokens - 1) if self.output_tokens > 1 else nan,
            longest_gap_s=self.gap_ps / PS,
            preemptions=self.preemptions,
        )
