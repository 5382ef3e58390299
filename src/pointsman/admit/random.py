"""Run a share of the requests by chance: what a policy that looks at them must beat."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from pointsman.types import Admission, Admit, Bools, CostTable, Request

_HASH_BYTES: Final = 7
_HASH_RANGE: Final = 2.0 ** (8 * _HASH_BYTES)


class RandomAdmit:
    """Runs a request if the number that its id draws is below `share`: the same id, the same draw.

    Args:
        share: of the requests that run, in [0, 1].
        seed: another seed, another draw.
    """

    name = "random"

    def __init__(self, share: float, seed: int = 0) -> None:
        self._share, self._seed = share, seed

    def admit(
        self, requests: Sequence[Request], table: CostTable, eligible: Bools, now: float
    ) -> Sequence[Admit]:
        """`run` or `skip` for each request; see `AdmitPolicy`."""
        del table, eligible, now
        return [self._one(self._draw(request.id)) for request in requests]

    def _one(self, draw: float) -> Admit:
        action, side = (Admission.RUN, "below") if draw < self._share else (Admission.SKIP, "not below")
        return Admit(action, f"its draw {draw:.3f} is {side} the share {self._share:g} of requests that run")

    def _draw(self, request_id: str) -> float:
        """In [0, 1)."""
        digest = blake2b(f"{self._seed}\0admit\0{request_id}".encode(), digest_size=_HASH_BYTES).digest()
        return int.from_bytes(digest, "big") / _HASH_RANGE
