"""A configuration file into a `Config`, or all that is wrong with it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Final

from pointsman.config import litellm_keys as litellm
from pointsman.config.environment import attempt_resolved
from pointsman.config.models import read_models
from pointsman.config.parse import attempt, section, unknown_key
from pointsman.config.problem import ConfigProblems, Problem, closest, listed
from pointsman.config.schema import NAMED_PARTS, Config, NamedPart, Settings, check_settings
from pointsman.config.tree import Node, join, read_tree

_OURS: Final = ("model_list", "pointsman")
_EXTENSION: Final = "x-"
"""Begins a top-level key that nobody reads: a place for anchors."""


def load_config(
    path: Path, env: Mapping[str, str], *, plugins: Mapping[str, Collection[str]] | None = None
) -> Config:
    """Read and check a configuration file. Opens nothing else and contacts nobody.

    Args:
        path: a YAML file with LiteLLM's `model_list`, our section `pointsman`, or both.
        env: the environment, for `os.environ/NAME`; the file's `environment_variables` fill its gaps.
        plugins: names that plugins add, by stage: `admit`, `assign`, `order`, `predict`, `meter`, `engine`, `grade`.

    Raises: ConfigProblems (a ConfigError) with every problem found, each with file, line, value and remedy.
    """
    root = read_tree(path)
    problems = list(_unknown_sections(root))
    nothing = Node(path, 1, is_null=True)
    parts = dict(root)
    ours = parts.get("pointsman", nothing)
    problems += _unknown_names(ours, plugins or {})
    known = {**_file_env(parts), **{name: value for name, value in env.items() if value.strip()}}
    settings = attempt_resolved(problems, section(Settings, check_settings), ours, known)
    timeouts = (settings or Settings()).timeouts
    models = parts.get("model_list", nothing)
    read = attempt(problems, lambda node: read_models(node, known, timeouts), models)
    if problems or settings is None or read is None:
        raise ConfigProblems(problems)
    endpoints, warnings = read
    config = Config(
        **{field.name: getattr(settings, field.name) for field in fields(Settings)},
        endpoints=endpoints,
        warnings=tuple(sorted([*_unused_sections(root), *warnings, *_missing_files(settings, ours)])),
        file=path,
    )
    if found := tuple(_between(config, root)):
        raise ConfigProblems(found)
    return config


def _unknown_sections(root: Node) -> Iterator[Problem]:
    for key, _ in root:
        if key not in _OURS and key not in litellm.SECTIONS and not key.startswith(_EXTENSION):
            ours = closest(key, _fields(Settings), cutoff=0.9)
            if ours is None:
                yield unknown_key(root, key, (*_OURS, *litellm.SECTIONS))
            else:
                yield root.key_problem(
                    key, "stands at the top of the file", f"Move it into `pointsman:`, as `{ours}:`"
                )


def _unknown_names(ours: Node, plugins: Mapping[str, Collection[str]]) -> Iterator[Problem]:
    """Names of parts that nobody has; asked of the tree, so that they are reported beside other problems."""
    for named in NAMED_PARTS:
        node: Node | None = ours
        for key in named.path:
            node = (node.entries or {}).get(key) if node is not None else None
        known = (*named.built_in, *plugins.get(named.stage, ()))
        for part in (node.items or (node,)) if node is not None else ():
            yield from _unknown_name(named, part, known)


def _unknown_name(named: NamedPart, node: Node, known: Collection[str]) -> Iterator[Problem]:
    word = node if node.entries is None else node.entries.get(named.key)
    if word is not None and word.text is not None and not word.is_null and word.text not in known:
        guess = closest(word.text, known, cutoff=0.6)
        hint = f"Did you mean {guess!r}? " if guess else ""
        what = named.path[-1].removesuffix("s")
        yield word.problem(
            f"the {what} {word.shown()} is not known", f"{hint}Known: {listed(known) or 'none'}"
        )


def _file_env(parts: Mapping[str, Node]) -> dict[str, str]:
    """LiteLLM's `environment_variables`: used where the real environment has nothing."""
    section_node = parts.get("environment_variables")
    return {key: node.text for key, node in section_node or () if node.text is not None and not node.is_null}


def _unused_sections(root: Node) -> Iterator[Problem]:
    for key, _ in root:
        if key == "include":
            yield root.key_problem(
                key, "the files it names are not read", "Copy their model_list into this file"
            )
        elif key in litellm.SECTIONS and key != "environment_variables":
            yield root.key_problem(
                key, "read but not used", "It is LiteLLM's; Pointsman's own go into `pointsman:`"
            )


def _missing_files(settings: Settings, ours: Node) -> Iterator[Problem]:
    """A file may still be written before it is needed, so this only warns."""
    named = {
        "fit": settings.fit,
        "policy.judge": settings.policy.judge,
        "energy.meter.file": settings.energy.meter.file,
        "energy.grid_gco2e_per_kwh": settings.energy.grid_gco2e_per_kwh,
        **{f"fleet.models[{i}].path": model.path for i, model in enumerate(settings.fleet.models)},
    }
    for where, file in named.items():
        if isinstance(file, Path) and not file.is_file():
            place = Problem(ours.file, ours.line, 0, join(ours.where, where), f"there is no file {file} yet")
            yield place


def _between(config: Config, root: Node) -> Iterator[Problem]:
    """What is wrong between the endpoints, the fleet and the policy."""
    fleet = [model.name for model in config.fleet.models]
    names = [made.endpoint.name for made in config.endpoints]
    models = {*fleet, *(made.endpoint.model for made in config.endpoints)}
    ours = dict(root).get("pointsman", root)
    if not models:
        remedy = "Give `model_list:` or `pointsman: {fleet: {models: ...}}` at least one"
        yield root.problem("there is no model to send requests to", remedy)
    for name in sorted(set(fleet) & {*names, *models.difference(fleet)}):
        message = f"{name!r} is both a fleet model and a model of model_list"
        yield ours.problem(message, "Rename one, or put the fleet's model into the model_list by its address")
    wanted = config.policy.model
    if wanted is not None and models and wanted not in models:
        guess = closest(wanted, models, cutoff=0.6)
        hint = f"Did you mean {guess!r}? " if guess else ""
        yield ours.problem(
            f"policy.model {wanted!r} is no model of this file", f"{hint}Known: {listed(models)}"
        )


def _fields(cls: type[Settings]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cls))
