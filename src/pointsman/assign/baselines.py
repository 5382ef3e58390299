"""What a policy must beat: always the same endpoint, a random one, the cheapest.

Each reads no more than it says, and scores every eligible endpoint, so that its choice explains itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import numpy as np

from pointsman.assign.lowest import cheapest, finite, lowest
from pointsman.errors import BadRequest
from pointsman.types import Assignment, Bools, CostTable, EndpointView, Request

_HASH_BYTES: Final = 7
_HASH_RANGE: Final = 2.0 ** (8 * _HASH_BYTES)


class SingleAssign:
    """Always one endpoint; where it can't run the request, the next one that can, in column order.

    The score is the distance in columns, going round after the last.

    Args:
        endpoint: its name.
    """

    name = "single"

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def assign(
        self, requests: Sequence[Request], table: CostTable, eligible: Bools, view: Sequence[EndpointView]
    ) -> Assignment:
        """Choose for R requests over E endpoints; see `AssignPolicy`.

        Raises: BadRequest if the table has no endpoint of that name.
        """
        del requests, view
        if self._endpoint not in table.endpoints:
            raise BadRequest(
                f"no endpoint is named {self._endpoint!r}",
                remedy=f"Choose one of {', '.join(table.endpoints)}",
                param="endpoint",
            )
        n = len(table.endpoints)
        distance = (np.arange(n, dtype=float) - table.endpoints.index(self._endpoint)) % n
        chosen, score = lowest(np.broadcast_to(distance, eligible.shape), eligible)
        reasons = tuple(
            f"always {self._endpoint}"
            if is_there
            else f"{self._endpoint} can't run it: the next endpoint that can"
            for is_there in (score == 0).any(axis=1).tolist()
        )
        return Assignment(chosen, score, reasons)


class RandomAssign:
    """An endpoint drawn by chance, the same for the same request and seed.

    Each pair of request and endpoint draws a number from its hash, and the lowest wins: an endpoint that
    goes away moves only the requests that it had, and neither batch nor column order matters.

    Args:
        seed: another seed, another draw.
    """

    name = "random"

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed

    def assign(
        self, requests: Sequence[Request], table: CostTable, eligible: Bools, view: Sequence[EndpointView]
    ) -> Assignment:
        """Choose for R requests over E endpoints; see `AssignPolicy`."""
        del view
        draws = np.array([[self._draw(r.id, name) for name in table.endpoints] for r in requests])
        chosen, score = lowest(draws, eligible)
        reasons = tuple(f"drawn by chance from {count} endpoints" for count in eligible.sum(axis=1).tolist())
        return Assignment(chosen, score, reasons)

    def _draw(self, request_id: str, endpoint: str) -> float:
        """In [0, 1)."""
        key = f"{self._seed}\0{request_id}\0{endpoint}".encode()
        return int.from_bytes(blake2b(key, digest_size=_HASH_BYTES).digest(), "big") / _HASH_RANGE


class CheapestAssign:
    """The lowest predicted price; ties go to the lower energy, then to the earlier column.

    The score is the price in dollars; one that is not finite counts as the largest number there is.
    """

    name = "cheapest"

    def assign(
        self, requests: Sequence[Request], table: CostTable, eligible: Bools, view: Sequence[EndpointView]
    ) -> Assignment:
        """Choose for R requests over E endpoints; see `AssignPolicy`."""
        del requests, view
        chosen, score = cheapest(finite(table.price_usd.value), table, eligible)
        reasons = tuple(
            f"lowest predicted price ${usd:.3g} of {count} endpoints"
            for usd, count in zip(score.min(axis=1).tolist(), eligible.sum(axis=1).tolist(), strict=True)
        )
        return Assignment(chosen, score, reasons)
