"""All errors of a request are listed by path; a caller may have each at its entry's place."""

from __future__ import annotations

import pytest

from serving.api.entry_errors import MOST_COUNTED, MOST_LISTED, MOST_OF_ENTRY
from tests.support.raw_events import request

PLANTED = "planted-zebra"


@pytest.fixture(scope="module")
def good(any_business):
    """A fine request of six customers."""
    rows = any_business.run.folder / "scores.parquet"
    assert rows.is_file()
    ids = [f"{number:06d}" for number in range(1, 7)]
    return request(any_business.history, any_business.settings, ids, as_of=any_business.run.as_of)


def spoilt(good):
    """The request with entries that break rules of one field, of several, and of the release."""
    sent = {**good, "customers": [dict(each) for each in good["customers"]]}
    first, second, third, fourth, *_ = sent["customers"]
    row = {"occurred_at": "2024-01-01T00:00:00Z", "amount": 1.0}
    first["transactions"] = [row, {**row, "amount": PLANTED}, {**row, "amount": True}, {PLANTED: 1}]
    second["transactions"] = [{**row, "amount": 1.005}, row, {**row, "occurred_at": good["as_of"]}]
    third["customer_id"] = " "
    fourth["transactions"] = [
        {**row, "transaction_id": PLANTED},
        {**row, "transaction_id": PLANTED, "amount": 2.0},
    ]
    return sent


FIELDS = {
    0: [
        "customers[0].transactions[1].amount",
        "customers[0].transactions[2].amount",
        "customers[0].transactions[3].occurred_at",
        "customers[0].transactions[3].amount",
        "customers[0].transactions[3]",
    ],
    2: ["customers[2].customer_id"],
}
RULES = {
    1: ["customers[1].transactions[0].amount", "customers[1].transactions[2].occurred_at"],
    3: ["customers[3].transactions"],
}


def paths(errors):
    return [each["where"] for each in errors]


def test_a_refusal_lists_every_error(any_service, good):
    answer = any_service.ask(spoilt(good))
    said = answer.json()
    # The rules over several columns need fields that are right.
    assert answer.status_code == 422
    assert paths(said["errors"]) == FIELDS[0] + FIELDS[2]
    assert (said["where"], said["error_count"]) == (FIELDS[0][0], 6)
    right = spoilt(good)
    right["customers"] = [right["customers"][place] for place in (1, 3, 4)]
    said = any_service.ask(right).json()
    assert paths(said["errors"]) == [
        "customers[0].transactions[0].amount",
        "customers[0].transactions[2].occurred_at",
        "customers[1].transactions",
    ]
    assert PLANTED not in str(said)


def test_each_error_stands_at_its_place_and_the_others_are_scored(any_service, good):
    plain = any_service.ask(good).json()["scores"]
    said = any_service.ask({**spoilt(good), "errors": "each"}).json()["scores"]
    assert [entry["error"] == "refused" for entry in said] == [True] * 4 + [False] * 2
    for place, expected in (FIELDS | RULES).items():
        assert paths(said[place]["errors"]) == expected
        assert said[place]["error_count"] == len(expected)
        assert said[place]["p_churn"] is said[place]["decision"] is None
        assert set(said[place]) == set(said[4])
    assert [entry["customer_id"] for entry in said] == [
        None if place == 2 else f"{place + 1:06d}" for place in range(6)
    ]
    for place in (4, 5):
        assert said[place] == {**plain[place], "errors": [], "error_count": 0}
    assert PLANTED not in str(said)


def test_without_errors_both_ways_are_one(any_service, good):
    plain = any_service.ask(good).json()["scores"]
    said = any_service.ask({**good, "errors": "each"}).json()["scores"]
    assert said == [{**entry, "errors": [], "error_count": 0} for entry in plain]
    assert any_service.ask({**good, "errors": "whole"}).json()["scores"] == plain


def test_by_id_too(any_service):
    first, second = any_service.ids[:2]
    body = {"customer_ids": [first, 7, " ", second, "nobody"], "errors": "each"}
    said = any_service.ask(body).json()["scores"]
    assert [entry["error"] for entry in said][1:3] == ["refused", "refused"]
    assert [entry["customer_id"] for entry in said] == [first, None, None, second, "nobody"]
    assert paths(said[1]["errors"]) == ["customer_ids[1]"]
    plain = any_service.ask({"customer_ids": [first, second, "nobody"]}).json()["scores"]
    for entry, other in zip([said[0], *said[3:]], plain, strict=True):
        assert entry == {**other, "errors": [], "error_count": 0}
    refused = any_service.ask({**body, "errors": "whole"})
    assert paths(refused.json()["errors"]) == ["customer_ids[1]", "customer_ids[2]"]


def test_where_all_are_bad_all_are_said(shop_service):
    said = shop_service.ask({"customer_ids": [7, ""], "errors": "each"}).json()["scores"]
    assert [entry["error"] for entry in said] == ["refused"] * 2
    customers = [{"customer_id": "a"}, {"customer_id": "b", "transactions": 7}, 3]
    body = {"as_of": shop_service.as_of, "customers": customers, "errors": "each"}
    answer = shop_service.ask(body)
    assert answer.status_code == 200
    said = answer.json()["scores"]
    assert [entry["customer_id"] for entry in said] == ["a", "b", None]
    assert [paths(entry["errors"])[0] for entry in said] == [
        "customers[0].transactions",
        "customers[1].transactions",
        "customers[2]",
    ]


def test_a_customer_sent_twice_is_refused_at_both_places(shop_service, trained_shop):
    sent = request(
        trained_shop.history,
        trained_shop.settings,
        ["000001", "000002"],
        as_of=trained_shop.run.as_of,
    )
    one, other = sent["customers"]
    body = {**sent, "customers": [one, other, {**one, "customer_id": " 000001"}]}
    said = shop_service.ask({**body, "errors": "each"}).json()["scores"]
    assert [entry["error"] for entry in said] == ["refused", None, "refused"]
    assert paths(shop_service.ask(body).json()["errors"]) == [
        "customers[0].customer_id",
        "customers[2].customer_id",
    ]


@pytest.mark.parametrize("row", [{}, {"occurred_at": "2020-01-01T00:00:00Z", "amount": 1.005}])
def test_a_million_errors_are_a_few_and_a_count(shop_service, row):
    customers = [{"customer_id": str(n), "transactions": [row] * 3000} for n in range(3)]
    body = {"as_of": "2024-06-01T00:00:00Z", "customers": customers}
    said = shop_service.ask(body).json()
    assert (len(said["errors"]), said["error_count"]) == (MOST_LISTED, MOST_COUNTED)
    said = shop_service.ask({**body, "errors": "each"}).json()["scores"]
    assert [entry["error"] for entry in said] == ["refused"] * 3
    assert len(said[0]["errors"]) == MOST_OF_ENTRY
    assert sum(entry["error_count"] for entry in said) <= MOST_COUNTED + len(customers)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"customer_ids": ["a"], "errors": "some"}, "errors"),
        ({"customer_ids": ["a"], "errors": None}, "errors"),
        ({"customer_ids": [7], "customers": [7], "errors": "each"}, "body"),
        ({"customer_ids": [7], "as_of": "today", "errors": "each"}, "as_of"),
        ({"customer_ids": [], "errors": "each"}, "customer_ids"),
        ({"errors": "each"}, "body"),
    ],
)
def test_what_is_wrong_with_the_request_itself_refuses_it(shop_service, body, where):
    answer = shop_service.ask(body)
    assert (answer.status_code, answer.json()["where"]) == (422, where)


def test_refused_entries_are_counted(shop_service):
    def counted():
        lines = shop_service.get("/metrics").text.splitlines()
        name = 'lifecycle_customers_total{kind="refused"}'
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    before = counted()
    shop_service.ask({"customer_ids": [shop_service.ids[0], 7, 8], "errors": "each"})
    assert counted() == before + 2
