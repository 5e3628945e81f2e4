"""The pages of the service, as one small application that BentoML hosts.

This module knows HTTP; `serving.api.state` knows the answers.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from features.core.errors import LifecycleError, MethodRefused, NotJson
from features.core.language import CHINESE, ENGLISH
from serving.api import ended_sessions, openapi, strict
from serving.api.admission import Admission
from serving.api.answers import REFUSED, encode_json
from serving.api.keys import SESSION_SECONDS
from serving.api.metering import Meters, age_seconds
from serving.api.middleware import (
    ABANDONED,
    COOKIE,
    CUSTOMER,
    Receive,
    Scope,
    Send,
    cookie,
    declared_length,
    header,
    respond,
    send_internal_error,
    send_refusal,
)
from serving.api.origins import is_behind_tls, refuse_other_origin
from serving.api.page_paths import CUSTOMER_PAGES, SENT_PATH, start_address
from serving.api.page_routes import Endpoint, GetState, page_endpoints, parse_id
from serving.api.plain_pages import login_page
from serving.api.questions import Question, parse_question
from serving.api.request_body import read_body
from serving.api.state import ServingState

SMALL_BYTES = 1 << 17
# An id may have a question mark: cut off as a query, it would be the id of somebody else.
WITHOUT_QUERY = ("/v1/", *CUSTOMER_PAGES)
# Below BentoML's time limit, whose answer would be a 504.
BODY_SECONDS, LOGIN_SECONDS = 30, 2


@dataclass(frozen=True)
class Answered:
    """An answer: its body, and how many customers are counted by kind of request."""

    customers: dict[str, int]
    body: dict[str, Any]


# The state, the question, and the instant at which it came (µs UTC).
GetAnswer = Callable[[ServingState, Question, int], Answered]


def make_app(get_state: GetState) -> Starlette:
    """The application; `get_state` gives what is served, once the service has loaded it."""
    endpoints: dict[str, tuple[str, Endpoint]] = {
        "/login": ("POST", _login),
        "/logout": ("POST", _logout),
        "/openapi.json": ("GET", _openapi),
        "/v1/score": ("POST", _question_endpoint(get_state, _answer_score)),
        "/v1/explain": ("POST", _question_endpoint(get_state, _answer_explain, in_thread=True)),
        "/v1/model": ("GET", _model_endpoint(get_state)),
        "/metrics": ("GET", _metrics_endpoint(get_state)),
        "/v1/customers/{customer_id:path}": ("GET", _customer_endpoint(get_state)),
        **page_endpoints(get_state),
    }
    # Routes without `methods`: every method arrives here, unknown ones too, and is refused with
    # our own message.
    return Starlette(
        routes=[
            Route(path, _only_method(endpoint, method))
            for path, (method, endpoint) in endpoints.items()
        ]
    )


def _question_endpoint(
    get_state: GetState, answer: GetAnswer, *, in_thread: bool = False
) -> Endpoint:
    """What answers a question by `answer`; `in_thread`: also by id, where it reads files."""

    async def question(request: Request) -> Response:
        _refuse_other_media(header(request.scope, b"content-type"))
        admission: Admission = request.scope["lifecycle.admission"]
        with contextlib.ExitStack() as places:
            place = None
            if declared_length(request.scope) > SMALL_BYTES:
                # It holds raw events: where they are too many, it is refused before it is read.
                place = places.enter_context(admission.events.place(declared_length(request.scope)))
            body = await read_body(request, seconds=BODY_SECONDS)
            now = time.time_ns() // 1000
            parsed = parse_question(strict.read_json(body)) if len(body) <= SMALL_BYTES else None
            if parsed is not None and parsed.by_id:
                if in_thread:
                    places.enter_context(admission.customers.take())
                    answered = await anyio.to_thread.run_sync(answer, get_state(), parsed, now)
                else:
                    answered = answer(get_state(), parsed, now)
            else:
                place = place or places.enter_context(admission.events.place(len(body)))
                async with admission.events.turn(place, request):
                    # In a thread, so that the event loop can answer requests by id meanwhile.
                    answered = await anyio.to_thread.run_sync(
                        lambda: answer(
                            get_state(), parsed or parse_question(strict.read_json(body)), now
                        )
                    )
        meters: Meters = request.scope["lifecycle.meters"]
        for kind, count in answered.customers.items():
            if count:
                meters.customers.labels(kind).inc(count)
        scores = answered.body.get("scores") or [answered.body["score"]]
        meters.count_warnings(mark for entry in scores for mark in entry["warnings"])
        return _json_response(answered.body)

    return question


def _answer_score(state: ServingState, question: Question, now: int) -> Answered:
    body = state.answer_question(question, now=now)
    refused = len(question.errors.by_place)
    kind = "id" if question.by_id else "events"
    return Answered({kind: len(body["scores"]) - refused, REFUSED: refused}, body)


def _answer_explain(state: ServingState, question: Question, now: int) -> Answered:
    return Answered({"explain": 1}, state.explanation(question.request, now=now))


def _customer_endpoint(get_state: GetState) -> Endpoint:
    async def customer(request: Request) -> Response:
        requested = parse_id(request.scope[SENT_PATH].removeprefix(CUSTOMER))
        with request.scope["lifecycle.admission"].customers.take():
            entry = await anyio.to_thread.run_sync(lambda: get_state().customer_entry(requested))
        return _json_response(entry)

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
        if request.scope["query_string"] and request.scope["path"].startswith(WITHOUT_QUERY):
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
        except ClientDisconnect:
            # Nobody reads it, but BentoML would wait for an answer until its time limit.
            return await respond(send, ABANDONED, b"")
        except LifecycleError as error:
            meters = scope["lifecycle.meters"]
            return await send_refusal(scope, send, error, meters, allow=self.allow)
        except Exception as error:
            return await send_internal_error(send, error)
        return await response(scope, receive, send)


def _json_response(value: Any) -> Response:
    return Response(encode_json(value), media_type="application/json")


async def _openapi(_: Request) -> Response:
    return _json_response(openapi.openapi())


async def _login(request: Request) -> Response:
    """Exchange the form's key for a session cookie; a wrong key gets the form again."""
    refuse_other_origin(request)
    with request.scope["lifecycle.admission"].logins.take():
        try:
            body = await read_body(request, seconds=LOGIN_SECONDS)
        except (LifecycleError, ClientDisconnect):  # too large, or never whole: no key in it
            body = b""
    known, fields = request.scope["lifecycle.keys"], parse_qs(body.decode("latin-1"))
    start = start_address(CHINESE if fields.get("language") == [CHINESE] else ENGLISH)
    key = fields.get("key", [""])[0].strip()
    if not known.accepts(key):
        page = login_page(start, wrong=True)
        return Response(page, status_code=401, media_type="text/html")
    response = RedirectResponse(start, status_code=303)
    response.set_cookie(
        COOKIE,
        known.new_session(key, now=time.time()),
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="strict",
        secure=is_behind_tls(request),
    )
    return response


async def _logout(request: Request) -> Response:
    """End the session of the cookie, for every copy of it, and take the cookie away."""
    refuse_other_origin(request)
    await anyio.to_thread.run_sync(ended_sessions.end, cookie(request.scope))
    response = RedirectResponse("/", status_code=303)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=is_behind_tls(request))
    return response
