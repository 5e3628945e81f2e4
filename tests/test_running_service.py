"""The service as processes: nothing but its port listens, idle sockets keep nobody out, a dead
worker is replaced, and an end loses nothing that was sent.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serving.api import connections
from serving.api.key_file import hash_key
from tests.support.command_line import lifecycle
from tests.support.running_services import KEY, SCORE_HEAD, running
from tests.support.variants import first_quick

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
IDLE = {
    "heads that never end": b"GET /v1/model HTTP/1.1\r\nHost: here\r\n",
    "nothing at all": b"",
    "logins that never end": b"POST /login HTTP/1.1\r\nHost: here\r\nContent-Length: 99\r\n\r\nkey",
    "bodies that never end, without a key": SCORE_HEAD + b"\r\n{",
    "bodies that never end": SCORE_HEAD + f"Authorization: Bearer {KEY}\r\n\r\n{{".encode(),
}


def listening(pid):
    """(address, port) of every TCP socket on which the process listens, in /proc's hexadecimal."""
    own = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        own.add(os.readlink(link).removeprefix("socket:[").removesuffix("]"))
    lines = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    ]
    return {line[1] for line in lines if line[3] == "0A" and line[9] in own}


def test_its_port_is_all_that_listens(running_shop):
    processes = [running_shop.process.pid, *running_shop.children()]
    assert len(processes) == 2
    wanted = f"0100007F:{running_shop.port:04X}"
    assert [listening(pid) for pid in processes] == [{wanted}] * 2


@pytest.mark.parametrize("name", first_quick(IDLE, quick=2))
def test_a_thousand_idle_connections_keep_nobody_out(running_shop, name):
    with running_shop.idle(1000, IDLE[name]):
        assert Counter(running_shop.by_id() for _ in range(30)) == {200: 30}
    assert running_shop.by_id() == 200


def test_a_connection_that_had_a_key_stays_before_strangers(running_shop):
    kept = http.client.HTTPConnection("127.0.0.1", running_shop.port, timeout=60)
    kept.request("GET", "/v1/model", headers={"Authorization": f"Bearer {KEY}"})
    assert kept.getresponse().read()
    own = kept.sock.getsockname()
    with running_shop.idle(600, b""):
        assert running_shop.by_id() == 200
        kept.request("GET", "/v1/model", headers={"Authorization": f"Bearer {KEY}"})
        assert kept.getresponse().read()
        assert kept.sock.getsockname() == own
    kept.close()


@pytest.mark.long
@pytest.mark.slow
def test_who_never_ends_a_head_is_left(running_shop):
    with (
        running_shop.idle(1, b"") as [silent],
        running_shop.idle(1, b"GET /v1/model HTTP/1.1\r\nHost: he") as [half],
    ):
        for one in (silent, half):
            one.settimeout(60)
            assert one.recv(1) == b""


@pytest.mark.long
@pytest.mark.slow
def test_a_slow_head_on_a_connection_that_was_used_is_left_too(running_shop):
    with running_shop.idle(1, b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n") as [one]:
        one.settimeout(60)
        answer = b""
        while not answer.endswith(b"\r\n\r\n\n"):
            answer += one.recv(4096)
        assert b" 200 " in answer
        one.sendall(b"GET /livez HT")
        assert one.recv(1) == b""


@pytest.mark.long
@pytest.mark.slow
def test_with_few_files_too_nobody_is_kept_out(trained_shop, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))\n"
    )
    with (
        running(trained_shop, tmp_path / "home", PYTHONPATH=str(tmp_path)) as service,
        service.idle(500, IDLE["logins that never end"]),
    ):
        assert Counter(service.by_id() for _ in range(30)) == {200: 30}


@pytest.mark.slow
def test_a_killed_worker_is_replaced(running_shop):
    [worker] = running_shop.children()
    os.kill(worker, signal.SIGKILL)
    assert running_shop.by_id(seconds=120) == 200  # it waits at the socket meanwhile
    assert running_shop.children() != [worker]


def raw_events(count):
    """A request with so many customers, each of ten purchases."""
    days = [{"occurred_at": f"2023-01-{day:02}T10:00:00Z", "amount": 5} for day in range(10, 20)]
    customers = [{"customer_id": f"c{number}", "transactions": days} for number in range(count)]
    return json.dumps({"as_of": "2024-02-01T00:00:00Z", "customers": customers}).encode()


@pytest.mark.slow
def test_an_end_loses_nothing_that_was_sent(trained_shop, tmp_path):
    with running(trained_shop, tmp_path / "home") as service, ThreadPoolExecutor(12) as clients:
        body = raw_events(50)
        assert service.request("/v1/score", body)[0] == 200
        waiting = [clients.submit(service.request, "/v1/score", body) for _ in range(4)]
        waiting += [clients.submit(service.by_id) for _ in range(8)]
        until = time.monotonic() + 60
        while sum(one.running() or one.done() for one in waiting) < 12:
            assert time.monotonic() < until
        time.sleep(0.2)  # all of them have been sent
        service.process.terminate()
        by_events = [one.result()[0] for one in waiting[:4]]
        assert Counter([*by_events, *(one.result() for one in waiting[4:])]) == {200: 12}
        assert service.process.wait(timeout=60) == 0
        assert service.process.stdout.read() == ""  # JSON alone
        with (
            pytest.raises(ConnectionRefusedError),
            socket.create_connection(("127.0.0.1", service.port)),
        ):
            pass


def test_impatient_callers_with_raw_events_harm_nobody(running_shop):
    body = raw_events(400)
    assert running_shop.request("/v1/score", body)[0] == 200
    with ThreadPoolExecutor(60) as clients:
        impatient = [clients.submit(impatient_status, running_shop, body) for _ in range(120)]
        assert Counter(running_shop.by_id() for _ in range(30)) == {200: 30}
        statuses = Counter(one.result() for one in impatient)
    assert statuses.keys() <= {200, 429, "gone"}
    assert statuses[429] > 0
    status, answer = running_shop.request("/v1/score", body)
    assert (status, len(json.loads(answer)["scores"])) == (200, 400)
    counted = running_shop.request("/metrics")[1].decode()
    assert 'lifecycle_requests_total{route="/v1/score",status="429"}' in counted


def impatient_status(service, body):
    try:
        return service.request("/v1/score", body, seconds=2)[0]
    except OSError:
        return "gone"


@pytest.mark.slow
def test_every_worker_follows_a_new_and_a_revoked_key(trained_shop, home):
    (home / "keys.json").write_text(json.dumps({"keys": [{"sha256": hash_key(KEY)}]}))
    own = {"LIFECYCLE_HOME": str(home), "LIFECYCLE_API_KEYS": ""}
    with running(trained_shop, home, LIFECYCLE_API_KEYS="", LIFECYCLE_WORKERS="2") as service:
        assert lifecycle("key", "new", "--name", "other", **own).returncode == 0
        assert Counter(service.by_id() for _ in range(20)) == {200: 20}
        assert lifecycle("key", "revoke", hash_key(KEY)[:8], **own).returncode == 0
        until = time.monotonic() + 60
        while Counter(service.by_id() for _ in range(40)) != {401: 40}:
            assert time.monotonic() < until


@pytest.mark.slow
def test_a_damaged_release_ends_the_start_with_its_reason(trained_shop, home):
    shutil.copytree(trained_shop.home, home, dirs_exist_ok=True)
    release = home / trained_shop.release.folder.relative_to(trained_shop.home)
    (release / "models.json").write_text("{}")
    said = subprocess.run(
        [sys.executable, "-m", "lifecycle", "serve", "--port", "0"],
        env=os.environ | {"LIFECYCLE_HOME": str(home), "LIFECYCLE_API_KEYS": KEY},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert said.returncode == 1
    assert "not as they were written" in said.stderr
    assert "Traceback" not in said.stderr
    assert said.stdout == ""


def test_idle_connections_of_others_with_a_key_keep_nobody_out(running_shop):
    asked = f"GET /v1/model HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {KEY}\r\n\r\n"
    with running_shop.idle(800, asked.encode()):
        assert Counter(running_shop.by_id() for _ in range(30)) == {200: 30}


@pytest.mark.long
@pytest.mark.slow
def test_callers_that_send_many_requests_at_once_and_read_nothing_keep_nobody_out(running_shop):
    head = f"GET /v1/customers/{running_shop.customer} HTTP/1.1\r\nHost: here\r\n"
    whole = f"{head}Authorization: Bearer {KEY}\r\n\r\n".encode() * 40
    with running_shop.idle(300, whole):
        assert Counter(running_shop.by_id() for _ in range(10)) == {200: 10}
    assert running_shop.by_id() == 200


def test_a_row_of_requests_on_one_connection_has_an_end(running_shop):
    with running_shop.idle(1, b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n" * 100) as [one]:
        one.settimeout(60)
        answers = b"".join(iter(lambda: one.recv(1 << 16), b""))
    assert answers.count(b"HTTP/1.1 200") == connections.PIPELINED


@pytest.mark.slow
def test_a_worker_that_is_killed_while_it_loads_ends_the_start_with_the_reason(trained_shop, home):
    shutil.copytree(trained_shop.home, home, dirs_exist_ok=True)
    with subprocess.Popen(
        [sys.executable, "-m", "lifecycle", "serve", "--port", "0"],
        env=os.environ | {"LIFECYCLE_HOME": str(home), "LIFECYCLE_API_KEYS": KEY},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while not (workers := children.read_text().split()):
            assert process.poll() is None
        os.kill(int(workers[0]), signal.SIGKILL)
        assert "signal 9" in process.communicate(timeout=60)[1]
    assert process.returncode == 4


@pytest.mark.long
@pytest.mark.slow
def test_a_closed_terminal_ends_it_as_any_end_does(trained_shop, tmp_path):
    with running(trained_shop, tmp_path / "home") as service:
        service.process.send_signal(signal.SIGHUP)
        assert service.process.wait(timeout=60) == 0


def test_every_family_of_the_metrics_is_there_once(running_shop):
    text = running_shop.request("/metrics")[1].decode()
    families = [line for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(families) == len(set(families)) > 5
    assert "lifecycle_run_customers " in text


def test_an_id_with_a_line_end_is_another_id(running_shop):
    status, answer = running_shop.request(f"/v1/customers/{running_shop.customer}%0a")
    assert (status, json.loads(answer)["error"]) == (404, "NotFound")
