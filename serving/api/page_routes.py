"""The pages for people as endpoints: start, search, one customer, the report and its files."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

import anyio
import anyio.to_thread
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response

from features.core.errors import Malformed
from serving.api import pages, strict
from serving.api.by_id import require_run
from serving.api.console.customer import customer_page
from serving.api.console.report_files import PAGE, report_file, report_page
from serving.api.console.start import start_page
from serving.api.examples import example_request
from serving.api.middleware import header
from serving.api.origins import is_behind_tls, refuse_other_origin
from serving.api.page_paths import (
    CUSTOMER_PAGES,
    REFERENCE,
    REPORT_FOLDER,
    SEARCHES,
    SENT_PATH,
    STARTS,
    UNREACHABLE_IDS,
    customer_address,
    page_language,
)
from serving.api.request_body import read_body
from serving.api.schemas import REQUESTED_ID, RequestedId
from serving.api.state import ServingState

Endpoint = Callable[[Request], Awaitable[Response]]
GetState = Callable[[], ServingState]
SEARCH_SECONDS = 2
POLICY = "content-security-policy"
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?", re.ASCII)


def page_endpoints(get_state: GetState) -> dict[str, tuple[str, Endpoint]]:
    """By route (method, endpoint) of the pages for people."""
    return {
        REFERENCE: ("GET", _reference_endpoint(get_state)),
        f"{REPORT_FOLDER}{{file:path}}": ("GET", _report_endpoint(get_state)),
        **dict.fromkeys(STARTS, ("GET", _start_endpoint(get_state))),
        **dict.fromkeys(SEARCHES, ("POST", _search)),
        **{
            f"{start}{{customer_id:path}}": ("GET", _customer_endpoint(get_state, start))
            for start in CUSTOMER_PAGES
        },
    }


def _reference_endpoint(get_state: GetState) -> Endpoint:
    async def reference(request: Request) -> Response:
        page = pages.reference_page(_address(request), example_request(get_state().served))
        return Response(page, media_type="text/html")

    return reference


def _address(request: Request) -> str:
    """Where the caller reached the service; a host that is no name or number is not repeated."""
    host = header(request.scope, b"host")
    scheme = "https" if is_behind_tls(request) else "http"
    return f"{scheme}://{host}" if _HOST.fullmatch(host) else f"{scheme}://localhost:3000"


def _start_endpoint(get_state: GetState) -> Endpoint:
    async def start(request: Request) -> Response:
        language = page_language(request.scope["path"])
        return Response(start_page(get_state().served, language), media_type="text/html")

    return start


def _customer_endpoint(get_state: GetState, start: str) -> Endpoint:
    async def customer(request: Request) -> Response:
        path = request.scope[SENT_PATH]
        requested = parse_id(path.removeprefix(start))
        with request.scope["lifecycle.admission"].customers.take():
            page = await anyio.to_thread.run_sync(
                customer_page, get_state(), requested, page_language(path)
            )
        return Response(page, media_type="text/html")

    return customer


async def _search(request: Request) -> Response:
    """From the form to the customer's page, whose address has the id in quotes."""
    refuse_other_origin(request)
    body = await read_body(request, seconds=SEARCH_SECONDS)
    requested = parse_id(_form_value(body, "customer"))
    if requested.normalized in UNREACHABLE_IDS:
        rule = "This id cannot stand in an address: ask POST /v1/score for it."
        raise strict.malformed_error("customer_id", "an id of dots alone", rule)
    language = page_language(request.scope["path"])
    return RedirectResponse(customer_address(requested.normalized, language), status_code=303)


def _form_value(body: bytes, name: str) -> str:
    """The value of a form's field, '' without it; Malformed for what is no form in UTF-8."""
    try:
        fields = parse_qs(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=10
        )
    except ValueError as error:  # UnicodeDecodeError too
        raise _no_id() from error
    return fields.get(name, [""])[0]


def parse_id(text: str) -> RequestedId:
    """An id as it was sent and as the contract reads it; Malformed for what is none."""
    try:
        return REQUESTED_ID.validate_python(text)
    except ValidationError as error:
        raise _no_id() from error


def _no_id() -> Malformed:
    return strict.malformed_error("customer_id", "no valid id", "An id is text, and not blank.")


def _report_endpoint(get_state: GetState) -> Endpoint:
    async def report(request: Request) -> Response:
        run = require_run(get_state().served.run)
        name = request.scope["path"].removeprefix(REPORT_FOLDER)
        if name == PAGE:
            page, policy = await anyio.to_thread.run_sync(report_page, run)
            return Response(page, media_type="text/html", headers={POLICY: policy})
        file = await anyio.to_thread.run_sync(report_file, run, name)
        return FileResponse(file.path, media_type=file.kind, filename=file.path.name)

    return report
