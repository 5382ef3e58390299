"""Whole files: what loads, and what is said of those that do not."""

from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from pointsman.config import (
    ConfigProblems,
    FleetModelConfig,
    MeterConfig,
    TimeoutsConfig,
    load_config,
    render_config,
)
from pointsman.engines.base import Timeouts
from pointsman.errors import ConfigError
from pointsman.meters.cpu_time import WATTS_PER_CORE, WATTS_PER_GIB
from pointsman.types import Api, Modality, Penalties, RunCost, Slo, ValueTerms, Weights

ROOT = Path(__file__).parents[2]
TYPICAL = Path(__file__).parent / "data" / "litellm_typical.yaml"
KEY = "sk-abcdefghijklmnopqrstuvwxyz1234"
ENV = {"OPENAI_API_KEY": KEY, "OPENROUTER_API_KEY": "or-0123456789abcdefghijkl"}

VLLM = "model_list:\n- {model_name: m, litellm_params: {model: hosted_vllm/m, api_base: 'http://h:1/v1'}}\n"


@pytest.fixture
def load(tmp_path):
    def load_text(text, env=ENV, **options):
        file = tmp_path / "c.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_config(file, env, **options)

    return load_text


@pytest.fixture
def refused(load):
    def problems(text, env=ENV):
        with pytest.raises(ConfigProblems) as caught:
            load(text, env)
        assert isinstance(caught.value, ConfigError)
        assert str(caught.value).splitlines() == [str(problem) for problem in caught.value.problems]
        return [str(problem).split("c.yaml", 1)[1] for problem in caught.value.problems]

    return problems


def test_an_untouched_litellm_file_loads_and_names_what_is_not_used():
    config = load_config(TYPICAL, ENV)

    first, second, vllm, other, ollama, instruct = config.endpoints
    assert [made.endpoint.name for made in config.endpoints] == [
        "gpt-4o-primary", "gpt-4o", "llama-3.1-8b", "llama-3.1-8b#2", "tiny", "instruct",
    ]  # fmt: skip
    assert first.endpoint.upstream_model == "gpt-4o"
    assert (first.endpoint.usd_per_input_token, first.endpoint.usd_per_output_token) == (2.5e-6, 1e-5)
    assert first.endpoint.capabilities.modalities == {Modality.TEXT, Modality.IMAGE}
    assert first.endpoint.capabilities.context_tokens == 128_000
    assert first.endpoint.capabilities.apis == {Api.CHAT}
    assert first.timeouts == TimeoutsConfig(first_byte_s=60, between_chunks_s=60, total_s=300)
    assert (first.rpm, first.tpm, first.api_key.reveal()) == (480, 100_000, KEY)
    assert second.endpoint.upstream_model == "openai/gpt-4o"
    assert second.base_url == "https://openrouter.ai/api/v1"
    assert second.endpoint.usd_per_output_token == 1e-5
    assert vllm.api_key.reveal() == "sk-from-the-file-000000000000"
    assert vllm.endpoint.max_concurrent == other.endpoint.max_concurrent == 64
    assert vllm.endpoint.capabilities.response_formats == {"text", "json_object"}
    assert other.base_url == "http://vllm-1.internal:8000/v1"
    assert (ollama.base_url, ollama.endpoint.upstream_model) == ("http://localhost:11434/v1", "qwen2.5:0.5b")
    assert instruct.endpoint.capabilities.apis == {Api.COMPLETIONS}

    said = "\n".join(map(str, config.warnings))
    for expected in (
        "litellm_settings: read but not used",
        "router_settings: read but not used",
        "general_settings: read but not used",
        "guardrails: read but not used",
        "model_list[0].litellm_params: read but not used: max_retries, temperature",
        "model_list[6]: the mode 'embedding' is not served yet. This entry is left out",
        "model_list[7]: a wildcard names no model",
        "model_list[0]: rpm and tpm are read but not enforced yet",
        "model_list[5]: no price is declared",
    ):
        assert expected in said
    assert "hunter2" not in said


def test_the_example_loads_and_says_what_it_means():
    config = load_config(ROOT / "examples" / "config.yaml", ENV)

    assert [made.endpoint.name for made in config.endpoints] == ["gpt-4o-mini", "qwen3-on-gpu0"]
    assert [model.name for model in config.fleet.models] == ["smollm2-135m", "qwen2.5-coder-0.5b"]
    assert config.policy.weights == Weights(accuracy=0.7, energy=0.2, time=0.1)
    assert config.service_classes == (
        Slo("default"), Slo("interactive", ttft_s=2, tpot_s=0.1), Slo("batch", e2e_s=3600),
    )  # fmt: skip
    assert config.tenants == ("default", "research")
    assert config.log.path == ROOT / "examples" / "decisions.sqlite"
    assert config.endpoints[1].endpoint.capabilities.privacy == {"on-premises"}
    assert config.endpoints[1].endpoint.capabilities.max_n == 8
    assert config.warnings == ()


def test_the_defaults_that_the_layers_below_state_too_are_the_same():
    engine = Timeouts()
    assert TimeoutsConfig() == TimeoutsConfig(**{f.name: getattr(engine, f.name) for f in fields(engine)})
    assert (MeterConfig().watts_per_core, MeterConfig().watts_per_gib) == (WATTS_PER_CORE, WATTS_PER_GIB)


def test_a_configuration_never_changes(load):
    config = load(VLLM)
    with pytest.raises(FrozenInstanceError):
        config.tenants = ()
    with pytest.raises(FrozenInstanceError):
        config.server.port = 1
    assert hash(config.server)


def test_every_problem_is_reported_on_its_own_line_with_its_place(refused):
    found = refused(
        """\
model_list:
- model_name: a
  litellm_params: {model: gpt-4o, api_key: os.environ/NO_SUCH, rpm: -5}
  model_info: {input_cost_per_token: -1, acuracy: 0.5}
- model_name: b
pointsman:
  policy: wieghted
  server: {port: 99999, hots: x}
  timeouts: {total_s: .nan}
speed: 1
"""
    )
    assert found == [
        (
            ":3: model_list[0].litellm_params.api_key: the environment variable NO_SUCH is not set."
            " Export NO_SUCH, or remove this entry"
        ),
        ":3: model_list[0].litellm_params.rpm: '-5' is out of range. Give a whole number of at least 0",
        ":4: model_list[0].model_info.acuracy: unknown key. Did you mean 'accuracy'?",
        (
            ":4: model_list[0].model_info.input_cost_per_token: '-1' is out of range."
            " Give a number at least 0 and at most 1"
        ),
        ":5: model_list[1]: the key 'litellm_params' is missing. Add `litellm_params:`",
        (
            ":7: pointsman.policy: the policy 'wieghted' is not known."
            " Did you mean 'weighted'? Known: cascade, cheapest, constrained, floor, random, single, value, weighted"
        ),
        ":8: pointsman.server.hots: unknown key. Did you mean 'host'?",
        ":8: pointsman.server.port: '99999' is out of range. Give a whole number from 0 to 65535",
        ":9: pointsman.timeouts.total_s: '.nan' is not finite. Give a number above 0 and at most 86400",
        found[-1],
    ]
    assert found[-1].startswith(":10: speed: unknown key. Known here: ")


@pytest.mark.parametrize(
    ("section", "line", "said"),
    [
        ("policy: {weights: {accuracy: 0}}", 4, "the weights sum to 0. Give at least one weight above 0"),
        ("policy: {weights: {accuracy: -1}}", 4, "policy.weights.accuracy: '-1' is out of range"),
        ("policy: {weights: {accuracy: .nan}}", 4, "'.nan' is not finite"),
        ("policy: {weights: {energy: .inf}}", 4, "'.inf' is not finite"),
        ("policy: {weights: {carbon: 1}}", 4, "a weight on carbon without a grid intensity"),
        ("policy: single", 4, "the policy 'single' names no model"),
        ("policy: {name: single, model: n}", 4, "policy.model 'n' is no model of this file"),
        (
            "policy: [weighted]",
            4,
            "a list of 1 is not a map. It takes the keys endpoints, judge, limits, model, name, objective, patience_s, samples, seed, skip_cost, threshold, weights",
        ),
        (
            "policy: {name: weighted, limits: {min_quality: 0.5}}",
            4,
            "the policy 'weighted' keeps no `limits`",
        ),
        (
            "policy: {name: constrained, limits: {min_quality: 1.2}}",
            4,
            "'1.2' is out of range. Give a number at least 0 and at most 1",
        ),
        (
            "policy: {name: constrained, limits: {max_share_requests: [n]}}",
            4,
            "is not a map. Write one `name: value` a line",
        ),
        (
            "policy: {name: constrained, limits: {min_quality_by_tenant: {acme: 0.5}}}",
            4,
            "policy.limits.min_quality_by_tenant names 'acme', which is not in `tenants`",
        ),
        (
            "policy: {name: constrained, limits: {min_quality_by_class: {slow: 0.5}}}",
            4,
            "policy.limits.min_quality_by_class names 'slow', which is not in `service_classes`",
        ),
        ("policy: {name: constrained, objective: joy}", 4, "'joy' is not known"),
        ("policy: {name: constrained, objective: {joy: 1}}", 4, "the objective names 'joy'"),
        ("policy: {name: constrained, objective: {cost: 0}}", 4, "the objective weighs nothing"),
        ("policy: {name: constrained, patience_s: 0}", 4, "0"),
        ("order: {name: ranked, head_start_s: {default: 5}}", 4, "the order 'ranked' does not go by times"),
        (
            "order: {name: bounded, head_start_s: {vip: 5}}",
            4,
            "order.head_start_s names 'vip', which is not in",
        ),
        ("order: {name: bounded, cap_s: 0}", 4, "0"),
        ("order: shortest", 4, "the order 'shortest' is not known"),
        ("admission: sometimes", 4, "'sometimes' is not known. Known: always, random, threshold, value"),
        (
            "admission: threshold",
            4,
            "the admission 'threshold' has no threshold. Add `threshold:` from 0 to 1",
        ),
        (
            "admission: {name: threshold, threshold: 60}",
            4,
            "'60' is out of range. Give a number at least 0 and at",
        ),
        ("admission: random", 4, "the admission 'random' has no share"),
        ("admission: {on_skip: ignore}", 4, "'ignore' is not known. Known: defer, error, reply"),
        ("admission: {reply: ''}", 4, "admission.reply: '' is no usable text"),
        (
            "admission: {defer: {retry_s: 60, max_defer_s: 5}}",
            4,
            "retry_s 60 is above max_defer_s 5. Look again",
        ),
        ("admission: {defer: {max_defer_s: 0}}", 4, "'0' is out of range. Give a number above 0"),
        ("admission: {defer: {then: wait}}", 4, "defer.then: 'wait' is not known. Known: refuse, run"),
        ("policy: floor", 4, "the policy 'floor' has no threshold. Add `threshold:` from 0 to 1"),
        ("policy: {name: floor, threshold: -0.1}", 4, "policy.threshold: '-0.1' is out of range"),
        ("costs: {c_wrong: -1}", 4, "costs.c_wrong: '-1' is out of range. Give a number at least 0"),
        ("costs: {c_run: free}", 4, "costs.c_run: 'free' is not a number. Give a number at least 0"),
        (
            "costs: {c_run: {joules: 1}}",
            4,
            "costs.c_run.joules: unknown key. Known here: constant, per_j, per_s, per_usd",
        ),
        ("costs: {c_miss: .nan}", 4, "costs.c_miss: '.nan' is not finite"),
        (
            "costs: {classes: {gold: {c_mis: 2}}}",
            4,
            "costs.classes.gold.c_mis: unknown key. Did you mean 'c_miss'?",
        ),
        (
            "costs: {classes: {gold: {c_miss: 2}}}",
            4,
            "costs.classes.gold: no service class. Add it to `service_classes:`; there are batch, default",
        ),
        ("order: {name: fcsf}", 4, "the order 'fcsf' is not known. Did you mean 'fcfs'?"),
        ("server: {max_body_bytes: 10MB}", 4, "'10MB' is not a whole number"),
        ("server: {port: 80.5}", 4, "'80.5' is not a whole number"),
        ("server: {host: ''}", 4, "server.host: '' is no usable text"),
        ("server: {host: null}", 4, "server.host: nothing is not text"),
        ("log: {store_prompts: maybe}", 4, "'maybe' is neither true nor false"),
        ("timeouts: {connect_s: 0}", 4, "'0' is out of range. Give a number above 0"),
        ("fleet: {models: [{name: a}]}", 4, "neither `weights` nor `path`. Give one"),
        ("fleet: {models: [{name: a, weights: w, path: p}]}", 4, "both `weights` and `path`"),
        ("fleet: {models: [{weights: w}]}", 4, "the key 'name' is missing"),
        (
            "fleet: {models: [{name: m, path: p}]}",
            4,
            "'m' is both a fleet model and a model of model_list",
        ),
        (
            "fleet: {models: [{name: a, path: o}, {name: a, path: p}]}",
            4,
            "fleet.models[1]: the name 'a' stands twice",
        ),
        ("fleet: {models: [{name: a, weights: w, context: 9}]}", 4, "Did you mean 'context_tokens'?"),
        (
            "fleet: {models: [{name: a, weights: gpt}]}",
            4,
            "no model 'gpt' in the catalogue. Choose from smollm2-135m",
        ),
        ("fleet: {models: [{name: a/b, path: p}]}", 4, "'a/b' can't be a fleet model's name. Use up to 100"),
        ("fleet: {models: [{name: a, path: p, slots: 300}]}", 4, "can't have slots 300. Choose 1 to 256"),
        ("energy: {meter: {kind: rapl, watts_per_core: 9}}", 4, "not an option of the meter 'rapl'"),
        ("energy: {meter: url}", 4, "the meter 'url' has no `url`"),
        ("energy: {meter: {kind: url, url: 'ftp://h'}}", 4, "is not an http or https address"),
        ("energy: {meter: {kind: command}}", 4, "the meter 'command' has no `command`"),
        ("energy: {grid_gco2e_per_kwh: 400}", 4, "a grid intensity without `grid_source`"),
        ("energy: {grid_gco2e_per_kwh: -4, grid_source: x}", 4, "'-4' is out of range"),
        ("service_classes: {fast: {ttft_s: -1}}", 4, "service_classes.fast.ttft_s: '-1' is out of range"),
        ("tenants: [a, a]", 4, "tenants: 'a' stands twice"),
        ("tenants: a", 4, "'a' is not a list"),
        ("fit: [x]", 4, "fit: a list of 1 is not text"),
        (
            "server: {port: 1}\n  server: {port: 2}",
            5,
            "pointsman.server: the key stands twice, first on line 4",
        ),
    ],
)
def test_a_bad_setting_is_refused_with_line_value_and_remedy(refused, section, line, said):
    found = refused(f"{VLLM}pointsman:\n  {section}\n")
    assert len(found) == 1
    assert found[0].startswith((f":{line}: ", f":{line - 1}: pointsman: "))
    assert said in found[0]


@pytest.mark.parametrize(
    ("params", "info", "said"),
    [
        (
            "{model: anthropic/claude-3-5-sonnet, api_key: k}",
            "{}",
            "'anthropic/claude-3-5-sonnet' is not known to speak",
        ),
        (
            "{model: claude-3-5-sonnet}",
            "{}",
            "If it has an OpenAI-compatible address, write openai/claude-3-5-sonnet",
        ),
        ("{model: openia/gpt-4o}", "{}", "Did you mean openai/gpt-4o?"),
        (
            "{model: meta-llama/Llama-3, api_base: 'http://h/v1'}",
            "{}",
            "write openai/meta-llama/Llama-3 with",
        ),
        ("{model: vllm/x}", "{}", "Start `vllm serve` and write hosted_vllm/x"),
        ("{model: openai/, api_key: k}", "{}", "'openai/' names no model"),
        ("{model: hosted_vllm/x}", "{}", "'hosted_vllm/x' has no api_base"),
        ("{model: openai/x, api_base: 'h:1/v1'}", "{}", "'h:1/v1' is not an http or https address"),
        ("{model: openai/x, api_base: 'http://[::1'}", "{}", "is not an address"),
        ("{model: openai/x, api_base: 'http://h:99999/v1'}", "{}", "is not an address"),
        ("{model: openai/x, api_base: 'http://h/v1?a=b'}", "{}", "api_base has a query"),
        ("{model: groq/x}", "{}", "no api_key, and the environment variable GROQ_API_KEY is not set"),
        (
            "{model: gpt-4o, input_cost_per_tokens: 1}",
            "{}",
            "unknown key. Did you mean 'input_cost_per_token'?",
        ),
        ("{model: gpt-4o, temprature: 1}", "{}", "unknown key. Did you mean 'temperature'?"),
        ("{model: gpt-4o, api-base: 'http://h'}", "{}", "unknown key. Did you mean 'api_base'?"),
        ("{model: gpt-4o}", "{supports_visoin: true}", "Did you mean 'supports_vision'?"),
        ("{model: gpt-4o}", "{mode: chatt}", "'chatt' is not known. Did you mean 'chat'?"),
        ("{model: gpt-4o}", "{accuracy: 82}", "'82' is out of range. Give a number at least 0 and at most 1"),
        ("{model: gpt-4o}", "{max_concurrent: 0}", "'0' is out of range"),
        ("{model: gpt-4o}", "[1]", "a list of 1 is not a map"),
        ("{model: gpt-4o, output_cost_per_token: .nan}", "{}", "'.nan' is not finite"),
        ("gpt-4o", "{}", "'gpt-4o' is not a map"),
        ("{}", "{}", "the key 'model' is missing"),
    ],
)
def test_a_bad_model_is_refused_with_value_and_remedy(refused, params, info, said):
    found = refused(f"model_list:\n- model_name: x\n  litellm_params: {params}\n  model_info: {info}\n")
    assert len(found) == 1
    assert said in found[0]


def test_the_name_auto_stays_the_policys(refused):
    said = (
        "model_list[0].model_name: the name 'auto' is taken: it lets the policy choose. Choose another name"
    )
    assert said in refused(VLLM.replace("model_name: m", "model_name: auto"))[0]


def test_names_are_unique_whatever_the_ids(load, refused):
    entry = "- {{model_name: m, litellm_params: {{model: openai/x, api_base: 'http://h/v1'}}, model_info: {{{}}}}}\n"
    text = "model_list:\n" + "".join(entry.format(info) for info in ("", "id: 'm#2'", "", "id: m", ""))
    assert [e.endpoint.name for e in load(text).endpoints] == ["m#3", "m#2", "m#4", "m", "m#5"]
    assert (
        "the id '7' stands twice, first in the entry of line 2"
        in refused("model_list:\n" + entry.format("id: 7") + entry.format("id: '7'"))[0]
    )


def test_a_key_goes_only_where_it_belongs(load):
    entry = "model_list:\n- {{model_name: m, litellm_params: {{model: openai/x, {}}}}}\n"
    assert load(entry.format("rpm: null")).endpoints[0].api_key.reveal() == KEY
    assert load(entry.format("api_base: 'http://elsewhere/v1'")).endpoints[0].api_key is None
    assert load(entry.format("api_base: 'http://elsewhere/v1', api_key: ''")).endpoints[0].api_key is None


def test_the_environment_goes_before_the_files_own_variables(load):
    text = f"environment_variables: {{N: inner}}\n{VLLM}".replace(
        "'http://h:1/v1'", "'http://h:1/v1', api_key: os.environ/N"
    )
    assert load(text, {"N": "outer"}).endpoints[0].api_key.reveal() == "outer"
    assert load(text, {"N": " "}).endpoints[0].api_key.reveal() == "inner"


def test_any_value_may_come_from_the_environment_and_is_then_never_shown(load, refused):
    text = f"{VLLM}pointsman:\n  server: {{port: os.environ/PORT, host: os.environ/HOST}}\n"
    assert load(text, {"PORT": "81", "HOST": "::1"}).server.port == 81
    assert refused(text, {"PORT": "hunter2"}) == [
        ":4: pointsman.server.host: the environment variable HOST is not set. Export HOST, or remove this entry",
        (
            ":4: pointsman.server.port: the value of the environment variable PORT is not a whole number."
            " Give one from 0 to 65535"
        ),
    ]


def test_values_are_taken_as_written(load):
    text = VLLM.replace("model_name: m", "model_name: no").replace("/m,", "/1.50,")
    made = load(f"{text}pointsman: {{tenants: [no, 007, 2024-01-01]}}\n")
    assert (made.endpoints[0].endpoint.model, made.endpoints[0].endpoint.upstream_model) == ("no", "1.50")
    assert made.tenants == ("no", "007", "2024-01-01")


def test_costs_become_the_terms_that_policies_read(load):
    assert load(VLLM).costs.terms() == ValueTerms(RunCost(constant=0.2), Penalties(1.0, 1.0), {})
    text = """pointsman:
  service_classes: [gold]
  costs:
    c_run: {per_usd: 100, per_s: 0.05, per_j: 0.001}
    c_wrong: 2
    classes: {gold: {c_miss: 5}, batch: {c_wrong: 0}}
"""
    assert load(VLLM + text).costs.terms() == ValueTerms(
        RunCost(0.0, 100.0, 0.05, 0.001),
        Penalties(2.0, 1.0),
        {"gold": Penalties(1.0, 5.0), "batch": Penalties(0.0, 1.0)},
    )
    assert load(VLLM + "pointsman: {costs: {c_run: 0.3}}\n").costs.terms().c_run == RunCost(constant=0.3)


def test_a_plugin_may_name_its_policy(load):
    assert load(f"{VLLM}pointsman: {{policy: mine}}\n", plugins={"assign": ("mine",)}).policy.name == "mine"


def test_missing_files_are_only_warned_of(load):
    config = load(f"{VLLM}pointsman: {{fit: fits/a.json}}\n")
    assert config.fit == config.file.parent / "fits" / "a.json"
    assert [str(w) for w in config.warnings] == [
        f"{config.file}:3: pointsman.fit: there is no file {config.fit} yet"
    ]


def test_a_judge_that_is_not_there_yet_is_warned_of(load):
    config = load(f"{VLLM}pointsman: {{policy: {{name: cheapest, endpoints: [a, b], judge: j.json}}}}\n")
    assert [str(w).partition("pointsman.")[2] for w in config.warnings] == [
        f"policy.judge: there is no file {config.policy.judge} yet"
    ]


def test_a_file_of_models_or_of_fleet_alone_is_enough_but_not_neither(load, refused):
    fleet = "pointsman: {fleet: {models: [{name: a, path: a.gguf, threads: 2}]}}"
    made = load(fleet)
    assert made.fleet.models == (FleetModelConfig("a", path=made.file.parent / "a.gguf", threads=2),)
    for text in ("pointsman:\n", "model_list: []\n", "x-anchors: 1\n"):
        assert "there is no model to send requests to" in refused(text)[0]


def test_a_setting_at_the_top_is_sent_to_its_section(refused):
    assert refused(f"{VLLM}server: {{port: 1}}\n") == [
        ":3: server: stands at the top of the file. Move it into `pointsman:`, as `server:`"
    ]


def test_an_include_is_not_followed_and_this_is_said(load):
    assert "the files it names are not read" in str(load(f"{VLLM}include: [more.yaml]\n").warnings[0])


@pytest.mark.parametrize("source", ["typical", "example", "full"])
def test_what_is_shown_loads_to_the_same(load, tmp_path, source):
    full = f"""\
{VLLM}
pointsman:
  energy: {{meter: {{kind: url, url: 'http://plug/w', key: a.b, idle_w: 3}}, grid_gco2e_per_kwh: grid.csv, grid_source: s}}
  fleet: {{models: [{{name: a, path: a.gguf, tags: [t], accuracy: 0.5}}]}}
  service_classes: [batch, gold]
  policy: {{name: single, model: m}}
  admission: {{name: threshold, threshold: 0.6, on_skip: defer, defer: {{max_defer_s: 60, then: refuse}}}}
  costs: {{c_run: {{per_usd: 100, per_s: 0.05}}, c_miss: 2, classes: {{batch: {{c_miss: 0.5}}, gold: {{c_wrong: 9}}}}}}
"""
    files = {"typical": TYPICAL, "example": ROOT / "examples" / "config.yaml"}
    config = load(full) if source == "full" else load_config(files[source], ENV)
    shown = tmp_path / "shown.yaml"
    shown.write_text(render_config(config))
    again = load_config(shown, {**ENV, "VLLM_KEY": "sk-from-the-file-000000000000"})
    assert again == config
    assert render_config(again) == render_config(config)
