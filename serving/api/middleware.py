"""The first and last thing a request meets: who asks, how much, for which of our pages; and nothing unsaid on the way out.

Outside of everything else, BentoML's own pages included. Errors leave as rule and path, never with a value; what is
not one of ours becomes a plain 500 that names its type in the log.
"""

from __future__ import annotations

import json
import logging
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

from features.core.errors import (
    BodyTooLarge,
    KeyMissing,
    LifecycleError,
    MethodRefused,
    NotHere,
    for_others,
)
from features.core.settings import log_level
from serving.api import keys
from serving.api.metering import Meters
from serving.api.pages import CONTENT_POLICY, login

Scope, Send = dict[str, Any], Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
PROBES = ("/livez", "/readyz", "/healthz")
ROUTES = ("/", "/login", "/logout", "/metrics", "/openapi.json", "/v1/model", "/v1/score")
CUSTOMER = "/v1/customers/"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
MOST_BYTES, LOGIN_BYTES = 32 << 20, 4096
DENIAL = "websocket.http.response"
COOKIE = "lifecycle_session"
HEADERS = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", CONTENT_POLICY.encode()),
]
log = logging.getLogger("lifecycle.service")


class RequestMiddleware:
    """ASGI middleware. State of its own: the keys as they stood at the start, and the counters."""

    def __init__(self, app: Any) -> None:
        self.app, self.keys, self.meters = app, keys.found(), Meters()
        for theirs in (
            "uvicorn.access",
            "uvicorn.error",
        ):  # below warnings they say paths as they were sent
            logging.getLogger(theirs).setLevel(logging.WARNING)
        if log_level() in ("info", "debug"):
            logging.basicConfig()
            log.setLevel(logging.INFO)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            return await self._deny(scope, send)
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        route, began, status = route_of(scope["path"]), time.perf_counter(), [0]
        scope["lifecycle.meters"], scope["lifecycle.keys"] = self.meters, self.keys

        async def sent(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                status[0] = message["status"]
                kept = [pair for pair in message.get("headers", []) if pair[0].lower() != b"server"]
                message = {**message, "headers": kept + HEADERS}
            await send(message)

        try:
            await self._answer(scope, receive, sent, route)
        except Exception as error:  # it must not reach BentoML, which waits out its time limit and then says nothing
            if not status[0]:
                await crashed(sent, error)
        finally:
            seconds = time.perf_counter() - began
            self.meters.requests.labels(route, str(status[0] or 500)).inc()
            self.meters.seconds.labels(route).observe(seconds)
            method = (
                scope["method"] if scope["method"] in METHODS else "another method"
            )  # it is the caller's text
            log.info("%s %s %d %.1f ms", method, route, status[0] or 500, seconds * 1000)

    async def _deny(self, scope: Scope, send: Send) -> None:
        """Nothing here speaks websocket; without a key that is 401 like all else, where the server can say it."""
        if DENIAL not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008})
            return
        status = 404 if authorised({**scope, "method": "GET"}, self.keys) else 401
        await send({"type": f"{DENIAL}.start", "status": status, "headers": HEADERS})
        await send({"type": f"{DENIAL}.body", "body": b""})

    async def _answer(self, scope: Scope, receive: Receive, send: Send, route: str) -> None:
        try:
            self._admit(scope, route)
        except LifecycleError as error:
            await refuse(scope, send, error, self.meters)
        else:
            await self.app(
                scope, _bounded(receive, LOGIN_BYTES if route == "/login" else MOST_BYTES), send
            )

    def _admit(self, scope: Scope, route: str) -> None:
        """Raise what keeps a request out: no key, no such page, too large."""
        if route in PROBES or (route == "/login" and scope["method"] == "POST"):
            return
        if not authorised(scope, self.keys):
            raise KeyMissing(
                where="authorization",
                got="no key that opens",
                rule="Every page but the probes needs a key.",
                fix="Send 'Authorization: Bearer KEY'; the owner has it from `lifecycle serve`.",
            )
        if route == "other":
            raise NotHere(
                where="path",
                got="a page that is not here",
                rule="The pages are listed at /.",
                fix="Mend the path.",
            )
        length = header(scope, b"content-length")
        if length.isascii() and length.isdigit() and int(length[:18]) > MOST_BYTES:
            raise too_large()


def route_of(path: str) -> str:
    """The page's name as it may be counted and logged: an id in a path never is."""
    if path in PROBES or path in ROUTES:
        return path
    return (
        f"{CUSTOMER}{{id}}" if path.startswith(CUSTOMER) and len(path) > len(CUSTOMER) else "other"
    )


def header(scope: Scope, name: bytes) -> str:
    """The header's text; '' if absent, or if stated twice: two answers are none."""
    found = [value for key, value in scope["headers"] if key.lower() == name]
    return found[0].decode("latin-1") if len(found) == 1 else ""


def authorised(scope: Scope, known: keys.Keys) -> bool:
    """By a key in the header; pages that only read also by the login's cookie."""
    scheme, _, key = header(scope, b"authorization").partition(" ")
    if scheme.lower() == "bearer":
        return known.opens(key.strip())
    return scope["method"] in ("GET", "HEAD") and known.in_session(cookie(scope), now=time.time())


def cookie(scope: Scope) -> str:
    pairs = (part.strip().partition("=") for part in header(scope, b"cookie").split(";"))
    return next((value for name, _, value in pairs if name == COOKIE), "")


def too_large() -> BodyTooLarge:
    return BodyTooLarge(
        where="body",
        got="a body over the limit",
        rule=f"A body has at most {MOST_BYTES >> 20} MiB.",
        fix="Ask for fewer customers a request.",
    )


def _bounded(receive: Receive, most: int) -> Receive:
    """The same messages, as long as all bodies together stay under the limit (a length need not be stated, or true)."""
    taken = 0

    async def received() -> dict[str, Any]:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most:
            raise too_large()
        return message

    return received


async def crashed(send: Send, error: Exception) -> None:
    """What is not one of our refusals: its type for the log, nothing of it for the caller."""
    where = "".join(traceback.format_tb(error.__traceback__)) if log_level() == "debug" else ""
    log.error(
        "an error of ours: %s\n%s", type(error).__name__, where
    )  # the places, not the text: it may hold values
    said = {
        "error": "InternalError",
        "where": "the service",
        "rule": "This is an error of ours.",
        "do": "Tell the owner: the log names its type.",
    }
    await respond(send, 500, said)


async def refuse(
    scope: Scope, send: Send, error: LifecycleError, meters: Meters, *, allow: str = ""
) -> None:
    """The error as others may see it; the page at / answers with its login form. `allow`: a 405's methods."""
    meters.refused.labels(type(error).__name__).inc()
    headers = [(b"www-authenticate", b"Bearer")] if isinstance(error, KeyMissing) else []
    headers += [(b"allow", allow.encode())] if isinstance(error, MethodRefused) else []
    if isinstance(error, KeyMissing) and scope["path"] == "/":
        await respond(send, error.status, login(), kind="text/html; charset=utf-8", more=headers)
        return
    await respond(send, error.status, for_others(error), more=headers)


async def respond(
    send: Send,
    status: int,
    value: Any,
    *,
    kind: str = "application/json",
    more: list[tuple[bytes, bytes]] | None = None,
) -> None:
    body = value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()
    headers = [
        (b"content-type", kind.encode()),
        (b"content-length", str(len(body)).encode()),
        *(more or []),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
