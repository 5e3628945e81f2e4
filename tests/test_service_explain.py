"""An explanation is of the score that the service gives: same numbers and reasons, known events."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime

import pytest

from features.core.errors import ReleaseRefused, RunRefused
from serving.api.event_rows import NEWEST
from serving.api.questions import parse_request
from serving.api.schemas import rfc3339
from tests.support.businesses import scores
from tests.support.raw_events import known_events, request
from tests.support.services import BEARER, JSON


def explain(service, body, status=200):
    content = json.dumps(body).encode()
    answer = service.client.post("/v1/explain", content=content, headers={**BEARER, **JSON})
    assert answer.status_code == status, answer.text
    return answer.json()


def a_customer_of_each_stage(business):
    rows = scores(business).to_pylist()
    return list({row["stage"]: row["customer_id"] for row in rows}.values())[:4]


def test_by_id_and_by_raw_events_one_explanation_of_one_score(any_business, any_service):
    at = any_business.run.as_of
    for customer in a_customer_of_each_stage(any_business):
        by_id = explain(any_service, {"customer_ids": [customer]})
        [score] = any_service.ask({"customer_ids": [customer]}).json()["scores"]
        assert by_id["score"] == score
        body = request(any_business.history, any_business.settings, [customer], as_of=at)
        by_events = explain(any_service, body)
        assert by_events["score"] == any_service.ask(body).json()["scores"][0]
        for name in ("as_of", "release_id", "reasons", "reasons_against", "curve"):
            assert by_events[name] == by_id[name], name
        assert by_events["events_total"] == by_id["events_total"]
        assert instants(by_events) == instants(by_id)


def instants(explanation):
    return [(event["table"], event["at"]) for event in explanation["events"]]


def test_every_reason_is_there_and_the_first_three_are_those_of_the_score(
    any_business, any_service
):
    more = 0
    for customer in any_service.ids[:8]:
        said = explain(any_service, {"customer_ids": [customer]})
        three = [said["score"][f"reason_{k + 1}"] for k in range(3)]
        reasons, against = said["reasons"], said["reasons_against"]
        assert [each["sentence"] for each in reasons[:3]] == [text for text in three if text]
        more += len(reasons) > 3
        directions = {each["direction"] for each in reasons}
        assert len(directions) <= 1
        assert directions.isdisjoint(each["direction"] for each in against)
        families = [each["family"] for each in reasons]
        assert len(families) == len(set(families))
        for each in [*reasons, *against]:
            assert (each["log_odds"] > 0) == (each["direction"] == "raises")
            written = each["sentence"].startswith(f"{each['direction']} the risk: ")
            assert written
            assert ("(usually " in each["sentence"]) <= (each["usual"] is not None)
    assert more > 3


def test_the_curve_is_that_of_the_score(any_business, any_service):
    customer = any_service.ids[0]
    said = explain(any_service, {"customer_ids": [customer]})
    assert said["curve"]
    for point in said["curve"]:
        assert said["score"][point["column"]] == point["p"]
        assert point["column"].endswith(f"_{point['days']}d")
    assert said["expected_next_days"] == said["score"]["expected_next_days"]


def test_the_events_can_be_sent_back_and_give_the_score_to_the_bit(shop_service, trained_shop):
    sent_back = 0
    for customer in shop_service.ids[:8]:
        said = explain(shop_service, {"customer_ids": [customer]})
        if said["score"]["error"] or said["events_total"] > NEWEST:
            continue
        tables = {name: [] for name in trained_shop.release.tables}
        for event in said["events"]:
            tables[event["table"]].append(event["row"])
            assert event["at"] < said["as_of"]
        body = {"as_of": said["as_of"], "customers": [{"customer_id": customer, **tables}]}
        [again] = shop_service.ask(body).json()["scores"]
        assert again == said["score"]
        sent_back += 1
    assert sent_back > 2


def test_at_most_the_newest_events_are_listed_and_all_are_counted(shop_service, trained_shop):
    at = trained_shop.run.as_of
    events = known_events(trained_shop.history, trained_shop.settings, as_of=at)
    customer = shop_service.ids[0]
    visits = [
        {"occurred_at": rfc3339(at - (number + 1) * 1_000_000), "kind": "visit"}
        for number in range(3 * NEWEST)
    ]
    late = {"occurred_at": rfc3339(at - 1), "kind": "visit", "recorded_at": rfc3339(at - 1)}
    sent = {**events[customer], "interactions": [*visits, late]}
    body = {"as_of": rfc3339(at), "customers": [{"customer_id": customer, **sent}]}
    said = explain(shop_service, body)
    others = sum(len(rows) for name, rows in sent.items() if name != "interactions")
    assert len(said["events"]) == NEWEST
    assert 3 * NEWEST + 1 <= said["events_total"] <= 3 * NEWEST + 1 + others
    assert said["events"][0]["at"] == rfc3339(at - 1)
    listed = [datetime.fromisoformat(event["at"]) for event in said["events"]]
    assert sorted(listed, reverse=True) == listed


def test_a_stranger_and_a_prospect(any_business, any_service):
    assert explain(any_service, {"customer_ids": ["nobody-knows"]}, 404)["error"] == "NotFound"
    nothing = {name: [] for name in any_business.release.tables}
    body = {
        "as_of": rfc3339(any_business.run.as_of),
        "customers": [{"customer_id": "new", **nothing}],
    }
    said = explain(any_service, body)
    assert (said["score"]["error"], said["reasons"], said["curve"]) == ("prospect", [], [])
    assert (said["events"], said["events_total"]) == ([], 0)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"customer_ids": ["a", "b"]}, "customer_ids"),
        ({"customers": [{"customer_id": "a"}, {"customer_id": "b"}]}, "customers"),
        ({"customer_ids": ["a"], "as_of": "2024-06-01T00:00:00Z"}, "as_of"),
        ({"customer_ids": ["a"], "more": 1}, "body"),
        ({}, "body"),
    ],
)
def test_one_customer_at_a_time(shop_service, body, where):
    assert explain(shop_service, body, 422)["where"] == where


def test_a_run_of_another_release_is_not_explained_by_this_one(shop_service):
    state = shop_service.desk
    run = dataclasses.replace(state.served.run, release="f" * 16)
    served = dataclasses.replace(state.served, run=run)
    question = parse_request({"customer_ids": [shop_service.ids[0]]})
    with pytest.raises(ReleaseRefused, match="the release that scored"):
        dataclasses.replace(state, served=served).explanation(question, now=run.as_of)


def test_a_row_that_gives_another_score_is_refused(shop_service):
    """The entries of the run are of other customers than its feature rows."""
    state = shop_service.desk
    run = state.served.run
    mixed = dataclasses.replace(run, entries=run.entries.take(list(range(len(run.ids)))[::-1]))
    served = dataclasses.replace(state.served, run=mixed)
    question = parse_request({"customer_ids": [shop_service.ids[0]]})
    with pytest.raises(RunRefused, match="another score"):
        dataclasses.replace(state, served=served).explanation(question, now=run.as_of)


def test_it_needs_a_key_and_is_counted(shop_service):
    body = json.dumps({"customer_ids": [shop_service.ids[0]]}).encode()
    assert shop_service.client.post("/v1/explain", content=body, headers=JSON).status_code == 401
    explain(shop_service, {"customer_ids": [shop_service.ids[0]]})
    counted = shop_service.get("/metrics").text
    assert 'lifecycle_customers_total{kind="explain"}' in counted
    assert 'lifecycle_requests_total{route="/v1/explain",status="200"}' in counted
