"""From a configuration to objects: names become policies, figures that are declared are heeded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pointsman.assign.baselines import RandomAssign, SingleAssign
from pointsman.assign.floor import FloorAssign
from pointsman.assign.value import ValueAssign
from pointsman.assign.weighted import WeightedAssign
from pointsman.build import endpoints_of, fleet_of, meters_of, predictor_of, read_config
from pointsman.build.policies import admit_policy_of, assign_policy_of
from pointsman.clock import VirtualClock
from pointsman.config import Config
from pointsman.engines.fleet_model import FleetEndpoint
from pointsman.errors import ConfigError, MissingError
from pointsman.testing.fakes import make_request, make_table
from pointsman.types import Prompt, Request

TWO = """
model_list:
  - model_name: big
    litellm_params: {model: openai/big-model, api_base: "http://127.0.0.1:9/v1", api_key: none}
    model_info: {accuracy: 0.9, accuracy_source: our tests, input_cost_per_token: 0.000002}
  - model_name: small
    litellm_params: {model: openai/small-model, api_base: "http://127.0.0.1:9/v1", api_key: none}
"""


def config(tmp_path: Path, ours: str = "", models: str = TWO) -> Config:
    path = tmp_path / "config.yaml"
    path.write_text(models + ours)
    return read_config(path)


@pytest.mark.parametrize(
    ("models", "policy", "said"),
    [
        (
            TWO.replace("0.000002", "0"),
            "limits: {min_quality: 0.5}",
            "no endpoint has a price.*objective: energy",
        ),
        (TWO, "limits: {max_share_requests: {huge: 0.5}}", "'huge', which is no endpoint.*big, small"),
        (TWO, "limits: {max_share_requests: {big: 0.5, small: 0.4}}", "come to 0.9.*Raise them"),
    ],
)
def test_limits_that_do_not_fit_the_endpoints_are_refused(
    tmp_path: Path, models: str, policy: str, said: str
) -> None:
    made = config(tmp_path, f"pointsman: {{policy: {{name: constrained, {policy}}}}}", models=models)
    with pytest.raises(ConfigError, match=said):
        assign_policy_of(made, endpoints_of(made))


def test_shares_that_leave_some_out_are_kept_where_these_may_be_skipped(tmp_path: Path) -> None:
    shares = "limits: {max_share_requests: {big: 0.5, small: 0.4}}, skip_cost: 1"
    made = config(tmp_path, f"pointsman: {{policy: {{name: constrained, {shares}}}}}")
    assert assign_policy_of(made, endpoints_of(made)).name == "constrained"


def test_the_shipped_configuration_is_the_fleet_with_its_profile() -> None:
    made = read_config(None)
    assert [endpoint.name for endpoint in endpoints_of(made)] == [
        "smollm2-135m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b",
    ]  # fmt: skip
    inner, _ = predictor_of(made, VirtualClock())
    assert all("rows of fleet_profile.parquet" in sentence for sentence in inner.provenance.values())
    table = inner.predict([Request("r", Prompt("What is 3 + 4?"), 16)], (0, 0, 0))
    accuracy = table.quality.value[0]
    assert accuracy[0] < accuracy[1] < accuracy[2], "larger models are right more often"
    assert table.time_s.value[0, 0] < table.time_s.value[0, 2]


def test_a_fleet_model_has_the_profile_of_its_weights_whatever_its_name(tmp_path: Path) -> None:
    fleet = (
        "pointsman: {fleet: {models: [{name: small, weights: smollm2-135m}, {name: own, path: own.gguf}]}}"
    )
    inner, _ = predictor_of(config(tmp_path, fleet, models=""), VirtualClock())
    assert "rows of fleet_profile.parquet" in inner.provenance["small"]
    assert "defaults" in inner.provenance["own"]


def test_a_fleet_endpoint_declares_what_it_can() -> None:
    endpoint = endpoints_of(read_config(None))[0]
    assert "on-premises" in endpoint.capabilities.privacy
    assert endpoint.capabilities.context_tokens == 2048
    assert not endpoint.capabilities.tools


def test_a_fleet_model_answers_to_its_own_name_whatever_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POINTSMAN_CACHE", str(tmp_path))
    made = config(tmp_path, "pointsman: {fleet: {models: [{name: small, weights: smollm2-135m}]}}", models="")
    with pytest.raises(MissingError, match="pointsman fleet pull --model smollm2-135m"):
        fleet_of(made)
    weights = tmp_path / "weights" / "smollm2-135m.gguf"
    weights.parent.mkdir()
    weights.touch()
    (model,) = fleet_of(made).models
    assert (model.name, model.path) == ("small", weights)
    assert model.name == endpoints_of(made)[0].name


def test_declared_accuracy_and_price_reach_the_predictions(tmp_path: Path) -> None:
    inner, predictor = predictor_of(config(tmp_path), VirtualClock())
    table = predictor.predict([Request("r", Prompt("hello"), 16)], (0, 0))
    assert table.quality.value[0, 0] == 0.9
    assert table.quality.value[0, 1] == 0.5, "nothing is known of the other"
    assert table.price_usd.value[0, 0] > 0
    assert "our tests" in inner.provenance["big"]
    assert "defaults" in inner.provenance["small"]


@pytest.mark.parametrize(
    ("ours", "kind"),
    [
        ("pointsman: {policy: {name: single, model: small}}", SingleAssign),
        ("pointsman: {policy: {name: random, seed: 3}}", RandomAssign),
        ("pointsman: {policy: {name: weighted, weights: {time: 1}}}", WeightedAssign),
        ("pointsman: {policy: value}", ValueAssign),
        ("pointsman: {policy: {name: floor, threshold: 0.7}}", FloorAssign),
    ],
)
def test_policies_by_name(tmp_path: Path, ours: str, kind: type) -> None:
    made = config(tmp_path, ours)
    assert assign_policy_of(made, endpoints_of(made)).name == kind.name


@pytest.mark.parametrize(
    ("admission", "by_default", "allowed", "forbidden"),
    [
        ("always", "run", "skip", "run"),
        ("value", "skip", "skip", "run"),
        ("{name: threshold, threshold: 1.0}", "skip", "skip", "run"),
        ("{name: random, share: 0.0}", "skip", "skip", "run"),
        ("{name: value, on_skip: defer}", "defer", "defer", "run"),
    ],
)
def test_a_request_is_skipped_only_where_the_admission_or_its_caller_says_so(
    tmp_path: Path, admission: str, by_default: str, allowed: str, forbidden: str
) -> None:
    made = config(tmp_path, f"pointsman: {{costs: {{c_run: 5}}, admission: {admission}}}")
    policy, endpoints = admit_policy_of(made), endpoints_of(made)
    requests = [make_request(f"r{i}", allow_skip=allow) for i, allow in enumerate((None, True, False))]
    eligible = np.ones((3, len(endpoints)), dtype=bool)
    admits = policy.admit(requests, make_table(endpoints, 3), eligible, 0.0)
    assert [admit.action.value for admit in admits] == [by_default, allowed, forbidden]


def test_a_profile_that_the_fit_does_not_hold_is_refused_with_those_it_does(tmp_path: Path) -> None:
    models = TWO.replace("accuracy: 0.9", "profile: nothing, accuracy: 0.9")
    with pytest.raises(ConfigError, match=r"'nothing'.*smollm2-135m"):
        predictor_of(config(tmp_path, models=models), VirtualClock())


def test_carbon_follows_the_grid_by_the_hour(tmp_path: Path) -> None:
    hours = tmp_path / "grid.csv"
    hours.write_text("hour,gco2e_per_kwh\n" + "".join(f"{hour},{100 + hour}\n" for hour in range(24)))
    ours = f"pointsman: {{energy: {{grid_gco2e_per_kwh: {hours}, grid_source: a test}}}}"
    clock = VirtualClock()
    _, predictor = predictor_of(config(tmp_path, ours), clock)
    request = Request("r", Prompt("hello"), 16)
    midnight = predictor.predict([request], (0, 0))
    clock.advance_to(5 * 3600.0)
    five = predictor.predict([request], (0, 0))
    grams = midnight.carbon_g.value[0, 0]
    assert grams == pytest.approx(midnight.energy_j.value[0, 0] / 3.6e6 * 100)
    assert five.carbon_g.value[0, 0] == pytest.approx(grams * 1.05)


def test_hosted_endpoints_have_no_meter_and_none_can_be_asked_for(tmp_path: Path) -> None:
    made = config(tmp_path)
    assert meters_of(made, ()) == {}
    none = config(tmp_path, "pointsman: {energy: {meter: none}}")
    assert meters_of(none, [FleetEndpoint("m", "http://127.0.0.1:9", 1, 10, 1, 1)]) == {}
