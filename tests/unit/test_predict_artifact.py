from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointsman.errors import DataError
from pointsman.predict.artifact import FitArtifact
from pointsman.predict.model_profile import default_profile
from pointsman.testing.profiles import made_artifact

ARTIFACTS = {
    f"{cost}, {length}": made_artifact(
        np.random.default_rng(2), {"a": 1.0, "b": 2.0}, cost=cost, length=length
    )
    for cost, length in (("ols", "task_mean"), ("shape", "linear"), ("refined", "task_mean"))
} | {"defaults": FitArtifact((default_profile("x"),), "sha256:none")}


@pytest.mark.parametrize("kind", ARTIFACTS)
def test_what_is_read_is_what_was_written(kind: str, tmp_path: Path) -> None:
    artifact, path = ARTIFACTS[kind], tmp_path / "deep" / "fit.json"
    artifact.write(path)
    read = FitArtifact.read(path)
    assert read.to_json() == artifact.to_json()
    assert not list(tmp_path.rglob("*.partial"))
    tokens = (np.array([10.0, 300.0]), np.array([5.0, 80.0]), np.array([1.0, 3.0]))
    for old, new in zip(artifact.profiles, read.profiles, strict=True):
        np.testing.assert_array_equal(new.time.predict(*tokens), old.time.predict(*tokens))
        np.testing.assert_array_equal(new.energy.predict(*tokens), old.energy.predict(*tokens))
        assert new.provenance == old.provenance
        assert new.length == old.length
        assert new.quality == old.quality


def _set(*path: str | int, value: Any) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for step in path[:-1]:
            document = document[step]
        document[path[-1]] = value

    return change


def _drop(*path: str | int) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for step in path[:-1]:
            document = document[step]
        del document[path[-1]]

    return change


P = ("profiles", 0)
CORRUPTIONS: dict[str, tuple[Callable[[Any], None], str]] = {
    "another version": (_set("version", value=99), "version 99; this Pointsman reads version 1"),
    "another format": (_set("format", value="x"), "format 'x'"),
    "no version": (_drop("version"), "has no field version"),
    "a new field": (_set("speed", value=1), "unknown fields speed"),
    "a new field inside": (_set(*P, "time_s", "speed", value=1), r"profiles\[0\]: time_s.*speed"),
    "no endpoint": (_drop(*P, "endpoint"), "no field endpoint"),
    "no profiles": (_set("profiles", value=[]), "one or more endpoints"),
    "null": (_set(*P, "time_s", "floor", value=None), "floor is None"),
    "negative floor": (_set(*P, "time_s", "floor", value=-1.0), "floor is -1.0"),
    "beyond any float": (_set(*P, "time_s", "floor", value=10**400), "floor is 1000"),
    "text for a number": (_set(*P, "tokens", "per_byte", value="0.2"), "per_byte is '0.2'"),
    "true for a number": (_set(*P, "tokens", "per_byte", value=True), "per_byte is True"),
    "accuracy above 1": (_set(*P, "quality", "", "mean", value=1.2), "mean is 1.2"),
    "no prior for all": (_drop(*P, "quality", ""), "has no field"),
    "another kind": (_set(*P, "time_s", "kind", value="magic"), "cost model 'magic'"),
    "another length": (_set(*P, "length", "kind", value="magic"), "length model 'magic'"),
    "fewer quantiles": (
        _set(*P, "length", "tasks", "", "quantiles_tokens", value=[1.0]),
        "list of 20 numbers",
    ),
    "negative shape": (_set(*P, "energy_j", "coefficients", 2, value=-0.1), r"coefficients\[2\] is -0.1"),
    "lists that differ": (_set(*P, "time_s", "knot_weights", value=[1.0]), "knots_log2_in is"),
    "terms that differ": (_set(*P, "time_s", "terms", value=["1"]), "has the terms"),
    "load that differs": (_set(*P, "time_s", "load", "input_side", value=[1.0]), "input_side is"),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corrupted_file_is_refused_with_the_place(name: str) -> None:
    change, words = CORRUPTIONS[name]
    document = json.loads(ARTIFACTS["refined, task_mean"].to_json())
    change(document)
    with pytest.raises(DataError, match=words) as caught:
        FitArtifact.from_json(json.dumps(document), "some.json")
    assert "some.json" in str(caught.value) or name == "no profiles"


def test_nan_and_broken_text_are_refused(tmp_path: Path) -> None:
    text = ARTIFACTS["ols, task_mean"].to_json()
    with pytest.raises(DataError, match="NaN is no number"):
        FitArtifact.from_json(text.replace('"floor": ', '"floor": NaN, "was": ', 1), "x")
    with pytest.raises(DataError, match="is no fit"):
        FitArtifact.from_json(text[:500], "x")
    with pytest.raises(DataError, match="is list, not an object"):
        FitArtifact.from_json("[]", "x")
    with pytest.raises(DataError, match="is no fit"):
        FitArtifact.from_json("[" * 100_000, "x")
    (tmp_path / "x").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not UTF-8"):
        FitArtifact.read(tmp_path / "x")
    with pytest.raises(DataError, match="can't be read"):
        FitArtifact.read(tmp_path / "none.json")


def test_names_are_unique() -> None:
    with pytest.raises(DataError, match="different names"):
        FitArtifact((default_profile("x"), default_profile("x")), "")
    assert ARTIFACTS["defaults"].find("x") is not None
    assert ARTIFACTS["defaults"].find("y") is None
