"""Settings of what is expected of a request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pointsman.config.parse import integer, many, optional, path, section, setting, text
from pointsman.config.problem import Problem
from pointsman.config.tree import Node
from pointsman.errors import DataError
from pointsman.predict.length.learned import FORMAT as LENGTHS
from pointsman.predict.quality.bundle import FORMAT, read_manifest


def _artifact(node: Node) -> Path:
    """The folder of a quality model; one that is not there, or of another version, is refused."""
    return _checked(node, path(node), FORMAT)


def _lengths(node: Node) -> Path:
    """The folder of learnt lengths; one that is not there, or of another version, is refused."""
    return _checked(node, path(node), LENGTHS)


def _checked(node: Node, folder: Path, form: str) -> Path:
    try:
        read_manifest(folder, form)
    except DataError as error:
        raise node.refused(error.message, error.remedy) from None
    return folder


def check_predictor(predictor: PredictorConfig, node: Node) -> Iterator[Problem]:
    """What is wrong between the values."""
    if predictor.name == "learned" and predictor.artifact is None:
        yield node.problem(
            "the predictor 'learned' names no artifact",
            "Add `artifact:` with the folder that `pointsman train` wrote",
        )
    if predictor.name == "profile" and predictor.artifact is not None:
        yield node.problem("the predictor 'profile' reads no artifact", "Write `name: learned`, or remove it")
    if predictor.lengths is not None and predictor.name not in ("learned", "profile"):
        yield node.problem(
            f"the predictor {predictor.name!r} reads no lengths", "Write `name: learned`, or remove `lengths`"
        )
    if predictor.grow is not None and predictor.name != "learned":
        yield node.problem(
            f"the predictor {predictor.name!r} can't grow", "Write `name: learned`, or remove `grow`"
        )


@dataclass(frozen=True, slots=True)
class GrowConfig:
    """Outcomes of requests join those that a learned predictor looks up, while it serves."""

    most: int = setting(20_000, integer(1, 100_000), "outcomes kept; beyond them the oldest go")
    collected: tuple[Path, ...] = setting(
        (), many(path), "folders that `pointsman collect` wrote, to begin with; then come those of the log"
    )


@dataclass(frozen=True, slots=True)
class PredictorConfig:
    """What is expected of a request. `predictor: mine` is short for `predictor: {name: mine}`."""

    name: str = setting(
        "profile",
        text,
        "profile: fitted curves; learned: those, with quality and length from an artifact; or a plugin's name",
    )
    artifact: Path | None = setting(
        None, optional(_artifact), "of `learned`: the folder that `pointsman train` wrote"
    )
    lengths: Path | None = setting(
        None,
        optional(_lengths),
        "of `learned` and `profile`: the folder that `pointsman train --target length` wrote; null: theirs",
    )
    grow: GrowConfig | None = setting(
        None,
        optional(section(GrowConfig)),
        "of `learned`: learn from outcomes while serving; needs `log.path`; null: don't",
    )
