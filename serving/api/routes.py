"""The pages of the service, as one small application that BentoML hosts. It knows HTTP; `serving.api.state` knows the answers."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

import anyio
import anyio.to_thread
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from features.core.errors import LifecycleError, MethodRefused, NotJson
from serving.api import pages as page
from serving.api import strict
from serving.api.answers import encoded
from serving.api.metering import age_seconds
from serving.api.middleware import COOKIE, crashed, header, refuse
from serving.api.schemas import AskedOne, parsed
from serving.api.state import ServingState

Endpoint = Callable[[Request], Awaitable[Response]]
SMALL_BYTES = 1 << 17
BODY_SECONDS = 30  # under BentoML's time limit, whose answer would be a 504


def made(desk: Callable[[], ServingState]) -> Starlette:
    """The application; `desk` gives what is served, once the service has opened it."""

    async def score(request: Request) -> Response:
        _refuse_other_media(header(request.scope, b"content-type"))
        body, now = await _body(request), time.time_ns() // 1000
        if (
            len(body) <= SMALL_BYTES
            and (asked := parsed(strict.read(body))).customer_ids is not None
        ):
            kind, said = "id", desk().by_id(asked.customer_ids, as_of=asked.as_of)
        else:  # off the event loop, so that look-ups go on
            kind, said = await anyio.to_thread.run_sync(lambda: _scored(desk(), body, now))
        request.scope["lifecycle.meters"].customers.labels(kind).inc(len(said["scores"]))
        return _json(said)

    async def customer(request: Request) -> Response:
        try:
            asked = AskedOne.validate_python(request.path_params["customer_id"])
        except ValidationError as error:
            raise strict.refused(
                "customer_id", "an id that is none", "An id is text, and not blank."
            ) from error
        return _json(await anyio.to_thread.run_sync(lambda: desk().customer(asked)))

    async def model(_: Request) -> Response:
        return _json(desk().model())

    async def metrics(request: Request) -> Response:
        standing = {
            "problem": float(bool(desk().problem)),
            "release_rows": desk().shown.release.scorer.churn_rows,
        }
        run = desk().shown.run
        if run is not None:
            standing |= {"run_age_seconds": age_seconds(run.as_of), "run_customers": len(run.ids)}
        text = request.scope["lifecycle.meters"].text(standing)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    pages: dict[str, tuple[str, Endpoint]] = {
        "/": ("GET", _reference),
        "/login": ("POST", _login),
        "/logout": ("GET", _logout),
        "/openapi.json": ("GET", _openapi),
        "/v1/score": ("POST", score),
        "/v1/model": ("GET", model),
        "/metrics": ("GET", metrics),
        "/v1/customers/{customer_id:path}": ("GET", customer),
    }
    # No `methods`: every method comes here, those that HTTP does not know too, and is refused in our own words.
    return Starlette(
        routes=[Route(at, _answered(of, method)) for at, (method, of) in pages.items()]
    )


def _refuse_other_media(stated: str) -> None:
    media, *parameters = [part.strip().lower().replace('"', "") for part in stated.split(";")]
    charsets = {part for part in parameters if part.startswith("charset=")}
    if media != "application/json" or charsets - {"charset=utf-8"}:
        raise NotJson(
            where="content-type",
            got="another media type",
            rule="A body is application/json, in UTF-8.",
            fix="Send 'Content-Type: application/json'.",
        )


async def _body(request: Request) -> bytes:
    """The whole body; Malformed where it stops midway or takes too long, BodyTooLarge by the guard's limit."""
    try:
        with anyio.fail_after(BODY_SECONDS):
            return await request.body()
    except (ClientDisconnect, TimeoutError) as error:
        raise strict.refused(
            "body",
            "a body that did not arrive",
            f"A body comes whole, within {BODY_SECONDS} seconds.",
        ) from error


def _answered(endpoint: Endpoint, method: str) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint for its one method; what it raises leaves through the one renderer, inside of Starlette's own."""

    async def answered(request: Request) -> Response:
        if request.method != method and not (request.method == "HEAD" and method == "GET"):
            raise MethodRefused(
                where="method",
                got="another method",
                rule=f"This page answers {method}.",
                fix=f"Use {method}.",
            )
        if request.scope["query_string"] and request.scope["path"].startswith("/v1/"):
            raise strict.refused(
                "query", "a query string", "No page takes a query, and nothing is ignored."
            )
        return await endpoint(request)

    return _Caught(answered, "GET, HEAD" if method == "GET" else method)


class _Caught:
    """An endpoint as an ASGI application whose refusals are answers: Starlette would log them as crashes."""

    def __init__(self, endpoint: Endpoint, allow: str) -> None:
        self.endpoint, self.allow = endpoint, allow

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        try:
            response = await self.endpoint(Request(scope, receive))
        except LifecycleError as error:
            return await refuse(scope, send, error, scope["lifecycle.meters"], allow=self.allow)
        except Exception as error:
            return await crashed(send, error)
        return await response(scope, receive, send)


def _scored(desk: ServingState, body: bytes, now: int) -> tuple[str, dict[str, Any]]:
    asked = parsed(strict.read(body))
    if asked.customer_ids is not None:
        return "id", desk.by_id(asked.customer_ids, as_of=asked.as_of)
    return "events", desk.by_events(asked, now=now)


def _json(value: Any) -> Response:
    return Response(encoded(value), media_type="application/json")


async def _reference(_: Request) -> Response:
    return Response(page.reference(), media_type="text/html")


async def _openapi(_: Request) -> Response:
    return _json(page.openapi())


async def _login(request: Request) -> Response:
    """The form's key for a cookie that lasts half a day; wrong keys get the form again."""
    try:
        body = await _body(request)
    except LifecycleError:  # a form that is too large, or never ends, holds no key
        body = b""
    known = request.scope["lifecycle.keys"]
    key = parse_qs(body.decode("latin-1")).get("key", [""])[0].strip()
    if not known.opens(key):
        return Response(page.login(wrong=True), status_code=401, media_type="text/html")
    response = RedirectResponse("/", status_code=303)
    response.set_cookie(
        COOKIE, known.session(now=time.time()), max_age=12 * 3600, httponly=True, samesite="strict"
    )
    return response


async def _logout(_: Request) -> Response:
    response = RedirectResponse("/", status_code=303)
    response.delete_cookie(COOKIE)
    return response
