"""The embedded fleet with the real llama.cpp and a 115 KB model: started, found again, stopped."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from pointsman.build import engines_of, read_config
from pointsman.engines import processes
from pointsman.engines.fleet import Fleet, FleetModel
from pointsman.engines.fleet_launch import available_cores
from pointsman.engines.fleet_state import FleetState
from pointsman.engines.llama_server import ServerOptions, parse
from pointsman.errors import BadRequest, DataError, EngineError, EngineTimeout, MissingError
from pointsman.testing.tiny_gguf import write_tiny_gguf
from pointsman.types import Prompt, Request

pytest.importorskip("xllamacpp", reason="the extra `fleet` is not installed")

SOURCE = Path(__file__).parents[2] / "src"
GONE_WITHIN_S = 10.0


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny_gguf(tmp_path_factory.mktemp("weights") / "tiny.gguf")


@pytest.fixture
def state_dir(tmp_path, monkeypatch):
    """A fleet's folder; whatever a test leaves running there is stopped."""
    monkeypatch.setenv("POINTSMAN_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "fleet"
    yield folder
    (folder / "state.json").exists() and Fleet(state_dir=folder).down()


def post(url, body):
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        return json.load(answer)


def chat(endpoint, content="hello", **options):
    body = {"model": endpoint.name, "messages": [{"role": "user", "content": content}], "max_tokens": 8}
    return post(f"{endpoint.base_url}/v1/chat/completions", body | options)


def until_gone(pid):
    give_up_at_s = time.monotonic() + GONE_WITHIN_S
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < give_up_at_s, f"process {pid} still runs"
        time.sleep(0.05)


def test_up_answers_and_down_leaves_nothing(tiny, state_dir):
    fleet = Fleet(
        [FleetModel("a", tiny, context_tokens=128, slots=2), FleetModel("b", tiny)], state_dir=state_dir
    )
    ready = []
    a, b = fleet.up(on_ready=ready.append)
    assert ready == [a, b]
    assert (a.context_tokens, a.slots, b.context_tokens, b.slots) == (128, 2, 2048, 4)
    assert {a.threads, b.threads} == {max(1, available_cores() // 2)}
    for endpoint in (a, b):
        assert endpoint.base_url.startswith("http://127.0.0.1:")
        answer = chat(endpoint)
        assert answer["model"] == endpoint.name
        assert answer["usage"]["completion_tokens"] == 8
    with pytest.raises(urllib.error.HTTPError, match="400"):
        chat(a, "too long for its slot " * 20)
    assert chat(a)["usage"]["completion_tokens"] == 8

    assert fleet.down() == ("a", "b")
    assert not psutil.pid_exists(a.pid)
    assert not psutil.pid_exists(b.pid)
    assert fleet.endpoints() == ()
    assert {path.name for path in state_dir.iterdir()} == {"lock", "state.json", "a.log", "b.log"}


def test_metrics_and_slots_are_on_and_the_prompt_cache_can_be_refused(tiny, state_dir):
    with Fleet([FleetModel("a", tiny)], state_dir=state_dir) as fleet:
        (endpoint,) = fleet.endpoints()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        assert b"llamacpp:tokens_predicted_total" in opener.open(f"{endpoint.base_url}/metrics").read()
        assert len(json.load(opener.open(f"{endpoint.base_url}/slots"))) == 4
        chat(endpoint, "the same words", id_slot=0)
        again = chat(endpoint, "the same words", id_slot=0)
        refused = chat(endpoint, "the same words", id_slot=0, cache_prompt=False)
    assert again["usage"]["prompt_tokens_details"]["cached_tokens"] > 0
    assert refused["usage"]["prompt_tokens_details"]["cached_tokens"] == 0


async def test_streams_one_after_another_all_come_to_their_end(tiny, state_dir):
    """llama.cpp closes the connection after each: the next one must not meet it."""
    request = Request(
        "r",
        Prompt("hi"),
        stream=True,
        payload=b'{"messages":[{"role":"user","content":"hi"}],"max_tokens":2,"stream":true}',
    )
    with Fleet([FleetModel("mine", tiny, threads=1)], state_dir=state_dir) as fleet:
        engine = engines_of(read_config(None), fleet.endpoints())["mine"]
        for _ in range(50):
            assert [piece async for piece in engine.run(request)][-1].output_tokens == 2
        await engine.close()


def test_a_running_model_is_found_by_another_fleet_and_kept(tiny, state_dir):
    (first,) = Fleet([FleetModel("a", tiny, threads=1)], state_dir=state_dir).up()
    again, other = Fleet([FleetModel("a", tiny), FleetModel("b", tiny)], state_dir=state_dir).up()
    assert again == first
    (record, _) = Fleet(state_dir=state_dir).status()
    assert (record.pid, record.port, record.tied) == (first.pid, int(first.base_url.rsplit(":", 1)[1]), False)
    assert Fleet(state_dir=state_dir).down(["b", "unknown"]) == ("b",)
    assert not psutil.pid_exists(other.pid)
    assert Fleet(state_dir=state_dir).endpoints() == (first,)


@pytest.mark.parametrize(("param", "value"), [("threads", 2), ("slots", 1), ("context_tokens", 64)])
def test_a_running_model_with_other_settings_is_refused_and_keeps_running(tiny, state_dir, param, value):
    (endpoint,) = Fleet([FleetModel("a", tiny, threads=1)], state_dir=state_dir).up()
    with pytest.raises(BadRequest, match=rf"{param} \d+, and {value} was asked for.*fleet down"):
        Fleet([FleetModel("a", tiny, **{param: value})], state_dir=state_dir).up()
    assert Fleet(state_dir=state_dir).endpoints() == (endpoint,)


def test_one_that_does_not_load_shows_its_log_and_takes_the_others_down(tiny, state_dir, tmp_path):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(tiny.read_bytes()[:5000])
    fleet = Fleet([FleetModel("good", tiny), FleetModel("broken", broken)], state_dir=state_dir)
    good = []
    with pytest.raises(EngineError, match="broken did not load") as caught:
        fleet.up(on_ready=good.append)
    assert "failed to read key-value pairs" in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert caught.value.endpoint == "broken"
    assert not psutil.pid_exists(good[0].pid)
    assert fleet.status() == ()
    assert Fleet([FleetModel("good", tiny)], state_dir=state_dir).up()


def test_not_ready_in_time_is_an_error_that_leaves_nothing(tiny, state_dir):
    fleet = Fleet([FleetModel("slow", tiny)], state_dir=state_dir, ready_timeout_s=1e-9)
    with pytest.raises(EngineTimeout, match="slow was not ready"):
        fleet.up()
    assert FleetState(state_dir).load() == []
    assert [p for p in psutil.process_iter(["cmdline"]) if str(state_dir) in str(p.info["cmdline"])] == []


def test_a_port_in_use_is_refused_and_a_free_one_is_taken(tiny, state_dir):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        fleet = Fleet([FleetModel("a", tiny, port=port)], state_dir=state_dir)
        with pytest.raises(BadRequest, match=rf"port {port} on 127.0.0.1: Address already in use.*free one"):
            fleet.up()
    (endpoint,) = fleet.up()
    assert endpoint.base_url == f"http://127.0.0.1:{port}"


def test_a_killed_model_is_noticed_and_started_again(tiny, state_dir):
    fleet = Fleet([FleetModel("a", tiny)], state_dir=state_dir)
    (endpoint,) = fleet.up()
    os.kill(endpoint.pid, signal.SIGKILL)
    until_gone(endpoint.pid)
    assert fleet.status() == ()
    (again,) = fleet.up()
    assert again.pid != endpoint.pid
    assert chat(again)["model"] == "a"


def test_a_process_that_ignores_sigterm_is_killed():
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); input()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as stubborn:
        stubborn.stdout.readline()
        assert processes.alive(stubborn.pid, command)
        processes.stop(stubborn.pid, command, kill_after_s=0.3)
        assert not psutil.pid_exists(stubborn.pid)


def test_a_process_just_spawned_is_alive_before_the_kernel_tells_its_command_line(monkeypatch):
    command = [sys.executable, "-c", "input()"]
    told = [[], [], command]
    monkeypatch.setattr(psutil.Process, "cmdline", lambda _: told.pop(0))
    with subprocess.Popen(command, stdin=subprocess.PIPE) as young:
        assert processes.alive(young.pid, command)
        young.communicate(b"\n")
    assert told == []


def test_a_process_that_has_the_pid_by_chance_is_never_touched(tiny, state_dir):
    fleet = Fleet([FleetModel("a", tiny)], state_dir=state_dir)
    (endpoint,) = fleet.up()
    fleet.down()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        state = json.dumps([_record(state_dir, endpoint, stranger.pid)])
        (state_dir / "state.json").write_text(state)
        assert fleet.status() == ()
        assert fleet.down() == ()
        assert stranger.poll() is None
        stranger.communicate(b"\n")


def _record(state_dir, endpoint, pid):
    command = [sys.executable, "-m", "pointsman.engines.llama_server", f"--name={endpoint.name}"]
    return {
        "name": endpoint.name,
        "pid": pid,
        "command": command,
        "model": "m",
        "sha256": "0",
        "threads": 1,
        "slots": 1,
        "context_tokens": 64,
        "started_at_s": 0.0,
        "tied": False,
        "log": str(state_dir / "a.log"),
        "base_url": endpoint.base_url,
    }


def test_one_whose_start_was_cut_short_is_replaced(tiny, state_dir):
    fleet = Fleet([FleetModel("a", tiny)], state_dir=state_dir)
    (endpoint,) = fleet.up()
    (record,) = json.loads((state_dir / "state.json").read_text())
    (state_dir / "state.json").write_text(json.dumps([record | {"base_url": ""}]))
    assert fleet.status() == ()
    (again,) = fleet.up()
    assert again.pid != endpoint.pid
    assert not psutil.pid_exists(endpoint.pid)


def test_two_processes_that_start_it_at_once_get_the_same_one(tiny, state_dir):
    code = (
        "import sys\nfrom pathlib import Path\nfrom pointsman.engines.fleet import Fleet, FleetModel\n"
        f"fleet = Fleet([FleetModel('a', Path({str(tiny)!r}))], state_dir=Path({str(state_dir)!r}))\n"
        "print('waiting', flush=True)\ninput()\nprint(fleet.up()[0].pid)\n"
    )
    command = [sys.executable, "-c", code]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    with (
        subprocess.Popen(command, env=environment, **pipes) as first,
        subprocess.Popen(command, env=environment, **pipes) as second,
    ):
        for process in (first, second):
            assert process.stdout.readline() == "waiting\n"
        for process in (first, second):
            process.stdin.write("\n")
            process.stdin.flush()
        pids = {int(process.communicate()[0]) for process in (first, second)}
    assert pids == {endpoint.pid for endpoint in Fleet(state_dir=state_dir).endpoints()}
    assert len(pids) == 1


def test_a_temporary_fleet_ends_with_its_block_and_spares_what_ran_before(tiny, state_dir):
    (before,) = Fleet([FleetModel("a", tiny)], state_dir=state_dir).up()
    with Fleet([FleetModel("a", tiny), FleetModel("b", tiny)], state_dir=state_dir) as fleet:
        same, temporary = fleet.endpoints()
        assert same == before
    assert not psutil.pid_exists(temporary.pid)
    assert Fleet(state_dir=state_dir).endpoints() == (before,)


def test_a_temporary_fleet_ends_when_its_process_is_killed(tiny, state_dir):
    code = (
        "from pathlib import Path\nfrom pointsman.engines.fleet import Fleet, FleetModel\n"
        f"with Fleet([FleetModel('a', Path({str(tiny)!r}))], state_dir=Path({str(state_dir)!r})) as fleet:\n"
        "    print(fleet.endpoints()[0].pid, flush=True)\n    input()\n"
    )
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, **pipes) as owner:
        pid = int(owner.stdout.readline())
        owner.kill()
    until_gone(pid)
    assert Fleet(state_dir=state_dir).status() == ()


def test_a_file_of_another_hash_or_kind_is_refused_before_anything_starts(tiny, state_dir, tmp_path):
    with pytest.raises(DataError, match=f"expected {'0' * 64}"):
        Fleet([FleetModel("a", tiny, sha256="0" * 64)], state_dir=state_dir).up()
    text = tmp_path / "text.gguf"
    text.write_text("not a model")
    with pytest.raises(DataError, match="not b'GGUF'"):
        Fleet([FleetModel("a", text)], state_dir=state_dir).up()
    with pytest.raises(MissingError, match="no model file"):
        Fleet([FleetModel("a", tmp_path / "absent")], state_dir=state_dir).up()
    assert FleetState(state_dir).load() == []


@pytest.mark.parametrize("content", ["{", '[{"name": "a"}]', "null"])
def test_a_damaged_state_file_is_named(tiny, state_dir, content):
    state_dir.mkdir()
    (state_dir / "state.json").write_text(content)
    try:
        with pytest.raises(DataError, match=r"state\.json is not a fleet state file"):
            Fleet([FleetModel("a", tiny)], state_dir=state_dir).up()
    finally:
        (state_dir / "state.json").unlink()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": "../etc"}, "can't be a fleet model's name"),
        ({"name": ""}, "can't be a fleet model's name"),
        ({"port": 65536}, "port 65536. Choose 0 to 65535"),
        ({"port": -1}, "port -1"),
        ({"threads": 0}, "threads 0. Choose 1 to 512"),
        ({"slots": 0}, "slots 0. Choose 1 to 256"),
        ({"context_tokens": 1}, "context_tokens 1. Choose 64 to"),
    ],
)
def test_values_out_of_range_are_refused(tiny, changes, text):
    with pytest.raises(BadRequest, match=text):
        FleetModel(**({"name": "a", "path": tiny} | changes))


def test_names_must_differ(tiny, state_dir):
    with pytest.raises(BadRequest, match="names repeat: a, a"):
        Fleet([FleetModel("a", tiny), FleetModel("a", tiny)], state_dir=state_dir)


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, float("nan"), float("inf")])
def test_a_wait_that_can_not_be_waited_is_refused(tiny, state_dir, timeout_s):
    with pytest.raises(BadRequest, match="Choose one above 0, up to 86400"):
        Fleet([FleetModel("a", tiny)], state_dir=state_dir, ready_timeout_s=timeout_s)


@pytest.mark.parametrize("module", ["psutil", "xllamacpp"])
def test_without_the_extra_its_name_is_told(tiny, state_dir, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingError, match=r"pip install 'pointsman\[fleet\]'"):
        Fleet([FleetModel("a", tiny)], state_dir=state_dir).up()


@pytest.mark.parametrize("parent_pid", [None, 7])
def test_server_options_survive_the_command_line(tmp_path, parent_pid):
    options = ServerOptions(
        model=tmp_path / "with space.gguf",
        name="a",
        address_file=tmp_path / "a.address",
        port=8101,
        threads=2,
        slots=3,
        context_tokens=512,
        prompt_cache_mib=0,
        parent_pid=parent_pid,
    )
    assert parse(options.arguments()) == options
