"""Bodies for POST /v1/score: fine ones, and what becomes of them when one thing is wrong: the path
that is told.
"""

from __future__ import annotations

import json

AT, BEFORE, AFTER = "2024-06-01T00:00:00Z", "2024-03-05T10:00:00Z", "2024-06-01T00:00:00Z"
TX, IT, FB, CO = (
    f"customers[0].{name}[0]" for name in ("transactions", "interactions", "feedback", "contracts")
)
ONE = "customers[0]"

# What every score of some business needs.
NEEDED = ("transactions", "interactions", "contracts")


def one(**tables):
    rest = {name: [] for name in NEEDED if name not in tables}
    return {"as_of": AT, "customers": [{"customer_id": "c-1", **tables, **rest}]}


def tx(**cells):
    return one(transactions=[{"occurred_at": BEFORE, "amount": 19.9, **cells}])


def it(**cells):
    return one(interactions=[{"occurred_at": BEFORE, "kind": "visit", **cells}])


def fb(**cells):
    return one(feedback=[{"occurred_at": BEFORE, "kind": "csat", **cells}])


def co(**cells):
    return one(
        contracts=[
            {"starts_at": "2024-01-01T00:00:00Z", "ends_at": "2025-01-01T00:00:00Z", **cells}
        ]
    )


def two(table, **second):
    """A row and a second one that differs in these cells alone."""
    row = one(
        **{
            table: [
                {"occurred_at": BEFORE, "amount": 1.0, "transaction_id": "t"}
                if table == "transactions"
                else {"starts_at": BEFORE, "ends_at": AFTER, "plan": "p"}
            ]
        }
    )
    rows = row["customers"][0][table]
    rows.append({**rows[0], **second})
    return row


def without(body, name):
    """The body without one cell of its first row."""
    table = next(value for key, value in body["customers"][0].items() if key != "customer_id")
    del table[0][name]
    return body


def as_text(body, old, new):
    """The body's JSON with one piece of its text exchanged, for what Python's writer cannot say."""
    text = json.dumps(body)
    assert old in text
    return text.replace(old, new, 1).encode()


FINE = [
    {"customer_ids": ["000001"]},
    {"customer_ids": ["000001", "000001", "unheard of"]},
    {"customer_ids": ["a"], "customers": None},
    one(),
    tx(),
    it(),
    fb(),
    tx(amount=-0.0),
    tx(amount=5),
    tx(kind="refund", amount=-5),
    tx(quantity=2, discount=0.5, category="床"),
    fb(score=5, answered_at="2024-03-06T00:00:00Z"),
    fb(kind="complaint", topic="x"),
    tx(occurred_at="2024-03-05T10:00:00+05:30"),
    it(kind="\u0001"),
    it(quantity=1e12),
    tx(occurred_at="2024-03-05T23:59:59.123456789Z"),
    tx(recorded_at="2024-03-05T09:00:00Z"),
    two("transactions"),
    two("transactions", amount=2.0, recorded_at="2024-03-06T00:00:00Z"),
]
FINE_WITH_CONTRACTS = [
    co(),
    co(starts_at="2024-12-01T00:00:00Z", recorded_at=BEFORE),
    co(ends_at="2199-12-31T00:00:00Z", plan="p"),
    co(ends_at="9999-12-31T00:00:00Z"),
    co(ends_at=None),
    two("contracts", ends_at="2024-07-01T00:00:00Z", recorded_at="2024-03-06T00:00:00Z"),
]

# body → the path that is told
REFUSED = [
    # the whole body
    (b"", "body"),
    (b" \n", "body"),
    (b"{", "body"),
    (b"{}{}", "body"),
    (b"{'customer_ids': ['a']}", "body"),
    (b"\xef\xbb\xbf{}", "body"),
    (b'{"customer_ids":["a"],}', "body"),
    (b"\xff\xfe{\x00}\x00", "body"),
    (b'{"customer_ids":["\xe9"]}', "body"),
    (b"customer_ids=a", "body"),
    (b"NaN", "body"),
    (b"[" * 100_000, "body"),
    (b'{"a":' * 50_000, "body"),
    (b"9" * 5000, "body"),
    ([], "body"),
    (None, "body"),
    (7, "body"),
    ("text", "body"),
    (True, "body"),
    ([{"customer_ids": ["a"]}], "body"),
    ({}, "body"),
    ({"as_of": AT}, "body"),
    (b'{"customer_ids":["a"] /* why */}', "body"),
    (b'{"customer_ids":["a\x01b"]}', "body"),
    (b'{"customer_ids":["\\x"]}', "body"),
    ({"customer_ids": None, "customers": None}, "body"),
    ({"customer_ids": ["a"], **one()}, "body"),
    (b'{"\\ud800": 1}', "body"),
    # keys twice, at every level; names nobody knows, at every level; too many names
    (b'{"customer_ids":["a"],"customer_ids":["a"]}', "body"),
    (as_text(one(), '"customer_id"', '"customer_id":"c","customer_id"'), "body"),
    (as_text(tx(), '"amount"', '"amount":1,"amount"'), "body"),
    ({"customer_ids": ["a"], "": 1}, "body"),
    ({"customer_id": "a"}, "body"),
    ({"customer_ids": ["a"], "AS_OF": AT}, "body"),
    (one(secret=1), ONE),
    (one(transaction=[]), ONE),
    (tx(Amount=1), TX),
    (it(score=1), IT),
    (fb(rating=1), FB),
    (tx(customer_id="c-1"), TX),
    (tx(local_day=3), TX),
    ({f"k{n}": 1 for n in range(101)}, "body"),
    # who is asked for
    ({"customer_ids": []}, "customer_ids"),
    ({"customer_ids": "a"}, "customer_ids"),
    ({"customer_ids": {"a": 1}}, "customer_ids"),
    ({"customer_ids": 1}, "customer_ids"),
    ({"customer_ids": [7]}, "customer_ids[0]"),
    ({"customer_ids": ["a", None]}, "customer_ids[1]"),
    ({"customer_ids": ["a", True]}, "customer_ids[1]"),
    ({"customer_ids": [["a"]]}, "customer_ids[0]"),
    ({"customer_ids": [""]}, "customer_ids[0]"),
    ({"customer_ids": [" \u3000"]}, "customer_ids[0]"),
    ({"customer_ids": ["a\x00"]}, "customer_ids[0]"),
    ({"customer_ids": ["\ud800"]}, "customer_ids[0]"),
    ({"customer_ids": ["a"] * 1001}, "customer_ids"),
    ({"customers": []}, "customers"),
    ({"customers": {}}, "customers"),
    ({"customers": ["a"]}, ONE),
    ({"customers": [None]}, ONE),
    ({"customers": [[]]}, ONE),
    ({"customers": [{}]}, f"{ONE}.customer_id"),
    ({"customers": [{"customer_id": None}]}, f"{ONE}.customer_id"),
    ({"customers": [{"customer_id": 7}]}, f"{ONE}.customer_id"),
    ({"customers": [{"customer_id": str(n)} for n in range(1001)]}, "customers"),
    ({"customers": [{"customer_id": "a"}, {"customer_id": "a"}]}, f"{ONE}.customer_id"),
    (
        {"customers": [{"customer_id": "a"}, {"customer_id": "\u00a0a "}]},
        "customers[0].customer_id",
    ),
    # as_of
    ({"customer_ids": ["a"], "as_of": "2024-01-02T03:04:05Z"}, "as_of"),
    (one() | {"as_of": "2999-01-01T00:00:00Z"}, "as_of"),
    (one() | {"as_of": 0}, "as_of"),
    (one() | {"as_of": "2024-06-01"}, "as_of"),
    (one() | {"as_of": "2024-06-01T00:00:00"}, "as_of"),
    (one() | {"as_of": "2199-12-31T00:00:00Z"}, "as_of"),
    (one() | {"as_of": "1980-01-01T00:00:00Z"}, "as_of"),
    (one() | {"as_of": "now"}, "as_of"),
    (one() | {"as_of": ""}, "as_of"),
    (one() | {"as_of": "1969-12-31T23:59:59Z"}, "as_of"),
    # instants
    (tx(occurred_at=AFTER), f"{TX}.occurred_at"),
    (tx(occurred_at="2024-06-01T00:30:00-01:00"), f"{TX}.occurred_at"),
    (tx(recorded_at=AFTER), f"{TX}.recorded_at"),
    (fb(answered_at=AFTER), f"{FB}.answered_at"),
    (fb(resolved_at=AFTER), f"{FB}.resolved_at"),
    (fb(resolved_at="2001-01-01T00:00:00Z"), f"{FB}.resolved_at"),
    (it(occurred_at=AFTER), f"{IT}.occurred_at"),
    (tx(occurred_at=None), f"{TX}.occurred_at"),
    (tx(occurred_at=1709632800), f"{TX}.occurred_at"),
    (tx(occurred_at="2024-03-05"), f"{TX}.occurred_at"),
    (tx(occurred_at="2024-03-05T10:00:00"), f"{TX}.occurred_at"),
    (tx(occurred_at="2024-03-05 10:00:00Z"), f"{TX}.occurred_at"),
    (tx(occurred_at="2024-03-05T10:00Z"), f"{TX}.occurred_at"),
    (tx(occurred_at="2024-03-05T23:59:60Z"), f"{TX}.occurred_at"),
    (tx(occurred_at="2024-03-05T24:00:00Z"), f"{TX}.occurred_at"),
    (tx(occurred_at="2024-02-30T00:00:00Z"), f"{TX}.occurred_at"),
    (tx(occurred_at="0000-01-01T00:00:00Z"), f"{TX}.occurred_at"),
    (tx(occurred_at="9999-12-31T23:59:59Z"), f"{TX}.occurred_at"),
    (tx(occurred_at="2024-03-05T10:00:00+24:00"), f"{TX}.occurred_at"),
    (tx(occurred_at="2024-03-05T10:00:00-24:00"), f"{TX}.occurred_at"),
    (tx(occurred_at="２０２４-03-05T10:00:00Z"), f"{TX}.occurred_at"),
    (tx(occurred_at="2024-03-05T10:00:00Z\n"), f"{TX}.occurred_at"),
    (tx(occurred_at="0001-01-01T00:00:00+14:00"), f"{TX}.occurred_at"),
    (tx(occurred_at="infinity"), f"{TX}.occurred_at"),
    (tx(occurred_at="2024-03-05T10:00:00.Z"), f"{TX}.occurred_at"),
    (without(tx(), "occurred_at"), f"{TX}.occurred_at"),
    (tx(occurred_at="-2024-03-05T10:00:00Z"), f"{TX}.occurred_at"),
    (tx(occurred_at={"$date": 1}), f"{TX}.occurred_at"),
    # money and numbers
    (tx(amount="2"), f"{TX}.amount"),
    (tx(amount=True), f"{TX}.amount"),
    (tx(amount=None), f"{TX}.amount"),
    (tx(amount=[1]), f"{TX}.amount"),
    (without(tx(), "amount"), f"{TX}.amount"),
    (tx(amount=1.005), f"{TX}.amount"),
    (tx(amount=1e14), f"{TX}.amount"),
    (tx(amount=-1e308), f"{TX}.amount"),
    (tx(amount=10**400), f"{TX}.amount"),
    (tx(amount=float("nan")), "body"),
    (tx(amount=float("-inf")), "body"),
    (as_text(tx(), "19.9", "1e400"), f"{TX}.amount"),
    (as_text(tx(), "19.9", "019.9"), "body"),
    (as_text(tx(), "19.9", "+19.9"), "body"),
    (as_text(tx(), "19.9", "0x13"), "body"),
    (as_text(tx(), "19.9", "9" * 5000), "body"),
    (tx(discount=0.001), f"{TX}.discount"),
    (tx(quantity="2"), f"{TX}.quantity"),
    (tx(quantity=False), f"{TX}.quantity"),
    (it(quantity=1e300), f"{IT}.quantity"),
    (it(quantity=-1e17), f"{IT}.quantity"),
    (as_text(it(quantity=7.25), "7.25", "-1e999"), f"{IT}.quantity"),
    (it(quantity=10**30), f"{IT}.quantity"),
    # words
    (tx(kind="sale"), f"{TX}.kind"),
    (tx(kind=" purchase"), f"{TX}.kind"),
    (tx(kind="Purchase"), f"{TX}.kind"),
    (tx(kind=1), f"{TX}.kind"),
    (tx(category=1), f"{TX}.category"),
    (tx(category=["a"]), f"{TX}.category"),
    (tx(category="a\x00b"), f"{TX}.category"),
    (tx(category="\udfff"), f"{TX}.category"),
    (tx(transaction_id=12), f"{TX}.transaction_id"),
    (it(kind=""), f"{IT}.kind"),
    (it(kind=" "), f"{IT}.kind"),
    (it(kind=None), f"{IT}.kind"),
    (without(it(), "kind"), f"{IT}.kind"),
    (fb(kind="survey"), f"{FB}.kind"),
    (fb(topic={}), f"{FB}.topic"),
    # rules over several columns and rows
    (fb(score=6, answered_at=BEFORE), f"{FB}.score"),
    (fb(score=0.5, answered_at=BEFORE), f"{FB}.score"),
    (fb(kind="nps", score=11, answered_at=BEFORE), f"{FB}.score"),
    (fb(score=-1e-9, kind="nps", answered_at=BEFORE), f"{FB}.score"),
    (fb(score=5), f"{FB}.answered_at"),
    (fb(score=5, answered_at="2024-03-05T09:59:59Z"), f"{FB}.answered_at"),
    (fb(score=True, answered_at=BEFORE), f"{FB}.score"),
    (two("transactions", amount=2.0), "customers[0].transactions"),
    (two("transactions", kind="void"), "customers[0].transactions"),
    # tables
    (one(transactions={}), f"{ONE}.transactions"),
    (one(transactions=None), f"{ONE}.transactions"),
    (one(transactions=[None]), TX),
    (one(transactions=["a"]), TX),
    (one(customers=[{"acquired_at": "2024"}]), f"{ONE}.customers[0].acquired_at"),
    (one(customers=[{"region": 3}]), f"{ONE}.customers[0].region"),
    (one(customers=[{"valid_from": AFTER}]), f"{ONE}.customers[0].valid_from"),
    (one(customers=[{"attributes": {"nobody": "knows"}}]), f"{ONE}.customers[0].attributes"),
    (one(customers={}), f"{ONE}.customers"),
    (one(costs=[]), ONE),
]
REFUSED_WITHOUT_CONTRACTS = [(co(), f"{ONE}.contracts")]
REFUSED_WITH_CONTRACTS = [
    (co(ends_at="2024-01-01T00:00:00Z"), f"{CO}.ends_at"),
    (co(ends_at="2023-01-01T00:00:00Z"), f"{CO}.ends_at"),
    (co(ends_at=""), f"{CO}.ends_at"),
    (without(co(), "starts_at"), f"{CO}.starts_at"),
    (co(starts_at="2024-12-01T00:00:00Z"), f"{CO}.recorded_at"),
    (co(recorded_at=AFTER), f"{CO}.recorded_at"),
    (co(cancelled_at=AFTER), f"{CO}.cancelled_at"),
    (co(ends_at="1969-12-31T00:00:00Z"), f"{CO}.ends_at"),
    (co(auto_renew="yes"), f"{CO}.auto_renew"),
    (co(auto_renew=1), f"{CO}.auto_renew"),
    (co(price="9"), f"{CO}.price"),
    (co(price=0.001), f"{CO}.price"),
    (co(plan=3), f"{CO}.plan"),
    (co(occurred_at=BEFORE), CO),
    (two("contracts", ends_at="2024-07-01T00:00:00Z"), "customers[0].contracts"),
    (two("contracts", price=1.0), "customers[0].contracts"),
    (as_text(co(auto_renew=True), "true", "True"), "body"),
]
