"""A package that is installed beside Pointsman adds a policy, a predictor, an engine and a meter by entry points."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pointsman.build import (
    decider_of,
    endpoints_of,
    engines_of,
    graders_of,
    meters_of,
    predictor_of,
    read_config,
)
from pointsman.build.policies import admit_policy_of, assign_policy_of, order_policy_of
from pointsman.clock import VirtualClock
from pointsman.engines.fleet_model import FleetEndpoint
from pointsman.errors import ConfigError

PACKAGE = """
from pointsman.admit.always import AlwaysAdmit
from pointsman.assign.baselines import SingleAssign
from pointsman.order.fcfs import FirstComeFirstServed
from pointsman.predict.endpoint import ProfilePredictor

class Counter:
    name, modelled, description = "mine", True, "no watts"
    def __init__(self, made, pids): self.pids = pids
    def read_j(self): return 0.0
    def close(self): pass

def admit(made): return AlwaysAdmit()
def assign(made, endpoints): return SingleAssign(endpoints[-1].name)
def order(made): return FirstComeFirstServed()
def predict(config, endpoints): return ProfilePredictor(endpoints)
def grade(prompt, answer): return float("good" in answer)
def engine(made): return ("my engine for", made.endpoint.name)
"""
ENTRY_POINTS = """
[pointsman.admit]
mine = my_plugin:admit
[pointsman.assign]
mine = my_plugin:assign
broken = my_plugin:missing
[pointsman.order]
mine = my_plugin:order
[pointsman.predict]
mine = my_plugin:predict
[pointsman.meter]
mine = my_plugin:Counter
[pointsman.grade]
mine = my_plugin:grade
broken = my_plugin:missing
[pointsman.engine]
mine = my_plugin:engine
"""
CONFIG = """
model_list:
  - model_name: a
    litellm_params: {model: openai/a, api_base: "http://127.0.0.1:9/v1", api_key: none}
  - model_name: b
    litellm_params: {model: openai/b, api_base: "http://127.0.0.1:9/v1", api_key: none}
    model_info: {engine: mine}
pointsman:
  {policy: mine, admission: mine, order: mine, predictor: mine, energy: {meter: mine},
   log: {path: log.db}, feedback: {graders: [{name: mine, share: .5}]}}
"""


@pytest.fixture
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "my_plugin.py").write_text(PACKAGE)
    info = tmp_path / "my_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_plugin", raising=False)
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


def test_every_kind_of_part_can_come_from_a_package(config_file: Path) -> None:
    made = read_config(config_file)
    endpoints = endpoints_of(made)
    assert assign_policy_of(made, endpoints).name == "single"
    assert admit_policy_of(made).name == "always"
    assert order_policy_of(made).name == "fcfs"
    inner, predictor = predictor_of(made, VirtualClock())
    assert predictor is not inner
    running = [FleetEndpoint("m", "http://127.0.0.1:9", 41, 10, 1, 1)]
    meter = meters_of(made, running)["m"]
    assert meter.name == "mine"
    assert meter.pids == [41]  # type: ignore[attr-defined]
    assert engines_of(made, ())["b"] == ("my engine for", "b")
    assert decider_of(made)
    (grader,) = graders_of(made)
    assert (grader.name, grader.share, grader.judge("?", "good")) == ("mine", 0.5, 1.0)


def test_names_that_no_package_has_are_refused_with_those_there_are(config_file: Path) -> None:
    config_file.write_text(
        CONFIG.replace("order: mine", "order: thine").replace("meter: mine", "meter: thine")
    )
    with pytest.raises(ConfigError) as caught:
        read_config(config_file)
    text = str(caught.value)
    assert "the order 'thine' is not known" in text
    assert "fcfs, mine" in text
    assert "the meter 'thine' is not known" in text
    config_file.write_text(CONFIG.replace("graders: [{name: mine", "graders: [{name: mine}, {name: thine"))
    with pytest.raises(ConfigError, match=r"the grader 'thine' is not known\..*Known: broken, mine"):
        read_config(config_file)


def test_an_engine_that_no_package_has_is_refused(config_file: Path) -> None:
    config_file.write_text(CONFIG.replace("engine: mine", "engine: thine"))
    with pytest.raises(ConfigError, match=r"'thine'.*pointsman.engine.*Installed: mine"):
        engines_of(read_config(config_file), ())


def test_a_plugin_that_does_not_load_says_so(config_file: Path) -> None:
    config_file.write_text(CONFIG.replace("policy: mine", "policy: broken"))
    made = read_config(config_file)
    with pytest.raises(ConfigError, match="can't be loaded"):
        assign_policy_of(made, endpoints_of(made))
    config_file.write_text(CONFIG.replace("graders: [{name: mine", "graders: [{name: broken"))
    with pytest.raises(ConfigError, match=r"'broken'.*can't be loaded"):
        graders_of(read_config(config_file))


@pytest.mark.parametrize(
    ("was", "now", "why"),
    [
        ("log: {path: log.db}", "log: {}", "graders without a decision log"),
        ("graders: [{name: mine", "graders: [{name: mine}, {name: mine", "the grader 'mine' stands twice"),
        ("share: .5", "share: 1.5", "at most 1"),
        ("{name: mine, share: .5}", "{share: .5}", "the key 'name' is missing"),
    ],
)
def test_graders_that_cant_be_are_problems_of_the_file(
    config_file: Path, was: str, now: str, why: str
) -> None:
    config_file.write_text(CONFIG.replace(was, now))
    with pytest.raises(ConfigError, match=why):
        read_config(config_file)
