"""Of a thousand strings planted in requests, good and bad, none is in a log, a metric, an error or
a file afterwards.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import os
import socket
import subprocess
import sys
import time
from urllib.parse import quote

import pytest

from tests.support.planted_strings import (
    BODIES,
    ELSEWHERE,
    MARK,
    NUMBER,
    assert_silent,
    events,
    found,
    planted,
)
from tests.support.services import BEARER, JSON, KEY


class Heard(logging.Handler):
    """Everything any logger says at any level, with arguments and tracebacks, as text."""

    def __init__(self):
        super().__init__(logging.NOTSET)
        self.said = []
        self.setFormatter(
            logging.Formatter("%(name)s %(levelname)s %(pathname)s %(message)s %(exc_info)s")
        )

    def emit(self, record):
        self.said.append(f"{self.format(record)} {record.args} {record.__dict__}")


@pytest.fixture
def heard(monkeypatch):
    monkeypatch.setenv("LIFECYCLE_LOG", "debug")
    handler, changed = Heard(), []
    for one in (logging.root, *logging.root.manager.loggerDict.values()):
        if isinstance(one, logging.Logger) and (
            one is logging.root or not one.propagate or one.level > logging.DEBUG
        ):
            changed.append((one, one.level, one.propagate, one.disabled))
            one.level, one.propagate, one.disabled = logging.DEBUG, True, False
    logging.root.addHandler(handler)
    logging.root.manager._clear_cache()
    yield handler.said
    logging.root.removeHandler(handler)
    for one, *kept in changed:
        one.level, one.propagate, one.disabled = kept
    logging.root.manager._clear_cache()


def test_a_thousand_planted_strings_are_nowhere(shop_service, heard, capfd):
    numbers = iter(range(10_000))

    def s():
        return planted(next(numbers))

    rounds = 0
    while next(numbers) < 1000:
        rounds += 1
        for body in BODIES:
            sent = body(s)
            said = shop_service.ask(sent if isinstance(sent, bytes) else json.dumps(sent).encode())
            assert said.status_code in (200, 422), said.text
            assert_silent(said.status_code, said.text, str(said.headers))
        for request in ELSEWHERE:
            method, path, query, headers = request(s)
            lines = [
                (name.encode(), value.encode()) for name, value in {**BEARER, **headers}.items()
            ]
            said = shop_service.spoken(method, path, headers=lines, query=quote(query).encode())
            assert said.status in (200, 401, 404, 405, 415, 422), said
            assert_silent(said.status, said.body.decode(), str(said.headers))
    assert rounds > 1
    told = capfd.readouterr()
    pages = shop_service.get("/metrics").text + shop_service.get("/v1/model").text
    assert found("\n".join(heard)) == []
    assert found(told.out + told.err) == []
    assert found(pages) == []
    assert any("/v1/customers/{id} 404" in line for line in heard)
    assert 'lifecycle_refused_total{error="Malformed"}' in pages


def test_no_file_of_the_home_has_a_planted_string(shop_service):
    shop_service.ask(events(lambda: planted(1)))
    shop_service.ask({"customer_ids": [planted(2)], planted(3): 1})
    files = [path for path in shop_service.home.rglob("*") if path.is_file()]
    assert any(path.name == "mlflow.db" for path in files)
    assert [path.name for path in files if MARK.encode() in path.read_bytes()] == []


@pytest.fixture
def served(trained_shop, tmp_path):
    """`lifecycle serve` as its owner starts it, saying all it can: (port, a function that ends it
    and gives what it said).
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "LIFECYCLE_HOME": str(trained_shop.home),
        "LIFECYCLE_API_KEYS": KEY,
        "LIFECYCLE_LOG": "debug",
        "BENTOML_HOME": str(tmp_path / "bentoml"),
        "PYTHONUNBUFFERED": "1",
    }
    log = (tmp_path / "said").open("w+b")
    child = subprocess.Popen(
        [sys.executable, "-m", "lifecycle", "serve", "--port", str(port)],
        env=environment,
        stdout=log,
        stderr=log,
    )

    def ended() -> tuple[int, str]:
        child.terminate()
        return child.wait(60), (tmp_path / "said").read_text(errors="replace")

    try:
        while b"answering at" not in (tmp_path / "said").read_bytes():
            assert child.poll() is None, (tmp_path / "said").read_text()
            time.sleep(0.1)
        yield port, ended
    finally:
        child.terminate()  # killed, it could not end the service it started
        child.wait(60)
        log.close()


@pytest.mark.long
@pytest.mark.slow
def test_a_real_service_says_nothing_of_what_it_was_sent(served):
    port, ended = served
    numbers = iter(range(10_000))

    def s():
        return planted(next(numbers))

    _everything(port, s)
    _what_only_a_socket_can_say(port)
    _a_slow_body_keeps_nobody_waiting(port)
    code, said = ended()
    assert found(said) == []
    assert "Traceback" not in said
    assert "internal error" not in said
    assert "POST /v1/score 422" in said
    assert "POST /v1/score 413" in said
    assert code == 0


def _every_body(line, s):
    for body in BODIES:
        sent = body(s)
        line.request(
            "POST",
            "/v1/score",
            sent if isinstance(sent, bytes) else json.dumps(sent).encode(),
            {**BEARER, **JSON},
        )
        answer = line.getresponse()
        assert_silent(answer.status, answer.read().decode(), str(answer.headers))
        assert answer.status in (200, 422)


def _everything(port, s):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as line:
        _every_body(line, s)
    for request in ELSEWHERE:
        method, path, query, headers = request(s)
        lines = "".join(
            f"{quote(name)}: {value}\r\n".replace("\n[", " [")
            for name, value in {**BEARER, **headers}.items()
        )
        target = quote(path) + (f"?{quote(query)}" if query else "")
        said = _raw(
            port,
            f"{quote(method, safe='')} {target} HTTP/1.1\r\nHost: x\r\nConnection:"
            f" close\r\n{lines}\r\n".encode(),
        )
        status = int(said.split(b" ")[1])
        assert status in (200, 400, 401, 404, 405, 415, 422), said
        assert_silent(
            status, said.partition(b"\r\n\r\n")[2].decode(), said.partition(b"\r\n\r\n")[0].decode()
        )


def _raw(port: int, *pieces: bytes) -> bytes:
    """What the service says to these bytes until it hangs up; a caller that it hangs up on goes on
    reading.
    """
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
        try:
            for piece in pieces:
                line.sendall(piece)
            while more := line.recv(1 << 16):
                got += more
        except (BrokenPipeError, ConnectionResetError):
            pass
        return got


def _what_only_a_socket_can_say(port):
    head = (
        f"Host: x\r\nConnection: close\r\nAuthorization: Bearer {KEY}\r\nContent-Type:"
        " application/json\r\n"
    )
    post, piece = f"POST /v1/score HTTP/1.1\r\n{head}", b" " * (1 << 20)
    upgrade = (
        f"GET /{MARK} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection:"
        " Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version:"
        " 13\r\n\r\n"
    )
    assert b" 413 " in _raw(port, f"{post}Content-Length: {33 << 20}\r\n\r\n".encode())
    chunks = [b"%x\r\n%s\r\n" % (len(piece), piece)] * 33
    assert _raw(port, f"{post}Transfer-Encoding: chunked\r\n\r\n".encode(), *chunks)[9:12] in (
        b"413",
        b"",
    )
    assert b" 401 " in _raw(port, upgrade.encode())
    assert b" 401 " in _raw(
        port, b"GET /static_content/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    assert b" 401 " in _raw(
        port,
        b"GET /v1/model HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie:"
        b" lifecycle_session=9.\xe9\r\n\r\n",
    )
    ended = f"{post}Content-Length"
    for garbage in (
        MARK,
        f"GET / HTTP/1.1\r\n{MARK}",
        f"{ended}: 1\r\nContent-Length: 2",
        f"{ended}: -{NUMBER}",
        f"{ended}: {'9' * 99}",
    ):
        assert b" 400 " in _raw(port, f"{garbage}\r\n\r\n".encode())
    assert b" 401 " in _raw(port, f"GET /{MARK} HTTP/9.9\r\nConnection: close\r\n\r\n".encode())
    with socket.create_connection(("127.0.0.1", port), timeout=60) as gone:
        gone.sendall(f'{post}Content-Length: 1000\r\n\r\n{{"customer_ids": ["{MARK}'.encode())


def _a_slow_body_keeps_nobody_waiting(port):
    body = json.dumps({"customer_ids": [MARK]}).encode()
    head = (
        "POST /v1/score HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer"
        f" {KEY}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=60) as slow:
        slow.sendall(head.encode() + body[:5])
        assert b" 200 " in _raw(port, head.encode(), body)
        slow.sendall(body[5:])
        assert b" 200 " in slow.recv(1 << 16)
