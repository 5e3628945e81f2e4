"""A thousand strings to plant, the requests to plant them in, and the look for them afterwards."""

from __future__ import annotations

import json

from tests.support.services import KEY, finite

# Every planted string has this in it, at its start: whoever says even its first eight letters is
# found.
MARK, HEX, NUMBER = "Pl4ntedQ", "5ec4e75ec4e75ec4", 8675309
ODD = (
    "",
    "@mail.example",
    " with spaces",
    "/../..",
    '"quoted\\',
    "%s%d{0}",
    "\n[ERROR] forged",
    "客户",
    "<script>",
    "';--",
    "é" * 40,
    "#?&=;",
)
AT, BEFORE = "2024-06-01T00:00:00Z", "2024-03-05T10:00:00Z"


def planted(number: int) -> str:
    return f"{MARK}{number:04d}{ODD[number % len(ODD)]}"


def _of(customer, **tables):
    return {"as_of": AT, "customers": [{"customer_id": customer, **tables}]}


def events(s):
    """Good events with a planted string wherever a string may be."""
    return _of(
        s(),
        transactions=[
            {
                "occurred_at": BEFORE,
                "amount": NUMBER / 100,
                "transaction_id": s(),
                "category": s(),
                "channel": s(),
            }
        ],
        interactions=[{"occurred_at": BEFORE, "kind": s(), "channel": s(), "quantity": NUMBER}],
        feedback=[{"occurred_at": BEFORE, "kind": "complaint", "topic": s(), "item": s()}],
    )


def _tx(**cells):
    return _of("c", transactions=[{"occurred_at": BEFORE, "amount": 1.0, **cells}])


def _broken(s, wrong):
    body = events(s)
    body["customers"][0]["transactions"][0].update(wrong)
    return body


# A body for each way of being asked; `s()` gives the next planted string.
BODIES = [
    events,
    lambda s: {"customer_ids": [s() for _ in range(8)]},
    lambda s: {"customer_ids": [s()], s(): s()},
    lambda s: {s(): {s(): [s()]}},
    lambda s: {"customer_ids": [s()], "as_of": s()},
    lambda s: {"customer_ids": s()},
    lambda s: {"customers": s()},
    lambda s: _of(s(), **{s(): [s()]}),
    lambda s: _of(s(), transactions=[s()]),
    lambda s: _of(s(), transactions=[{s(): s()}]),
    lambda s: _tx(amount=s()),
    lambda s: _tx(kind=s()),
    lambda s: _tx(occurred_at=s()),
    lambda s: _tx(quantity=[s()]),
    lambda s: _tx(category=s() + "\0"),
    lambda s: _tx(category=s() + "\ud800"),
    lambda s: _tx(amount=NUMBER + 0.001),
    lambda s: _tx(amount=NUMBER * 1e9),
    lambda s: _broken(s, {"amount": True}),
    lambda s: _broken(s, {"recorded_at": AT}),
    lambda s: _of(
        s(),
        feedback=[
            {
                "occurred_at": BEFORE,
                "kind": "nps",
                "score": NUMBER,
                "answered_at": BEFORE,
                "topic": s(),
            }
        ],
    ),
    lambda s: _of(s(), contracts=[{"starts_at": BEFORE, "ends_at": AT, "plan": s()}]),
    lambda s: {"customers": [{"customer_id": one} for one in [s()] * 2]},
    lambda s: _of(
        s(),
        transactions=[
            {"occurred_at": BEFORE, "amount": n, "transaction_id": "t", "category": s()}
            for n in (1.0, 2.0)
        ],
    ),
    lambda s: s(),
    lambda s: [s(), s()],
    lambda s: b'{"customer_ids": ["' + s().encode() + b'\xff"]}',
    lambda s: json.dumps(s()).encode()[:-1],
    lambda s: f'{{"{MARK}": 1, "{MARK}": {NUMBER}, "x": {json.dumps(s())}}}'.encode(),
    lambda s: f'{{"customer_ids": [NaN], "{MARK}": {json.dumps(s())}}}'.encode(),
]
# Everything but the body: method, path, query, header name and value.
ELSEWHERE = [
    lambda s: ("GET", "/v1/customers/" + s(), "", {}),
    lambda s: ("GET", "/v1/customers/" + s() + "\0", "", {}),
    lambda s: ("GET", "/v1/" + s(), s(), {}),
    lambda s: ("GET", "/v1/model", s(), {}),
    lambda s: (s(), "/v1/score", "", {}),
    lambda s: (s(), "/" + s(), s(), {"authorization": ""}),
    lambda s: ("GET", "/" + s(), s(), {"authorization": "Bearer " + s()}),
    lambda s: (
        "GET",
        "/",
        "",
        {"authorization": "", "cookie": f"lifecycle_session=1.{s()}; {s()}={s()}"},
    ),
    lambda s: ("POST", "/v1/score", "", {"content-type": s()}),
    lambda s: ("POST", "/v1/score", "", {"content-length": s()}),
    lambda s: (
        "GET",
        "/v1/model",
        "",
        {"user-agent": s(), "referer": s(), "origin": s(), "host": s(), "x-" + s(): s()},
    ),
    lambda s: (
        "GET",
        "/v1/model",
        "",
        {"baggage": s(), "tracestate": s(), "traceparent": f"00-{HEX}{HEX}-{HEX}-01"},
    ),
    lambda s: ("POST", "/login", "", {"x-forwarded-for": s()}),
    lambda s: ("GET", "/livez", s(), {"baggage": s()}),
]


def found(text: str) -> list[str]:
    return [secret for secret in (MARK, HEX, str(NUMBER), KEY) if secret.lower() in text.lower()]


def assert_silent(status: int, text: str, headers: str) -> None:
    """No planted string, but the customer_id of an entry in a good answer."""
    if status == 200 and text.startswith("{"):
        said = finite(text)
        for entry in said.get("scores", []):
            entry.pop("customer_id")
        text = json.dumps(said, ensure_ascii=False)
    assert MARK.lower() not in text.lower()
    assert found(headers) == []
    if status != 200:
        assert found(text) == []
