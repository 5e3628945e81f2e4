"""`lifecycle serve` as a process of its own, and the clients that a test lets loose on it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.businesses import Business, scores

KEY = "the-key-of-the-running-service"
SCORE_HEAD = (
    b"POST /v1/score HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
    b"Content-Length: 1000\r\n"
)


@dataclass
class Running:
    """A running service: its process, its port, an id of its latest run."""

    process: subprocess.Popen[str]
    port: int
    customer: str

    def request(self, path: str, body: bytes | None = None, *, seconds: float = 60) -> Any:
        """(status, answer) with the key; the connection's own error where there is no answer."""
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        asked = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, headers)
        try:
            with urllib.request.urlopen(asked, timeout=seconds) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def by_id(self, *, seconds: float = 60) -> int:
        """The status of a good request by id."""
        body = json.dumps({"customer_ids": [self.customer]}).encode()
        return self.request("/v1/score", body, seconds=seconds)[0]

    def children(self) -> list[int]:
        """The process ids of the workers."""
        folder = Path(f"/proc/{self.process.pid}/task")
        return [
            int(child)
            for task in folder.iterdir()
            for child in (task / "children").read_text().split()
        ]

    @contextlib.contextmanager
    def idle(self, count: int, sent: bytes) -> Iterator[list[socket.socket]]:
        """So many connections that send this and then nothing."""
        with contextlib.ExitStack() as stack:
            opened = []
            for _ in range(count):
                one = stack.enter_context(socket.create_connection(("127.0.0.1", self.port)))
                one.sendall(sent)
                opened.append(one)
            yield opened


@contextlib.contextmanager
def running(business: Business, home: Path, **environment: str) -> Iterator[Running]:
    """The service of a trained business, in a copy of its home."""
    shutil.copytree(business.home, home, dirs_exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "lifecycle", "serve", "--port", str(port), "--json"]
    own = {"LIFECYCLE_HOME": str(home), "LIFECYCLE_API_KEYS": KEY, **environment}
    with subprocess.Popen(
        command,
        env=os.environ | own,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            json.loads(process.stdout.readline())
            yield Running(process, port, scores(business)["customer_id"][0].as_py())
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)


@pytest.fixture(scope="module")
def running_shop(
    trained_shop: Business, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    with running(trained_shop, tmp_path_factory.mktemp("served") / "home") as service:
        yield service
