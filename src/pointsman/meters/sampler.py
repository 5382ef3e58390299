"""A thread that looks at a device again and again, so that no reader has to wait for it."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread
from typing import Final

JOIN_S: Final = 5.0
"""How long `close` waits for a sample under way; the thread is a daemon and dies with the process."""


class Sampler:
    """Calls `sample` every `period_s` seconds until closed; the first call comes after one period.

    Args:
        sample: must catch what it expects to fail; anything else is a fault and ends the thread loudly.
        period_s: pause between two calls.
        name: of the thread.
    """

    def __init__(self, sample: Callable[[], None], period_s: float, name: str) -> None:
        self._sample = sample
        self._period_s = period_s
        self._stop = Event()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop calling. Safe to call again."""
        self._stop.set()
        self._thread.join(JOIN_S)

    def _run(self) -> None:
        while not self._stop.wait(self._period_s):
            self._sample()
