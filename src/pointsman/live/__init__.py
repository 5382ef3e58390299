"""Real time: the asyncio driver of `Scheduler.step`, used by the gateway and the command line."""

from pointsman.live.driver import LiveDriver
from pointsman.live.handle import Handle

__all__ = ["Handle", "LiveDriver"]
