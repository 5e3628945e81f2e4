"""Bad callers and sudden ends: what good callers see of them.

A thousand idle sockets of each kind; 400 impatient callers with raw events; a new run; SIGTERM with
requests in flight. All callers are on this machine and share its cores with the service.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import selectors
import signal
import socket
import time
from collections import Counter
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.serving import hosts
from benchmarks.serving.business import Business, by_id
from benchmarks.serving.client import Connection, ask, once, request
from benchmarks.serving.hosts import Host
from features.core.staged_files import staged_file

IDLE, IMPATIENT, PATIENCE_SECONDS, IN_FLIGHT = 1000, 400, 5, 60
KEY_LINE = f"Authorization: Bearer {hosts.KEY}\r\n".encode()
_HEAD = b"POST /v1/score HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
KINDS = {
    "heads that never end": b"GET /v1/model HTTP/1.1\r\nHost: here\r\n",
    "logins that never end": b"POST /login HTTP/1.1\r\nHost: here\r\nContent-Length: 99\r\n\r\nk",
    "bodies that never end": _HEAD + b"Content-Length: 1000\r\n\r\n{",
    "bodies that never end, with a key": _HEAD + KEY_LINE + b"Content-Length: 1000\r\n\r\n{",
}


@dataclass(frozen=True)
class Calls:
    """What `count` good calls one after the other saw, each on a connection of its own."""

    statuses: Counter[int | str]
    ms: tuple[float, ...]

    @property
    def p99(self) -> float:
        return sorted(self.ms)[int(len(self.ms) * 0.99)]


def call(port: int, body: bytes, *, seconds: float = 60) -> tuple[int | str, float]:
    """(status or the name of the error, ms) of one request with the key."""
    began, connection = time.perf_counter(), http.client.HTTPConnection("127.0.0.1", port)
    connection.timeout = seconds
    headers = {"Authorization": f"Bearer {hosts.KEY}", "Content-Type": "application/json"}
    status: int | str
    try:
        connection.request("POST", "/v1/score", body, headers)
        answer = connection.getresponse()
        answer.read()
        status = answer.status
    except (OSError, http.client.HTTPException) as error:
        status = type(error).__name__
    finally:
        connection.close()
    return status, (time.perf_counter() - began) * 1000


def good_calls(business: Business, port: int, count: int = 200) -> Calls:
    calls = [call(port, by_id(business.ids[:1])) for _ in range(count)]
    return Calls(Counter(status for status, _ in calls), tuple(ms for _, ms in calls))


def measure_idle(business: Business, port: int) -> dict[str, Calls]:
    """Good calls while IDLE sockets of each kind are open."""
    results = {}
    for kind, sent in KINDS.items():
        with contextlib.ExitStack() as opened:
            for _ in range(IDLE):
                one = opened.enter_context(socket.create_connection(("127.0.0.1", port)))
                one.sendall(sent)
            results[kind] = good_calls(business, port)
    return results


def measure_impatient(business: Business, host: Host) -> dict[str, Any]:
    """IMPATIENT callers at once, each with the raw events of many customers."""
    body = business.by_events(business.ids[:200])
    whole = request("/v1/score", body, port=host.port, key=hosts.KEY)
    once(host.port, whole)
    before = memory(host)
    # A process of its own: the crowd must not slow down the good callers of this one.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(os.getpid).result()
        crowd = pool.submit(_crowd, host.port, whole)
        refusals = _refusals(host.port, whole, crowd)
        calls = good_calls(business, host.port)
        statuses = crowd.result()
    began = time.monotonic()
    while call(host.port, body)[0] != 200:
        time.sleep(0.05)
    again = time.monotonic() - began
    time.sleep(1)
    return {
        "bytes": len(body),
        "statuses": statuses,
        "good": calls,
        "refusal_ms": median(refusals) if refusals else None,
        "again_s": again,
        "memory": memory(host) / before,
    }


def _crowd(port: int, whole: bytes) -> Counter[str]:
    """Statuses of IMPATIENT requests sent at once; who has no answer in time hangs up."""
    waiting, statuses = selectors.DefaultSelector(), Counter[str]()
    for _ in range(IMPATIENT):
        one = socket.create_connection(("127.0.0.1", port))
        one.setblocking(False)
        waiting.register(one, selectors.EVENT_READ | selectors.EVENT_WRITE, [whole, b""])
    until = time.monotonic() + PATIENCE_SECONDS
    while waiting.get_map() and time.monotonic() < until:
        for key, ready in waiting.select(timeout=0.1):
            status = _advance(key, ready, waiting)
            if status:
                statuses[status] += 1
                waiting.unregister(key.fileobj)
                key.fileobj.close()  # type: ignore[union-attr]  # a socket
    for key in list(waiting.get_map().values()):
        statuses["hung up"] += 1
        key.fileobj.close()  # type: ignore[union-attr]  # a socket
    return statuses


def _advance(key: selectors.SelectorKey, ready: int, waiting: selectors.BaseSelector) -> str:
    """Send and read what is possible; the status once its line is there, '' before."""
    connection: Any = key.fileobj
    try:
        if ready & selectors.EVENT_WRITE and key.data[0]:
            key.data[0] = key.data[0][connection.send(key.data[0]) :]
            if not key.data[0]:
                waiting.modify(connection, selectors.EVENT_READ, key.data)
        if ready & selectors.EVENT_READ:
            got = connection.recv(1 << 16)
            key.data[1] += got
            if not got or b"\r\n" in key.data[1]:
                return key.data[1].split(b" ")[1].decode() if key.data[1] else "closed"
    except OSError as error:
        return type(error).__name__
    return ""


def _refusals(port: int, whole: bytes, crowd: Future[Counter[str]]) -> list[float]:
    """Milliseconds of up to 20 refusals, while the crowd is there."""
    times: list[float] = []
    while len(times) < 20 and not crowd.done():
        connection = Connection(port)
        began = time.perf_counter()
        connection.socket.sendall(whole)
        if connection.socket.recv(1 << 16).split(b" ")[1] == b"429":
            times.append((time.perf_counter() - began) * 1000)
        connection.socket.close()
    return times


def measure_swap(business: Business, port: int) -> float:
    """Seconds from a newer run in LATEST to answers from it."""
    pointer, [older] = business.home / "scores" / "LATEST", business.older_runs
    newest = pointer.read_text()
    _point(pointer, older)
    _wait_for(port, older["as_of"])
    began = time.monotonic()
    _point(pointer, json.loads(newest))
    _wait_for(port, json.loads(newest)["as_of"])
    return time.monotonic() - began


def _point(pointer: Path, value: dict[str, Any]) -> None:
    with staged_file(pointer) as staged:
        staged.write_text(json.dumps(value) + "\n")


def _wait_for(port: int, as_of: int) -> None:
    from serving.api.schemas import rfc3339

    question = request("/v1/model", b"", port=port, key=hosts.KEY, method="GET")
    while json.loads(once(port, question))["run"]["as_of"] != rfc3339(as_of):
        time.sleep(0.05)


def measure_end(business: Business, host: Host) -> int:
    """SIGTERM with IN_FLIGHT requests sent: how many of them got no answer."""
    bodies = [by_id(business.ids[:3]), business.by_events(business.ids[:20])]
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        sent = [pool.submit(call, host.port, bodies[at % 10 == 0]) for at in range(IN_FLIGHT)]
        while not all(one.running() or one.done() for one in sent):
            time.sleep(0.01)
        time.sleep(0.2)
        os.kill(host.pid, signal.SIGTERM)
        return sum(one.result()[0] not in (200, 429) for one in sent)


def memory(host: Host) -> int:
    """Resident memory of the service's workers, kB."""
    tasks = Path(f"/proc/{host.pid}/task").iterdir()
    children = [child for task in tasks for child in (task / "children").read_text().split()]
    texts = [Path(f"/proc/{child}/status").read_text() for child in children]
    return sum(int(text.partition("VmRSS:")[2].split()[0]) for text in texts)


def warm_up(business: Business, port: int) -> None:
    """The first answers load what is loaded late."""
    ask(port, [request("/v1/score", by_id(business.ids[:1]), port=port, key=hosts.KEY)], seconds=1)
