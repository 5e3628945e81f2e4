"""Whatever comes as a body, in whatever pieces: an answer that is ours, never a 5xx, and the same
answers side by side.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.api import routes
from serving.api.middleware import ABANDONED, MAX_BODY_BYTES
from tests.support.bad_requests import FINE, fb, it, tx
from tests.support.services import BEARER, KEY, finite

HEAD = [(b"authorization", f"Bearer {KEY}".encode()), (b"content-type", b"application/json")]
GOOD = b'{"customer_ids":["000001"]}'
PIECE = b" " * (1 << 20)
letters = st.characters(codec="utf-8") | st.sampled_from("\0\ud800\udfff")
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(letters)
    | st.sampled_from(
        ["2024-03-05T10:00:00Z", "purchase", "customers", 10**400, -1e308, "\ud83d", "NaN", [], {}]
    )
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(letters), inner, max_size=4)
    ),
    max_leaves=8,
)
calm = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def _ours(answer):
    """Status 200 or 422, finite JSON."""
    assert answer.status_code in (200, 422), (answer.status_code, answer.text[:300])
    return finite(answer.content)


@given(values)
@calm
def test_random_json_is_refused(shop_service, value):
    said = _ours(shop_service.ask(json.dumps(value).encode()))
    assert set(said) == {"error", "where", "rule", "do"}


@given(
    st.binary(max_size=200)
    | st.text(st.sampled_from('{}[]",:0123456789.eE+-\\ud8 \ntrufalsn'), max_size=80).map(
        str.encode
    )
)
@calm
def test_random_bytes_are_refused(shop_service, body):
    assert set(_ours(shop_service.ask(body))) == {"error", "where", "rule", "do"}


def _places(value, at=()):
    """Every place in a JSON value, as a path of keys."""
    yield at
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, part in inner:
        yield from _places(part, (*at, key))


@given(st.data())
@calm
def test_a_good_request_with_one_random_value_gets_an_answer(shop_service, chosen):
    body = copy.deepcopy(
        chosen.draw(
            st.sampled_from(
                [tx(), it(), fb(), tx(quantity=1.0, discount=1.0, kind="refund"), FINE[0]]
            )
        )
    )
    place = chosen.draw(st.sampled_from([at for at in _places(body) if at]))
    inside = body
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = chosen.draw(leaves | values)
    _ours(shop_service.ask(json.dumps(body).encode()))


@pytest.mark.parametrize(
    "stated", [None, b"7", b"0", b"-1", b"1e9", b"", b"\xb2", b"9" * 15, b"0" * 30 + b"7"]
)
def test_a_body_over_the_limit_is_refused_whatever_its_length_says(shop_service, stated):
    length = [] if stated is None else [(b"content-length", stated)]
    said = shop_service.spoken(
        "POST", "/v1/score", headers=[*HEAD, *length], body=[PIECE] * ((MAX_BODY_BYTES >> 20) + 1)
    )
    assert said.status == 413
    assert said.json()["where"] == "body"


@pytest.mark.parametrize("stated", [b"34603008", b"9" * 5000])
def test_a_length_over_the_limit_is_refused_before_the_body(shop_service, stated):
    said = shop_service.spoken(
        "POST", "/v1/score", headers=[*HEAD, (b"content-length", stated)], body=[None]
    )
    assert said.status == 413


@pytest.mark.parametrize("stated", [b"27", b"\xb2", b"-1", b"2.5", b"", b"\xd9\xa3", b"x" * 5000])
def test_a_length_that_is_no_number_does_no_harm(shop_service, stated):
    said = shop_service.spoken(
        "POST", "/v1/score", headers=[*HEAD, (b"content-length", stated)], body=[GOOD]
    )
    assert said.status == 200


def test_a_body_of_just_the_limit_is_read(shop_service):
    body = GOOD + b" " * (MAX_BODY_BYTES - len(GOOD))
    assert shop_service.spoken("POST", "/v1/score", headers=HEAD, body=[body]).status == 200


def test_a_body_in_single_bytes_is_the_body(shop_service):
    pieces = [GOOD[n : n + 1] for n in range(len(GOOD))]
    assert (
        shop_service.spoken("POST", "/v1/score", headers=HEAD, body=[b"", *pieces, b""]).status
        == 200
    )


@pytest.mark.parametrize(
    "pieces", [[None], [b"", None], [GOOD[:9], None], [GOOD[:9], GOOD[9:], None]]
)
def test_a_caller_that_leaves_midway_is_no_error_of_ours(shop_service, pieces, caplog):
    said = shop_service.spoken("POST", "/v1/score", headers=HEAD, body=pieces)
    assert said.status == ABANDONED
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


def test_a_body_that_does_not_come_is_given_up(shop_service, monkeypatch):
    monkeypatch.setattr(routes, "BODY_SECONDS", 0.05)
    said = shop_service.spoken("POST", "/v1/score", headers=HEAD, body=[GOOD[:9], 30, GOOD[9:]])
    assert (said.status, said.json()["where"]) == (422, "body")


def test_side_by_side_the_answers_are_those_of_one_after_the_other(shop_service):
    bodies = [tx(amount=n + 0.5, category=str(n)) for n in range(8)] + [
        {"customer_ids": list(shop_service.ids[n : n + 9])} for n in range(8)
    ]
    alone = [shop_service.ask(body).json() for body in bodies]
    with ThreadPoolExecutor(4) as many:
        assert list(many.map(lambda body: shop_service.ask(body).json(), bodies * 2)) == alone * 2


def test_a_refused_request_leaves_nothing_for_the_next(shop_service):
    before = shop_service.ask(tx()).json()
    assert shop_service.ask(tx(amount="2")).status_code == 422
    assert shop_service.ask(it(quantity=1e300)).status_code == 422
    assert shop_service.ask(tx()).json() == before


def test_a_head_is_answered_like_its_get_and_says_as_much(shop_service):
    for page in ("/", "/v1/model", "/openapi.json", "/v1/customers/000001"):
        get, head = (
            shop_service.client.request(method, page, headers=BEARER) for method in ("GET", "HEAD")
        )
        assert (head.status_code, head.headers["content-type"]) == (
            get.status_code,
            get.headers["content-type"],
        )


def test_every_answer_forbids_storing_framing_and_sniffing(shop_service):
    for method, page, headers in (
        ("GET", "/", []),
        ("GET", "/livez", []),
        ("POST", "/v1/score", HEAD),
        ("GET", "/nothing", HEAD),
    ):
        said = shop_service.spoken(method, page, headers=headers)
        assert said.headers["cache-control"] == "no-store"
        assert said.headers["x-frame-options"] == "DENY"
        assert said.headers["x-content-type-options"] == "nosniff"
        assert "server" not in said.headers


def test_an_error_of_ours_says_its_type_in_the_log_and_nothing_to_the_caller(
    shop_service, monkeypatch, caplog
):
    """A run that has fewer scores than customers, which no file that we write has."""
    monkeypatch.setenv("LIFECYCLE_LOG", "debug")
    shown = shop_service.desk.served
    run = dataclasses.replace(shown.run, entries=shown.run.entries[:0])
    monkeypatch.setattr(shop_service.desk, "served", dataclasses.replace(shown, run=run))
    said = shop_service.get("/v1/customers/000001")
    assert said.status_code == 500
    assert set(said.json()) == {"error", "where", "rule", "do"}
    assert "IndexError" in caplog.text
    assert "in known_entry" in caplog.text
    assert "000001" not in caplog.text
    assert str(shown.run.folder) not in caplog.text + said.text


def test_a_run_whose_folder_is_gone_is_refused_without_its_path(
    shop_service, monkeypatch, caplog, tmp_path
):
    shown = shop_service.desk.served
    gone = dataclasses.replace(shown, run=dataclasses.replace(shown.run, folder=tmp_path / "gone"))
    monkeypatch.setattr(shop_service.desk, "served", gone)
    said = shop_service.get("/v1/customers/000001")
    assert said.status_code == 503
    assert said.json()["error"] == "RunRefused"
    assert str(tmp_path) not in said.text + caplog.text
    assert "000001" not in said.text + caplog.text


def test_without_a_run_an_answer_by_id_is_not_there_yet(shop_service, monkeypatch):
    monkeypatch.setattr(
        shop_service.desk, "served", dataclasses.replace(shop_service.desk.served, run=None)
    )
    said = [
        shop_service.ask({"customer_ids": ["000001"]}),
        shop_service.get("/v1/customers/000001"),
    ]
    assert [(one.status_code, one.json()["where"]) for one in said] == [(503, "scores/LATEST")] * 2
    assert shop_service.ask(tx()).status_code == 200
    assert "lifecycle_run_age_seconds" not in shop_service.get("/metrics").text
