"""YAML text as a tree that remembers where every value stands.

Only maps, lists and plain values are let through; anchors, aliases and merge keys are followed, since
LiteLLM files use them, but the tree they unfold to is bounded. A plain value keeps the text as written,
so that a model called `4` or `no` stays one and a price of `1e-6` is not lost (YAML 1.1 reads it as text).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import yaml

from pointsman.config.problem import ConfigProblems, Problem, Refused
from pointsman.config.secret import HIDDEN, is_secret_name, mask_text

MAX_BYTES: Final = 5 * 2**20
MAX_NODES: Final = 100_000
MAX_DEPTH: Final = 40
_SHOWN: Final = 60
_PLAIN_TAGS: Final = frozenset(
    f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str", "timestamp", "value")
)
_UNSAFE_REMEDY: Final = "Write plain values only; Pointsman reads maps, lists, text, numbers and true/false"


@dataclass(frozen=True, slots=True)
class Node:
    """A value with its place.

    Attributes:
        file, line: where it stands; `line` is 1-based (for an alias, that of the anchor).
        where: path of keys from the top.
        text: of a plain value, as written; None for a map or a list.
        is_null: a plain value that is empty or `null`.
        quoted: a plain value in quotes.
        items: of a list.
        entries: of a map, by key; `keys` has the key's own place.
        origin: the environment variable that `text` came from; such a text is never shown.
    """

    file: Path
    line: int
    where: str = ""
    text: str | None = None
    is_null: bool = False
    quoted: bool = False
    items: tuple[Node, ...] | None = None
    entries: dict[str, Node] | None = None
    key_lines: dict[str, int] | None = None
    origin: str = ""

    def problem(self, message: str, remedy: str = "") -> Problem:
        """A problem with this value."""
        return Problem(self.file, self.line, 0, self.where, message, remedy)

    def refused(self, message: str, remedy: str = "") -> Refused:
        """The same as an exception, for a parser to raise."""
        return Refused([self.problem(message, remedy)])

    def key_problem(self, key: str, message: str, remedy: str = "") -> Problem:
        """A problem with one of this map's keys."""
        line = (self.key_lines or {}).get(key, self.line)
        return Problem(self.file, line, 0, join(self.where, mask_text(key)), message, remedy)

    def shown(self) -> str:
        """The value for a message: shortened, and never a credential."""
        if self.origin:
            return f"the value of the environment variable {self.origin}"
        if self.entries is not None:
            return f"a map of {len(self.entries)} keys"
        if self.items is not None:
            return f"a list of {len(self.items)}"
        if self.is_null:
            return "nothing"
        if is_secret_name(self.where.rpartition(".")[2]):
            return HIDDEN
        text = mask_text(self.text or "")
        return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")

    def __iter__(self) -> Iterator[tuple[str, Node]]:
        return iter((self.entries or {}).items())


def join(where: str, key: str) -> str:
    """The path of a key inside `where`."""
    return f"{where}.{key}" if where else key


def read_tree(file: Path) -> Node:
    """Read a YAML file whose top is a map.

    Raises: ConfigProblems if it can't be read, is not UTF-8, is over `MAX_BYTES`, is empty, broken (with
        line and column), unfolds to over `MAX_NODES` values or `MAX_DEPTH` levels, repeats a key or uses tags.
    """
    root = _compose(file, _read_text(file))
    if root is None or root.tag == "tag:yaml.org,2002:null":
        raise _file_problem(file, "the file is empty", "Give at least one model: see examples/config.yaml")
    if not isinstance(root, yaml.MappingNode):
        found = "a list" if isinstance(root, yaml.SequenceNode) else "a plain value"
        raise _file_problem(
            file,
            f"the top of the file is {found}, not a map",
            "Begin with `model_list:` or `pointsman:`",
            line=1,
        )
    unfolding = _Unfolding(file)
    tree = unfolding.node(root, "", 1)
    if unfolding.problems:
        raise ConfigProblems(unfolding.problems)
    return tree


def _compose(file: Path, text: str) -> yaml.Node | None:
    try:
        loader = _Loader(text)
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise ConfigProblems([_broken(file, error)]) from None
    except yaml.YAMLError as error:
        message = f"not YAML: {mask_text(' '.join(str(error).split()))}"
        raise _file_problem(file, message, "Remove the control character") from None


class _Loader(yaml.SafeLoader):
    """Composes nodes, and stops before a hostile file costs more than it should."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.composed = 0
        self.depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """As the base class, counting values and levels."""
        self.composed += 1
        self.depth += 1
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        if self.composed > MAX_NODES:
            raise yaml.MarkedYAMLError(problem=f"over {MAX_NODES} values", problem_mark=mark)
        if self.depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"nested over {MAX_DEPTH} levels", problem_mark=mark)
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


class _Unfolding:
    """Turns composed nodes into a tree, following aliases and merge keys within bounds."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.count = 0
        self.problems: list[Problem] = []

    def node(self, source: yaml.Node, where: str, depth: int) -> Node:
        """The tree under `source`, which stands at `where`."""
        self.count += 1
        line = source.start_mark.line + 1
        if self.count > MAX_NODES:
            message = f"unfolds to over {MAX_NODES} values by its aliases"
            raise ConfigProblems([Problem(self.file, line, 0, where[:200], message, "Write the values out")])
        if depth > MAX_DEPTH:
            raise ConfigProblems([_too_deep(self.file, line)])
        place = Node(self.file, line, where)
        if isinstance(source, yaml.SequenceNode) and source.tag == "tag:yaml.org,2002:seq":
            items = (self.node(item, f"{where}[{i}]", depth + 1) for i, item in enumerate(source.value))
            return replace(place, items=tuple(items))
        if isinstance(source, yaml.MappingNode) and source.tag == "tag:yaml.org,2002:map":
            return self._map(source, place, depth)
        if isinstance(source, yaml.ScalarNode) and source.tag in _PLAIN_TAGS:
            is_null = source.tag == "tag:yaml.org,2002:null"
            return replace(place, text=source.value, is_null=is_null, quoted=source.style is not None)
        tag = mask_text(source.tag.replace("tag:yaml.org,2002:", "!!"))
        self.problems.append(place.problem(f"the tag {tag} is not supported", _UNSAFE_REMEDY))
        return replace(place, text="", is_null=True)

    def _map(self, source: yaml.MappingNode, place: Node, depth: int) -> Node:
        entries: dict[str, Node] = {}
        lines: dict[str, int] = {}
        merged: list[Node] = []
        for key_node, value_node in source.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == "tag:yaml.org,2002:merge":
                merged += self._merged(value_node, place, depth)
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(
                    replace(place, line=line).problem("a key is a list or a map", _UNSAFE_REMEDY)
                )
                continue
            key = key_node.value
            if key in entries:
                message = f"the key stands twice, first on line {lines[key]}"
                problem = Problem(
                    self.file, line, 0, join(place.where, mask_text(key)), message, "Remove one"
                )
                self.problems.append(problem)
            entries[key] = self.node(value_node, join(place.where, mask_text(key)), depth + 1)
            lines[key] = line
        for other in merged:
            for key, value in other:
                entries.setdefault(key, value)
                lines.setdefault(key, (other.key_lines or {}).get(key, other.line))
        return replace(place, entries=entries, key_lines=lines)

    def _merged(self, value_node: yaml.Node, place: Node, depth: int) -> list[Node]:
        """The maps that a merge key `<<` names, the first being the strongest."""
        sources = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
        found = []
        for source in sources:
            if isinstance(source, yaml.MappingNode):
                found.append(self.node(source, place.where, depth + 1))
            else:
                line = value_node.start_mark.line + 1
                problem = replace(place, line=line).problem(
                    "`<<` takes a map or a list of maps", "Name an anchor"
                )
                self.problems.append(problem)
        return found


def _read_text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise _file_problem(
            file, f"can't read the file: {reason}", "Check the path and its permissions"
        ) from None
    if len(data) > MAX_BYTES:
        raise _file_problem(
            file, f"over {MAX_BYTES // 2**20} MiB", "A configuration is a few kilobytes: wrong file?"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        message = f"not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}"
        raise _file_problem(file, message, "Save the file as UTF-8", line=line) from None


def _file_problem(file: Path, message: str, remedy: str, line: int = 0) -> ConfigProblems:
    return ConfigProblems([Problem(file, line, 0, "", message, remedy)])


def _too_deep(file: Path, line: int) -> Problem:
    return Problem(
        file, line, 0, "", f"nested over {MAX_DEPTH} levels", "Flatten it; does an anchor contain itself?"
    )


def _broken(file: Path, error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    what = " ".join(part for part in (error.context, error.problem) if part)
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    remedy = "Check the indentation (spaces, no tabs), quotes and colons there"
    return Problem(file, line, column, "", f"not YAML: {mask_text(what)}", remedy)
