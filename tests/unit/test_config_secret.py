"""Credentials: never in a repr, an error, a warning or what is shown."""

import copy
import logging

import pytest

from pointsman.config import ConfigProblems, Secret, load_config, mask_text, mask_url, render_config
from pointsman.config.secret import is_secret_name

KEY = "sk-proj-Zx81abcdefghijklmnopQRST9876"


def test_a_secret_shows_at_most_its_last_four_characters():
    secret = Secret(KEY, "os.environ/K")
    assert secret.reveal() == KEY
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!s:>20}", "%s" % secret, repr([secret])):  # noqa: UP031
        assert "sk-…9876" in shown
        assert KEY[3:-4] not in shown
    assert str(Secret("hunter2")) == str(Secret("x" * 19)) == "***"
    assert str(Secret("0123456789abcdefghij")) == "…ghij"


def test_secrets_compare_by_value_and_copy_without_showing():
    assert Secret(KEY) == Secret(KEY, "elsewhere")
    assert Secret(KEY) != Secret("other")
    assert Secret(KEY) != KEY
    assert len({Secret(KEY), Secret(KEY)}) == 1
    assert copy.deepcopy(Secret(KEY)).reveal() == KEY
    assert Secret("schlüssel") == Secret("schlüssel")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pa55@h:1/v1", "https://***@h:1/v1"),
        ("https://h/v1?key=abc&x=1", "https://h/v1?key=***&x=1"),
        ("https://h/v1?x=1&api_key=abc#f", "https://h/v1?x=1&api_key=***#f"),
        ("https://h/v1?Access_Token=abc", "https://h/v1?Access_Token=***"),
        ("https://h/v1", "https://h/v1"),
        ("http://[::1", "***"),
    ],
)
def test_urls_are_masked(url, shown):
    assert mask_url(url) == shown


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        f"Bearer {KEY}",
        "Authorization: Basic dXNlcjpwYTU1",
        "hf_abcDEF1234567",
        "f3a9" * 8,
        "xai-abcdefgh1",
    ],
)
def test_texts_that_look_like_credentials_are_masked(text):
    masked = mask_text(f"before {text} after")
    assert "***" in masked
    assert text.split()[-1] not in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")


@pytest.mark.parametrize(
    "text", ["gpt-4o-mini", "meta-llama/Llama-3.1-8B-Instruct", "10485760", "http://127.0.0.1:8000/v1"]
)
def test_ordinary_values_stay_readable(text):
    assert mask_text(text) == text


def test_key_names_are_told_from_token_counts():
    assert all(
        map(is_secret_name, ("api_key", "aws_session_token", "password", "client_secret", "authorization"))
    )
    assert not any(map(is_secret_name, ("max_tokens", "input_cost_per_token", "keyboard", "monkey", "model")))


@pytest.mark.parametrize(
    "text",
    [
        "model_list:\n- {{model_name: m, litellm_params: {{model: openai/x, api_kye: {0}}}}}\n",
        "model_list:\n- {{model_name: m, litellm_params: {{model: openai/x, api_key: [{0}]}}}}\n",
        "model_list:\n- {{model_name: m, litellm_params: {{model: openai/x, api_key: '{0}\\n', rpm: {0}}}}}\n",
        "model_list:\n- {{model_name: m, litellm_params: {0}}}\n",
        "model_list:\n- {{model_name: m, litellm_params: {{model: {0}/x, api_base: 'http://u:{0}@'}}}}\n",
        "model_list:\n- {{model_name: m, litellm_params: {{model: {0}/x}}}}\n",
        "model_list:\n- {{model_name: m, litellm_params: {{model: {0}, {0}: 1, custom_llm_provider: {0}}}}}\n",
        "model_list: {0}\n",
        "pointsman: {{server: {{port: {0}}}, policy: {0}, energy: {{meter: {{url: 'ftp://h/?key={0}'}}}}}}\n",
        "{0}: 1\n{0}: 2\n",
        "a: *{0}\n",
        "a: !{0} x\n",
        "a: [{0}\n",
        "model_list:\n- {{model_name: m, litellm_params: {{model: openai/x, api_key: os.environ/BAD}}}}\n",
    ],
)
def test_no_error_shows_a_key(tmp_path, caplog, text):
    file = tmp_path / "c.yaml"
    file.write_text(text.format(KEY))
    with caplog.at_level(logging.DEBUG), pytest.raises(ConfigProblems) as caught:
        load_config(file, {"BAD": f"{KEY}\x01"})
    seen = f"{caught.value!r} {caught.value} {caught.value.problems!r} {caplog.text}"
    assert KEY not in seen
    assert KEY[8:20] not in seen
    assert caught.value.__cause__ is None


def test_nothing_shown_of_a_loaded_file_has_a_key(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(f"""\
model_list:
- model_name: a
  litellm_params: {{model: openai/a, api_key: {KEY}, api_base: 'http://u:{KEY}@h/v1', extra_headers: {{x: {KEY}}}}}
- model_name: b
  litellm_params: {{model: openai/b, api_key: os.environ/K}}
general_settings: {{master_key: {KEY}}}
pointsman:
  energy:
    meter: {{kind: url, url: 'http://u:{KEY}@plug/power?token={KEY}', authorization: Bearer {KEY}}}
""")
    config = load_config(file, {"K": KEY})
    shown = render_config(config)
    assert KEY[8:20] not in shown + repr(config) + "".join(map(str, config.warnings))
    assert "api_key: sk-…9876" in shown
    assert "api_key: os.environ/K" in shown
    assert "api_base: http://***@h/v1" in shown
    assert "url: http://***@plug/power?token=***" in shown
    assert config.endpoints[0].api_key.reveal() == KEY
