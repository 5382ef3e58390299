"""Who waits and who runs in a simulated engine, each by rank, and when ranks change.

Who waits is in a heap. An entry whose request runs, has left or was ranked anew is dead: it is dropped when it comes to
the top, or when dead ones are more than half.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Callable
from math import inf
from operator import attrgetter
from typing import Final

from pointsman.order.iteration import EngineSequence, IterationOrder, Rank
from pointsman.sim.engine_request import Held

_MIN_COMPACT: Final = 64
_BY_RANK: Final = attrgetter("rank")


class Places:
    """The requests of an engine by number and by rank.

    Args:
        order: ranks them.
        seen: a request as the order sees it now.
    """

    def __init__(self, order: IterationOrder, seen: Callable[[Held], EngineSequence]) -> None:
        self._order, self._seen = order, seen
        self._of_number: dict[int, Held] = {}
        self._waiting: list[Rank] = []
        self._changes: list[tuple[float, int]] = []
        self.running: list[Rank] = []
        self.prefilling: dict[int, Held] = {}

    def __len__(self) -> int:
        return len(self._of_number)

    def __getitem__(self, number: int) -> Held:
        return self._of_number[number]

    def __contains__(self, held: Held) -> bool:
        return held.number in self._of_number

    def wait(self, held: Held) -> None:
        """It waits, new or preempted, since its `since_step`."""
        self._of_number[held.number] = held
        self._set_rank(held, held.since_step)
        self._push(held.rank)

    def run(self, held: Held, step: int) -> None:
        """It gets a slot before this step."""
        held.running = True
        held.waited_steps, held.since_step = step - held.since_step, step
        self.prefilling[held.number] = held
        self._set_rank(held, step)
        insort(self.running, held.rank)

    def stop(self, held: Held) -> None:
        """It gives its slot back."""
        self.running.remove(held.rank)
        self.prefilling.pop(held.number, None)
        held.running = False

    def forget(self, held: Held) -> None:
        """It leaves."""
        del self._of_number[held.number]

    def prefills(self) -> list[Held]:
        """Those that run and have no token yet, by rank."""
        return sorted(self.prefilling.values(), key=_BY_RANK) if self.prefilling else []

    def rank_anew(self, held: Held, step: int) -> None:
        """Its rank may have changed."""
        if held.running:
            self.running.remove(held.rank)
        self._set_rank(held, step)
        if held.running:
            insort(self.running, held.rank)
        else:
            self._push(held.rank)

    def renew(self, step: int) -> None:
        """Rank anew those whose rank ends before this step."""
        while self._changes:
            until, number = self._changes[0]
            held = self._of_number.get(number)
            if held is not None and held.until == until:
                if until > step:
                    return
                heapq.heappop(self._changes)
                self.rank_anew(held, step)
            else:
                heapq.heappop(self._changes)

    def next_change(self) -> float:
        """The step before which a rank may change; inf for none."""
        return self._changes[0][0] if self._changes else inf

    def first(self) -> Held | None:
        """Who waits with the lowest rank."""
        while self._waiting:
            if self._waits_at(self._waiting[0]):
                return self._of_number[self._waiting[0][2]]
            heapq.heappop(self._waiting)
        return None

    def take_first(self) -> None:
        """Who waits with the lowest rank is let in: `run` or `put_back` must follow."""
        self._of_number[heapq.heappop(self._waiting)[2]].running = True

    def put_back(self, taken: list[Held]) -> None:
        """They wait on after all."""
        for held in taken:
            held.running = False
            self._push(held.rank)

    def beats(self, held: Held) -> bool:
        """It waits, and would take the place of one that runs."""
        return self._order.preempts and bool(self.running) and held.rank < self.running[-1]

    def ranked(self, slots: int) -> list[Held]:
        """By rank: who runs, who beats one that runs, and as many more as there are free slots; nobody else comes in."""
        free = slots - len(self.running)
        taken: list[Held] = []
        while len(taken) < slots and (head := self.first()) is not None:
            free -= not self.beats(head)
            if free < 0:
                break
            self.take_first()
            taken.append(head)
        self.put_back(taken)
        return sorted([*(self._of_number[rank[2]] for rank in self.running), *taken], key=_BY_RANK)

    def _set_rank(self, held: Held, step: int) -> None:
        level, key, until = self._order.rank(self._seen(held), step)
        held.rank, held.until = (level, key, held.number), until
        if until < inf:
            heapq.heappush(self._changes, (until, held.number))

    def _push(self, rank: Rank) -> None:
        heapq.heappush(self._waiting, rank)
        if len(self._waiting) > 2 * len(self._of_number) + _MIN_COMPACT:
            self._waiting = [found for found in set(self._waiting) if self._waits_at(found)]
            heapq.heapify(self._waiting)

    def _waits_at(self, rank: Rank) -> bool:
        """Somebody waits with this rank."""
        held = self._of_number.get(rank[2])
        return held is not None and not held.running and held.rank == rank
