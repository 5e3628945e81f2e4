"""The reference: its example can be sent as it stands, to where the page came from."""

from __future__ import annotations

import html
import json
import re

import pytest


def commands(service, **headers):
    text = service.get("/reference", **headers).text
    return [html.unescape(each) for each in re.findall(r"<pre>(.*?)</pre>", text, re.DOTALL)]


def test_a_fresh_release_accepts_the_example(any_service):
    by_id, by_events = commands(any_service)
    for command in (by_id, by_events):
        body = re.search(r"-d '(.*?)'", command, re.DOTALL)[1]
        answer = any_service.ask(body.encode())
        assert answer.status_code == 200, answer.text
    [entry] = answer.json()["scores"]
    assert json.loads(body)["customers"][0]["customer_id"] == entry["customer_id"]
    assert entry["error"] is None
    assert entry["p_churn"] is not None


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("scores.example:8443", "http://scores.example:8443"),
        ("127.0.0.1:3100", "http://127.0.0.1:3100"),
        ("[::1]:3100", "http://[::1]:3100"),
        ("x'; rm -rf /", "http://localhost:3000"),
        ("a<b>", "http://localhost:3000"),
    ],
)
def test_it_names_the_address_that_it_was_reached_at(shop_service, host, address):
    for command in commands(shop_service, host=host):
        assert command.rstrip().endswith(f" {address}/v1/score")


def test_behind_a_proxy_with_tls_it_says_https(shop_service):
    headers = {"host": "scores.example", "x-forwarded-proto": "https"}
    assert "https://scores.example/v1/score" in commands(shop_service, **headers)[0]
