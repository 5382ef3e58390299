"""Real time: the asyncio driver of `Scheduler.step`, used by the gateway and the command line."""

from pointsman.live.driver import DecisionSink, LiveDriver
from pointsman.live.handle import Handle

__all__ = ["DecisionSink", "Handle", "LiveDriver"]
