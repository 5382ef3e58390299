"""One number from a command or a URL, and everything hostile or broken they may say instead."""

import json
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pointsman.errors import ConfigError, DataError, MissingError
from pointsman.meters.reading import number_in
from pointsman.meters.reading_command import CommandReading
from pointsman.meters.reading_url import UrlReading

REDFISH = json.dumps({"PowerControl": [{"PowerConsumedWatts": 245}], "a/b": {"~": "7.5"}}).encode()


@pytest.mark.parametrize(
    ("answer", "key", "number"),
    [
        (b"12.5", None, 12.5),
        (b" 12.5 W\n", None, 12.5),
        (b"3e3 Joules", None, 3000.0),
        (b".5w", None, 0.5),
        (REDFISH, "/PowerControl/0/PowerConsumedWatts", 245.0),
        (REDFISH, "PowerControl.0.PowerConsumedWatts", 245.0),
        (REDFISH, "/a~1b/~0", 7.5),
    ],
)
def test_the_number_is_found(answer, key, number):
    assert number_in(answer, key, "plug") == number


@pytest.mark.parametrize(
    ("answer", "key", "says"),
    [
        (b"", None, "plug answered '', not one number"),
        (b"<html>502</html>", None, "answered '<html>502</html>', not one number"),
        (b"12 kW", None, "not one number in W or J"),
        (b"2026-01-01 12", None, "not one number"),
        (b"1 2", None, "not one number"),
        (b"nan", None, "not one number"),
        (b"1e999", None, "'1e999', no finite number"),
        (b"\xff\xfe\x00", None, "not one number"),
        (b"x" * 5000, None, "answered 'x{60}', not"),
        (b"{", "power", "which is no JSON"),
        (b"[" * 60_000, "power", "which is no JSON"),
        (b"9" * 60_000, "power", "which is no JSON"),
        (b"{}", "a.b", "has no 'a' of 'a.b'"),
        (b'{"a": [1]}', "a.1", "has no '1' of 'a.1'"),
        (b'{"a": [1]}', "/a/-1", "has no '-1'"),
        (b'{"a": true}', "a", "'a' is no number"),
        (b'{"a": null}', "a", "'a' is no number"),
        (b'{"a": {"b": 1}}', "a", "'a' is no number"),
        (b'{"a": NaN}', "a", "no finite number"),
        (b'{"a": "much"}', "a", "'much', no finite number"),
        (b'{"a": 1' + b"0" * 400 + b"}", "a", "no finite number"),
    ],
)
def test_what_is_no_number_is_refused_with_what_was_said(answer, key, says):
    with pytest.raises(DataError, match=says):
        number_in(answer, key, "plug")


def _python(code, **kwargs):
    return CommandReading([sys.executable, "-c", code], **kwargs)


def test_a_command_gives_its_number_and_shows_no_argument():
    reading = _python("print('{\"w\": 41.5}')", key="w", timeout_s=30.0)
    assert reading.read() == 41.5
    assert reading.label.startswith("command python")
    assert "print" not in reading.label


@pytest.mark.parametrize(
    ("code", "error", "says"),
    [
        ("import sys; sys.exit(3)", MissingError, "ended with exit code 3"),
        ("print('hello')", DataError, "answered 'hello'"),
        ("while True: print('1' * 9999)", DataError, "more than 65536 bytes"),
    ],
)
def test_a_broken_command_is_an_error(code, error, says):
    with pytest.raises(error, match=says):
        _python(code, timeout_s=30.0).read()


@pytest.mark.parametrize(
    "code",
    [
        "import time; time.sleep(60)",
        "import os, time; os.close(1); time.sleep(60)",
        # The parent ends at once; its child keeps the pipe open.
        "import os, time\nif os.fork() == 0: time.sleep(60)",
    ],
)
def test_a_command_that_hangs_is_given_up_in_time(code):
    started_s = time.monotonic()
    with pytest.raises(MissingError, match=r"did not answer within 0\.3 s"):
        _python(code, timeout_s=0.3).read()
    assert time.monotonic() - started_s < 10.0


def test_a_command_that_is_not_there_or_no_list_is_refused():
    with pytest.raises(MissingError, match="command no-such-meter can't be started"):
        CommandReading(["no-such-meter"]).read()
    with pytest.raises(ConfigError, match=r"'cat /x'.*Give a list"):
        CommandReading("cat /x")
    with pytest.raises(ConfigError, match=r"is \[\]"):
        CommandReading([])
    with pytest.raises(ConfigError, match="timeout_s is 0"):
        CommandReading(["x"], timeout_s=0)


class Plug(BaseHTTPRequestHandler):
    """Answers by path."""

    def do_GET(self):
        if self.path.startswith("/watts"):
            self._answer(200, b'{"w": 33}')
        elif self.path == "/secret":
            self._answer(200, b"5" if self.headers["Authorization"] == "Basic abc" else b"denied")
        elif self.path == "/away":
            self._answer(302, b"", Location="/watts")
        elif self.path == "/busy":
            self._answer(503, b"busy")
        elif self.path == "/endless":
            self._answer(200, b"1" * 70_000)
        elif self.path == "/hang":
            self.server.ended.wait(30)
        elif self.path == "/drip":
            self._drip()
        elif self.path == "/garbage":
            self.wfile.write(b"\x00\x01\x02 no http\r\n\r\n")
            self.close_connection = True

    def _answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _drip(self):
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        try:
            while not self.server.ended.wait(0.02):
                self.wfile.write(b"1")
                self.wfile.flush()
        except OSError:
            self.close_connection = True

    def log_message(self, *args):
        pass


@contextmanager
def _server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Plug)
    server.ended = threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def address():
    with _server() as url:
        yield url


def test_a_url_gives_its_number_and_shows_no_secret(address):
    reading = UrlReading(f"{address}/watts?token=hush", "w")
    assert reading.read() == 33.0
    assert "hush" not in reading.label
    secret = UrlReading(f"{address}/secret", headers={"Authorization": "Basic abc"})
    assert secret.read() == 5.0
    assert "abc" not in repr(secret)


@pytest.mark.parametrize(
    ("path", "error", "says"),
    [
        ("/away", MissingError, "/away answered with status 302"),
        ("/busy", MissingError, "answered with status 503"),
        ("/endless", DataError, "more than 65536 bytes"),
        ("/hang", MissingError, r"did not answer within 0\.3 s"),
        ("/drip", MissingError, r"did not answer within 0\.3 s"),
        ("/garbage", MissingError, "can't be read"),
        ("/secret", DataError, "answered 'denied'"),
    ],
)
def test_a_broken_server_is_an_error(address, path, error, says):
    with pytest.raises(error, match=says):
        UrlReading(address + path, timeout_s=0.3 if path in {"/hang", "/drip"} else 30.0).read()


def test_nobody_listening_is_an_error():
    with _server() as url:
        pass
    with pytest.raises(MissingError, match="can't be read"):
        UrlReading(url + "/watts").read()


@pytest.mark.parametrize(
    "url", ["", "plug/watts", "file:///etc/passwd", "ftp://plug/x", "http://", "http://a:99999/"]
)
def test_what_is_no_http_url_is_refused(url):
    with pytest.raises(ConfigError, match="not http or https with a host"):
        UrlReading(url)


def test_credentials_in_the_wrong_place_are_refused_and_not_shown():
    with pytest.raises(ConfigError, match="Authorization header") as caught:
        UrlReading("http://user:hush@plug/watts")
    assert "hush" not in str(caught.value)
    with pytest.raises(ConfigError, match="header 'Authorization'") as caught:
        UrlReading("http://plug/", headers={"Authorization": "hush\r\nHost: x"})
    assert "hush" not in str(caught.value)
