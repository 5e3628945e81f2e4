"""The loop knows that it acted: held-out customers stand in for those who were contacted."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.core.errors import ReleaseRefused
from features.core.instants import DAY_US
from features.core.language import CHINESE, use_language
from features.core.settings import load_settings
from features.tables.history import load_history
from serving.campaigns import store
from serving.campaigns.store import HELD_OUT
from tests.support.campaigns import plan_at
from training.campaigns.drawn import CHOSEN, ONE_ARM, SMALL, drawn_campaigns
from training.campaigns.untreated_examples import without_contacts
from training.examples import make_examples
from training.plan import make_plan
from training.reports.campaign_text import campaign_lines
from training.stand_ins import COLUMNS, Contacts, distinct_rows

AT, HORIZON = 10**15, 60 * DAY_US


def contacts(*rows, horizon=HORIZON):
    """(customer, contacted_at, campaign, stratum, is_treated) each."""
    cells = [
        (*row, number) for number, row in enumerate(rows)
    ]  # drawn in the order in which they are given
    columns = list(zip(*cells, strict=True)) or [[]] * len(COLUMNS)
    types = (pa.string(), pa.int64(), pa.string(), pa.string(), pa.bool_(), pa.uint64())
    arrays = [pa.array(list(each), kind) for each, kind in zip(columns, types, strict=True)]
    return Contacts(pa.table(dict(zip(COLUMNS, arrays, strict=True))), horizon)


def examples_rows(*names, at=AT):
    return pa.table(
        {
            "customer_id": pa.array(sorted(names), pa.string()),
            "as_of": pa.array([at] * len(names), pa.int64()),
        }
    )


def names(table):
    return table["customer_id"].to_pylist()


def test_each_contacted_row_becomes_one_of_the_same_campaign_and_stratum_in_turn():
    drawn = contacts(
        ("d", AT, "spring", "x", True),
        ("a", AT + 5, "spring", "x", True),
        ("b", AT, "spring", "x", True),
        ("p", AT, "spring", "x", False),
        ("q", AT, "spring", "x", False),
        ("c", AT, "spring", "y", True),
        ("r", AT, "spring", "y", False),
        ("e", AT, "autumn", "x", True),
        ("s", AT, "autumn", "x", False),
    )
    rows, counts = drawn.replace(examples_rows(*"abcdepqrsz"))
    assert Counter(names(rows)) == {"p": 3, "q": 2, "r": 2, "s": 2, "z": 1}
    assert names(rows) == sorted(names(rows))
    assert (counts.replaced, counts.stand_ins, counts.without) == (5, 4, 0)
    assert names(distinct_rows(rows)) == ["p", "q", "r", "s", "z"]


@pytest.mark.parametrize(
    ("moved", "replaced"), [(-1, False), (0, True), (HORIZON - 1, True), (HORIZON, False)]
)
def test_only_a_contact_within_the_outcome_window_counts(moved, replaced):
    drawn = contacts(("a", AT + moved, "spring", "", True), ("p", AT + moved, "spring", "", False))
    rows, _ = drawn.replace(examples_rows("a", "p"))
    assert (names(rows) == ["p", "p"]) == replaced


def test_who_was_contacted_by_another_campaign_stands_in_for_nobody():
    drawn = contacts(
        ("a", AT, "spring", "", True),
        ("p", AT, "spring", "", False),
        ("p", AT + DAY_US, "autumn", "", True),
        ("q", AT + DAY_US, "autumn", "", False),
    )
    rows, counts = drawn.replace(examples_rows("a", "p", "q"))
    # p gets q for its own contact; for a nobody is left, and it stays as it is.
    assert names(rows) == ["a", "q", "q"]
    assert (counts.replaced, counts.without) == (1, 1)


def test_without_a_stand_in_on_a_date_the_row_stays():
    drawn = contacts(("a", AT, "spring", "", True), ("p", AT, "spring", "", False))
    rows, counts = drawn.replace(examples_rows("a", "b"))
    assert names(rows) == ["a", "b"]
    assert (counts.replaced, counts.without) == (0, 1)


@st.composite
def worlds(draw):
    people = [f"{number:03d}" for number in range(draw(st.integers(1, 30)))]
    arms = st.sampled_from(["treated", "held", "none"])
    rows = []
    for campaign in draw(st.lists(st.sampled_from("uvw"), max_size=3, unique=True)):
        for person in people:
            arm = draw(arms)
            if arm != "none":
                stratum = draw(st.sampled_from("xy"))
                rows.append((person, AT + draw(st.integers(-2, 2)), campaign, stratum, arm))
    return people, rows


@given(worlds())
def test_laws(world):
    people, cells = world
    drawn = contacts(*((*row[:4], row[4] == "treated") for row in cells))
    table = pa.concat_tables([examples_rows(*people), examples_rows(*people, at=AT + HORIZON)])
    rows, counts = drawn.replace(table)
    assert rows.num_rows == table.num_rows
    # The second date lies after all contacts.
    assert names(rows)[len(people) :] == people
    first = Counter(names(rows)[: len(people)])
    treated = {person for person, at, *_, arm in cells if arm == "treated" and at >= AT}
    assert counts.replaced + counts.without == len(treated)
    assert sum(first[person] for person in treated) == counts.without
    assert all(first[person] >= 1 for person in people if person not in treated)
    shuffled = dataclasses.replace(drawn, rows=drawn.rows.take(np.arange(len(cells))[::-1].copy()))
    assert shuffled.replace(table)[0].equals(rows)


def test_the_risk_that_is_learned_is_that_of_being_left_alone():
    """A contact that keeps most of the risky: as they were, the rows say that risk is harmless."""
    rng = np.random.default_rng(3)
    size = 40_000
    risk = rng.uniform(0.05, 0.9, size)
    ids = [f"{number:06d}" for number in range(size)]
    chosen = risk > 0.5
    treated = chosen & (rng.random(size) < 0.8)
    churned = rng.random(size) < np.where(treated, risk * 0.3, risk)
    table = examples_rows(*ids).append_column("churned", pa.array(churned.astype(float)))
    table = table.append_column("risk", pa.array(risk))
    drawn = contacts(
        *((ids[k], AT, "spring", "", bool(treated[k])) for k in np.flatnonzero(chosen))
    )
    rows, _ = drawn.replace(table)
    for low, high in ((0.5, 0.7), (0.7, 0.9)):
        inside = (rows["risk"].to_numpy() >= low) & (rows["risk"].to_numpy() < high)
        rate = rows["churned"].to_numpy()[inside].mean()
        assert abs(rate - (low + high) / 2) < 0.04
        naive = churned[(risk >= low) & (risk < high)].mean()
        assert naive < rate - 0.25


@pytest.fixture(scope="module")
def shop_examples(shop_with_trial):
    _, settings, history = shop_with_trial
    training = settings.training.model_copy(update={"max_dates": 3})
    few = settings.model_copy(update={"training": training})
    return make_examples(history, few, make_plan(history, few))


def test_a_campaign_of_the_table_is_replaced_in_the_examples(shop_with_trial, shop_examples, home):
    _, settings, history = shop_with_trial
    examples, facts = without_contacts(shop_examples, history, settings)
    assert list(facts["drawn"]) == ["trial"]
    assert facts["replaced"] > 100
    assert examples.rows.num_rows == shop_examples.rows.num_rows
    assert examples.rows.schema == shop_examples.rows.schema
    table = history.as_of(history.data_until).further["treatments"].collect(backend="pyarrow")
    contacted = {
        row["customer_id"]: row["occurred_at"]
        for row in table.to_native().to_pylist()
        if row["arm"] != HELD_OUT
    }
    horizon = settings.churn.horizon_days * DAY_US
    inside = [
        row["as_of"] <= contacted.get(row["customer_id"], -1) < row["as_of"] + horizon
        for row in examples.rows.select(["customer_id", "as_of"]).to_pylist()
    ]
    assert sum(inside) == facts["without"]
    assert without_contacts(examples, history, settings) == (examples, {})
    json.dumps(facts)
    [line] = [line for line in campaign_lines({"campaigns": facts}) if "trial" in line]
    assert "stand in" in line
    with use_language(CHINESE):
        assert campaign_lines({"campaigns": facts})[0] != line


def test_as_they_are_changes_nothing_and_says_what_it_would(shop_with_trial, shop_examples, home):
    _, settings, history = shop_with_trial
    training = settings.training.model_copy(update={"contacted": "as_they_are"})
    kept = settings.model_copy(update={"training": training})
    examples, facts = without_contacts(shop_examples, history, kept)
    assert examples is shop_examples
    assert facts["rate"] != facts["rate_without_contacts"]
    assert "stay as they are" in campaign_lines({"campaigns": facts})[0]


def test_a_campaign_of_later_days_is_not_known(shop_with_trial, home):
    _, _, history = shop_with_trial
    settings = shop_with_trial[1]
    first = drawn_campaigns(history, settings).contacts.rows["contacted_at"].to_numpy().min()
    before = dataclasses.replace(history, data_until=int(first) - DAY_US)
    assert drawn_campaigns(before, settings) == type(drawn_campaigns(before, settings))()
    ids = [f"{number:06d}" for number in range(1, 60)]
    for name, at in (("known", first - 9 * DAY_US), ("later", first + 9 * DAY_US)):
        plan = plan_at(int(at), ids, np.random.default_rng(0))
        store.write_campaign(name, plan, {"as_of": int(at), "horizon_days": 60})
    assert set(drawn_campaigns(before, settings).drawn) == {"known"}


def test_a_campaign_that_chose_is_named_with_the_reason_and_changes_nothing(
    shop_with_trial, home, tmp_path
):
    folder, _, _ = shop_with_trial
    rows = pd.read_csv(folder / "data" / "treatments.csv", dtype={"customer_id": str})
    sales = pd.read_csv(folder / "data" / "transactions.csv", dtype={"customer_id": str})
    counts = sales.groupby("customer_id").size()
    is_good = rows["customer_id"].isin(counts[counts > counts.median()].index)
    arms = np.where(is_good, "treated", HELD_OUT)
    parts = [
        rows.assign(campaign="chose", arm=arms),
        rows.assign(campaign="everybody", arm="treated"),
        rows.assign(campaign="few", arm=["treated"] * (len(rows) - 5) + [HELD_OUT] * 5),
    ]
    pd.concat(parts).to_csv(tmp_path / "treatments.csv", index=False)
    changes = {"files.treatments": str(tmp_path / "treatments.csv")}
    settings = load_settings(folder / "lifecycle.toml", changes)
    drawn = drawn_campaigns(load_history(settings)[0], settings)
    assert drawn.contacts is None
    why = {name: each for name, (each, _) in drawn.not_drawn.items()}
    assert why == {"chose": CHOSEN, "everybody": ONE_ARM, "few": SMALL}
    lines = campaign_lines({"campaigns": {"contacted": "stand_in", **drawn.facts()}})
    assert len(lines) == 3
    assert all("stay in the outcomes" in line for line in lines)


def test_a_damaged_campaign_is_an_error_and_not_left_out(shop_with_trial, home):
    _, settings, history = shop_with_trial
    at = history.data_until - 90 * DAY_US
    plan = plan_at(at, ["000001", "000002"], np.random.default_rng(0))
    store.write_campaign("spring", plan, {"as_of": at, "horizon_days": 60})
    path = home / "decisions" / "campaign=spring" / store.PLAN
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(ReleaseRefused, match="not as it was written"):
        drawn_campaigns(history, settings)


def test_a_plan_of_later_days_does_not_replace_the_campaign_of_the_table(shop_with_trial, home):
    _, settings, history = shop_with_trial
    before = drawn_campaigns(history, settings)
    at = history.data_until + 5 * DAY_US
    plan = plan_at(at, [f"{number:06d}" for number in range(1, 60)], np.random.default_rng(0))
    store.write_campaign("trial", plan, {"as_of": at, "horizon_days": 60})
    after = drawn_campaigns(history, settings)
    assert after.contacts.rows.equals(before.contacts.rows)
