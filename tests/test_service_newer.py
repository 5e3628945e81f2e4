"""Newer events of a customer whose history is the run's: the numbers of the batch over both."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from features.core.contract import CONTRACT
from features.core.errors import Malformed, Overloaded, RunRefused
from features.core.instants import DAY_US, instant
from features.core.settings import settings_from_mapping
from features.engine.build import build
from features.tables.terms import TermRules
from serving.api import newer_events
from serving.api import state as desks
from serving.api.answers import COLUMNS, entries
from serving.api.lookup import load_lookup
from serving.api.questions import parse_question
from serving.api.schemas import rfc3339
from serving.api.served import ServedRelease
from serving.batch import run_folders
from serving.campaigns.decided import Decided
from serving.release.score_table import score_table
from tests.support.raw_events import known_events

DAYS = 3  # from the run to the request
STAYS = [name for name in COLUMNS if name != "warnings"]


@pytest.fixture(scope="module")
def earlier(any_business, tmp_path_factory):
    """What is served from a run of some days before, the business, and all rows known since."""
    release, settings, at = any_business.release, any_business.settings, any_business.run.as_of
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFECYCLE_HOME", str(tmp_path_factory.mktemp("earlier")))
        before = at - DAYS * DAY_US
        run = run_folders.score_batch(
            any_business.history, settings, release, as_of=before, in_sample=True
        )
    lookup = load_lookup(run.folder)
    prepared = desks._prepare(release, TermRules.from_settings(settings), lookup.population)
    # As a release is served: with the settings of its training.
    served = ServedRelease(
        release,
        settings_from_mapping(release.config, folder=Path(), where="features.json"),
        lookup,
        (prepared,),
        Decided([], pa.array([], pa.struct([]))),
        ("", "", ""),
    )
    events = known_events(any_business.history, settings, as_of=at)
    return desks.ServingState(served), any_business, events


def since(events, run_as_of):
    """Of each table the rows of which the run does not know every cell."""
    return {
        name: [row for row in rows if newest_instant(name, row) >= run_as_of]
        for name, rows in events.items()
    }


def newest_instant(name, row):
    if name == "customers":
        return to_us(row.get("valid_from") or row.get("acquired_at"))
    known = {column.known_at for column in CONTRACT[name].columns} - {None}
    return max(to_us(row.get(column)) for column in known | {"recorded_at"})


def to_us(text):
    return -1 if text is None else instant(datetime.fromisoformat(text), zone="UTC")


def answered(state, body):
    question = parse_question({"history": "run", **body})
    return state.answer_question(question, now=to_us(body["as_of"]))


def batch_entries(state, own, at, ids):
    """The batch job's scores over all rows of the files, with the run's population statistics."""
    release, population = own.release, state.served.run.population
    rows = build(
        own.history.as_of(at),
        population=population,
        definitions=release.scorer.definitions,
        columns=release.columns,
    )
    chosen = rows.filter(pc.is_in(rows["customer_id"], value_set=pc.cast(ids, "string")))
    scored = score_table(chosen, release, prospects=[], as_of=at, stale=False)
    return {
        entry["customer_id"]: {name: entry[name] for name in STAYS} for entry in entries(scored)
    }


def test_history_and_newer_events_are_the_batch_over_both_to_the_bit(earlier):
    state, own, events = earlier
    at, run = own.run.as_of, state.served.run
    sent = {one: since(events[one], run.as_of) for one in run.ids if one in events}
    changed = [one for one, tables in sent.items() if any(tables.values())]
    quiet = [one for one in sent if one not in changed]
    ids = [*changed[:150], *quiet[:30]]
    assert len(changed) > 30
    body = {
        "as_of": rfc3339(at),
        "customers": [{"customer_id": one, **sent[one]} for one in ids[::-1]],
    }
    said = answered(state, body)
    assert (said["as_of"], said["history_as_of"]) == (rfc3339(at), rfc3339(run.as_of))
    expected = batch_entries(state, own, at, ids)
    scored = [entry for entry in said["scores"] if entry["error"] is None]
    assert len(scored) == len(expected) > 60
    assert [entry["customer_id"] for entry in said["scores"]] == ids[::-1]
    for entry in scored:
        assert {name: entry[name] for name in STAYS} == expected[entry["customer_id"]]
        assert f"population_is_{DAYS}_days_old" in entry["warnings"]
        assert not any(mark.startswith("as_of_run:") for mark in entry["warnings"])


def test_what_is_sent_again_counts_once_and_what_is_not_sent_is_as_of_the_run(earlier):
    state, own, events = earlier
    at, run = own.run.as_of, state.served.run
    customer = next(one for one in run.ids if any(since(events[one], run.as_of).values()))
    newer = since(events[customer], run.as_of)
    once = {"as_of": rfc3339(at), "customers": [{"customer_id": customer, **newer}]}
    again = {"as_of": rfc3339(at), "customers": [{"customer_id": customer, **events[customer]}]}
    [first], [second] = answered(state, once)["scores"], answered(state, again)["scores"]
    assert first == second
    [nothing] = answered(state, {"as_of": rfc3339(at), "customers": [{"customer_id": customer}]})[
        "scores"
    ]
    assert {mark for mark in nothing["warnings"] if mark.startswith("as_of_run:")} == {
        f"as_of_run:{name}" for name in own.release.tables
    }


def test_at_the_run_s_instant_without_events_it_is_the_run(any_business, any_service):
    at, ids = any_business.run.as_of, list(any_service.ids[:20])
    body = {
        "as_of": rfc3339(at),
        "history": "run",
        "customers": [{"customer_id": one} for one in ids],
    }
    said = any_service.ask(body).json()["scores"]
    assert said == any_service.ask({"customer_ids": ids}).json()["scores"]
    body["customers"] = body["customers"][:1]
    explained = any_service.client.post(
        "/v1/explain", json=body, headers={"authorization": "Bearer the-first-key-of-two"}
    )
    assert explained.json()["score"] == said[0]


def test_a_row_from_before_the_run_that_it_does_not_know_is_an_error(shop_service, trained_shop):
    at, customer = trained_shop.run.as_of, shop_service.ids[0]
    visit = {"occurred_at": rfc3339(at - DAY_US), "kind": "visit", "channel": "made-up"}
    late = {**visit, "recorded_at": rfc3339(at)}

    def ask(row, **more):
        sent = {"customer_id": customer, "interactions": [row]}
        body = {"as_of": rfc3339(at + DAY_US), "history": "run", "customers": [sent], **more}
        return shop_service.ask(body)

    refused = ask(visit)
    assert (refused.status_code, refused.json()["where"]) == (422, "customers[0].interactions")
    assert "recorded_at" in refused.json()["rule"]
    assert ask(late).status_code == 200
    [entry] = ask(visit, errors="each").json()["scores"]
    assert (entry["error"], entry["error_count"]) == ("refused", 1)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"as_of": -DAY_US}, "as_of"),
        ({"as_of": 400 * DAY_US}, "as_of"),
        ({"customers": [{"customer_id": "nobody-knows"}]}, "customers[0].customer_id"),
        ({"history": "all"}, "history"),
        ({"customers": None, "customer_ids": ["000001"]}, "history"),
    ],
)
def test_what_has_no_history_at_hand_is_refused(shop_service, trained_shop, change, where):
    at = trained_shop.run.as_of + change.pop("as_of", DAY_US)
    state = shop_service.desk
    body = {"history": "run", "customers": [{"customer_id": shop_service.ids[0]}], **change}
    with pytest.raises(Malformed) as refused:
        answered(state, {**body, "as_of": rfc3339(at)})
    assert refused.value.where == where


def test_an_altered_history_is_not_read(without_history, trained_shop):
    service = without_history()
    path = service.desk.served.run.folder / "history" / "transactions.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])
    with pytest.raises(RunRefused, match="not as it was written"):
        newest(service, trained_shop)
    path.unlink()
    with pytest.raises(RunRefused, match="missing"):
        newest(service, trained_shop)


def test_too_many_rows_are_said(shop_service, trained_shop, monkeypatch):
    monkeypatch.setattr(newer_events, "MOST_ROWS", 10)
    with pytest.raises(Overloaded, match="fewer customers"):
        newest(shop_service, trained_shop)


def newest(service, business):
    at = business.run.as_of
    customers = [{"customer_id": one} for one in service.ids[:50]]
    return answered(service.desk, {"as_of": rfc3339(at), "customers": customers})


def test_terms_that_are_built_from_payments_need_the_batch_job(shop_service):
    served = shop_service.desk.served
    contract = served.settings.contract.model_copy(update={"terms_from": "payments"})
    settings = served.settings.model_copy(update={"contract": contract})
    assert settings.built_terms
    state = desks.ServingState(dataclasses.replace(served, settings=settings))
    body = {"as_of": shop_service.as_of, "customers": [{"customer_id": "000001"}]}
    with pytest.raises(Malformed, match="built from payments"):
        answered(state, body)


def test_corrections_and_withdrawals_since_the_run_count_as_in_the_files(
    shop_service, trained_shop
):
    run, settings = shop_service.desk.served.run, trained_shop.settings
    at, later = run.as_of, run.as_of + DAY_US
    events = known_events(trained_shop.history, settings, as_of=at)
    customer = next(one for one in run.ids if len(events[one]["transactions"]) > 3)
    first, second, third, *_ = events[customer]["transactions"]
    recorded = {"recorded_at": rfc3339(at + 5)}
    sent = [
        {**first, "amount": 1234.5, **recorded},
        {**second, "kind": "void", **recorded},
        {**third, "kind": "refund", "occurred_at": rfc3339(at + 3), **recorded},
        {"occurred_at": rfc3339(at - 9 * DAY_US), "amount": 3.0, **recorded},
        third,
    ]
    assert all(each["transaction_id"] for each in (first, second, third))
    body = {
        "as_of": rfc3339(later),
        "customers": [{"customer_id": customer, "transactions": sent}],
    }
    [entry] = answered(shop_service.desk, body)["scores"]
    # All of it as raw events: the rows of the files, and those that were appended.
    whole = {**events[customer], "transactions": [*events[customer]["transactions"], *sent]}
    raw = {"as_of": rfc3339(later), "customers": [{"customer_id": customer, **whole}]}
    [expected] = shop_service.ask(raw).json()["scores"]
    assert [entry[name] for name in STAYS] == [expected[name] for name in STAYS]
    raw["customers"] = [{"customer_id": customer, **events[customer]}]
    [before] = shop_service.ask(raw).json()["scores"]
    assert before["p_churn"] != expected["p_churn"]
