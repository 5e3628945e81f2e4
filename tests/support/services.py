"""The real service in this process: BentoML's application over a trained business.

Each is opened once a process and shared by the tests that only read.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from tests.support.businesses import Business

KEY, OTHER_KEY = "the-first-key-of-two", "the-second-key-of-two"
BEARER = {"authorization": f"Bearer {KEY}"}
JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Said:
    """An answer as the application sent it: header names in lower case, the last of each."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return finite(self.body)


@dataclass(frozen=True)
class Service:
    """An open service. `client` sends no key by itself; `ids` are the customers of its latest run,
    `as_of` the run's.
    """

    client: TestClient
    desk: Any
    home: Path
    ids: tuple[str, ...]
    as_of: str

    def ask(self, body: Any, **headers: str) -> Any:
        """POST /v1/score with the key; bytes go as they are, anything else as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.post("/v1/score", content=content, headers={**BEARER, **JSON, **headers})

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(path, headers={**BEARER, **headers})

    def spoken(
        self, method: str, path: str, *, headers: Any = (), body: Any = (b"",), query: bytes = b""
    ) -> Said | None:
        """What a server gets that hands this request on as it is, without a client's tidying; None
        where nothing was said.

        `body`: the pieces in order; None among them: the caller is gone; a number: that many
        seconds of silence.
        """
        sent, pieces = [], list(body)

        async def receive() -> dict[str, Any]:
            while pieces and isinstance(pieces[0], int):
                await anyio.sleep(pieces.pop(0))
            piece = pieces.pop(0) if pieces else None
            return (
                {"type": "http.disconnect"}
                if piece is None
                else {"type": "http.request", "body": piece, "more_body": bool(pieces)}
            )

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode("utf-8", "surrogatepass"),
            "root_path": "",
            "query_string": query,
            "client": ("here", 1),
            "server": ("here", 80),
            "headers": [(name, value) for name, value in headers],
        }
        self.client.portal.call(self.client.app, scope, receive, send)
        if not sent:
            return None
        told = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in sent[0]["headers"]
        }
        return Said(
            sent[0]["status"], told, b"".join(message.get("body", b"") for message in sent[1:])
        )


def finite(text: str | bytes) -> Any:
    """JSON that holds no NaN and no infinity, or an AssertionError."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"the answer holds {constant}")

    return json.loads(text, parse_constant=refuse)


@contextlib.contextmanager
def _application(home: Path) -> Iterator[tuple[TestClient, Any]]:
    os.environ.setdefault("BENTOML_HOME", tempfile.mkdtemp(prefix="bentoml-"))
    thresholds = gc.get_threshold()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFECYCLE_HOME", str(home))
        patch.setenv("LIFECYCLE_API_KEYS", f"{KEY},{OTHER_KEY}")
        from serving.api import service

        client = TestClient(service.Lifecycle.to_asgi(), follow_redirects=False)
        client.__enter__()
    desk = service.open_states[-1]
    try:
        # What a server does for its own long life is undone here, and the watch would see the homes
        # of other tests.
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        desk.close()
        yield client, desk
    finally:
        _to_the_front(desk)
        client.__exit__(None, None, None)


def _service(home: Path, client: TestClient, desk: Any) -> Service:
    ids = tuple(pq.read_table(desk.served.run.folder / "scores.parquet")["customer_id"].to_pylist())
    return Service(
        client, desk, home, ids, client.get("/v1/model", headers=BEARER).json()["run"]["as_of"]
    )


_services: dict[Path, Service] = {}


def shared_service(business: Business, request: pytest.FixtureRequest) -> Service:
    """The service over a shared home, opened once a process, for tests that only read."""
    if business.home not in _services:
        stack = contextlib.ExitStack()
        opened = stack.enter_context(_application(business.home))
        _services[business.home] = _service(business.home, *opened)
        request.config.add_cleanup(stack.close)
    _to_the_front(_services[business.home].desk)
    return _services[business.home]


def _to_the_front(desk: Any) -> None:
    """BentoML has one service a process: of several, the one at the end of the list answers."""
    from serving.api import service

    service.open_states[:] = [one for one in service.open_states if one is not desk] + [desk]


@pytest.fixture
def shop_service(trained_shop: Business, request: pytest.FixtureRequest) -> Service:
    return shared_service(trained_shop, request)


@pytest.fixture
def subscription_service(
    trained_subscriptions: Business, request: pytest.FixtureRequest
) -> Service:
    return shared_service(trained_subscriptions, request)


@pytest.fixture
def any_service(any_business: Business, request: pytest.FixtureRequest) -> Service:
    return shared_service(any_business, request)
