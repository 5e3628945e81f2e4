"""The pages of the service, as one small application that BentoML hosts.

This module knows HTTP; `serving.api.state` knows the answers.
"""

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
from serving.api import pages, strict
from serving.api.answers import encode_json
from serving.api.keys import SESSION_SECONDS
from serving.api.metering import age_seconds
from serving.api.middleware import (
    COOKIE,
    Receive,
    Scope,
    Send,
    header,
    send_internal_error,
    send_refusal,
)
from serving.api.schemas import REQUESTED_ID, ScoreRequest, parse_request
from serving.api.state import ServingState

Endpoint = Callable[[Request], Awaitable[Response]]
GetState = Callable[[], ServingState]
SMALL_BYTES = 1 << 17
BODY_SECONDS = 30  # below BentoML's time limit, whose answer would be a 504


def make_app(get_state: GetState) -> Starlette:
    """The application; `get_state` gives what is served, once the service has loaded it."""
    endpoints: dict[str, tuple[str, Endpoint]] = {
        "/": ("GET", _reference),
        "/login": ("POST", _login),
        "/logout": ("GET", _logout),
        "/openapi.json": ("GET", _openapi),
        "/v1/score": ("POST", _score_endpoint(get_state)),
        "/v1/model": ("GET", _model_endpoint(get_state)),
        "/metrics": ("GET", _metrics_endpoint(get_state)),
        "/v1/customers/{customer_id:path}": ("GET", _customer_endpoint(get_state)),
    }
    # Routes without `methods`: every method arrives here, unknown ones too, and is refused with
    # our own message.
    return Starlette(
        routes=[
            Route(path, _only_method(endpoint, method))
            for path, (method, endpoint) in endpoints.items()
        ]
    )


def _score_endpoint(get_state: GetState) -> Endpoint:
    async def score(request: Request) -> Response:
        _refuse_other_media(header(request.scope, b"content-type"))
        body, now = await _read_body(request), time.time_ns() // 1000
        question = parse_request(strict.read_json(body)) if len(body) <= SMALL_BYTES else None
        if question is not None and question.customer_ids is not None:
            kind, result = _answer_score(get_state(), question, now)
        else:  # in a thread, so that the event loop can answer requests by id meanwhile
            kind, result = await anyio.to_thread.run_sync(
                lambda: _answer_score(
                    get_state(), question or parse_request(strict.read_json(body)), now
                )
            )
        request.scope["lifecycle.meters"].customers.labels(kind).inc(len(result["scores"]))
        return _json_response(result)

    return score


def _answer_score(
    state: ServingState, question: ScoreRequest, now: int
) -> tuple[str, dict[str, Any]]:
    """(kind of request, answer); `now` in µs UTC."""
    if question.customer_ids is not None:
        return "id", state.score_by_id(question.customer_ids, as_of=question.as_of)
    return "events", state.score_by_events(question, now=now)


def _customer_endpoint(get_state: GetState) -> Endpoint:
    async def customer(request: Request) -> Response:
        try:
            requested = REQUESTED_ID.validate_python(request.path_params["customer_id"])
        except ValidationError as error:
            raise strict.malformed_error(
                "customer_id", "no valid id", "An id is text, and not blank."
            ) from error
        return _json_response(
            await anyio.to_thread.run_sync(lambda: get_state().customer_entry(requested))
        )

    return customer


def _model_endpoint(get_state: GetState) -> Endpoint:
    async def model(_: Request) -> Response:
        return _json_response(get_state().model_info())

    return model


def _metrics_endpoint(get_state: GetState) -> Endpoint:
    async def metrics(request: Request) -> Response:
        state = get_state()
        gauges: dict[str, float] = {
            "problem": float(bool(state.problem)),
            "release_rows": state.served.release.scorer.churn_rows,
        }
        run = state.served.run
        if run is not None:
            gauges |= {"run_age_seconds": age_seconds(run.as_of), "run_customers": len(run.ids)}
        text = request.scope["lifecycle.meters"].render(gauges)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    return metrics


def _refuse_other_media(content_type: str) -> None:
    media, *parameters = [part.strip().lower().replace('"', "") for part in content_type.split(";")]
    charsets = {part for part in parameters if part.startswith("charset=")}
    if media != "application/json" or charsets - {"charset=utf-8"}:
        raise NotJson(
            where="content-type",
            got="another media type",
            rule="A body is application/json, in UTF-8.",
            fix="Send 'Content-Type: application/json'.",
        )


async def _read_body(request: Request) -> bytes:
    """The whole body.

    Malformed where it stops midway or takes too long, BodyTooLarge by the middleware's limit.
    """
    try:
        with anyio.fail_after(BODY_SECONDS):
            return await request.body()
    except (ClientDisconnect, TimeoutError) as error:
        rule = f"A body arrives whole, within {BODY_SECONDS} seconds."
        raise strict.malformed_error("body", "a body that did not arrive", rule) from error


def _only_method(endpoint: Endpoint, method: str) -> _ErrorBoundary:
    """The endpoint for its one method (GET also for HEAD), with its errors as answers."""

    async def checked(request: Request) -> Response:
        if request.method != method and not (request.method == "HEAD" and method == "GET"):
            raise MethodRefused(
                where="method",
                got="another method",
                rule=f"This page answers {method}.",
                fix=f"Use {method}.",
            )
        if request.scope["query_string"] and request.scope["path"].startswith("/v1/"):
            rule = "No page has query parameters, and none is ignored."
            raise strict.malformed_error("query", "a query string", rule)
        return await endpoint(request)

    return _ErrorBoundary(checked, "GET, HEAD" if method == "GET" else method)


class _ErrorBoundary:
    """An endpoint as an ASGI application; Starlette's own handler would log refusals as crashes."""

    def __init__(self, endpoint: Endpoint, allow: str) -> None:
        self.endpoint, self.allow = endpoint, allow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self.endpoint(Request(scope, receive))
        except LifecycleError as error:
            meters = scope["lifecycle.meters"]
            return await send_refusal(scope, send, error, meters, allow=self.allow)
        except Exception as error:
            return await send_internal_error(send, error)
        return await response(scope, receive, send)


def _json_response(value: Any) -> Response:
    return Response(encode_json(value), media_type="application/json")


async def _reference(_: Request) -> Response:
    return Response(pages.reference_page(), media_type="text/html")


async def _openapi(_: Request) -> Response:
    return _json_response(pages.openapi())


async def _login(request: Request) -> Response:
    """Exchange the form's key for a session cookie; a wrong key gets the form again."""
    try:
        body = await _read_body(request)
    except LifecycleError:  # a form that is too large, or never ends, holds no key
        body = b""
    known = request.scope["lifecycle.keys"]
    key = parse_qs(body.decode("latin-1")).get("key", [""])[0].strip()
    if not known.accepts(key):
        return Response(pages.login_page(wrong=True), status_code=401, media_type="text/html")
    response = RedirectResponse("/", status_code=303)
    response.set_cookie(
        COOKIE,
        known.new_session(now=time.time()),
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="strict",
    )
    return response


async def _logout(_: Request) -> Response:
    response = RedirectResponse("/", status_code=303)
    response.delete_cookie(COOKIE)
    return response
