"""Tells an assign policy with a state what the loop did, in the order of events.

What such a policy raises is told to the hooks and harms no request.
"""

from __future__ import annotations

from collections.abc import Sequence

from pointsman.assign.base import Adaptive, AssignPolicy
from pointsman.events import CapacityChanged, Command, Event, Finish, Labelled
from pointsman.hooks import Hooks
from pointsman.types import Decision, Request


class Adapting:
    """For a policy without a state its methods do nothing."""

    def __init__(self, assign: AssignPolicy, hooks: Hooks) -> None:
        self._policy = assign if isinstance(assign, Adaptive) else None
        self._name, self._hooks = assign.name, hooks

    def seen(self, event: Event) -> None:
        """An event that may change what endpoints can take, or says how good answers were."""
        if self._policy is None:
            return
        try:
            match event:
                case CapacityChanged():
                    self._policy.capacity_changed()
                case Labelled(labels):
                    self._policy.labelled(labels)
                case _:
                    pass
        except Exception as error:  # noqa: BLE001 - policies may be anyone's; the loop must go on
            self._hooks.policy_raised(self._name, error)

    def settled(self, request: Request, decision: Decision) -> None:
        """A decision was taken."""
        if self._policy is None:
            return
        try:
            self._policy.settled(request, decision)
        except Exception as error:  # noqa: BLE001 - as above
            self._hooks.policy_raised(self._name, error)

    def ended(self, commands: Sequence[Command]) -> None:
        """Requests end by these commands of a step."""
        if self._policy is None:
            return
        for command in commands:
            if isinstance(command, Finish):
                try:
                    self._policy.ended(command.outcome)
                except Exception as error:  # noqa: BLE001 - as above
                    self._hooks.policy_raised(self._name, error)
