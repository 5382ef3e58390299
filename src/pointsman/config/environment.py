"""Values written as `os.environ/NAME`, in LiteLLM's way: any plain value of a configuration may be one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, TypeVar

from pointsman.config.parse import Parser, attempt
from pointsman.config.problem import Problem
from pointsman.config.tree import Node

T = TypeVar("T")

PREFIX: Final = "os.environ/"


def attempt_resolved(
    problems: list[Problem], parse: Parser[T], node: Node, env: Mapping[str, str]
) -> T | None:
    """What `parse` makes of `node` with its variables filled in; None if it is refused.

    Why is added to `problems`: first each variable that is not set, then what is wrong with other values.
    """
    resolved = _resolved(node, env, problems)
    unset = {problem.where for problem in problems}
    found: list[Problem] = []
    made = attempt(found, parse, resolved)
    problems += [problem for problem in found if problem.where not in unset]
    return made


def _resolved(node: Node, env: Mapping[str, str], problems: list[Problem]) -> Node:
    if node.entries is not None:
        return replace(node, entries={key: _resolved(child, env, problems) for key, child in node})
    if node.items is not None:
        return replace(node, items=tuple(_resolved(item, env, problems) for item in node.items))
    if node.text is None or not node.text.startswith(PREFIX):
        return node
    name = node.text.removeprefix(PREFIX)
    value = env.get(name, "")
    if not value.strip():
        remedy = f"Export {name}, or remove this entry"
        problems.append(node.problem(f"the environment variable {name} is not set", remedy))
        return node
    return replace(node, text=value, is_null=False, origin=name)
