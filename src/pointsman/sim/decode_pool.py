"""The sequences of an engine that decode, as sums: what n further steps take costs the same for any n.

Each of them computes one token a step, so the sums move together: after s steps a sequence with c tokens of context has
c + s. It takes a new KV block in the step before which its context fills its last one. So c - s modulo the block's
size stays what it was, and counts of sequences by that number say how many blocks any further step takes.
"""

from __future__ import annotations

import heapq


class DecodePool:
    """Sequences that decode; `step` counts the engine's steps.

    Args:
        block_tokens: of a KV block.
    """

    def __init__(self, block_tokens: int) -> None:
        self._block_tokens = block_tokens
        self._phases = [0] * block_tokens
        self._ends: list[tuple[int, int]] = []
        self._end_of: dict[int, int] = {}
        self._offset = 0

    def __len__(self) -> int:
        return len(self._end_of)

    def context_tokens(self, step: int) -> int:
        """Of all together, before a step."""
        return self._offset + step * len(self._end_of)

    def add(self, number: int, context_tokens: int, left_tokens: int, step: int) -> None:
        """A sequence decodes from this step on, at least one token more."""
        self._offset += context_tokens - step
        self._phases[(context_tokens - step) % self._block_tokens] += 1
        self._end_of[number] = step + left_tokens
        heapq.heappush(self._ends, (step + left_tokens, number))

    def remove(self, number: int, context_tokens: int, step: int) -> int:
        """It decodes no longer; gives the tokens that it had left."""
        self._offset -= context_tokens - step
        self._phases[(context_tokens - step) % self._block_tokens] -= 1
        return self._end_of.pop(number) - step

    def left_tokens(self, number: int, step: int) -> int:
        """Tokens that a sequence has still to give."""
        return self._end_of[number] - step

    def next_end(self) -> int | None:
        """The step before which the first of them will have ended; None where nothing decodes."""
        while self._ends and self._end_of.get(self._ends[0][1]) != self._ends[0][0]:
            heapq.heappop(self._ends)
        return self._ends[0][0] if self._ends else None

    def ended(self, step: int) -> list[int]:
        """Numbers of those that have given their last token before this step, by number; they stay in the pool."""
        found = []
        while self.next_end() == step:
            found.append(heapq.heappop(self._ends)[1])
        return found

    def new_blocks(self, step: int, steps: int) -> int:
        """KV blocks that so many steps take from this one on."""
        rounds, rest = divmod(steps, self._block_tokens)
        size = self._block_tokens
        return rounds * len(self._end_of) + sum(self._phases[-(step + k) % size] for k in range(rest))

    def steps_within(self, free_blocks: int, step: int, most: int) -> int:
        """How many of the next `most` steps can be taken with so many blocks."""
        if not self._end_of or (most // self._block_tokens + 1) * len(self._end_of) <= free_blocks:
            return most
        size = self._block_tokens
        rounds = free_blocks // len(self._end_of)
        steps, free = rounds * size, free_blocks - rounds * len(self._end_of)
        while steps < most:
            free -= self._phases[-(step + steps) % size]
            if free < 0:
                return steps
            steps += 1
        return most
