"""`lifecycle loop`: each link of a campaign, and which one is broken."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from features.core.errors import NotEnoughData
from features.core.instants import DAY_US
from features.core.settings import load_settings
from features.tables.history import load_history
from lifecycle.commands.loop import LINKS, campaign_loops
from lifecycle.commands.loop_text import loop_text
from lifecycle.simulation.actions import TRIAL
from serving.campaigns import store
from serving.campaigns.store import HELD_OUT
from tests.support.businesses import copied
from tests.support.campaigns import plan_at
from tests.support.command_line import run_here
from training.effects.measure import measure


def states(loop):
    return {each.name: each.state for each in loop.links}


def decide_at(at, customers, name="spring", seed=0):
    plan = plan_at(at, customers, np.random.default_rng(seed))
    store.write_campaign(name, plan, {"as_of": at, "horizon_days": 60})
    return plan


def test_a_campaign_of_today_is_open_where_its_time_has_not_come(trained_shop, home):
    own = copied(trained_shop, home)
    customers = own.history.as_of(own.run.as_of).customers.collect(backend="pyarrow").to_native()
    decide_at(own.run.as_of, customers["customer_id"].to_pylist()[:40])
    [loop] = campaign_loops(own.history, own.settings)
    assert [each.name for each in loop.links] == list(LINKS)
    assert states(loop) == {
        "scores": "done",
        "list": "done",
        "contacts": "open",  # data of the day of the decision have no contacts yet
        "outcomes": "open",
        "effect": "open",
        "release": "open",
    }
    outcomes = loop.links[3].facts
    days = own.settings.churn.horizon_days + own.settings.churn.label_latency_days
    missing = own.run.as_of + days * DAY_US - own.history.data_until
    assert outcomes["days_more"] == -(-missing // DAY_US)
    text = loop_text([loop])
    assert "spring" in text
    assert "waits for data after the decision" in text
    assert "✗" not in text
    later = dataclasses.replace(own.history, data_until=own.run.as_of + 1)
    [loop] = campaign_loops(later, own.settings)
    assert states(loop)["contacts"] == "broken"  # the table treatments has none of them
    assert "broken links (✗): 1" in loop_text([loop])
    assert not {name for name in customers["customer_id"].to_pylist() if name in text.split()}


@pytest.fixture
def past_campaign(shop_with_trial, home, tmp_path):
    """A campaign of a plan with complete outcomes: (plan, settings of treatments for it)."""
    folder, _, history = shop_with_trial
    at = history.data_until // DAY_US * DAY_US - 100 * DAY_US
    ids = [f"{number:06d}" for number in range(1, 400)]
    plan = decide_at(at, ids).to_pandas()

    def settings(rows):
        rows = rows.assign(
            occurred_at=pd.to_datetime(rows["occurred_at"], unit="us"),
            recorded_at=pd.to_datetime(rows["recorded_at"], unit="us"),
        )
        names = ["customer_id", "occurred_at", "recorded_at", "campaign", "arm", "action", "cost"]
        rows[names].to_csv(tmp_path / "treatments.csv", index=False)
        changes = {"files.treatments": str(tmp_path / "treatments.csv")}
        return load_settings(folder / "lifecycle.toml", changes)

    return plan, settings


def loop_of(settings):
    [loop] = campaign_loops(load_history(settings)[0], settings)
    return loop


def test_a_campaign_whose_contacts_are_written_down_is_followed_to_the_release(past_campaign):
    plan, settings = past_campaign
    read = settings(plan)
    loop = loop_of(read)
    verdict = measure(load_history(read)[0], read, "spring").verdict
    assert loop.links[4].facts["verdict"] == verdict
    assert states(loop) == {
        "scores": "broken",  # no scores of that day are left
        "list": "done",
        "contacts": "done",
        "outcomes": "done",
        "effect": "open" if verdict == "not enough data" else "done",
        "release": "broken",  # nothing is served
    }
    treated = int((plan["arm"] != HELD_OUT).sum())
    assert loop.links[2].facts["contacted"] == treated
    assert "lifecycle backfill --from" in loop_text([loop])


@pytest.mark.long
def test_contacts_of_who_was_held_out_break_the_link(past_campaign):
    plan, settings = past_campaign
    rows = plan.copy()
    places = rows.index[rows["arm"] == HELD_OUT][:7]
    rows.loc[places, "arm"] = "treated"
    link = loop_of(settings(rows)).links[2]
    assert link.state == "broken"
    assert link.facts["contacted_of_held_out"] == 7
    assert "7 of the held out" in loop_text([loop_of(settings(rows))])


def test_a_campaign_of_the_table_alone_and_a_damaged_one(shop_with_trial, home):
    _, settings, history = shop_with_trial
    at = history.data_until - 100 * DAY_US
    decide_at(at, ["000001", "000002"], name="broken")
    path = home / "decisions" / "campaign=broken" / store.PLAN
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    loops = {each.campaign: each for each in campaign_loops(history, settings)}
    assert states(loops["broken"]) == {"list": "broken"}
    assert states(loops[TRIAL])["contacts"] == "done"
    json.dumps([each.report() for each in loops.values()])


def test_without_any_campaign_it_says_what_to_type(trained_shop, home):
    own = copied(trained_shop, home)
    with pytest.raises(NotEnoughData, match="begins with a campaign"):
        campaign_loops(own.history, own.settings)


def test_the_command(shop_with_trial, home):
    folder, _, _ = shop_with_trial
    done = run_here("loop", "-c", folder / "lifecycle.toml", "--json")
    assert done.returncode == 0, done.stderr
    [campaign] = json.loads(done.stdout)["campaigns"]
    assert campaign["campaign"] == TRIAL
    assert set(LINKS) < set(campaign)
