"""Orders inside an engine: by arrival, by predicted length, within a bound, by what was served already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pointsman.errors import BadRequest
from pointsman.order.iteration import NEVER, EngineSequence, IterationOrder

_UNKNOWN_TOKENS: Final = 1e9
"""Above every prediction: one without any runs after those that have one."""

THRESHOLD_STEPS: Final = 200
QUANTUM_STEPS: Final = 10
"""Those of "Efficient LLM Scheduling by Learning to Rank"."""


class FcfsIteration:
    """First come, first served: what engines do by themselves."""

    name = "fcfs"
    bound = "no sequence is let in before one that arrived at the engine earlier"
    preempts = False

    def rank(self, sequence: EngineSequence, step: int) -> tuple[float, float, float]:
        """All alike, so by arrival."""
        del sequence, step
        return 0.0, 0.0, NEVER


class RankedIteration:
    """The shortest predicted answer first; with the true length it is the oracle of shortest job first.

    Args:
        preempts: a shorter one takes the slot of a longer one that runs.
        threshold_steps: one that has waited so long is promoted before all that are not; None promotes none.
        quantum_steps: until it has got so many tokens, then it falls back. They count from where its prompt is
            computed: a preemption loses that, and who is preempted sooner would never get a token.
    """

    def __init__(
        self,
        *,
        preempts: bool = False,
        threshold_steps: int | None = None,
        quantum_steps: int = QUANTUM_STEPS,
    ) -> None:
        self.preempts = preempts or threshold_steps is not None
        self._threshold, self._quantum = threshold_steps, quantum_steps
        self.name = "ranked+preemption" if preempts else "ranked"
        self.bound = "none: a long one waits for as long as shorter ones keep coming; `bounded` limits that"
        if threshold_steps is not None:
            self.name = "ranked+promotion"
            self.bound = (
                f"one that has waited {threshold_steps} steps runs before all that have not, until it has got "
                f"{quantum_steps} tokens; of those the longest waiting goes first, and none is taken from its turn"
            )

    def rank(self, sequence: EngineSequence, step: int) -> tuple[float, float, float]:
        """By the prediction; promoted ones first, by how long they had waited."""
        known = sequence.predicted_tokens
        key = _UNKNOWN_TOKENS if known is None else min(known, _UNKNOWN_TOKENS)
        if self._threshold is None:
            return 0.0, key, NEVER
        since = sequence.since_step
        if not sequence.running:
            due = since + self._threshold
            return (-1.0, float(since), NEVER) if step >= due else (0.0, key, due)
        if sequence.waited_steps < self._threshold:
            return 0.0, key, NEVER
        if sequence.prefill_tokens:
            return -2.0, 0.0, NEVER
        return (-2.0, 0.0, since + self._quantum) if step < since + self._quantum else (0.0, key, NEVER)


class BoundedIteration:
    """Short answers first, within a bound: the static key arrival + stretch * min(predicted, cap).

    The proof is that of `order/bounded.py`, with tokens in place of seconds.

    Args:
        stretch_s: seconds of turn given up for each predicted token, at least 0.
        cap_tokens: the most that count, above 0. One without a prediction counts as that long.
    """

    name = "bounded"
    preempts = False

    def __init__(self, stretch_s: float, cap_tokens: float) -> None:
        self._stretch_s, self._cap = stretch_s, cap_tokens
        self.bound = (
            f"a sequence is let in after a later one only if that is predicted shorter and came within {stretch_s:g} s "
            f"times its own predicted tokens after it, at most {stretch_s * cap_tokens:g} s"
        )

    def rank(self, sequence: EngineSequence, step: int) -> tuple[float, float, float]:
        """Arrival, moved back by the predicted tokens."""
        del step
        known = sequence.predicted_tokens
        tokens = self._cap if known is None else min(known, self._cap)
        return 0.0, sequence.arrived_s + self._stretch_s * tokens, NEVER


class MlfqIteration:
    """Multi-level feedback: needs no prediction; what has been served more stands back.

    Args:
        quantum_tokens: of the first level, at least 1; each further level has twice that of the one before.
    """

    name = "mlfq"
    preempts = True

    def __init__(self, quantum_tokens: int) -> None:
        self._quantum = quantum_tokens
        self.bound = (
            f"a sequence waits only for those served less by a level (the first ends at {quantum_tokens} tokens, each "
            "further one is twice as long), and within its level for those that came earlier; none on the time"
        )

    def rank(self, sequence: EngineSequence, step: int) -> tuple[float, float, float]:
        """By level, then by arrival. While it decodes the level ends with its last token of it."""
        level = (sequence.served_tokens // self._quantum + 1).bit_length() - 1
        ends_tokens = self._quantum * (2 ** (level + 1) - 1)
        decodes = sequence.running and not sequence.prefill_tokens
        return float(level), 0.0, step + ends_tokens - sequence.served_tokens if decodes else NEVER


ITERATION_ORDERS: Final = ("fcfs", "ranked", "ranked+preemption", "ranked+promotion", "bounded", "mlfq")


@dataclass(frozen=True, slots=True)
class IterationSettings:
    """Settings of the orders above, which say what they mean."""

    stretch_s: float = 0.2
    cap_tokens: float = 4096.0
    threshold_steps: int = THRESHOLD_STEPS
    quantum_steps: int = QUANTUM_STEPS
    quantum_tokens: int = 32


def iteration_order(name: str, settings: IterationSettings) -> IterationOrder:
    """An order by its name. Raises: BadRequest for one that is not in `ITERATION_ORDERS`."""
    match name:
        case "fcfs":
            return FcfsIteration()
        case "ranked":
            return RankedIteration()
        case "ranked+preemption":
            return RankedIteration(preempts=True)
        case "ranked+promotion":
            return RankedIteration(
                threshold_steps=settings.threshold_steps, quantum_steps=settings.quantum_steps
            )
        case "bounded":
            return BoundedIteration(settings.stretch_s, settings.cap_tokens)
        case "mlfq":
            return MlfqIteration(settings.quantum_tokens)
    raise BadRequest(f"there is no order {name!r}", remedy=f"Choose among {', '.join(ITERATION_ORDERS)}")
