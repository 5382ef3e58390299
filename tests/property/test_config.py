"""Whatever stands in a file, it loads or is refused with a ConfigError; what loads, shows and loads again."""

import tempfile
from dataclasses import fields
from pathlib import Path

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pointsman.config import ConfigProblems, Settings, load_config, render_config
from pointsman.config.entries import Info, Params

ENV = {"OPENAI_API_KEY": "sk-0123456789abcdefghijklmn", "EMPTY": ""}
WORDS = st.sampled_from(
    ["openai/x", "hosted_vllm/m", "ollama/q", "http://h/v1", "os.environ/OPENAI_API_KEY", "os.environ/EMPTY", "weighted",
     "single", "url", "replay", "chat", "embedding", "m", "auto", "*", "1e400", ".nan", "0x10", "=", "<<", "~"]
)  # fmt: skip
KEYS = st.sampled_from(
    [
        "model_list",
        "model_name",
        "litellm_params",
        "model_info",
        "pointsman",
        "environment_variables",
        "include",
    ]
    + [f.name for cls in (Settings, Params, Info) for f in fields(cls)]
    + ["kind", "url", "models", "weights", "name", "path", "port", "accuracy"]
)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.dates(), WORDS
)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | KEYS, inner, max_size=4)
    ),
    max_leaves=20,
)
MODEL = st.fixed_dictionaries(
    {
        "model_name": st.sampled_from(["a", "b", "no"]),
        "litellm_params": st.fixed_dictionaries(
            {
                "model": st.sampled_from(["openai/x", "groq/a/b", "ollama/q"]),
                "api_base": st.just("http://u:p@h:1/v1/"),
            },
            optional={
                "api_key": st.sampled_from(["os.environ/OPENAI_API_KEY", None]),
                "timeout": st.floats(0.001, 86_400),
                "stream_timeout": st.floats(0.001, 86_400),
                "rpm": st.integers(0, 10**9),
                "input_cost_per_token": st.floats(0, 1),
            },
        ),
    },
    optional={
        "model_info": st.fixed_dictionaries(
            {},
            optional={
                "mode": st.sampled_from(["chat", "completion", None]),
                "max_input_tokens": st.integers(1, 2**40),
                "supports_vision": st.booleans(),
                "supports_function_calling": st.booleans(),
                "accuracy": st.floats(0, 1),
                "privacy": st.lists(st.sampled_from(["eu", "on", "a b"]), unique=True),
                "max_n": st.integers(1, 99),
                "priority": st.sampled_from(["lower_first", "higher_first", "vllm_scheduler", None]),
            },
        )
    },
)


def load(data):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "c.yaml"
        file.write_bytes(data)
        return load_config(file, ENV)


def load_or_refuse(data):
    """Load it, or look at why it was refused; any other error fails the test."""
    try:
        load(data)
    except ConfigProblems as error:
        problems = error.problems
    else:
        return
    assert problems
    assert all(problem.message for problem in problems)
    assert "sk-0123456789" not in "".join(map(str, problems))


@given(st.dictionaries(KEYS | st.text(max_size=5), TREES, max_size=4))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_random_yaml_is_loaded_or_refused(tree):
    load_or_refuse(yaml.dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass"))


@given(st.fixed_dictionaries({}, optional={f.name: TREES for f in fields(Settings)}))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_random_settings_are_loaded_or_refused(tree):
    load_or_refuse(yaml.dump({"pointsman": tree}, allow_unicode=True).encode("utf-8", "surrogatepass"))


@given(st.binary(max_size=60) | st.text(alphabet="ab:-[]{}&*!|>'\"#%@,? \n\t", max_size=60).map(str.encode))
@settings(max_examples=200, deadline=None)
def test_random_bytes_are_loaded_or_refused(data):
    load_or_refuse(data)


@given(st.lists(MODEL, min_size=1, max_size=4))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_shown_loads_to_the_same_but_for_what_was_masked(models):
    config = load(yaml.dump({"model_list": models}).encode())
    names = [made.endpoint.name for made in config.endpoints]
    assert len(set(names)) == len(models)
    shown = render_config(config)
    assert "u:p@" not in shown
    again = load(shown.replace("***@", "u:p@").encode())
    for one, other in zip(config.endpoints, again.endpoints, strict=True):
        assert one.endpoint == other.endpoint
        assert (one.base_url, one.api_key, one.rpm, one.accuracy) == (
            other.base_url, other.api_key, other.rpm, other.accuracy,
        )  # fmt: skip
        assert one.timeouts.total_s == other.timeouts.total_s
