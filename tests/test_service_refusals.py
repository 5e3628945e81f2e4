"""A hundred and more bad requests, made by hand: each is refused with its status and the path of
what is wrong.
"""

from __future__ import annotations

import pytest

from tests.support.bad_requests import (
    FINE,
    FINE_WITH_CONTRACTS,
    REFUSED,
    REFUSED_WITH_CONTRACTS,
    REFUSED_WITHOUT_CONTRACTS,
)
from tests.support.services import BEARER, finite

# method, path, more headers, body → status, path that is told
ELSEWHERE = [
    ("POST", "/v1/score", {"content-type": "text/plain"}, b"{}", 415, "content-type"),
    ("POST", "/v1/score", {"content-type": "application/xml"}, b"<a/>", 415, "content-type"),
    ("POST", "/v1/score", {"content-type": ""}, b'{"customer_ids":["a"]}', 415, "content-type"),
    (
        "POST",
        "/v1/score",
        {"content-type": "application/json; charset=latin-1"},
        b'{"customer_ids":["a"]}',
        415,
        "content-type",
    ),
    (
        "POST",
        "/v1/score",
        {"content-type": "application/jsonx"},
        b'{"customer_ids":["a"]}',
        415,
        "content-type",
    ),
    (
        "POST",
        "/v1/score",
        {"content-type": "multipart/form-data; boundary=x"},
        b"--x--",
        415,
        "content-type",
    ),
    (
        "POST",
        "/v1/score",
        {"content-type": "application/json", "content-encoding": "gzip"},
        b"\x1f\x8b\x08\x00",
        422,
        "body",
    ),
    (
        "POST",
        "/v1/score?as_of=2024",
        {"content-type": "application/json"},
        b'{"customer_ids":["a"]}',
        422,
        "query",
    ),
    ("GET", "/v1/model?verbose", {}, b"", 422, "query"),
    ("GET", "/v1/customers/000001?as_of=2024", {}, b"", 422, "query"),
    ("GET", "/v1/score", {}, b"", 405, "method"),
    ("PUT", "/v1/score", {}, b"{}", 405, "method"),
    ("DELETE", "/v1/customers/000001", {}, b"", 405, "method"),
    ("PATCH", "/v1/model", {}, b"", 405, "method"),
    ("OPTIONS", "/v1/score", {}, b"", 405, "method"),
    ("POST", "/openapi.json", {}, b"", 405, "method"),
    ("POST", "/metrics", {}, b"", 405, "method"),
    ("TRACE", "/v1/model", {}, b"", 405, "method"),
    ("GET", "/login", {}, b"", 405, "method"),
    ("GET", "/v1/customers/unheard-of", {}, b"", 404, "/v1/customers"),
    ("GET", "/v1/customers/000001%2f", {}, b"", 404, "/v1/customers"),
    ("GET", "/v1/customers/%00", {}, b"", 422, "customer_id"),
    ("GET", "/v1/customers/%20%20", {}, b"", 422, "customer_id"),
    ("GET", "/v1/customers/%ff", {}, b"", 404, "/v1/customers"),
    ("GET", "/v1/customers/" + "9" * 50_000, {}, b"", 404, "/v1/customers"),
    ("GET", "/v1/customers/", {}, b"", 404, "path"),
    ("GET", "/v1", {}, b"", 404, "path"),
    ("GET", "/v1/models", {}, b"", 404, "path"),
    ("GET", "/v1/model/", {}, b"", 404, "path"),
    ("POST", "/v1/score/", {}, b"{}", 404, "path"),
    ("GET", "/docs.json", {}, b"", 404, "path"),
    ("GET", "/schema.json", {}, b"", 404, "path"),
    ("GET", "/static_content/index.html", {}, b"", 404, "path"),
    ("GET", "/favicon.ico", {}, b"", 404, "path"),
    ("GET", "/V1/model", {}, b"", 404, "path"),
]


@pytest.mark.parametrize("number", range(len(FINE)))
def test_what_the_bad_ones_are_variants_of_is_answered(shop_service, number):
    assert shop_service.ask(FINE[number]).status_code == 200


@pytest.mark.parametrize("body", FINE_WITH_CONTRACTS)
def test_terms_are_answered(subscription_service, body):
    assert subscription_service.ask(body).status_code == 200


@pytest.mark.parametrize(
    "number", range(len(REFUSED)), ids=[f"{n} {where}" for n, (_, where) in enumerate(REFUSED)]
)
def test_a_bad_request_is_refused_with_the_path_of_what_is_wrong(shop_service, number):
    body, where = REFUSED[number]
    _refused(shop_service.ask(body), 422, where)


@pytest.mark.parametrize(("body", "where"), REFUSED_WITHOUT_CONTRACTS)
def test_a_table_the_release_never_saw_is_refused(shop_service, body, where):
    _refused(shop_service.ask(body), 422, where)


@pytest.mark.parametrize(
    "number",
    range(len(REFUSED_WITH_CONTRACTS)),
    ids=[f"{n} {where}" for n, (_, where) in enumerate(REFUSED_WITH_CONTRACTS)],
)
def test_a_bad_term_is_refused(subscription_service, number):
    body, where = REFUSED_WITH_CONTRACTS[number]
    _refused(subscription_service.ask(body), 422, where)


@pytest.mark.parametrize("number", range(len(ELSEWHERE)))
def test_another_page_method_or_medium_is_refused(shop_service, number):
    method, path, headers, body, status, where = ELSEWHERE[number]
    _refused(
        shop_service.client.request(method, path, content=body, headers={**BEARER, **headers}),
        status,
        where,
    )


def test_there_are_more_than_a_hundred():
    assert (
        len(REFUSED) + len(REFUSED_WITHOUT_CONTRACTS) + len(REFUSED_WITH_CONTRACTS) + len(ELSEWHERE)
        >= 100
    )


def _refused(answer, status, where):
    assert answer.status_code == status, answer.text[:300]
    said = finite(answer.content)
    assert {"error", "where", "rule", "do"} <= set(said)
    if "errors" in said:
        assert said["errors"][0] == {"where": where, "rule": said["rule"]}
        assert said["error_count"] >= len(said["errors"])
    assert said["where"] == where, said
    assert answer.headers["cache-control"] == "no-store"
