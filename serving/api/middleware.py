"""The first and last step of every request: key, size, known page; and what may leave the service.

It wraps everything else, BentoML's own pages included. Errors leave as rule and path, never with a
value; an exception that is no refusal becomes a plain 500, with its type in the log.
"""

from __future__ import annotations

import json
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from features.core.errors import (
    BodyTooLarge,
    KeyMissing,
    KeyUnknown,
    LifecycleError,
    MethodRefused,
    NotFound,
    Overloaded,
    public_details,
)
from features.core.settings import log_level
from serving.api import ended_sessions, keys
from serving.api.admission import Admission, Buffer
from serving.api.connections import ACCEPTED
from serving.api.metering import Meters
from serving.api.page_frame import CONTENT_POLICY
from serving.api.page_paths import FIXED_PAGES, SEARCHES, SENT_PATH, page_name
from serving.api.plain_pages import error_page, login_page

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
PROBES = ("/livez", "/readyz", "/healthz")
ROUTES = (
    *FIXED_PAGES,
    "/login",
    "/logout",
    "/metrics",
    "/openapi.json",
    "/v1/explain",
    "/v1/model",
    "/v1/score",
)
CUSTOMER = "/v1/customers/"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
MAX_BODY_BYTES, MAX_LOGIN_BYTES, MAX_SEARCH_BYTES = 32 << 20, 4096, 16 << 10
FORM_BYTES = {"/login": MAX_LOGIN_BYTES, **dict.fromkeys(SEARCHES, MAX_SEARCH_BYTES)}
COOKIE_FORMS = ("/logout", *SEARCHES)  # forms that a session may send
DENIAL = "websocket.http.response"
COOKIE = "lifecycle_session"
HTML = "text/html; charset=utf-8"
ABANDONED = 499  # the status in the counters where the caller left before an answer
POLICY = b"content-security-policy"
HEADERS = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    # Not no-referrer: then a browser would send the login form without its origin.
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (POLICY, CONTENT_POLICY.encode()),
]
log = logging.getLogger("lifecycle.service")


class RequestMiddleware:
    """ASGI middleware.

    Its own state: the keys, the counters, and the bounds.
    """

    def __init__(self, app: App) -> None:
        self.app, self.keys, self.meters = app, keys.CurrentKeys(), Meters()
        self.admission = Admission()
        # Below warnings, uvicorn logs raw paths, which may contain ids.
        for name in ("uvicorn.access", "uvicorn.error"):
            logging.getLogger(name).setLevel(logging.WARNING)
        if log_level() in ("info", "debug"):
            logging.basicConfig()
            log.setLevel(logging.INFO)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._deny(scope, send)
        elif scope["type"] == "http":
            await self._respond(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        route, start, status = route_name(scope["path"]), time.perf_counter(), 0
        scope["lifecycle.meters"], scope["lifecycle.keys"] = self.meters, self.keys.read()
        scope["lifecycle.admission"] = self.admission
        scope[SENT_PATH] = scope["path"]
        # Routes know no path with a line end inside, and take one at the end for nothing.
        scope["path"] = scope["path"].replace("\n", " ")

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": _with_headers(message.get("headers", []))}
            await send(message)

        try:
            await self._answer(scope, receive, send_with_headers, route)
        except Exception as error:
            # It must not reach BentoML, which would wait for its time limit and then send nothing.
            if not status:
                await send_internal_error(send_with_headers, error)
        finally:
            self._record(scope["method"], route, status or 500, time.perf_counter() - start)

    def _record(self, method: str, route: str, status: int, seconds: float) -> None:
        self.meters.requests.labels(route, str(status)).inc()
        self.meters.seconds.labels(route).observe(seconds)
        # An unknown method is the caller's text and stays out of the log.
        method = method if method in METHODS else "another method"
        log.info("%s %s %d %.1f ms", method, route, status, seconds * 1000)

    async def _deny(self, scope: Scope, send: Send) -> None:
        """Refuse a websocket: 404, without a key 401; a plain close where the server has no way."""
        if DENIAL not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008})
            return
        status = 404 if is_authorised({**scope, "method": "GET"}, self.keys.read()) else 401
        await send({"type": f"{DENIAL}.start", "status": status, "headers": HEADERS})
        await send({"type": f"{DENIAL}.body", "body": b""})

    async def _answer(self, scope: Scope, receive: Receive, send: Send, route: str) -> None:
        try:
            self._check_request(scope, route)
        except LifecycleError as error:
            await send_refusal(scope, send, error, self.meters)
        else:
            limit = FORM_BYTES.get(route, MAX_BODY_BYTES)
            body = _LimitedBody(receive, limit, self.admission.bodies)
            try:
                await self.app(scope, body.receive, send)
            finally:
                body.release()

    def _check_request(self, scope: Scope, route: str) -> None:
        """The refusal of a request that the service will not read: key, page or size."""
        if route in PROBES or (route == "/login" and scope["method"] == "POST"):
            return
        known = scope["lifecycle.keys"]
        if not is_authorised(scope, known):
            raise _key_error(scope, known)
        scope[ACCEPTED] = True
        if route == "other":
            raise NotFound(
                where="path",
                got="an unknown page",
                rule="The pages are listed at /reference.",
                fix="Correct the path.",
            )
        if declared_length(scope) > MAX_BODY_BYTES:
            raise body_too_large()


def _with_headers(sent: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of an answer with ours; a page of another style brings its own policy."""
    others = [(name, value) for name, value in sent if name.lower() != b"server"]
    names = {name.lower() for name, _ in others}
    return others + [pair for pair in HEADERS if pair[0] != POLICY or POLICY not in names]


def route_name(path: str) -> str:
    """The page's name for counters and log; an id in a path is never part of it."""
    if path in PROBES or path in ROUTES:
        return path
    page = page_name(path)
    if page is not None:
        return page
    is_customer = path.startswith(CUSTOMER) and len(path) > len(CUSTOMER)
    return f"{CUSTOMER}{{id}}" if is_customer else "other"


def header(scope: Scope, name: bytes) -> str:
    """The header's text; '' if it is absent or sent more than once."""
    values = [value for key, value in scope["headers"] if key.lower() == name]
    return values[0].decode("latin-1") if len(values) == 1 else ""


def declared_length(scope: Scope) -> int:
    """The bytes that the caller says the body has; 0 where nothing readable is said."""
    length = header(scope, b"content-length")
    # Cut to 18 digits: the caller may send a number with millions of them.
    return int(length[:18]) if length.isascii() and length.isdigit() else 0


def _key_error(scope: Scope, known: keys.Keys) -> KeyMissing | KeyUnknown:
    """Why no key opens this request: none was sent, or one that is not accepted."""
    if is_authorised({**scope, "method": "GET"}, known):
        return KeyMissing(
            where="authorization",
            got="the session of a login",
            rule="A login opens pages to read; other requests need a key.",
            fix="Send 'Authorization: Bearer KEY'; `lifecycle key new` gives the owner one.",
        )
    if header(scope, b"authorization") or cookie(scope):
        return KeyUnknown(
            where="authorization",
            got="a key that is not accepted",
            rule="A key is one of those that this service accepts; a login lasts 12 hours.",
            fix="Send a key that `lifecycle key new` gave and nobody revoked, or log in again.",
        )
    return KeyMissing(
        where="authorization",
        got="no key",
        rule="Every page but the probes needs a key.",
        fix="Send 'Authorization: Bearer KEY'; `lifecycle key new` gives the owner one.",
    )


def is_authorised(scope: Scope, known: keys.Keys) -> bool:
    """By a key in the header; for what only reads, and for a logout, also by the cookie."""
    scheme, _, key = header(scope, b"authorization").partition(" ")
    if scheme.lower() == "bearer":
        return known.accepts(key.strip())
    session = cookie(scope)
    by_cookie = scope["method"] in ("GET", "HEAD") or scope["path"] in COOKIE_FORMS
    is_session = by_cookie and known.is_session(session, now=time.time())
    return is_session and not ended_sessions.is_ended(session)


def cookie(scope: Scope) -> str:
    """The value of the session's cookie; '' without one."""
    pairs = (part.strip().partition("=") for part in header(scope, b"cookie").split(";"))
    return next((value for name, _, value in pairs if name == COOKIE), "")


def body_too_large() -> BodyTooLarge:
    """The refusal of a body over the limit."""
    return BodyTooLarge(
        where="body",
        got="a body over the limit",
        rule=f"A body has at most {MAX_BODY_BYTES >> 20} MiB.",
        fix="Send fewer customers per request.",
    )


class _LimitedBody:
    """The same messages; BodyTooLarge once all parts of the body exceed `limit` bytes.

    The content-length header is not enough: it may be absent or false. The bytes count in the
    `buffer` of the process until `release`; Overloaded where that is full.
    """

    def __init__(self, receive: Receive, limit: int, buffer: Buffer) -> None:
        self._receive, self._limit, self._buffer, self._total = receive, limit, buffer, 0

    async def receive(self) -> Message:
        """The next message."""
        message = await self._receive()
        size = len(message.get("body", b""))
        if self._total + size > self._limit:
            raise body_too_large()
        self._buffer.add(size)
        self._total += size
        return message

    def release(self) -> None:
        """The request is answered, and its body is not held any more."""
        self._buffer.total -= self._total
        self._total = 0


async def send_internal_error(send: Send, error: Exception) -> None:
    """Answer 500 for an exception that is no refusal: its type goes to the log, nothing leaves."""
    # The places only, not the exception's text: it may contain values.
    places = "".join(traceback.format_tb(error.__traceback__)) if log_level() == "debug" else ""
    log.error("internal error: %s\n%s", type(error).__name__, places)
    body = {
        "error": "InternalError",
        "where": "the service",
        "rule": "This is an internal error.",
        "do": "Tell the owner of the service; the log names the error's type.",
    }
    await respond(send, 500, body)


async def send_refusal(
    scope: Scope, send: Send, error: LifecycleError, meters: Meters, *, allow: str = ""
) -> None:
    """The error's public details; the pages for people say it as a page, or ask for the key.

    `allow`: the methods of the page, for a 405.
    """
    meters.refused.labels(type(error).__name__).inc()
    no_key = isinstance(error, (KeyMissing, KeyUnknown))
    headers = [(b"www-authenticate", b"Bearer")] if no_key else []
    headers += [(b"allow", allow.encode())] if isinstance(error, MethodRefused) else []
    if isinstance(error, Overloaded):
        headers.append((b"retry-after", str(error.retry_after).encode()))
    if page_name(scope["path"]) is not None:
        page = login_page(scope["path"]) if no_key else error_page(scope["path"], error)
        await respond(send, error.status, page, kind=HTML, more=headers)
        return
    await respond(send, error.status, public_details(error), more=headers)


async def respond(
    send: Send,
    status: int,
    value: object,
    *,
    kind: str = "application/json",
    more: list[tuple[bytes, bytes]] | None = None,
) -> None:
    """Send a whole response; `value` is bytes, or becomes JSON."""
    body = value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()
    headers = [
        (b"content-type", kind.encode()),
        (b"content-length", str(len(body)).encode()),
        *(more or []),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
