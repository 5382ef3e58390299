"""Real time: the asyncio driver of `Scheduler.step`, used by the gateway and the command line."""

from pointsman.live.driver import LiveDriver
from pointsman.live.handle import Handle
from pointsman.live.parts import DecisionSink

__all__ = ["DecisionSink", "Handle", "LiveDriver"]
