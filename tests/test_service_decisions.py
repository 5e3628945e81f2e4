"""What a campaign decided stands beside the score: in answers, on the page, and in the file."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.core.errors import BadSetting
from features.core.instants import DAY_US
from lifecycle.commands.decide import decide_campaign
from lifecycle.commands.decide_rules import read_rules
from serving.api.schemas import RequestedId, rfc3339
from serving.api.state import ServingState, _read_decided
from serving.campaigns import store
from serving.campaigns.decided import NOT_READABLE, read_decided
from serving.campaigns.store import HELD_OUT
from tests.support.businesses import copied
from tests.support.campaigns import plan_at, settings_of
from tests.support.raw_events import request
from tests.support.served_pages import open_page

HORIZON = 60


def write(name, at, customers, *, seed=0):
    plan = plan_at(at, customers, np.random.default_rng(seed))
    place = plan.column_names.index("campaign")
    plan = plan.set_column(place, "campaign", pa.array([name] * plan.num_rows))
    place = plan.column_names.index("channel")
    plan = plan.set_column(place, "channel", pa.array(["phone"] * plan.num_rows))
    store.write_campaign(name, plan, {"as_of": at, "horizon_days": HORIZON})
    return {row["customer_id"]: row for row in plan.to_pylist()}


@pytest.fixture
def service(shop_service, home):
    """The shared service with campaigns of a home of the test: call `read` after they are there."""
    served = shop_service.desk.served

    def read():
        shop_service.desk.served = dataclasses.replace(served, decided=read_decided())
        return shop_service

    yield read
    shop_service.desk.served = served


def decisions(service, customers):
    scores = service.ask({"customer_ids": customers}).json()["scores"]
    return {entry["customer_id"]: entry["decision"] for entry in scores}


def test_the_plan_stands_beside_the_score_and_names_no_action_for_who_is_held_out(service):
    desk = service()
    at, customers = desk.desk.served.run.as_of, list(desk.ids[:30])
    plan = write("spring", at, customers[:20])
    answer = decisions(service(), customers)
    assert {row["arm"] for row in plan.values()} == {"treated", HELD_OUT}
    for name in customers[:20]:
        held_out = plan[name]["arm"] == HELD_OUT
        assert answer[name] == {
            "campaign": "spring",
            "decided_at": rfc3339(at),
            "action": None if held_out else "call",
            "channel": None if held_out else "phone",
            "expected_profit": None if held_out else plan[name]["expected_profit"],
            "hold_out": held_out,
        }
    assert {answer[name] for name in customers[20:]} == {None}


def test_every_door_says_the_same(service, trained_shop):
    desk = service()
    at, name = desk.desk.served.run.as_of, desk.ids[0]
    write("spring", at, [name])
    desk = service()
    [by_id] = desk.ask({"customer_ids": [name]}).json()["scores"]
    [alone] = desk.get(f"/v1/customers/{name}").json()["scores"]
    body = request(trained_shop.history, trained_shop.settings, [name], as_of=at)
    [by_events] = desk.ask(body).json()["scores"]
    assert by_id["decision"] is not None
    assert by_id["decision"] == alone["decision"] == by_events["decision"]


def test_a_decision_counts_from_its_day_until_its_horizon_has_passed_and_the_last_one_counts(home):
    at = 10**15
    write("b-later", at + DAY_US, ["x"])
    write("a-first", at, ["x", "y"])
    decided = read_decided()

    def campaign(customer, as_of):
        decision = decided.of_customer(customer, as_of)
        return None if decision is None else decision["campaign"]

    end = at + HORIZON * DAY_US
    assert campaign("x", at - 1) is None
    assert campaign("x", at) == campaign("x", at + DAY_US - 1) == "a-first"
    assert campaign("x", at + DAY_US) == campaign("x", end) == "b-later"
    assert campaign("y", end - 1) == "a-first"
    assert campaign("y", end) is campaign("z", at) is None


def test_a_damaged_campaign_is_said_in_every_entry_and_the_others_still_count(service, home):
    desk = service()
    at, names = desk.desk.served.run.as_of, list(desk.ids[:3])
    write("spring", at, names[:1])
    write("broken", at, names[1:2])
    path = home / "decisions" / "campaign=broken" / store.PLAN
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    scores = service().ask({"customer_ids": names}).json()["scores"]
    assert all(NOT_READABLE in entry["warnings"] for entry in scores)
    assert scores[0]["decision"]["campaign"] == "spring"
    assert scores[1]["decision"] is scores[2]["decision"] is None


def test_who_has_no_score_has_no_decision(service):
    desk = service()
    write("spring", desk.desk.served.run.as_of, ["nobody-of-the-run"])
    assert decisions(service(), ["nobody-of-the-run"]) == {"nobody-of-the-run": None}


@pytest.mark.parametrize("language", ["", "/zh"])
def test_the_page_of_a_customer_says_what_was_decided(service, language):
    desk = service()
    names = list(desk.ids[:20])
    plan = write("spring", desk.desk.served.run.as_of, names)
    desk = service()
    for name in names[:6]:
        page = open_page(desk, f"{language}/customers/{name}")
        card = page.html[page.html.index('id="decision"') :].split("</section>")[0]
        assert "spring" in card
        assert ("call" in card) == (plan[name]["arm"] != HELD_OUT)
    assert 'id="decision"' not in open_page(desk, f"/customers/{desk.ids[25]}").html


@pytest.mark.long
def test_a_running_service_takes_a_new_campaign_over(trained_shop, home):
    own = copied(trained_shop, home)
    desk = ServingState.load()
    before, name = desk.served, own.run.as_of
    customer = desk.served.run.ids[0]
    requested = RequestedId(raw=customer, normalized=customer)
    assert desk.score_by_id([requested], as_of=None)["scores"][0]["decision"] is None
    write("spring", name, [customer])
    desk.refresh()
    assert desk.score_by_id([requested], as_of=None)["scores"][0]["decision"] is not None
    assert desk.served.run is before.run
    assert desk.served.prepared is before.prepared


def test_the_file_has_the_scores_of_everybody_with_what_was_decided(trained_shop, home, tmp_path):
    own = copied(trained_shop, home)
    rules = read_rules(settings_of(own), "spring", budget=None, capacity={})
    out = tmp_path / "spring"
    decision = decide_campaign(own.history, settings_of(own), rules, own.run.as_of, out)
    table = pq.read_table(out / "scores.parquet")
    scores = pq.read_table(own.run.folder / "scores.parquet")
    assert table.drop_columns(["action", "expected_profit", "hold_out"]).equals(scores)
    chosen = {row["customer_id"]: row for row in decision.plan.chosen.to_pylist()}
    for row in table.to_pylist():
        each = chosen.get(row["customer_id"])
        got = (row["action"], row["expected_profit"], row["hold_out"])
        if each is None:
            assert got == (None, None, None)
        else:
            held_out = each["arm"] == HELD_OUT
            action = None if held_out else each["action"]
            profit = None if held_out else each["expected_profit"]
            assert got == (action, profit, held_out)
    assert table["hold_out"].null_count < table.num_rows


def test_who_is_held_out_of_any_open_campaign_gets_no_action_of_another(home):
    at = 10**15
    first = write("first", at, ["a", "b", "c", "d", "e", "f"], seed=1)
    later = write("later", at + DAY_US, ["a", "b", "c", "d", "e", "f"], seed=2)
    decided = read_decided()
    held_out = {
        name for plan in (first, later) for name, row in plan.items() if row["arm"] == HELD_OUT
    }
    assert 0 < len(held_out) < 6
    for name in first:
        decision = decided.of_customer(name, at + 2 * DAY_US)
        assert decision["hold_out"] == (name in held_out)
        assert (decision["action"] is None) == (name in held_out)


def with_flags(run, folder, flags):
    """The run with other flags of consent."""
    (folder / "history").mkdir(parents=True)
    rows = pq.read_table(run.folder / "history" / "customers.parquet")
    consent = [flags.get(name) for name in rows["customer_id"].to_pylist()]
    place = rows.column_names.index("consent")
    rows = rows.set_column(place, "consent", pa.array(consent, pa.bool_()))
    pq.write_table(rows, folder / "history" / "customers.parquet")
    return dataclasses.replace(run, folder=folder)


def test_who_took_back_the_consent_has_no_decision(service, tmp_path):
    desk = service()
    served = desk.desk.served
    names = list(desk.ids[:4])
    write("spring", served.run.as_of, names)
    run = with_flags(served.run, tmp_path, {name: name not in names[:2] for name in desk.ids})
    desk.desk.served = dataclasses.replace(served, decided=_read_decided(run, served.settings))
    answer = decisions(desk, names)
    assert served.settings.consent.list
    assert answer[names[0]] is answer[names[1]] is None
    assert answer[names[2]] is not None


def test_flags_of_the_run_say_who_refuses(shop_service, tmp_path):
    run, ids = shop_service.desk.served.run, shop_service.ids
    nobody_says = with_flags(run, tmp_path / "nobody", dict.fromkeys(ids))
    assert nobody_says.refusing_customers() == set()
    flags = dict.fromkeys(ids, True) | {ids[1]: False, ids[2]: None}
    refusing = with_flags(run, tmp_path / "some", flags).refusing_customers()
    assert {ids[1], ids[2]} <= refusing
    assert ids[0] not in refusing


def test_a_name_of_the_table_treatments_is_refused(shop_with_trial, home, tmp_path):
    _, settings, history = shop_with_trial
    rules = read_rules(settings, "trial", budget=None, capacity={})
    with pytest.raises(BadSetting, match="own name"):
        decide_campaign(history, settings, rules, None, tmp_path / "out")
