"""A closed-loop HTTP/1.1 client: persistent connections, one request in flight on each.

Requests are ready bytes and answers are not parsed. A request costs one epoll, one send and one or
two receives, some 20 µs, so that the service is measured and not the client.
"""

from __future__ import annotations

import gc
import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Block:
    """One block of requests: requests per second, and the time of each answer in ms (requests,)."""

    per_second: float
    ms: np.ndarray

    def at(self, percent: float) -> float:
        return float(np.percentile(self.ms, percent))


def request(
    path: str,
    body: bytes,
    *,
    port: int,
    key: str = "",
    method: str = "POST",
    kind: str = "application/json",
) -> bytes:
    """One request as it goes over the wire."""
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
    ]
    if key:
        lines.append(f"Authorization: Bearer {key}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection:
    """One persistent connection, and the part of an answer that has arrived."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.began = 0.0
        self._got, self._whole = b"", 0

    def send(self, request_bytes: bytes) -> None:
        self._got, self._whole, self.began = b"", 0, time.perf_counter()
        self.socket.sendall(request_bytes)

    def receive(self) -> bytes | None:
        """The body once it is complete, else None; RuntimeError for any status but 200."""
        more = self.socket.recv(MOST_BYTES)
        if not more:
            raise RuntimeError("the service closed the connection")
        self._got += more
        if not self._whole:
            self._whole = _length(self._got)
        return (
            self._got[self._got.index(b"\r\n\r\n") + 4 :]
            if self._whole and len(self._got) >= self._whole
            else None
        )


def _length(got: bytes) -> int:
    """Bytes of the whole answer; 0 while its head is incomplete."""
    head, separator, _ = got.partition(b"\r\n\r\n")
    if not separator:
        return 0
    status, *fields = head.split(b"\r\n")
    if status.split(b" ")[1] != b"200":
        raise RuntimeError(f"{status.decode()}: {got[:2000].decode(errors='replace')}")
    lengths = [
        field.split(b":")[1] for field in fields if field.lower().startswith(b"content-length:")
    ]
    return len(head) + 4 + int(lengths[0])


def once(port: int, request_bytes: bytes) -> bytes:
    """The body of one answer."""
    connection = Connection(port)
    try:
        connection.send(request_bytes)
        while (body := connection.receive()) is None:
            pass
        return body
    finally:
        connection.socket.close()


def ask(
    port: int, requests: Sequence[bytes], *, connections: int = 1, seconds: float | None = None
) -> Block:
    """Send the requests in turn, for some seconds or each once."""
    opened = [Connection(port) for _ in range(connections)]
    # A garbage collection of the client would count as time of the service.
    gc.collect()
    gc.disable()
    try:
        return _loop(opened, requests, seconds)
    finally:
        gc.enable()
        for connection in opened:
            connection.socket.close()


def _loop(opened: list[Connection], requests: Sequence[bytes], seconds: float | None) -> Block:
    milliseconds: list[float] = []
    waiting, sent = selectors.DefaultSelector(), len(opened)
    for at, connection in enumerate(opened):
        waiting.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send(requests[at % len(requests)])
    began = time.perf_counter()
    until = began + (float("inf") if seconds is None else seconds)
    while len(milliseconds) < sent:
        for key, _ in waiting.select():
            connection = key.data
            if connection.receive() is None:
                continue
            now = time.perf_counter()
            milliseconds.append((now - connection.began) * 1000)
            if now < until and (seconds is not None or sent < len(requests)):
                connection.send(requests[sent % len(requests)])
                sent += 1
    waiting.close()
    return Block(len(milliseconds) / (time.perf_counter() - began), np.array(milliseconds))
