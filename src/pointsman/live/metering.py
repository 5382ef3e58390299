"""Joules of single requests, from meters that see whole devices."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pointsman.errors import origin
from pointsman.meters.share import EnergyShare

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Energy:
    """Joules of one request; None throughout where no meter is at hand."""

    joules: float | None = None
    modelled: bool | None = None
    meter: str | None = None


class EnergyShares:
    """The meter of each endpoint that has one; endpoints on one device share one `EnergyShare`.

    A meter that raises is used no more: from then on its endpoints have no energy, which is honest,
    and requests go on.

    Attributes:
        faults: `meter`: how many were given up.
    """

    def __init__(self, shares: Mapping[str, EnergyShare[str]]) -> None:
        self._shares = dict(shares)
        self.faults: Counter[str] = Counter()

    def start(self, request_id: str, endpoint: str) -> None:
        """A request begins to run on the endpoint."""
        share = self._shares.get(endpoint)
        if share is not None:
            try:
                share.start(request_id)
            except Exception as error:  # noqa: BLE001 - a meter's fault must not harm the request
                self._drop(share, error)

    def end(self, request_id: str, endpoint: str) -> Energy:
        """It stopped running, whatever became of it."""
        share = self._shares.get(endpoint)
        if share is None:
            return Energy()
        try:
            joules = share.end(request_id)
        except Exception as error:  # noqa: BLE001 - as above
            self._drop(share, error)
            return Energy()
        return Energy(joules, share.meter.modelled, share.meter.name)

    def _drop(self, share: EnergyShare[str], error: Exception) -> None:
        self.faults["meter"] += 1
        _log.error("meter %s raised %s and is not used any more", share.meter.name, origin(error))
        self._shares = {name: other for name, other in self._shares.items() if other is not share}
