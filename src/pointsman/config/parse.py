"""From a tree to typed values: small parsers, and settings that name their parser and their default.

A parser takes a `Node` and gives its value, or raises `Refused` with every problem it found, so that a
section's problems are reported together. A section is a frozen dataclass whose fields are `setting`s:

    port: int = setting(8080, integer(0, 65535), "0 takes any free port")
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import field, fields
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit

from pointsman.config.problem import Problem, Refused, closest, listed
from pointsman.config.secret import Secret, mask_url
from pointsman.config.tree import Node

T = TypeVar("T")
A = TypeVar("A")
K = TypeVar("K")
Parser = Callable[[Node], T]

_NAME: Final = re.compile(r"[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?")
_MAX_NAME: Final = 256
_TRUTH: Final = MappingProxyType(
    {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
)


def setting(default: T, parse: Parser[T], doc: str) -> T:
    """A field of a section: its default, how it is read, and what it means."""
    return field(default=default, metadata={"parse": parse, "doc": doc})


def required(parse: Parser[T], doc: str) -> T:
    """A field that has no default."""
    return cast("T", field(metadata={"parse": parse, "doc": doc, "required": True}))


def section(cls: type[T], check: Callable[[T, Node], Iterable[Problem]] | None = None) -> Parser[T]:
    """Read a map into a dataclass of settings; unknown keys are refused, empty means all defaults.

    Args:
        cls: a dataclass made of `setting` and `required`.
        check: finds what is wrong between the values; asked only when each is right by itself.
    """
    settings = {f.name: f.metadata for f in fields(cast("Any", cls)) if "parse" in f.metadata}

    def parse(node: Node) -> T:
        if node.entries is None and not node.is_null:
            raise node.refused(f"{node.shown()} is not a map", f"It takes the keys {listed(settings)}")
        problems = [unknown_key(node, key, settings) for key, _ in node if key not in settings]
        values: dict[str, Any] = {}
        for name, metadata in settings.items():
            child = (node.entries or {}).get(name)
            if child is None:
                if metadata.get("required"):
                    problems.append(
                        node.problem(f"the key {name!r} is missing", f"Add it: {metadata['doc']}")
                    )
                continue
            values[name] = attempt(problems, metadata["parse"], child)
        if problems:
            raise Refused(problems)
        made = cls(**values)
        if found := tuple(check(made, node) if check else ()):
            raise Refused(found)
        return made

    return parse


def attempt(problems: list[Problem], parse: Callable[[A], T], source: A) -> T | None:
    """What `parse` makes of `source`; None if it is refused, and why is added to `problems`."""
    try:
        return parse(source)
    except Refused as refused:
        problems += refused.problems
        return None


def unknown_key(node: Node, key: str, known: Collection[str]) -> Problem:
    """The problem of a key that is not among `known`; its value is never shown."""
    guess = closest(key, known, cutoff=0.6)
    remedy = f"Did you mean {guess!r}?" if guess else f"Known here: {listed(known)}"
    return node.key_problem(key, "unknown key", remedy)


def text(node: Node) -> str:
    """A line of text, not empty; numbers and the like are taken as written."""
    if node.text is None or node.is_null:
        raise node.refused(f"{node.shown()} is not text", "Give a line of text")
    if not _NAME.fullmatch(node.text) or len(node.text) > _MAX_NAME:
        limit = f"1 to {_MAX_NAME} characters, without control characters or blanks at its ends"
        raise node.refused(f"{node.shown()} is no usable text", f"Give {limit}")
    return node.text


def flag(node: Node) -> bool:
    """Either true or false (also yes, no, on, off)."""
    value = _TRUTH.get((node.text or "").lower())
    if value is None:
        raise node.refused(f"{node.shown()} is neither true nor false", "Write true or false")
    return value


def secret(node: Node) -> Secret | None:
    """A credential: printable ASCII, since it travels in a header; None if empty. Never shown."""
    if node.text is None:
        raise node.refused(f"{node.shown()} is not text", "Give a line of text, best as os.environ/NAME")
    if node.is_null or not node.text:
        return None
    if not (node.text.isascii() and node.text.isprintable()):
        what = node.shown() if node.origin else "the value (not shown)"
        raise node.refused(f"{what} is no usable key", "Give printable ASCII; does it end with a line break?")
    return Secret(node.text, f"os.environ/{node.origin}" if node.origin else "")


def number(low: float = 0.0, high: float = math.inf, *, above: bool = False) -> Parser[float]:
    """A finite number from `low` (or above it) to `high`."""
    limit = f"{'above' if above else 'at least'} {low:g}" + (
        f" and at most {high:g}" if high < math.inf else ""
    )

    def parse(node: Node) -> float:
        value = _float(node)
        if value is None:
            raise node.refused(f"{node.shown()} is not a number", f"Give a number {limit}")
        if not math.isfinite(value):
            raise node.refused(f"{node.shown()} is not finite", f"Give a number {limit}")
        if value < low or value > high or (above and value == low):
            raise node.refused(f"{node.shown()} is out of range", f"Give a number {limit}")
        return value

    return parse


def integer(low: int, high: int = 2**53) -> Parser[int]:
    """A whole number from `low` to `high`."""
    limit = f"from {low} to {high}" if high < 2**53 else f"of at least {low}"

    def parse(node: Node) -> int:
        value = _float(node)
        if value is None or not value.is_integer():  # nan and inf are not integers either
            raise node.refused(f"{node.shown()} is not a whole number", f"Give one {limit}")
        if not low <= value <= high:
            raise node.refused(f"{node.shown()} is out of range", f"Give a whole number {limit}")
        return int(value)

    return parse


def _float(node: Node) -> float | None:
    if node.text is None or node.is_null:
        return None
    word = node.text.lower()
    if word.lstrip("+-") in {".inf", ".nan"}:
        word = word.replace(".", "")
    try:
        return float(word)
    except ValueError:
        return None


def one_of(choices: Collection[str]) -> Parser[str]:
    """One of some words."""

    def parse(node: Node) -> str:
        if node.text not in choices or node.is_null:
            guess = closest(node.text or "", choices, cutoff=0.6)
            hint = f"Did you mean {guess!r}? " if guess else ""
            raise node.refused(f"{node.shown()} is not known", f"{hint}Known: {listed(choices)}")
        return cast("str", node.text)

    return parse


def optional(parse: Parser[T]) -> Parser[T | None]:
    """`null` (or nothing) gives None."""
    return lambda node: None if node.is_null else parse(node)


def either(first: Parser[T], second: Parser[K]) -> Parser[T | K]:
    """What `first` takes if it can, else what `second` takes."""

    def parse(node: Node) -> T | K:
        return first(node) if _float(node) is not None else second(node)

    return parse


def many(parse: Parser[T], *, least: int = 0) -> Parser[tuple[T, ...]]:
    """A list; all faulty items are reported."""

    def parse_all(node: Node) -> tuple[T, ...]:
        if node.items is None and not node.is_null:
            raise node.refused(f"{node.shown()} is not a list", "Write one item a line, each after `- `")
        items = node.items or ()
        if len(items) < least:
            raise node.refused(f"a list of {len(items)}", f"Give at least {least}")
        problems: list[Problem] = []
        values = [attempt(problems, parse, item) for item in items]
        if problems:
            raise Refused(problems)
        return cast("tuple[T, ...]", tuple(values))

    return parse_all


def names(node: Node) -> tuple[str, ...]:
    """A list of texts, each once."""
    values = many(text)(node)
    for index, value in enumerate(values):
        if value in values[:index]:
            raise node.refused(f"{value!r} stands twice", "Remove one")
    return values


def shorthand(key: str, parse: Parser[T]) -> Parser[T]:
    """A plain value `x` stands for the map `{key: x}`."""

    def expand(node: Node) -> T:
        if node.text is None or node.is_null:
            return parse(node)
        return parse(Node(node.file, node.line, node.where, entries={key: node}, key_lines={key: node.line}))

    return expand


def keyed(parse: Callable[[str, Node], T]) -> Parser[tuple[T, ...]]:
    """A map with free keys; `parse` makes one value of a key and its node. All faulty entries are reported."""

    def parse_all(node: Node) -> tuple[T, ...]:
        if node.entries is None and not node.is_null:
            raise node.refused(f"{node.shown()} is not a map", "Write one `name: value` a line")
        problems: list[Problem] = []
        values = [attempt(problems, partial(parse, key), child) for key, child in node]
        if problems:
            raise Refused(problems)
        return cast("tuple[T, ...]", tuple(values))

    return parse_all


def path(node: Node) -> Path:
    """A path; a relative one starts from the configuration file's folder. Whether it exists is not asked."""
    value = Path(os.path.expanduser(text(node)))  # noqa: PTH111 - Path.expanduser raises on an unknown user
    return Path(os.path.abspath(node.file.parent / value))  # noqa: PTH100 - resolve() would follow links


def url(node: Node) -> str:
    """An http(s) address with a host, without a trailing slash or a fragment."""
    value = text(node)
    shown = node.shown() if node.origin else repr(mask_url(value))
    remedy = "Give an address such as http://127.0.0.1:8000/v1"
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise node.refused(f"{shown} is not an address", remedy) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0 or re.search(r"\s", value):
        raise node.refused(f"{shown} is not an http or https address", remedy)
    if parts.fragment:
        raise node.refused(f"{shown} has a fragment (#...)", remedy)
    return value.rstrip("/")
